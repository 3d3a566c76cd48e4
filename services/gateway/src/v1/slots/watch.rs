//! `GET /v1/slots/watch`: streams of the open slots of a search. Equal searches share one question to availability.
//!
//! A question keeps the text of its opening, which lists all slots that were open at some event, and the events since then. A
//! new stream gets both; one that resumes gets the events after its position. When the events since the opening grow large,
//! they are folded into a new opening.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{iter, unfold},
};
use prost::Message;
use rpc::{Code, Fault};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OnceCell;
use tonic::Streaming;
use utoipa::ToSchema;
use wire::availability::{AvailabilityChange, SearchSlotsRequest};

use super::{Slot, search_request};
use crate::{
    Inner,
    call::Call,
    reply::Reply,
    streams::{Topic, sse},
    v1::stream::{self, lagged, problem},
};

/// The most bytes of events that a question keeps for slow readers.
const EVENTS_BYTES_MAX: usize = 256 << 10;
/// The bytes of events since the opening at which they are folded into a new one.
const FOLDED_BYTES: usize = 128 << 10;
/// How long a question without readers is kept, so that a reader that was cut can resume.
const LINGER: Duration = Duration::from_secs(10);

/// The changes since the previous event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlotChange {
    /// Slots that have become open, or whose places left have changed; in the first event all open slots.
    came: Vec<Slot>,
    /// Ids of slots that are no longer open.
    went: Vec<String>,
    /// The revision at which the event was computed.
    revision: String,
}

impl From<AvailabilityChange> for SlotChange {
    fn from(change: AvailabilityChange) -> Self {
        Self { came: change.came.into_iter().map(Slot::from).collect(), went: change.went, revision: change.revision }
    }
}

/// The questions that streams ask, by the organisation and the search.
#[derive(Default)]
pub(crate) struct Questions(Mutex<HashMap<Key, Arc<OnceCell<Arc<Question>>>>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    organization: String,
    search: Vec<u8>,
    /// The revision that a caller wants to see.
    revision: Option<String>,
}

/// A search that is watched.
struct Question {
    /// Begins the positions of this question; those of another one mean nothing here.
    epoch: String,
    opening: Mutex<Opening>,
    events: Arc<Topic<Bytes>>,
}

/// All open slots after an event.
#[derive(Clone)]
struct Opening {
    /// The number of the next event.
    next: u64,
    text: Bytes,
}

/// The first event is `open` and holds all open slots; each later one is `change`. When the search becomes invalid, the last
/// event is `problem`.
pub(super) async fn watch(call: Call) -> Result<Reply, Fault> {
    let search = search_request(&call)?;
    let place = call.stream_place()?;
    let question = question(&call, search).await?;
    let events = question.read(call.last_event_id());
    Ok(stream::reply(&call, place, events))
}

/// The question of a search, asked by the first of its streams.
async fn question(call: &Call, mut search: SearchSlotsRequest) -> Result<Arc<Question>, Fault> {
    if let Some(filters) = &mut search.filters {
        for ids in [&mut filters.location_ids, &mut filters.practitioner_ids] {
            ids.sort_unstable();
            ids.dedup();
        }
    }
    let context = call.context();
    let key = Key {
        organization: context.organization.to_string(),
        search: search.encode_to_vec(),
        revision: context.revision.clone(),
    };
    let cell = call.inner.questions.lock().entry(key.clone()).or_default().clone();
    let asked = cell.get_or_try_init(async || {
        let changes = call.inner.search.clone().watch_availability(context.request(search)).await?;
        Question::begin(&call.inner, &key, changes.into_inner()).await
    });
    match asked.await {
        Ok(question) => Ok(question.clone()),
        Err(fault) => {
            call.inner.questions.remove(&key, |cell| !cell.initialized());
            Err(fault)
        }
    }
}

impl Questions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<OnceCell<Arc<Question>>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a question under a condition; returns whether it held. No stream joins in between.
    fn remove(&self, key: &Key, condition: impl Fn(&OnceCell<Arc<Question>>) -> bool) -> bool {
        let mut questions = self.lock();
        let removed = questions.get(key).is_some_and(|cell| condition(cell));
        if removed {
            questions.remove(key);
        }
        removed
    }
}

