//! What happens to appointments and plans, as it happens.

use std::sync::Arc;

use axum::{http::Method, response::sse::Event as Sse};
use domain::event::Event;
use futures::{Stream, StreamExt, stream};
use rpc::{Code, Fault};
use sql::feed::Position;
use tokio::sync::broadcast::{self, error::RecvError};
use tonic::Status;
use wire::{
    booking::{ChangeBatch, SubscribeChangesRequest},
    convert,
};

use super::problem::Problem;
use crate::{
    auth::Scope,
    call::{Call, Reply},
    event_hub::{self, Beat},
    operation::{Access, Operation, Param, Type, handler},
};

/// After so many batches without news the position is sent alone, so that a reader who comes back begins there and not
/// where the feed may have ended meanwhile. A quiet feed beats about once a second.
const QUIET_MAX: u32 = 15;
const POSITION_CHARS_MAX: usize = 100;

pub(crate) fn operations() -> Vec<Operation> {
    let summary = "Appointments and plans as they change; `Last-Event-ID` resumes, without it from now on";
    let access = Access::Scopes(&[Scope::ReportsRead]);
    let last = Param::new(
        "last_event_id",
        Type::Text(POSITION_CHARS_MAX),
        "Resumes after this event, for who cannot send the header",
    );
    let operation =
        Operation::new("watch_events", Method::GET, "/v1/events", "events", summary, access, handler!(watch));
    vec![Operation { events: true, ..operation.params(&[last]).answer(200, "Event") }]
}

/// The id of an event is its position in booking's feed, its name the kind. Where the feed does not reach back to the
/// position, or breaks off, the last event is `problem`.
async fn watch(call: Call) -> Result<Reply, Fault> {
    // Whoever comes back by itself asks at the address that it was given first: what the header says is newer.
    let header = call.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let position = header.filter(|text| !text.is_empty()).or(call.params.text("last_event_id")).unwrap_or_default();
    // Before the answer begins, and before the past is read: whatever happens from here on is heard.
    let present = listen(event_hub::join(&call.inner).await?);
    let organization = call.caller.organization.to_string();
    if position.is_empty() {
        return Reply::events(&call.inner, told(present, organization, None).flat_map(stream::iter).map(Ok));
    }
    let request = SubscribeChangesRequest { position: position.to_owned(), early: false };
    match call.inner.feed.clone().subscribe_changes(call.context().request(request)).await {
        Ok(batches) => {
            let all = past(batches.into_inner()).chain(present);
            let events = told(all, organization, position.parse().ok()).flat_map(stream::iter);
            Reply::events(&call.inner, events.map(Ok))
        }
        Err(status) => {
            let fault = Fault::from(status);
            if fault.code != Code::FeedPositionLost {
                return Err(fault);
            }
            Reply::events(&call.inner, stream::iter([Ok(problem(fault))]))
        }
    }
}

/// What has happened until now.
fn past(
    batches: impl Stream<Item = Result<ChangeBatch, Status>> + Unpin + Send + 'static,
) -> impl Stream<Item = Beat> + Send {
    stream::unfold(Some(batches), async |batches| {
        let mut batches = batches?;
        let beat = match batches.next().await {
            Some(batch) => batch.map(Arc::new),
            None => Err(event_hub::broken().into()),
        };
        let more = beat.as_ref().is_ok_and(|batch| batch.more);
        Some((beat, more.then_some(batches)))
    })
}

/// What happens from now on.
fn listen(receiver: broadcast::Receiver<Beat>) -> impl Stream<Item = Beat> + Send {
    stream::unfold(receiver, async |mut receiver| {
        let beat = match receiver.recv().await {
            Ok(beat) => beat,
            Err(RecvError::Lagged(_)) => Err(behind().into()),
            Err(RecvError::Closed) => return None,
        };
        Some((beat, receiver))
    })
}

fn behind() -> Fault {
    Fault::new(Code::Overloaded, "events came faster than they were read; come back with the last event's id")
}

/// How far a reader has come.
struct Reader {
    reached: Option<Position>,
    quiet: u32,
    ended: bool,
}

/// The events of one organisation in each batch, and the position where it has moved on without any. Nothing is told twice,
/// and nothing after a problem.
fn told(
    beats: impl Stream<Item = Beat> + Send + 'static,
    organization: String,
    reached: Option<Position>,
) -> impl Stream<Item = Vec<Sse>> + Send + 'static {
    // The first batch tells where a reader stands who has not heard of anything yet.
    let reader = Reader { reached, quiet: QUIET_MAX, ended: false };
    beats.scan(reader, move |reader, beat| {
        if reader.ended {
            return std::future::ready(None);
        }
        std::future::ready(Some(match beat {
            Ok(batch) => reader.read(&batch, &organization),
            Err(status) => {
                reader.ended = true;
                vec![problem(status.into())]
            }
        }))
    })
}

