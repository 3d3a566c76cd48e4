//! Server-sent events: the changes of appointments, plans and the waitlist.

use std::sync::Arc;

use axum::{http::Method, response::sse::Event as SseEvent};
use domain::event::Event;
use futures::{Stream, StreamExt, stream};
use rpc::{Code, Fault};
use sql::feed::Position;
use tokio::sync::broadcast::{self, error::RecvError};
use wire::{booking::ChangeBatch, convert};

use super::problem::Problem;
use crate::{
    auth::Scope,
    call::Call,
    event_hub::{self, FeedMessage},
    operation::{Access, Content, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

/// The most batches without an event of the organisation after which the position is sent alone. A client that reconnects
/// then resumes at a position that the feed still reaches. A quiet feed sends about one batch a second.
const SILENT_BATCHES_MAX: u32 = 15;
const POSITION_CHARS_MAX: usize = 100;

pub(super) fn operations() -> Vec<Operation> {
    let summary =
        "Streams changes of appointments, plans and the waitlist; `Last-Event-ID` resumes, without it from now on";
    let access = Access::Scopes(&[Scope::ReportsRead]);
    let last_event_id = Param::new(
        "last_event_id",
        Type::Text(POSITION_CHARS_MAX),
        "Resumes after this event, for clients that cannot send the header",
    );
    let operation =
        Operation::new("watch_events", Method::GET, "/v1/events", "events", summary, access, handler!(watch));
    vec![operation.params(&[last_event_id]).content(Content::Events("Event"))]
}

/// An event's id is its position in booking's feed, its name the event's type. When the feed does not reach back to the
/// requested position, or ends, the last event is `problem`.
async fn watch(call: Call) -> Result<Reply, Fault> {
    // A browser that reconnects repeats the first URL, so the header is newer than the parameter.
    let header = call.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let position = header.filter(|text| !text.is_empty()).or(call.params.text("last_event_id")).unwrap_or_default();
    // Subscribed before the past is read, so that no change falls between the two.
    let present = present(event_hub::subscribe(&call.inner).await?);
    let organization = call.caller.organization.to_string();
    if position.is_empty() {
        return Reply::events(&call.inner, events(present, organization, None).flat_map(stream::iter).map(Ok));
    }
    match call.inner.feed.subscribe(position, false).await {
        Ok(changes) => {
            let batches = stream::unfold(changes, async |mut changes| Some((changes.next().await, changes)));
            let messages = past(Box::pin(batches)).chain(present);
            let events = events(messages, organization, position.parse().ok()).flat_map(stream::iter);
            Reply::events(&call.inner, events.map(Ok))
        }
        Err(fault) if fault.code == Code::FeedPositionLost => {
            Reply::events(&call.inner, stream::iter([Ok(problem_event(fault))]))
        }
        Err(fault) => Err(fault),
    }
}

/// The messages up to the present; an error ends them.
fn past(
    batches: impl Stream<Item = Result<ChangeBatch, Fault>> + Unpin + Send + 'static,
) -> impl Stream<Item = FeedMessage> + Send {
    stream::unfold(Some(batches), async |batches| {
        let mut batches = batches?;
        let message = batches.next().await?.map(Arc::new);
        let more = message.as_ref().is_ok_and(|batch| batch.more);
        Some((message, more.then_some(batches)))
    })
}

/// The messages from the present on.
fn present(receiver: broadcast::Receiver<FeedMessage>) -> impl Stream<Item = FeedMessage> + Send {
    stream::unfold(receiver, async |mut receiver| {
        let message = match receiver.recv().await {
            Ok(message) => message,
            Err(RecvError::Lagged(_)) => Err(lagged()),
            Err(RecvError::Closed) => return None,
        };
        Some((message, receiver))
    })
}

fn lagged() -> Fault {
    Fault::new(Code::Overloaded, "events came faster than they were read; come back with the last event's id")
}

/// The state of one stream.
struct Reader {
    /// The position up to which events were sent.
    position: Option<Position>,
    silent_batches: u32,
    ended: bool,
}

/// For each message the events of one organisation, and now and then the position alone. No event is sent twice, and none
/// after a problem.
fn events(
    messages: impl Stream<Item = FeedMessage> + Send + 'static,
    organization: String,
    position: Option<Position>,
) -> impl Stream<Item = Vec<SseEvent>> + Send + 'static {
    // The first batch sends a new reader's position.
    let reader = Reader { position, silent_batches: SILENT_BATCHES_MAX, ended: false };
    messages.scan(reader, move |reader, message| {
        if reader.ended {
            return std::future::ready(None);
        }
        std::future::ready(Some(match message {
            Ok(batch) => reader.events_of(&batch, &organization),
            Err(fault) => {
                reader.ended = true;
                vec![problem_event(fault)]
            }
        }))
    })
}

impl Reader {
    fn events_of(&mut self, batch: &ChangeBatch, organization: &str) -> Vec<SseEvent> {
        let is_sent = |position: &str| {
            self.position.zip(position.parse().ok()).is_some_and(|(sent, position)| sent.reaches(position))
        };
        let changes = batch.changes.iter().filter(|change| change.organization_id == organization);
        let changes = changes.filter(|change| !is_sent(&change.position));
        let mut events: Vec<SseEvent> = changes
            .filter_map(|change| Some(to_sse(&convert::event::from_change(change)?, &change.position)))
            .collect();
        let advanced = !is_sent(&batch.position);
        if advanced {
            self.position = batch.position.parse().ok();
        }
        self.silent_batches += 1;
        if events.is_empty() && self.silent_batches > SILENT_BATCHES_MAX && advanced {
            events.push(SseEvent::default().id(&batch.position));
        }
        if !events.is_empty() {
            self.silent_batches = 0;
        }
        events
    }
}

fn to_sse(event: &Event, position: &str) -> SseEvent {
    // Serialization of this type cannot fail.
    SseEvent::default().id(position).event(event.kind.as_str()).json_data(event).unwrap_or_default()
}

fn problem_event(fault: Fault) -> SseEvent {
    SseEvent::default().event("problem").json_data(Problem::from(fault)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use domain::id::{
        AppointmentId, Id, Kind as Named, LocationId, OrganizationId, PatientId, PractitionerId, ServiceId,
    };
    use uuid::Uuid;
    use wire::booking::{AppointmentState, Change, change::Owner};

    use super::*;

    fn id<K: Named>(number: u128) -> String {
        Id::<K>::new(Uuid::from_u128(number)).to_string()
    }

    fn booked(organization: u128, position: &str) -> Change {
        let state = AppointmentState {
            id: AppointmentId::new(Uuid::from_u128(organization)).to_string(),
            status: "booked".into(),
            service_id: ServiceId::new(Uuid::from_u128(3)).to_string(),
            practitioner_id: PractitionerId::new(Uuid::from_u128(4)).to_string(),
            location_id: LocationId::new(Uuid::from_u128(5)).to_string(),
            patient_id: PatientId::new(Uuid::from_u128(6)).to_string(),
            ..AppointmentState::default()
        };
        Change {
            organization_id: id::<domain::id::Organization>(organization),
            event: "booked".into(),
            position: position.into(),
            owner: Some(Owner::Appointment(state)),
            ..Change::default()
        }
    }

    async fn texts(batches: Vec<Result<ChangeBatch, Fault>>) -> Vec<Vec<String>> {
        texts_after(None, batches).await
    }

    async fn texts_after(after: Option<&str>, batches: Vec<Result<ChangeBatch, Fault>>) -> Vec<Vec<String>> {
        let own = OrganizationId::new(Uuid::from_u128(1)).to_string();
        let messages = stream::iter(batches).map(|batch| batch.map(Arc::new));
        let position = after.map(|position| position.parse().unwrap());
        let sent = events(messages, own, position).collect::<Vec<_>>().await;
        let line = |event: &SseEvent| format!("{event:?}");
        sent.iter().map(|events| events.iter().map(line).collect()).collect()
    }

    #[tokio::test]
    async fn nothing_crosses_from_another_organisation() {
        let changes = vec![booked(2, "1.0.1"), booked(1, "1.0.2"), booked(2, "1.0.3")];
        let batch = ChangeBatch { changes, position: "1.0.3".into(), ..ChangeBatch::default() };
        let sent = texts(vec![Ok(batch)]).await;
        assert_eq!(sent[0].len(), 1, "{sent:?}");
        let foreign = AppointmentId::new(Uuid::from_u128(2)).to_string();
        assert!(sent[0][0].contains("1.0.2") && !sent[0][0].contains(&foreign), "{sent:?}");
    }

    #[tokio::test]
    async fn a_position_is_sent_first_and_after_silence() {
        let batch = |seq: u32| Ok(ChangeBatch { position: format!("1.0.{seq}"), ..ChangeBatch::default() });
        let sent = texts((0..20).map(batch).collect()).await;
        let at: Vec<usize> = (0..20).filter(|at| !sent[*at].is_empty()).collect();
        assert_eq!(at, [0, 16]);
        // A position that does not advance is sent once.
        let still = texts((0..40).map(|_| batch(7)).collect()).await;
        assert_eq!(still.iter().filter(|events| !events.is_empty()).count(), 1);
    }

    #[tokio::test]
    async fn a_feed_that_breaks_off_ends_with_a_problem() {
        let lost = Err(Fault::new(Code::FeedPositionLost, "lost"));
        let after = ChangeBatch { changes: vec![booked(1, "1.0.9")], position: "1.0.9".into(), ..Default::default() };
        let sent = texts(vec![lost, Ok(after)]).await;
        assert!(sent[0][0].contains("problem") && sent[0][0].contains("feed_position_lost"), "{sent:?}");
        assert_eq!(sent.len(), 1, "nothing comes after a problem");
    }

    #[tokio::test]
    async fn the_past_and_the_present_send_each_event_once() {
        let batch = |seqs: &[u32]| {
            let changes = seqs.iter().map(|seq| booked(1, &format!("1.0.{seq}"))).collect();
            let position = format!("1.0.{}", seqs.last().unwrap());
            Ok(ChangeBatch { changes, position, ..ChangeBatch::default() })
        };
        // The present begins before the past ends.
        let sent = texts_after(Some("1.0.2"), vec![batch(&[2, 3, 4]), batch(&[3]), batch(&[4, 5])]).await;
        let count = |seq: u32| sent.iter().flatten().filter(|text| text.contains(&format!("1.0.{seq}"))).count();
        assert_eq!([2, 3, 4, 5].map(count), [0, 1, 1, 1], "{sent:?}");
    }

    #[tokio::test]
    async fn the_past_ends_with_the_last_batch_that_announces_more() {
        let batch = |more| Ok(ChangeBatch { more, ..ChangeBatch::default() });
        let read = past(stream::iter([batch(true), batch(false), batch(false)])).collect::<Vec<_>>().await;
        assert_eq!(read.len(), 2);
        let lost = Err(Fault::new(Code::Unavailable, "lost"));
        let read = past(stream::iter([batch(true), lost, batch(false)])).collect::<Vec<_>>().await;
        assert!(read.len() == 2 && read[1].is_err(), "an error ends the past");
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_gets_an_error() {
        let (sender, receiver) = broadcast::channel(1);
        for _ in 0..3 {
            sender.send(Ok(Arc::new(ChangeBatch::default()))).unwrap();
        }
        drop(sender);
        let received = present(receiver).collect::<Vec<_>>().await;
        assert_eq!(received[0].clone().unwrap_err().code, Code::Overloaded);
    }
}