impl Question {
    async fn begin(
        inner: &Arc<Inner>,
        key: &Key,
        mut changes: Streaming<AvailabilityChange>,
    ) -> Result<Arc<Self>, Fault> {
        let broke_off = || Fault::new(Code::Unavailable, "the search broke off; try again shortly");
        let first = SlotChange::from(changes.next().await.ok_or_else(broke_off)??);
        let epoch = inner.ids.uuid(inner.clock.now()).simple().to_string();
        let text = sse::event(&format!("{epoch}.0"), "open", &first);
        let question = Arc::new(Self {
            epoch,
            opening: Mutex::new(Opening { next: 1, text }),
            events: Topic::new(EVENTS_BYTES_MAX),
        });
        tokio::spawn(follow(inner.clone(), key.clone(), question.clone(), changes));
        Ok(question)
    }

    fn opening(&self) -> MutexGuard<'_, Opening> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The events after a position, or all from an opening on where the position is not one of those that are kept.
    fn read(&self, position: &str) -> impl Stream<Item = Bytes> + Send + use<> {
        let resumed = position.strip_prefix(&self.epoch).and_then(|rest| rest.strip_prefix('.')?.parse::<u64>().ok());
        let resumed = resumed.map(|number| number.saturating_add(1)).filter(|next| self.events.since(*next).is_some());
        let (opening, reader) = match resumed {
            Some(next) => (None, self.events.reader(next)),
            None => {
                let opening = self.opening().clone();
                (Some(opening.text), self.events.reader(opening.next))
            }
        };
        let changes = unfold(Some(reader), async |reader| {
            let mut reader = reader?;
            match reader.next().await? {
                Ok(text) => Some((text, Some(reader))),
                Err(_) => Some((problem(lagged()), None)),
            }
        });
        iter(opening).chain(changes)
    }

    /// Publishes a change.
    fn publish(&self, change: SlotChange) {
        let next = self.events.next_number();
        let text = sse::event(&format!("{}.{next}", self.epoch), "change", &change);
        self.fold(text.len());
        self.events.publish(text);
    }

    /// Makes a new opening when the events since the present one, and the next one, are large.
    fn fold(&self, next_bytes: usize) {
        let mut opening = self.opening();
        let Some(events) = self.events.since(opening.next) else { return };
        let bytes: usize = events.iter().map(Bytes::len).sum();
        if bytes + next_bytes <= FOLDED_BYTES || events.is_empty() {
            return;
        }
        let next = opening.next + events.len() as u64;
        let id = format!("{}.{}", self.epoch, next - 1);
        if let Some(text) = folded(&opening.text, &events, &id) {
            *opening = Opening { next, text };
        }
    }
}

/// Publishes the changes of a question until they end, the gateway drains or the question has no readers for a while.
async fn follow(inner: Arc<Inner>, key: Key, question: Arc<Question>, mut changes: Streaming<AvailabilityChange>) {
    let mut ticks = tokio::time::interval(LINGER);
    let mut was_read = true;
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = inner.draining.begun() => break,
            _ = ticks.tick() => {
                let is_read = question.events.has_readers();
                // A stream that has found the question and does not read it yet sees the question's end.
                if !is_read && !was_read && inner.questions.remove(&key, |_| !question.events.has_readers()) {
                    break;
                }
                was_read = is_read;
                continue;
            }
        };
        match change {
            Some(Ok(change)) => question.publish(change.into()),
            Some(Err(status)) => {
                question.events.publish(problem(Fault::from(status)));
                break;
            }
            None => break,
        }
    }
    inner.questions.remove(&key, |cell| cell.get().is_some_and(|other| Arc::ptr_eq(other, &question)));
    question.events.end();
}

/// A change as it was written.
#[derive(Deserialize, Serialize)]
struct Written {
    came: Vec<Value>,
    went: Vec<String>,
    revision: String,
}

