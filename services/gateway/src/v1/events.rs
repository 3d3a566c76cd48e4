//! Server-sent events: the changes of appointments, plans and the waitlist.

use axum::{body::Bytes, http::Method};
use futures::{Stream, StreamExt, stream};
use rpc::{Code, Fault};
use sql::feed::Position;
use wire::booking::ChangeBatch;

use super::stream::{lagged, problem, reply};
use crate::{
    auth::Scope,
    call::Call,
    event_hub::{self, EventWriter, FeedMessage, Subscriber},
    operation::{Access, Content, Operation, handler},
    reply::Reply,
    streams::LAST_EVENT_ID,
};

pub(super) fn operations() -> Vec<Operation> {
    let summary =
        "Streams changes of appointments, plans and the waitlist; `Last-Event-ID` resumes, without it from now on";
    let access = Access::Scopes(&[Scope::ReportsRead]);
    let operation =
        Operation::new("watch_events", Method::GET, "/v1/events", "events", summary, access, handler!(watch));
    vec![operation.params(&[LAST_EVENT_ID]).content(Content::Events("Event"))]
}

/// An event's id is its position in booking's feed, its name the event's type. When the feed does not reach back to the
/// requested position, or ends, the last event is `problem`.
async fn watch(call: Call) -> Result<Reply, Fault> {
    let place = call.stream_place()?;
    let organization = call.caller.organization.to_string();
    // Subscribed before the past is read, so that no change falls between the two.
    let present = present(event_hub::subscribe(&call.inner, &organization).await?);
    let position = call.last_event_id();
    if position.is_empty() {
        return Ok(reply(&call, place, texts(present, None)));
    }
    match call.inner.feed.subscribe(position, false).await {
        Ok(changes) => {
            let batches = stream::unfold(changes, async |mut changes| Some((changes.next().await, changes)));
            let position = position.parse().ok();
            let messages = past(Box::pin(batches), organization, position).chain(present);
            Ok(reply(&call, place, texts(messages, position)))
        }
        Err(fault) if fault.code == Code::FeedPositionLost => Ok(reply(&call, place, stream::iter([problem(fault)]))),
        Err(fault) => Err(fault),
    }
}

/// The organisation's events after a position, up to the present; an error ends them.
fn past(
    batches: impl Stream<Item = Result<ChangeBatch, Fault>> + Unpin + Send + 'static,
    organization: String,
    position: Option<Position>,
) -> impl Stream<Item = FeedMessage> + Send {
    let reading = Some((batches, EventWriter::new(position)));
    let messages = stream::unfold(reading, move |reading| {
        let organization = organization.clone();
        async move {
            let (mut batches, mut writer) = reading?;
            match batches.next().await? {
                Ok(batch) => {
                    let events = writer.events(&batch, &organization).into_iter().map(Ok).collect();
                    Some((events, batch.more.then_some((batches, writer))))
                }
                Err(fault) => Some((vec![Err(fault)], None)),
            }
        }
    });
    messages.flat_map(stream::iter::<Vec<FeedMessage>>)
}

/// The messages from the present on.
fn present(subscriber: Subscriber) -> impl Stream<Item = FeedMessage> + Send {
    stream::unfold(Some(subscriber), async |subscriber| {
        let mut subscriber = subscriber?;
        match subscriber.next().await? {
            Ok(message) => Some((message, Some(subscriber))),
            Err(_) => Some((Err(lagged()), None)),
        }
    })
}