impl Reader {
    fn read(&mut self, batch: &ChangeBatch, organization: &str) -> Vec<Sse> {
        let known = |position: &str| {
            self.reached.zip(position.parse().ok()).is_some_and(|(reached, position)| reached.reaches(position))
        };
        let own = batch.changes.iter().filter(|change| change.organization_id == organization);
        let news = own.filter(|change| !known(&change.position));
        let mut events: Vec<Sse> =
            news.filter_map(|change| Some(shown(&convert::event::from_change(change)?, &change.position))).collect();
        let moved = !known(&batch.position);
        if moved {
            self.reached = batch.position.parse().ok();
        }
        self.quiet += 1;
        if events.is_empty() && self.quiet > QUIET_MAX && moved {
            events.push(Sse::default().id(&batch.position));
        }
        if !events.is_empty() {
            self.quiet = 0;
        }
        events
    }
}

fn shown(event: &Event, position: &str) -> Sse {
    let shown = Sse::default().id(position).event(event.kind.as_str()).json_data(event);
    // What cannot be written is left out: its like is compiled, not read.
    shown.unwrap_or_default()
}

fn problem(fault: Fault) -> Sse {
    Sse::default().event("problem").json_data(Problem::from(fault)).unwrap_or_default()
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

    async fn texts(batches: Vec<Result<ChangeBatch, Status>>) -> Vec<Vec<String>> {
        texts_after(None, batches).await
    }

    async fn texts_after(after: Option<&str>, batches: Vec<Result<ChangeBatch, Status>>) -> Vec<Vec<String>> {
        let own = OrganizationId::new(Uuid::from_u128(1)).to_string();
        let beats = stream::iter(batches).map(|batch| batch.map(Arc::new));
        let reached = after.map(|position| position.parse().unwrap());
        let told = told(beats, own, reached).collect::<Vec<_>>().await;
        let line = |event: &Sse| format!("{event:?}");
        told.iter().map(|events| events.iter().map(line).collect()).collect()
    }

    #[tokio::test]
    async fn nothing_crosses_from_another_organisation() {
        let changes = vec![booked(2, "1.0.1"), booked(1, "1.0.2"), booked(2, "1.0.3")];
        let batch = ChangeBatch { changes, position: "1.0.3".into(), ..ChangeBatch::default() };
        let told = texts(vec![Ok(batch)]).await;
        assert_eq!(told[0].len(), 1, "{told:?}");
        let foreign = AppointmentId::new(Uuid::from_u128(2)).to_string();
        assert!(told[0][0].contains("1.0.2") && !told[0][0].contains(&foreign), "{told:?}");
    }

    #[tokio::test]
    async fn a_position_is_told_at_first_and_now_and_then() {
        let beat = |seq: u32| Ok(ChangeBatch { position: format!("1.0.{seq}"), ..ChangeBatch::default() });
        let told = texts((0..20).map(beat).collect()).await;
        let at: Vec<usize> = (0..20).filter(|at| !told[*at].is_empty()).collect();
        assert_eq!(at, [0, 16]);
        // Where it stands still, nothing is told.
        let still = texts((0..40).map(|_| beat(7)).collect()).await;
        assert_eq!(still.iter().filter(|events| !events.is_empty()).count(), 1);
    }

    #[tokio::test]
    async fn a_feed_that_breaks_off_ends_with_a_problem() {
        let lost = Err(Fault::new(Code::FeedPositionLost, "lost").into());
        let after = ChangeBatch { changes: vec![booked(1, "1.0.9")], position: "1.0.9".into(), ..Default::default() };
        let told = texts(vec![lost, Ok(after)]).await;
        assert!(told[0][0].contains("problem") && told[0][0].contains("feed_position_lost"), "{told:?}");
        assert_eq!(told.len(), 1, "nothing comes after a problem");
    }

    #[tokio::test]
    async fn where_the_past_and_the_present_meet_nothing_is_told_twice() {
        let batch = |seqs: &[u32]| {
            let changes = seqs.iter().map(|seq| booked(1, &format!("1.0.{seq}"))).collect();
            let position = format!("1.0.{}", seqs.last().unwrap());
            Ok(ChangeBatch { changes, position, ..ChangeBatch::default() })
        };
        // The present has begun before the past is read to its end.
        let told = texts_after(Some("1.0.2"), vec![batch(&[2, 3, 4]), batch(&[3]), batch(&[4, 5])]).await;
        let count = |seq: u32| told.iter().flatten().filter(|text| text.contains(&format!("1.0.{seq}"))).count();
        assert_eq!([2, 3, 4, 5].map(count), [0, 1, 1, 1], "{told:?}");
    }

    #[tokio::test]
    async fn the_past_ends_where_nothing_more_is_to_tell() {
        let batch = |more| Ok(ChangeBatch { more, ..ChangeBatch::default() });
        let read = past(stream::iter([batch(true), batch(false), batch(false)])).collect::<Vec<_>>().await;
        assert_eq!(read.len(), 2);
        let read = past(stream::iter([batch(true)])).collect::<Vec<_>>().await;
        assert!(read.last().unwrap().is_err(), "a past that breaks off is no past");
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_is_told_so() {
        let (sender, receiver) = broadcast::channel(1);
        for _ in 0..3 {
            sender.send(Ok(Arc::new(ChangeBatch::default()))).unwrap();
        }
        drop(sender);
        let heard = listen(receiver).collect::<Vec<_>>().await;
        assert_eq!(Fault::from(heard[0].clone().unwrap_err()).code, Code::Overloaded);
    }
}