/// The opening after these events; `None` where a text is not one of ours.
fn folded(opening: &[u8], events: &[Bytes], id: &str) -> Option<Bytes> {
    let mut slots = BTreeMap::new();
    let mut revision = String::new();
    for text in std::iter::once(opening).chain(events.iter().map(Bytes::as_ref)) {
        let written: Written = serde_json::from_slice(sse::data(text)?).ok()?;
        for id in &written.went {
            slots.remove(id);
        }
        for slot in written.came {
            let starts_at: jiff::Timestamp = slot["starts_at"].as_str()?.parse().ok()?;
            slots.insert(slot["slot_id"].as_str()?.to_owned(), (starts_at, slot));
        }
        revision = written.revision;
    }
    let mut came: Vec<_> = slots.into_values().collect();
    came.sort_by_key(|(starts_at, _)| *starts_at);
    let came = came.into_iter().map(|(_, slot)| slot).collect();
    Some(sse::event(id, "open", &Written { came, went: vec![], revision }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slot(id: &str, hour: u32) -> Value {
        json!({"slot_id": id, "starts_at": format!("2026-03-06T{hour:02}:00:00-07:00"), "places_left": 1})
    }

    fn change(came: &[Value], went: &[&str]) -> Value {
        json!({"came": came, "went": went, "revision": format!("r{}", came.len())})
    }

    fn question() -> Question {
        let opening = sse::event("e.0", "open", &change(&[slot("a", 8), slot("b", 9)], &[]));
        Question {
            epoch: "e".into(),
            opening: Mutex::new(Opening { next: 1, text: opening }),
            events: Topic::new(EVENTS_BYTES_MAX),
        }
    }

    /// The events that a stream has at once.
    async fn read(question: &Question, position: &str) -> Vec<String> {
        question.events.end();
        let texts: Vec<Bytes> = question.read(position).collect().await;
        texts.iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_stream_begins_with_the_opening_or_resumes_at_its_position() {
        let question = question();
        for (number, id) in (1..).zip(["c", "d"]) {
            question.events.publish(sse::event(&format!("e.{number}"), "change", &change(&[slot(id, 10)], &[])));
        }
        let all = read(&question, "").await;
        assert!(all.len() == 3 && all[0].contains("event: open") && all[2].starts_with("id: e.2\n"), "{all:?}");
        assert_eq!(read(&question, "e.1").await, all[2..]);
        assert_eq!(read(&question, "e.0").await, all[1..]);
        assert!(read(&question, "e.2").await.is_empty());
        for unknown in ["e.3", "f.1", "e", "e.x"] {
            assert_eq!(read(&question, unknown).await, all, "{unknown}");
        }
    }

    #[tokio::test]
    async fn large_changes_are_folded_into_an_opening_that_says_the_same() {
        let question = question();
        question.events.publish(sse::event("e.1", "change", &change(&[slot("c", 7)], &["a"])));
        question.events.publish(sse::event("e.2", "change", &change(&[slot("b", 9), slot("d", 8)], &[])));
        question.fold(0);
        assert_eq!(question.opening().next, 1, "small changes stay as they are");
        question.fold(FOLDED_BYTES);
        let texts = read(&question, "").await;
        assert_eq!(texts.len(), 1);
        let data: Value = serde_json::from_slice(sse::data(texts[0].as_bytes()).unwrap()).unwrap();
        let ids: Vec<_> = data["came"].as_array().unwrap().iter().map(|slot| slot["slot_id"].clone()).collect();
        assert_eq!(ids, ["c", "d", "b"], "by their starts");
        assert_eq!((texts[0].lines().next().unwrap(), &data["revision"]), ("id: e.2", &json!("r2")));
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_gets_a_problem_and_can_resume() {
        let question = Question { events: Topic::new(1), ..question() };
        let reader = question.read("");
        for number in 1..4 {
            question.events.publish(sse::event(&format!("e.{number}"), "change", &change(&[], &[])));
        }
        let texts: Vec<Bytes> = reader.collect().await;
        assert_eq!(texts.len(), 2, "the opening and the end");
        let last = String::from_utf8(texts[1].to_vec()).unwrap();
        assert!(last.starts_with("event: problem\n") && last.contains("overloaded"), "{last}");
    }
}
