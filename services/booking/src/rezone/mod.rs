//! A location's time zone changes: its appointments ahead get the new one together, or none does.
//!
//! Availability asks for it before it writes its directory. The one transaction that moves the appointments also notes the
//! zone, and from then on the database refuses whatever was checked by another one: a booking that is on its way comes
//! before the change, which then moves it too, or is refused. Where the directory's own write is lost afterwards, `settle`
//! makes it up.

mod clashes;
mod finish;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use careplan::plan::Event;
use domain::{
    appointment::Status,
    fault::Faults,
    id::{AppointmentId, PlanId, PlanSessionId},
    slot::Slot,
    time::{from_micros, zone},
};
use jiff::{civil::DateTime, tz::TimeZone};
use rpc::{Code, Context, Fault};
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{AppointmentsAhead, RezoneAppointmentsRequest, RezoneAppointmentsResponse},
    common::{KeepAppointments, RezonedAppointment},
    convert,
};

pub(crate) use self::finish::settle;
use crate::{
    Inner,
    appointments::reschedule,
    commit::{self, revision},
    feed::change,
    holds,
    plans::{self, Stored, on_visit},
    slots::claims::group_id,
    store::{
        Filter,
        batch::{Batch, Hex, LocationZone, MoveGroup, Refusal},
        rows::{AppointmentRow, ClaimRow, GroupRow},
    },
};

const PAGE: i64 = 1000;
/// How often it begins anew where others write at the location meanwhile.
const TRIES_MAX: usize = 8;
/// Appointments that a refusal names.
const NAMED_MAX: usize = 20;

/// What is asked.
struct Ask {
    organization: Uuid,
    location: Uuid,
    time_zone: String,
    zone: TimeZone,
    keep: KeepAppointments,
}

/// An appointment ahead and its start by each choice.
struct Visit {
    old: AppointmentRow,
    /// When the new zone's clock shows the same time of day.
    wall_time_us: i64,
    /// When it is to start.
    start_us: i64,
}

pub(crate) async fn rezone(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RezoneAppointmentsRequest,
) -> Result<Response<RezoneAppointmentsResponse>, Fault> {
    let ask = read(ctx, &request)?;
    for _ in 0..TRIES_MAX {
        let visits = ahead(inner, &ask).await?;
        if ask.keep == KeepAppointments::Unspecified && !visits.is_empty() && !request.dry_run {
            return Err(has_appointments(&visits));
        }
        let plan = Moves::of(inner, &ask, &visits).await?;
        if ask.keep == KeepAppointments::WallTime && !clashes::check(inner, &ask, &visits, &plan).await? {
            continue;
        }
        let answer = RezoneAppointmentsResponse { appointments: visits.iter().map(shown).collect() };
        if request.dry_run {
            return Ok(Response::new(answer));
        }
        for hold in
            inner.store.holds_at(ask.organization, ask.location, inner.clock.now_us()).await.map_err(commit::failure)?
        {
            holds::end(inner, ask.organization, hold).await?;
        }
        let batch = batch(inner, &ask, &visits, plan).await?;
        match commit::commit(inner, batch).await {
            Ok(position) => {
                // The offers' slots are free already; where this breaks off or fails, the sweep ends them.
                let ended = finish::withdraw_offers(inner, ask.organization, ask.location, &ask.time_zone).await;
                if let Err(fault) = ended {
                    tracing::warn!(code = fault.code.as_str(), "offers of a location could not be ended; again soon");
                }
                return Ok(rpc::respond(answer, &revision(position), false));
            }
            // Another write came between: it is looked at anew, with what is there now.
            Err(Refusal::Stale | Refusal::GroupChanged | Refusal::Taken(_)) => {}
            Err(other) => return Err(commit::refused(other)),
        }
    }
    Err(Fault::new(Code::Overloaded, "others book at this location at the same moment; try again"))
}

fn read(ctx: &Context, request: &RezoneAppointmentsRequest) -> Result<Ask, Fault> {
    let mut faults = Faults::new();
    let location = convert::id::<domain::id::Location>(&mut faults, "/location_id", &request.location_id);
    let found = zone(&request.time_zone);
    faults.check(found.is_some(), "/time_zone", "unknown_time_zone", "give an IANA name, such as Europe/Madrid");
    faults.result()?;
    Ok(Ask {
        organization: ctx.organization.uuid(),
        location: location.map(domain::id::Id::uuid).unwrap_or_default(),
        time_zone: request.time_zone.clone(),
        zone: found.unwrap_or(TimeZone::UTC),
        keep: request.keep(),
    })
}

/// The appointments ahead at the location that are of another zone, earliest first.
async fn ahead(inner: &Inner, ask: &Ask) -> Result<Vec<Visit>, Fault> {
    let statuses = Status::ALL.into_iter().filter(|status| status.claims_time());
    let mut filter = Filter {
        locations: vec![ask.location],
        statuses: statuses.map(|status| status.as_str().to_owned()).collect(),
        from_us: Some(inner.clock.now_us() + 1),
        limit: PAGE,
        ..Filter::default()
    };
    let mut visits = Vec::new();
    loop {
        let page = inner.store.appointments(ask.organization, &filter).await.map_err(commit::failure)?;
        let Some(last) = page.last() else { return Ok(visits) };
        filter.after = Some((last.starts_at_us, last.id));
        for old in page.into_iter().filter(|row| row.time_zone != ask.time_zone) {
            visits.push(visit(ask, old)?);
        }
    }
}

