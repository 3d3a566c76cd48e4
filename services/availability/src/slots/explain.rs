//! `ExplainSlot`: every check of one start.

use calendar::tick::{self, Tick};
use domain::{
    fault::Faults,
    id::{LocationId, PractitionerId, ServiceId},
    slot::Slot,
};
use rpc::{Context, Fault};
use wire::{
    availability::{ExplainSlotRequest, ExplainSlotResponse, explain_slot_response::Rule},
    convert,
};

use super::{
    checks::{CheckOptions, SlotFacts},
    request::{is_online, moving_appointment},
};
use crate::{Inner, index::Index};

pub(crate) fn explain(
    inner: &Inner,
    ctx: &Context,
    request: &ExplainSlotRequest,
) -> Result<ExplainSlotResponse, Fault> {
    let mut faults = Faults::new();
    let service: Option<ServiceId> = convert::id(&mut faults, "service_id", &request.service_id);
    let practitioner: Option<PractitionerId> = convert::id(&mut faults, "practitioner_id", &request.practitioner_id);
    let location: Option<LocationId> = convert::optional_id(&mut faults, "location_id", &request.location_id);
    let starts_at = convert::instant(&mut faults, "starts_at", request.starts_at_us);
    faults.result()?;
    let (Some(service), Some(practitioner), Some(starts_at)) = (service, practitioner, starts_at) else {
        return Err(Fault::internal("a request without faults lacks a part"));
    };
    let now = inner.clock.now();
    let organisation = inner.organisations.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let index = organisation.index(now).ok_or_else(Fault::not_found)?;
    let moving = match request.moving.as_str() {
        "" => None,
        appointment => Some(moving_appointment(&organisation, appointment, now)?),
    };
    let occupancy = organisation.occupancy(now);
    let mut faults = Faults::new();
    let own_service = moving.as_ref().is_none_or(|(own, _)| *own == service);
    faults.check(own_service, "moving", "other_service", "name the appointment's own service");
    let mut check_known = |known: bool, pointer: &str| {
        faults.check(known, pointer, "unknown_reference", "nothing in use has this id");
    };
    check_known(index.service(service.uuid()).is_some(), "service_id");
    check_known(index.practitioner(practitioner.uuid()).is_some(), "practitioner_id");
    check_known(location.is_none_or(|location| index.location(location.uuid()).is_some()), "location_id");
    faults.result()?;
    let location = location.or_else(|| location_at(&index, practitioner, tick::floor(starts_at))).ok_or_else(|| {
        Fault::violation("location_id", "missing", "the practitioner works at no location in use; name one")
    })?;
    // The length and the kind of the visit follow from the service: no slot has been promised.
    let slot = Slot { starts_at, service, location, practitioner, minutes: 0, shared: false };
    let moving = moving.map(|(_, moving)| moving);
    let options = CheckOptions {
        ignored: moving.as_ref().map_or(&[], |moving| &moving.freed),
        minutes: moving.as_ref().map(|moving| moving.minutes),
        held: None,
    };
    let facts = SlotFacts::gather(&index, &occupancy, &slot, options).ok_or_else(Fault::not_found)?;
    let checks = facts.checks(&slot, is_online(request.channel), now);
    Ok(ExplainSlotResponse {
        bookable: checks.iter().all(|check| check.passed),
        rules: checks
            .into_iter()
            .map(|check| Rule {
                code: check.code.as_str().to_owned(),
                passed: check.passed,
                detail: check.detail.to_owned(),
            })
            .collect(),
    })
}

/// The location where a practitioner works at a tick, or else the first where they ever work.
fn location_at(index: &Index, practitioner: PractitionerId, at: Tick) -> Option<LocationId> {
    let (practitioner, _) = index.practitioner(practitioner.uuid())?;
    let mut shifts = index.shifts.iter().filter(|shift| shift.practitioner == practitioner);
    let first = shifts.clone().next()?;
    let shift = shifts.find(|shift| shift.roster().get(at)).unwrap_or(first);
    Some(LocationId::new(index.locations[shift.location as usize].id))
}
