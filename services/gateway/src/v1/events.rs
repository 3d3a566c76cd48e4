//! What happens to appointments and plans, as it happens.

use axum::{http::Method, response::sse::Event as Sse};
use domain::event::Event;
use futures::{Stream, StreamExt, stream};
use rpc::{Code, Fault};
use tonic::Status;
use wire::{
    booking::{ChangeBatch, SubscribeChangesRequest},
    convert,
};

use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
    problem::Problem,
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
    let request = SubscribeChangesRequest { position: position.to_owned(), early: false };
    // Before the answer begins: what happens after it is told.
    match call.inner.feed.clone().subscribe_changes(call.context().request(request)).await {
        Ok(batches) => {
            let organization = call.caller.organization.to_string();
            let events = told(batches.into_inner(), organization).flat_map(stream::iter);
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

/// The events of one organisation in each batch, and the position where it has moved on without any.
fn told(
    batches: impl Stream<Item = Result<ChangeBatch, Status>> + Send + 'static,
    organization: String,
) -> impl Stream<Item = Vec<Sse>> + Send + 'static {
    // The first batch tells where a reader stands who has not heard of anything yet.
    batches.scan((QUIET_MAX, String::new()), move |(quiet, sent), batch| {
        let batch = match batch {
            Ok(batch) => batch,
            Err(status) => return std::future::ready(Some(vec![problem(status.into())])),
        };
        let own = batch.changes.iter().filter(|change| change.organization_id == organization);
        let mut events: Vec<Sse> =
            own.filter_map(|change| Some(shown(&convert::event::of(change)?, &change.position))).collect();
        *quiet += 1;
        if events.is_empty() && *quiet > QUIET_MAX && *sent != batch.position {
            events.push(Sse::default().id(&batch.position));
        }
        if !events.is_empty() {
            (*quiet, *sent) = (0, batch.position);
        }
        std::future::ready(Some(events))
    })
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
        let own = OrganizationId::new(Uuid::from_u128(1)).to_string();
        let told = told(stream::iter(batches), own).collect::<Vec<_>>().await;
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
        let told = texts(vec![Err(Fault::new(Code::FeedPositionLost, "lost").into())]).await;
        assert!(told[0][0].contains("problem") && told[0][0].contains("feed_position_lost"), "{told:?}");
    }
}
