//! The gRPC services of the fake.

use std::pin::Pin;

use sql::feed::Position;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};
use wire::booking::{self as proto, booking_server, feed_server};

use super::FakeBooking;

fn lost() -> Status {
    rpc::Fault::new(rpc::Code::FeedPositionLost, "the position is no longer in the feed").into()
}

type Parts<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl feed_server::Feed for FakeBooking {
    type SnapshotStream = Parts<proto::SnapshotPart>;
    type SubscribeChangesStream = Parts<proto::ChangeBatch>;

    async fn snapshot(
        &self,
        _: Request<proto::SnapshotRequest>,
    ) -> Result<Response<Parts<proto::SnapshotPart>>, Status> {
        let parts = {
            let mut state = self.state();
            state.snapshots += 1;
            let position = state.position(state.log.len()).to_string();
            // In two parts, as a large snapshot.
            let mut changes = state.whole();
            let later = changes.split_off(changes.len() / 2);
            [proto::SnapshotPart { changes, position: String::new() }, proto::SnapshotPart { changes: later, position }]
        };
        Ok(Response::new(Box::pin(tokio_stream::iter(parts).map(Ok))))
    }

    async fn history(&self, _: Request<proto::HistoryRequest>) -> Result<Response<proto::HistoryPart>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn subscribe_changes(
        &self,
        request: Request<proto::SubscribeChangesRequest>,
    ) -> Result<Response<Parts<proto::ChangeBatch>>, Status> {
        let position: Position = request.into_inner().position.parse().map_err(|_| lost())?;
        let mut next = usize::try_from(position.seq).unwrap();
        let (epoch, floor, incarnation) = {
            let state = self.state();
            (state.epoch, state.floor, state.incarnation)
        };
        if position.epoch != epoch || next < floor {
            return Err(lost());
        }
        let (sender, receiver) = mpsc::channel(4);
        let fake = self.clone();
        tokio::spawn(async move {
            let mut wake = fake.0.wake.subscribe();
            loop {
                let (batch, more) = {
                    let state = fake.state();
                    if state.incarnation != incarnation {
                        return;
                    }
                    let end = if state.paused { next } else { state.log.len() };
                    let changes = state.log[next..end].to_vec();
                    next = end;
                    let reached = state.held.unwrap_or(next);
                    let position = state.position(reached).to_string();
                    let writes = (reached + 1..=next).map(|seq| state.position(seq).to_string()).collect();
                    let more = state.more;
                    (proto::ChangeBatch { changes, position, more, writes, ..proto::ChangeBatch::default() }, more)
                };
                if sender.send(Ok(batch)).await.is_err() || (!more && wake.changed().await.is_err()) {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

macro_rules! not_played {
    ($($name:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl booking_server::Booking for FakeBooking {
            async fn set_displaced(
                &self,
                request: Request<proto::SetDisplacedRequest>,
            ) -> Result<Response<proto::SetDisplacedResponse>, Status> {
                if self.state().refuses_flags {
                    return Err(Status::unavailable("flags are refused"));
                }
                let items = request.into_inner().items;
                let changed = u32::try_from(items.len()).unwrap();
                self.change(|state| state.flags.extend(items));
                Ok(Response::new(proto::SetDisplacedResponse { changed }))
            }
            /// Answers as booking does without appointments.
            async fn rezone_appointments(
                &self,
                _: Request<proto::RezoneAppointmentsRequest>,
            ) -> Result<Response<proto::RezoneAppointmentsResponse>, Status> {
                let mut wake = self.0.wake.subscribe();
                self.change(|state| state.rezonings += 1);
                while self.state().holds_rezoning {
                    let _ = wake.changed().await;
                }
                Ok(Response::new(proto::RezoneAppointmentsResponse::default()))
            }
            $(async fn $name(&self, _: Request<proto::$request>) -> Result<Response<proto::$response>, Status> {
                Err(Status::unimplemented("not played"))
            })*
        }
    };
}

not_played! {
    create_hold(CreateHoldRequest) -> Hold;
    release_hold(ReleaseHoldRequest) -> ReleaseHoldResponse;
    get_hold(GetHoldRequest) -> Hold;
    list_holds(ListHoldsRequest) -> ListHoldsResponse;
    sign_verification(SignVerificationRequest) -> SignVerificationResponse;
    book_appointment(BookAppointmentRequest) -> Appointment;
    get_appointment(GetAppointmentRequest) -> Appointment;
    get_patients(GetPatientsRequest) -> GetPatientsResponse;
    list_appointments(ListAppointmentsRequest) -> ListAppointmentsResponse;
    list_day(ListDayRequest) -> ListDayResponse;
    revert_appointment(RevertAppointmentRequest) -> Appointment;
    transition_appointment(TransitionAppointmentRequest) -> Appointment;
    reschedule_appointment(RescheduleAppointmentRequest) -> Appointment;
    update_appointment(UpdateAppointmentRequest) -> Appointment;
    resolve_manage_link(ResolveManageLinkRequest) -> ResolveManageLinkResponse;
    revoke_manage_link(RevokeManageLinkRequest) -> Appointment;
    revoke_manage_links(RevokeManageLinksRequest) -> RevokeManageLinksResponse;
    create_patient(CreatePatientRequest) -> Patient;
    get_patient(GetPatientRequest) -> Patient;
    update_patient(UpdatePatientRequest) -> Patient;
    decide_proposed_change(DecideProposedChangeRequest) -> Patient;
    list_patients(ListPatientsRequest) -> ListPatientsResponse;
    get_contact(GetContactRequest) -> GetContactResponse;
    get_contacts(GetContactsRequest) -> GetContactsResponse;
    list_consents(GetPatientRequest) -> ConsentHistory;
    record_consent(RecordConsentRequest) -> ConsentHistory;
    record_reply_consent(RecordReplyConsentRequest) -> RecordReplyConsentResponse;
}
