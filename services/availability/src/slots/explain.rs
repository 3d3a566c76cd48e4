//! For one start, which rule hides it.

use calendar::tick;
use domain::{
    fault::Faults,
    id::{LocationId, PractitionerId, ServiceId},
    slot::Slot,
};
use rpc::{Context, Fault};
use wire::{
    availability::{ExplainSlotRequest, ExplainSlotResponse, explain_slot_response::Rule},
    common::BookingChannel,
    convert,
};

use super::{
    checks::{self, Terms},
    query::moves,
};
use crate::{Inner, index::Model};

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
        return Err(Fault::internal("a question without faults lacks a part"));
    };
    let now = inner.clock.now();
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let model = org.model(now).ok_or_else(Fault::not_found)?;
    let moving = match request.moving.as_str() {
        "" => None,
        text => Some(moves(&org, text, now)?),
    };
    let projection = org.projection(now);
    let mut faults = Faults::new();
    let own = moving.as_ref().is_none_or(|(own, _)| *own == service);
    faults.check(own, "moving", "other_service", "name the appointment's own service");
    let mut known = |known: bool, pointer: &str| {
        faults.check(known, pointer, "unknown_reference", "nothing in use has this id");
    };
    known(model.service(service.uuid()).is_some(), "service_id");
    known(model.person(practitioner.uuid()).is_some(), "practitioner_id");
    known(location.is_none_or(|location| model.place(location.uuid()).is_some()), "location_id");
    faults.result()?;
    let location = location.or_else(|| works_at(&model, practitioner, tick::floor(starts_at))).ok_or_else(|| {
        Fault::violation("location_id", "missing", "the practitioner works at no location in use; name one")
    })?;
    // Nobody has been promised anything: how long the visit is follows from what is there.
    let slot = Slot { starts_at, service, location, practitioner, minutes: 0, shared: false };
    let moving = moving.map(|(_, moving)| moving);
    let terms = Terms {
        ignored: moving.as_ref().map_or(&[], |moving| &moving.freed),
        minutes: moving.as_ref().map(|moving| moving.minutes),
        kept: None,
    };
    let ground = checks::ground(&model, &projection, &slot, terms).ok_or_else(Fault::not_found)?;
    let rules = ground.rules(&slot, request.channel != BookingChannel::Staff as i32, now);
    Ok(ExplainSlotResponse {
        bookable: rules.iter().all(|rule| rule.passed),
        rules: rules
            .into_iter()
            .map(|rule| Rule {
                code: rule.code.as_str().to_owned(),
                passed: rule.passed,
                detail: rule.detail.to_owned(),
            })
            .collect(),
    })
}

/// Where a practitioner works at this tick, or else the first place where they ever do.
fn works_at(model: &Model, practitioner: PractitionerId, at: tick::Tick) -> Option<LocationId> {
    let (person, _) = model.person(practitioner.uuid())?;
    let mut seats = model.seats.iter().filter(|seat| seat.person == person);
    let first = seats.clone().next()?;
    let seat = seats.find(|seat| seat.roster().get(at)).unwrap_or(first);
    Some(LocationId::new(model.places[seat.place as usize].id))
}