/// The text of each message. No event is sent twice, and none after a problem.
fn texts(
    messages: impl Stream<Item = FeedMessage> + Send + 'static,
    position: Option<Position>,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let sent = messages.scan(Some(position), |sent, message| {
        let Some(position) = *sent else { return std::future::ready(None) };
        std::future::ready(Some(match message {
            Ok(event) if position.zip(event.position).is_some_and(|(sent, next)| sent.reaches(next)) => None,
            Ok(event) => {
                *sent = Some(event.position.or(position));
                Some(event.text)
            }
            Err(fault) => {
                *sent = None;
                Some(problem(fault))
            }
        }))
    });
    sent.filter_map(std::future::ready)
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

    /// The texts of the past that these batches are, and of a present that begins with the others.
    async fn sent(after: &str, batches: Vec<Result<ChangeBatch, Fault>>, present: Vec<ChangeBatch>) -> Vec<String> {
        let own = OrganizationId::new(Uuid::from_u128(1)).to_string();
        let position = after.parse().ok();
        let mut writer = EventWriter::new(None);
        let present: Vec<_> = present.iter().flat_map(|batch| writer.events(batch, &own)).map(Ok).collect();
        let messages = past(stream::iter(batches), own, position).chain(stream::iter(present));
        let texts: Vec<Bytes> = texts(messages, position).collect().await;
        texts.iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
    }

    fn batch(seqs: &[u32], more: bool) -> ChangeBatch {
        let changes = seqs.iter().map(|seq| booked(1, &format!("1.0.{seq}"))).collect();
        let position = seqs.last().map(|seq| format!("1.0.{seq}")).unwrap_or_default();
        ChangeBatch { changes, position, more, ..ChangeBatch::default() }
    }

    #[tokio::test]
    async fn nothing_crosses_from_another_organisation() {
        let changes = vec![booked(2, "1.0.1"), booked(1, "1.0.2"), booked(2, "1.0.3")];
        let batch = ChangeBatch { changes, position: "1.0.3".into(), ..ChangeBatch::default() };
        let sent = sent("", vec![Ok(batch)], vec![]).await;
        assert_eq!(sent.len(), 1, "{sent:?}");
        let foreign = AppointmentId::new(Uuid::from_u128(2)).to_string();
        assert!(sent[0].contains("1.0.2") && !sent[0].contains(&foreign), "{sent:?}");
    }

    #[test]
    fn a_position_is_sent_first_and_after_silence() {
        let batch = |seq: u32| ChangeBatch { position: format!("1.0.{seq}"), ..ChangeBatch::default() };
        let mut writer = EventWriter::new(None);
        let at: Vec<u32> = (0..20).filter(|seq| !writer.events(&batch(*seq), "org").is_empty()).collect();
        assert_eq!(at, [0, 16]);
        // A position that does not advance is sent once.
        let mut writer = EventWriter::new(None);
        assert_eq!((0..40).filter(|_| !writer.events(&batch(7), "org").is_empty()).count(), 1);
    }

    #[tokio::test]
    async fn a_feed_that_breaks_off_ends_with_a_problem() {
        let lost = Err(Fault::new(Code::FeedPositionLost, "lost"));
        let sent = sent("1.0.1", vec![lost], vec![batch(&[9], false)]).await;
        assert!(sent[0].contains("problem") && sent[0].contains("feed_position_lost"), "{sent:?}");
        assert_eq!(sent.len(), 1, "nothing comes after a problem");
    }

    #[tokio::test]
    async fn the_past_and_the_present_send_each_event_once() {
        // The present begins before the past ends.
        let past = vec![Ok(batch(&[2, 3], true)), Ok(batch(&[4], false))];
        let sent = sent("1.0.2", past, vec![batch(&[3], false), batch(&[4, 5], false)]).await;
        let count = |seq: u32| sent.iter().filter(|text| text.contains(&format!("1.0.{seq}\n"))).count();
        assert_eq!([2, 3, 4, 5].map(count), [0, 1, 1, 1], "{sent:?}");
    }

    #[tokio::test]
    async fn the_past_ends_with_the_last_batch_that_announces_more() {
        let batches = vec![Ok(batch(&[2], true)), Ok(batch(&[3], false)), Ok(batch(&[4], false))];
        assert_eq!(sent("1.0.1", batches, vec![]).await.len(), 2);
        let lost = Err(Fault::new(Code::Unavailable, "lost"));
        let ended = sent("1.0.1", vec![Ok(batch(&[2], true)), lost, Ok(batch(&[3], false))], vec![]).await;
        assert!(ended.len() == 2 && ended[1].contains("unavailable"), "an error ends the past: {ended:?}");
    }
}