fn visit(ask: &Ask, old: AppointmentRow) -> Result<Visit, Fault> {
    // What the patient was told, not what an older rule of the zone shows today.
    let told: DateTime = old.starts_local.parse().map_err(Fault::internal)?;
    let wall_time_us = ask.zone.to_timestamp(told).map_err(Fault::internal)?.as_microsecond();
    let start_us = if ask.keep == KeepAppointments::WallTime { wall_time_us } else { old.starts_at_us };
    Ok(Visit { old, wall_time_us, start_us })
}

fn shown(visit: &Visit) -> RezonedAppointment {
    RezonedAppointment {
        appointment_id: AppointmentId::new(visit.old.id).to_string(),
        starts_at_us: visit.old.starts_at_us,
        time_zone: visit.old.time_zone.clone(),
        wall_time_starts_at_us: visit.wall_time_us,
    }
}

fn has_appointments(visits: &[Visit]) -> Fault {
    let detail = format!(
        "appointments ahead at this location: {}; send `appointments=keep_wall_time` to move them all to the same time of \
         day in the new zone, or `appointments=keep_instant` to leave them where they are; with `dry_run=true` it lists them",
        visits.len()
    );
    let ids = visits.iter().map(|visit| visit.old.id).collect::<Vec<_>>();
    Fault::new(Code::HasAppointments, detail).with_extra(&named(visits.len(), &ids))
}

fn named(count: usize, ids: &[Uuid]) -> AppointmentsAhead {
    let appointment_ids = ids.iter().take(NAMED_MAX).map(|id| AppointmentId::new(*id).to_string()).collect();
    AppointmentsAhead { count: u32::try_from(count).unwrap_or(u32::MAX), appointment_ids }
}

/// What moves with the visits.
struct Moves {
    /// Each visit's own claims as they are to be, by its id.
    claims: HashMap<Uuid, Vec<ClaimRow>>,
    /// The group sessions by their id before.
    groups: HashMap<Uuid, MoveGroup>,
}

impl Moves {
    async fn of(inner: &Inner, ask: &Ask, visits: &[Visit]) -> Result<Self, Fault> {
        let now_us = inner.clock.now_us();
        // The group sessions that move, and by how much.
        let by_us = |visit: &Visit| Some((visit.old.group_id?, visit.start_us - visit.old.starts_at_us));
        let moving: HashMap<Uuid, i64> = visits.iter().filter_map(by_us).filter(|(_, by_us)| *by_us != 0).collect();
        let groups = inner.store.groups_at(ask.organization, ask.location, now_us).await.map_err(commit::failure)?;
        let groups: Vec<GroupRow> = groups.into_iter().filter(|group| moving.contains_key(&group.id)).collect();
        let owners = visits.iter().map(|visit| visit.old.id).chain(groups.iter().map(|group| group.id));
        let owners: Vec<Uuid> = owners.collect();
        let all = inner.store.claims_of_all(ask.organization, &owners).await.map_err(commit::failure)?;
        let mut claims = HashMap::<Uuid, Vec<ClaimRow>>::new();
        for claim in all {
            claims.entry(claim.owner).or_default().push(claim);
        }
        let mut moved = HashMap::new();
        for group in groups {
            let own = claims.remove(&group.id).unwrap_or_default();
            let by_us = moving.get(&group.id).copied().unwrap_or(0);
            moved.insert(group.id, moved_group(ask.organization, group, own, by_us));
        }
        for visit in visits {
            let by_us = visit.start_us - visit.old.starts_at_us;
            let own = claims.entry(visit.old.id).or_default();
            for claim in own {
                shift(claim, by_us);
                claim.resource = moved.get(&claim.resource).map_or(claim.resource, |group| group.row.id);
            }
        }
        Ok(Self { claims, groups: moved })
    }

    /// All claims as they are to be.
    fn wanted(&self) -> impl Iterator<Item = &ClaimRow> {
        self.claims.values().flatten().chain(self.groups.values().flat_map(|group| &group.claims))
    }
}

fn shift(claim: &mut ClaimRow, by_us: i64) {
    claim.starts_at_us += by_us;
    claim.ends_at_us += by_us;
}

fn moved_group(organization: Uuid, group: GroupRow, mut claims: Vec<ClaimRow>, by_us: i64) -> MoveGroup {
    let (starts_at_us, ends_at_us) = (group.starts_at_us + by_us, group.ends_at_us + by_us);
    let id = group_id(organization, group.service_id, group.practitioner_id, group.location_id, starts_at_us);
    let row = GroupRow { id, starts_at_us, ends_at_us, ..group.clone() };
    for claim in &mut claims {
        shift(claim, by_us);
        claim.owner = id;
    }
    MoveGroup {
        from: group.id,
        freed: change::leave_group(group.id).freed,
        made: Hex(change::group_created(&row, &claims)),
        row,
        claims,
    }
}

