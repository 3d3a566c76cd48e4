//! Reading a slot search from the wire.

use calendar::{
    search::{Start, rank},
    tick,
};
use domain::{
    fault::Faults,
    id::{AppointmentId, Id, ServiceId},
    slot::Slot,
};
use jiff::{SignedDuration, Timestamp};
use rpc::Fault;
use wire::{availability::SearchSlotsRequest, common::BookingChannel, convert};

use super::{
    filters::{Pointers, SlotFilters},
    query::{QuerySpec, SLOT_PREFIX, SlotQuery, rotation_size},
};
use crate::{index::Index, occupancy::MovingAppointment, organisations::Organisation};

const DAYS_MAX: i64 = 400;
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: u32 = 200;

/// Whether the rules of online booking apply to a channel.
pub(crate) fn is_online(channel: i32) -> bool {
    channel != BookingChannel::Staff as i32
}

/// Reads a search.
///
/// # Errors
/// Every fault of the request, each with its query parameter; `not_found` for an organisation without a directory.
pub(crate) fn read(
    organisation: &Organisation,
    request: &SearchSlotsRequest,
    now: Timestamp,
) -> Result<SlotQuery, Fault> {
    let index = organisation.index(now).ok_or_else(Fault::not_found)?;
    let moving = match request.moving.as_str() {
        "" => None,
        appointment => Some(moving_appointment(organisation, appointment, now)?),
    };
    if moving.as_ref().is_some_and(|(service, _)| request.service_id.parse() != Ok(*service)) {
        return Err(Fault::violation("moving", "other_service", "name the appointment's own service"));
    }
    let moving = moving.map(|(_, moving)| moving);
    let mut faults = Faults::new();
    let service = convert::id::<domain::id::Service>(&mut faults, "service_id", &request.service_id);
    let known = service.is_none_or(|id| index.service(id.uuid()).is_some());
    faults.check(known, "service_id", "unknown_reference", "nothing in use has this id");
    let window = window(&mut faults, request);
    let filters = SlotFilters::read(&mut faults, request.filters.as_ref(), Pointers::Parameters);
    filters.check_in_use(&mut faults, &index, Pointers::Parameters);
    let patient = convert::optional_id::<domain::id::Patient>(&mut faults, "patient_id", &request.patient_id);
    let detail = format!("must lie between 1 and {LIMIT_MAX}");
    faults.check(request.limit <= LIMIT_MAX, "limit", "out_of_range", detail);
    let after = cursor(&mut faults, &index, service, &request.cursor);
    faults.result()?;
    let without_part = || Fault::internal("a request without faults lacks a part");
    let (service, (from, to)) = service.zip(window).ok_or_else(without_part)?;
    let minutes = moving.as_ref().map_or(request.minutes, |moving| moving.minutes);
    let spec = QuerySpec {
        service,
        minutes: Some(minutes).filter(|minutes| *minutes > 0),
        from,
        to,
        online: is_online(request.channel),
        patient: patient.map(Id::uuid),
        limit: if request.limit == 0 { LIMIT_DEFAULT } else { request.limit as usize },
    };
    let mut query = SlotQuery::new(index, &spec, &filters, now).ok_or_else(without_part)?;
    query.kernel.after = after;
    Ok(match moving {
        Some(moving) => {
            let hides_patient = request.for_stranger && !query.service.needling;
            let patient = moving.patient.filter(|_| !hides_patient);
            query.moving(MovingAppointment { patient, ..moving })
        }
        None => query,
    })
}

/// The appointment that a search moves, with its service.
///
/// # Errors
/// `unknown_reference` unless the appointment is upcoming.
pub(crate) fn moving_appointment(
    organisation: &Organisation,
    appointment: &str,
    now: Timestamp,
) -> Result<(ServiceId, MovingAppointment), Fault> {
    let unknown = || Fault::violation("moving", "unknown_reference", "no appointment that is ahead has this id");
    let id: AppointmentId = appointment.parse().map_err(|_| unknown())?;
    let moving = organisation.occupancy(now).moving(id.uuid()).ok_or_else(unknown)?;
    Ok((ServiceId::new(moving.service), moving))
}

fn window(faults: &mut Faults, request: &SearchSlotsRequest) -> Option<(Timestamp, Timestamp)> {
    let from = convert::instant(faults, "from", request.from_us);
    let to = convert::instant(faults, "to", request.to_us);
    let (from, to) = (from?, to?);
    faults.check(from < to, "to", "ends_before_start", "must be later than `from`");
    check_length(faults, from, to);
    Some((from, to))
}

/// Adds a fault where a window is longer than any search.
pub(crate) fn check_length(faults: &mut Faults, from: Timestamp, to: Timestamp) {
    let longest = SignedDuration::from_hours(24 * DAYS_MAX);
    let detail = format!("at most {DAYS_MAX} days after `from`");
    faults.check(to.duration_since(from) <= longest, "to", "too_long", detail);
}

/// Reads the last start of the page before. A cursor names ids, so it holds while the directory changes; where its
/// location or practitioner is gone, the page repeats the whole tick rather than skip a start.
fn cursor(faults: &mut Faults, index: &Index, service: Option<ServiceId>, text: &str) -> Option<Start> {
    if text.is_empty() {
        return None;
    }
    let slot = format!("{SLOT_PREFIX}{text}").parse::<Slot>().ok();
    let slot = slot.filter(|slot| service.is_none_or(|service| service == slot.service));
    faults.check(slot.is_some(), "cursor", "invalid_cursor", "use the next_cursor of the page before, as it is");
    let slot = slot?;
    let tick = tick::floor(slot.starts_at);
    let found = index.location(slot.location.uuid()).zip(index.practitioner(slot.practitioner.uuid()));
    Some(match found {
        Some(((location, _), (practitioner, _))) => {
            Start { tick, location, rank: rank(practitioner, rotation_size(index), tick), practitioner }
        }
        None => Start { tick: tick - 1, location: u32::MAX, rank: u32::MAX, practitioner: u32::MAX },
    })
}
