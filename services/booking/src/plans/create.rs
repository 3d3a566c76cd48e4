//! Creating a plan from a template.

use std::sync::Arc;

use careplan::plan::{Order, Plan, Preferences};
use domain::{
    directory::{Body, Kind, PlanTemplate},
    fault::{Faults, check_text},
    id::{Location, Patient, PlanId, PlanSessionId, PlanTemplateId, Practitioner},
};
use rpc::{Context, Fault};
use service::{db_error, idempotency::Begun};
use tonic::Response;
use wire::{
    availability::{CheckReferencesRequest, GetEntryRequest},
    booking::{self as wire_booking, CreatePlanRequest},
    convert::{self, directory::reference},
};

use super::{stored::StoredPlan, view};
use crate::{
    Inner,
    commit::{self, begin},
    store::batch::Batch,
};

const ROUTE: &str = "CreatePlan";
const LOCATIONS_MAX: usize = 50;

pub(crate) async fn create(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: CreatePlanRequest,
) -> Result<Response<wire_booking::Plan>, Fault> {
    let _guard = match begin(inner, ctx, ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let order = order(&request)?;
    let unknown = |pointer: &str, detail: &str| Fault::violation(pointer, "unknown_reference", detail);
    let patient = inner.store.patient(ctx.organization.uuid(), order.patient.uuid()).await.map_err(db_error::fault)?;
    patient.ok_or_else(|| unknown("/patient_id", "there is no patient with this id"))?;
    check_references(inner, ctx, &order).await?;
    let template = template(inner, ctx, order.template).await?;
    let template = template.ok_or_else(|| unknown("/plan_template_id", "there is no plan template with this id"))?;
    let now = inner.clock.now();
    let count = (request.sessions > 0).then_some(request.sessions);
    let plan = Plan::new(PlanId::new(inner.ids.uuid(now)), order, &template, count, || {
        PlanSessionId::new(inner.ids.uuid(now))
    });
    let plan = plan.map_err(|range| Fault::violation("/sessions", "out_of_range", &range.to_string()))?;
    let stored = StoredPlan::new(plan, now.as_microsecond());
    let mut batch = Batch::new(ctx.organization.uuid(), now.as_microsecond());
    stored.put(&mut batch, inner.config.at_risk_days)?;
    commit::answer(inner, ctx, ROUTE, batch, view::to_wire(inner, &stored)).await
}

/// Refuses a plan whose template, practitioner or locations are unknown or archived.
async fn check_references(inner: &Inner, ctx: &Context, order: &Order) -> Result<(), Fault> {
    let mut references = vec![reference(Kind::PlanTemplate, "/plan_template_id", order.template)];
    references.extend(order.practitioner.map(|id| reference(Kind::Practitioner, "/practitioner_id", id)));
    let locations = order.locations.iter().enumerate();
    references.extend(locations.map(|(at, id)| reference(Kind::Location, format!("/location_ids/{at}"), id)));
    let request = CheckReferencesRequest { references };
    inner.availability.clone().check_references(ctx.request(request)).await?;
    Ok(())
}

fn order(request: &CreatePlanRequest) -> Result<Order, Fault> {
    let mut faults = Faults::new();
    let patient = convert::id::<Patient>(&mut faults, "/patient_id", &request.patient_id);
    let template = convert::id::<domain::id::PlanTemplate>(&mut faults, "/plan_template_id", &request.plan_template_id);
    check_text(&mut faults, "/condition_code", &request.condition_code, 64);
    let practitioner = convert::optional_id::<Practitioner>(&mut faults, "/practitioner_id", &request.practitioner_id);
    let count = request.location_ids.len();
    faults.check((1..=LOCATIONS_MAX).contains(&count), "/location_ids", "out_of_range", "name 1 to 50 locations");
    let locations = request
        .location_ids
        .iter()
        .enumerate()
        .filter_map(|(at, text)| convert::id::<Location>(&mut faults, &format!("/location_ids/{at}"), text))
        .collect();
    let preferences = preferences(&mut faults, request.preferences.clone().unwrap_or_default());
    let start_on = convert::date(&mut faults, "/start_on", &request.start_on);
    faults.result()?;
    let (Some(patient), Some(template), Some(start_on)) = (patient, template, start_on) else {
        return Err(Fault::internal("a request without faults lacks a part"));
    };
    let condition_code = request.condition_code.clone();
    Ok(Order { patient, template, condition_code, practitioner, locations, preferences, start_on })
}

fn preferences(faults: &mut Faults, wire: wire_booking::PlanPreferences) -> Preferences {
    let mut days = Vec::new();
    for (at, day) in wire.days.iter().enumerate() {
        match day.parse() {
            Ok(day) => days.push(day),
            Err(expected) => faults.push(format!("/preferences/days/{at}"), "invalid_value", expected),
        }
    }
    let mut wall = |pointer: &str, text: &str| {
        let read = (!text.is_empty()).then(|| text.parse::<domain::time::WallTime>())?;
        read.map_err(|expected| faults.push(pointer, "invalid_time", expected)).ok()
    };
    let not_before = wall("/preferences/not_before", &wire.not_before);
    let not_after = wall("/preferences/not_after", &wire.not_after);
    let in_order = not_before.zip(not_after).is_none_or(|(before, after)| before < after);
    faults.check(in_order, "/preferences/not_after", "ends_before_start", "must be later than `not_before`");
    Preferences { days, not_before, not_after }
}

/// The template; `None` where it is unknown or archived.
async fn template(inner: &Inner, ctx: &Context, id: PlanTemplateId) -> Result<Option<PlanTemplate>, Fault> {
    let kind = convert::directory::kind_to_wire(Kind::PlanTemplate) as i32;
    let request = GetEntryRequest { kind, id: id.to_string(), parent_id: String::new() };
    let entry = match inner.directory.clone().get_entry(ctx.request(request)).await {
        Ok(entry) => entry.into_inner(),
        Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
        Err(status) => return Err(status.into()),
    };
    if entry.archived_at_us != 0 {
        return Ok(None);
    }
    let body = entry.body.ok_or_else(|| Fault::internal("an entry without a body"))?;
    let body = convert::directory::body_from_wire(body);
    match body.map_err(|_| Fault::internal("availability answered an entry that cannot be read"))? {
        Body::PlanTemplate(template) => Ok(Some(template)),
        _ => Ok(None),
    }
}