/// The one transaction: the zone, the visits with their claims, group sessions and plans, and what is told of them.
async fn batch(inner: &Inner, ask: &Ask, visits: &[Visit], moves: Moves) -> Result<Batch, Fault> {
    let now_us = inner.clock.now_us();
    let set_zone = LocationZone { location_id: ask.location, time_zone: ask.time_zone.clone() };
    let mut batch = Batch { organization_id: ask.organization, now_us, set_zone: Some(set_zone), ..Batch::default() };
    let plans = plans_of(inner, ask, visits).await?;
    let mut changed = plans.clone();
    for visit in visits {
        let claims = moves.claims.get(&visit.old.id).map(Vec::as_slice).unwrap_or_default();
        let (row, event) = moved(ask, visit, &moves.groups, now_us)?;
        if let Some(session) = row.plan_session_id.map(PlanSessionId::new) {
            let planned = on_visit::visit(&row).ok_or_else(|| Fault::internal("an appointment has no time"))?;
            for stored in changed.values_mut() {
                if let Some(next) = stored.plan.after(session, Event::Booked(planned)) {
                    stored.plan = next;
                }
            }
        }
        reschedule::put_as(inner, &mut batch, &visit.old, row, claims, event);
        batch.claims.extend(claims.iter().cloned());
    }
    // A group session goes with all that are in it.
    batch.leave_group = None;
    batch.claims.sort_by_key(|claim| (claim.kind, claim.resource, claim.unit, claim.starts_at_us));
    batch.move_groups = moves.groups.into_values().collect();
    batch.move_groups.sort_by_key(|group| group.from);
    for (id, stored) in changed {
        if let Some(before) = plans.get(&id).filter(|before| before.plan != stored.plan) {
            before.with(stored.plan, now_us).put(inner, &mut batch)?;
        }
    }
    Ok(batch)
}

/// A visit by the new zone, and the event that it is told as: a patient learns of another hour of the day, or of another
/// instant.
fn moved(
    ask: &Ask,
    visit: &Visit,
    groups: &HashMap<Uuid, MoveGroup>,
    now_us: i64,
) -> Result<(AppointmentRow, &'static str), Fault> {
    let old = &visit.old;
    let by_us = visit.start_us - old.starts_at_us;
    let start = from_micros(visit.start_us).ok_or_else(|| Fault::internal("an appointment has no time"))?;
    let starts_local = start.to_zoned(ask.zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string();
    let same_hour = starts_local == old.starts_local;
    let row = AppointmentRow {
        version: old.version + 1,
        group_id: old.group_id.map(|id| groups.get(&id).map_or(id, |group| group.row.id)),
        starts_at_us: visit.start_us,
        ends_at_us: old.ends_at_us + by_us,
        time_zone: ask.time_zone.clone(),
        starts_local,
        // What they have confirmed is an hour of the day.
        confirmed_at_us: old.confirmed_at_us.filter(|_| same_hour),
        previous_starts_at_us: if by_us == 0 { old.previous_starts_at_us } else { Some(old.starts_at_us) },
        updated_at_us: now_us,
        ..old.clone()
    };
    Ok((row, if by_us == 0 && same_hour { "clock_corrected" } else { "rescheduled" }))
}

/// Whether a location of these slots was given another time zone since something with this id, a version 7 UUID, was made.
pub(crate) async fn since(
    inner: &Inner,
    organization: Uuid,
    made: Uuid,
    slots: impl Iterator<Item = &str>,
) -> Result<bool, Fault> {
    let zones = inner.store.zones(organization).await.map_err(commit::failure)?;
    if zones.is_empty() {
        return Ok(false);
    }
    let made_us = made.get_timestamp().map_or(0, |at| {
        let (seconds, nanos) = at.to_unix();
        i64::try_from(seconds).unwrap_or(i64::MAX / 2_000_000) * 1_000_000 + i64::from(nanos / 1000)
    });
    let locations: Vec<Uuid> = slots.filter_map(|slot| Some(slot.parse::<Slot>().ok()?.location.uuid())).collect();
    Ok(zones.iter().any(|zone| zone.changed_at_us >= made_us && locations.contains(&zone.location_id)))
}

/// The plans that some of the visits belong to.
async fn plans_of(inner: &Inner, ask: &Ask, visits: &[Visit]) -> Result<BTreeMap<PlanId, Stored>, Fault> {
    let mut plans = BTreeMap::<PlanId, Stored>::new();
    let mut known = HashMap::new();
    for session in visits.iter().filter_map(|visit| visit.old.plan_session_id) {
        if known.contains_key(&session) {
            continue;
        }
        if let Some(stored) = plans::of_session(inner, ask.organization, session).await? {
            known.extend(stored.plan.sessions.iter().map(|one| (one.id.uuid(), ())));
            plans.insert(stored.plan.id, stored);
        }
    }
    Ok(plans)
}
