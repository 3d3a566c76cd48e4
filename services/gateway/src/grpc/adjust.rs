//! The requests that are decoded: those with fields that REST sets by itself, or that need a further scope.

use bytes::Bytes;
use domain::{appointment::Actor, directory::Kind};
use prost::Message;
use rpc::{Code, Fault};
use wire::{
    availability::{ExplainSlotRequest, GetEntryRequest, ListEntriesRequest, SearchSlotsRequest},
    booking::{RescheduleAppointmentRequest, RevertAppointmentRequest, TransitionAppointmentRequest},
    common::BookingChannel,
    convert::directory::kind_from_wire,
};

use crate::auth::{Caller, Scope};

/// Checks a request of a caller and returns the one to forward.
pub(crate) type Adjust = fn(&Caller, Bytes) -> Result<Bytes, Fault>;

pub(super) fn search(caller: &Caller, request: Bytes) -> Result<Bytes, Fault> {
    let mut request: SearchSlotsRequest = decode(request)?;
    if !(request.patient_id.is_empty() && request.moving.is_empty()) {
        caller.require(Scope::PatientsRead)?;
    }
    request.channel = channel(caller, request.channel);
    // A length of its own is for care plans.
    request.minutes = 0;
    Ok(request.encode_to_vec().into())
}

pub(super) fn explain(caller: &Caller, request: Bytes) -> Result<Bytes, Fault> {
    let mut request: ExplainSlotRequest = decode(request)?;
    if !request.moving.is_empty() {
        caller.require(Scope::PatientsRead)?;
    }
    request.channel = channel(caller, request.channel);
    Ok(request.encode_to_vec().into())
}

/// A key acts for staff: the patient acts by a link.
pub(super) fn transition(_: &Caller, request: Bytes) -> Result<Bytes, Fault> {
    let request: TransitionAppointmentRequest = decode(request)?;
    Ok(TransitionAppointmentRequest { by: Actor::Staff.as_str().to_owned(), ..request }.encode_to_vec().into())
}

pub(super) fn reschedule(_: &Caller, request: Bytes) -> Result<Bytes, Fault> {
    let request: RescheduleAppointmentRequest = decode(request)?;
    Ok(RescheduleAppointmentRequest { by: Actor::Staff.as_str().to_owned(), ..request }.encode_to_vec().into())
}

/// Only an administrator takes back what is older than a day.
pub(super) fn revert(caller: &Caller, request: Bytes) -> Result<Bytes, Fault> {
    let request: RevertAppointmentRequest = decode(request)?;
    Ok(RevertAppointmentRequest { any_age: caller.has(Scope::Admin), ..request }.encode_to_vec().into())
}

pub(super) fn list_entries(caller: &Caller, request: Bytes) -> Result<Bytes, Fault> {
    let kind = decode::<ListEntriesRequest>(request.clone())?.kind;
    may_read(caller, kind)?;
    Ok(request)
}

pub(super) fn get_entry(caller: &Caller, request: Bytes) -> Result<Bytes, Fault> {
    let kind = decode::<GetEntryRequest>(request.clone())?.kind;
    may_read(caller, kind)?;
    Ok(request)
}

/// Certificates, rosters, time off and busy times hold personal reasons, as in REST.
fn may_read(caller: &Caller, kind: i32) -> Result<(), Fault> {
    match kind_from_wire(kind) {
        Some(Kind::Certificate | Kind::Roster | Kind::TimeOff | Kind::Busy) => caller.require(Scope::DirectoryWrite),
        _ => Ok(()),
    }
}

/// A caller who may read patients may request either channel; all others are online.
fn channel(caller: &Caller, requested: i32) -> i32 {
    let online = BookingChannel::Online as i32;
    let staff = caller.has(Scope::PatientsRead) && requested != online;
    if staff { BookingChannel::Staff as i32 } else { online }
}

fn decode<M: Message + Default>(request: Bytes) -> Result<M, Fault> {
    M::decode(request).map_err(|_| Fault::new(Code::MalformedRequest, "the message is not one of this method"))
}
