//! A location's time zone changes: all of its upcoming appointments get the new zone together, or none does.
//!
//! Availability calls this before it writes its directory. The transaction that moves the appointments also records the
//! zone, and from then on the database refuses what was checked by another zone: a booking on its way either commits
//! before the change, which then moves it too, or is refused. Where the directory's own write is lost afterwards,
//! `finish.rs` makes it.

mod clashes;
pub(crate) mod finish;

use std::{collections::HashMap, sync::Arc};

use domain::{
    appointment::Status,
    fault::Faults,
    id::AppointmentId,
    time::{from_micros, zone},
};
use jiff::{civil::DateTime, tz::TimeZone};
use rpc::{Code, Context, Fault};
use service::db_error;
use tonic::Response;
use uuid::Uuid;
use wire::{
    booking::{AppointmentsAhead, RezoneAppointmentsRequest, RezoneAppointmentsResponse},
    common::{KeepAppointments, RezonedAppointment},
    convert,
};

use crate::{
    Inner,
    appointments::record,
    commit::{self, revision},
    feed::change,
    holds,
    plans::stored,
    slots::claims::group_id,
    store::{
        appointments::{AppointmentFilter, AppointmentRow},
        batch::{Batch, CommitError, Hex, LocationZone, MoveGroup},
        claims::ClaimRow,
        groups::GroupRow,
    },
};

const PAGE: i64 = 1000;
/// Most tries while others write at the location.
const TRIES_MAX: usize = 8;
/// Appointments that a refusal names.
const NAMED_MAX: usize = 20;

/// The change of a location's zone.
struct ZoneChange {
    organization: Uuid,
    location: Uuid,
    time_zone: String,
    zone: TimeZone,
    keep: KeepAppointments,
}

/// An upcoming appointment and its start under each choice.
struct Upcoming {
    old: AppointmentRow,
    /// The instant at which the new zone's clock shows the same time of day.
    wall_time_us: i64,
    /// The start that the choice gives.
    start_us: i64,
}

pub(crate) async fn rezone(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RezoneAppointmentsRequest,
) -> Result<Response<RezoneAppointmentsResponse>, Fault> {
    let change = read(ctx, &request)?;
    for _ in 0..TRIES_MAX {
        let upcoming = upcoming(inner, &change).await?;
        if change.keep == KeepAppointments::Unspecified && !upcoming.is_empty() && !request.dry_run {
            return Err(has_appointments(&upcoming));
        }
        let moves = Moves::of(inner, &change, &upcoming).await?;
        if change.keep == KeepAppointments::WallTime && !clashes::check(inner, &change, &upcoming, &moves).await? {
            continue;
        }
        let answer = RezoneAppointmentsResponse { appointments: upcoming.iter().map(to_wire).collect() };
        if request.dry_run {
            return Ok(Response::new(answer));
        }
        end_holds(inner, &change).await?;
        let batch = batch(inner, &change, &upcoming, moves).await?;
        match commit::commit(inner, batch).await {
            Ok(position) => {
                // The offers' slots are free already; where this fails, the job ends the offers.
                let ended =
                    finish::withdraw_offers(inner, change.organization, change.location, &change.time_zone).await;
                if let Err(fault) = ended {
                    let (code, organization, location) = (fault.code.as_str(), ctx.organization, &request.location_id);
                    tracing::warn!(code, %organization, location, "a location's offers did not end; trying again");
                }
                return Ok(rpc::respond(answer, &revision(position), false));
            }
            // Another write came between: start over from what is stored now.
            Err(CommitError::VersionMismatch | CommitError::GroupChanged | CommitError::ClaimsConflict(_)) => {}
            Err(other) => return Err(commit::refused(other)),
        }
    }
    Err(Fault::new(Code::Overloaded, "others book at this location at the same moment; try again"))
}

fn read(ctx: &Context, request: &RezoneAppointmentsRequest) -> Result<ZoneChange, Fault> {
    let mut faults = Faults::new();
    let location = convert::id::<domain::id::Location>(&mut faults, "/location_id", &request.location_id);
    let found = zone(&request.time_zone);
    faults.check(found.is_some(), "/time_zone", "unknown_time_zone", "give an IANA name, such as Europe/Madrid");
    faults.result()?;
    Ok(ZoneChange {
        organization: ctx.organization.uuid(),
        location: location.map(domain::id::Id::uuid).unwrap_or_default(),
        time_zone: request.time_zone.clone(),
        zone: found.unwrap_or(TimeZone::UTC),
        keep: request.keep(),
    })
}

async fn end_holds(inner: &Arc<Inner>, change: &ZoneChange) -> Result<(), Fault> {
    let (organization, now_us) = (change.organization, inner.clock.now_us());
    let holds = inner.store.holds_at_location(organization, change.location, now_us).await.map_err(db_error::fault)?;
    for hold in holds {
        holds::end(inner, organization, hold).await?;
    }
    Ok(())
}

/// The upcoming appointments of the location that have another zone, earliest first.
async fn upcoming(inner: &Inner, change: &ZoneChange) -> Result<Vec<Upcoming>, Fault> {
    let statuses = Status::ALL.into_iter().filter(|status| status.claims_time());
    let mut filter = AppointmentFilter {
        locations: vec![change.location],
        statuses: statuses.map(|status| status.as_str().to_owned()).collect(),
        from_us: Some(inner.clock.now_us() + 1),
        limit: PAGE,
        ..AppointmentFilter::default()
    };
    let mut upcoming = Vec::new();
    loop {
        let page = inner.store.list_appointments(change.organization, &filter).await.map_err(db_error::fault)?;
        let Some(last) = page.last() else { return Ok(upcoming) };
        filter.after = Some((last.starts_at_us, last.id));
        for old in page.into_iter().filter(|row| row.time_zone != change.time_zone) {
            upcoming.push(Upcoming::new(change, old)?);
        }
    }
}

impl Upcoming {
    fn new(change: &ZoneChange, old: AppointmentRow) -> Result<Self, Fault> {
        // The wall clock that the patient knows, whatever the zone's present rules show.
        let wall_clock: DateTime = old.starts_local.parse().map_err(Fault::internal)?;
        let wall_time_us = change.zone.to_timestamp(wall_clock).map_err(Fault::internal)?.as_microsecond();
        let start_us = if change.keep == KeepAppointments::WallTime { wall_time_us } else { old.starts_at_us };
        Ok(Self { old, wall_time_us, start_us })
    }

    /// By how much the appointment moves.
    fn by_us(&self) -> i64 {
        self.start_us - self.old.starts_at_us
    }
}

fn to_wire(upcoming: &Upcoming) -> RezonedAppointment {
    RezonedAppointment {
        appointment_id: AppointmentId::new(upcoming.old.id).to_string(),
        starts_at_us: upcoming.old.starts_at_us,
        time_zone: upcoming.old.time_zone.clone(),
        wall_time_starts_at_us: upcoming.wall_time_us,
    }
}

fn has_appointments(upcoming: &[Upcoming]) -> Fault {
    let detail = format!(
        "appointments ahead at this location: {}; send `appointments=keep_wall_time` to move them all to the same time of \
         day in the new zone, or `appointments=keep_instant` to leave them where they are; with `dry_run=true` it lists them",
        upcoming.len()
    );
    let ids = upcoming.iter().map(|upcoming| upcoming.old.id).collect::<Vec<_>>();
    Fault::new(Code::HasAppointments, detail).with_extra(&appointments_ahead(upcoming.len(), &ids))
}

fn appointments_ahead(count: usize, ids: &[Uuid]) -> AppointmentsAhead {
    let appointment_ids = ids.iter().take(NAMED_MAX).map(|id| AppointmentId::new(*id).to_string()).collect();
    AppointmentsAhead { count: u32::try_from(count).unwrap_or(u32::MAX), appointment_ids }
}

/// The claims and group sessions that move with the appointments.
struct Moves {
    /// Each appointment's own claims after the move, by its id.
    claims: HashMap<Uuid, Vec<ClaimRow>>,
    /// The group sessions, by their id before the move.
    groups: HashMap<Uuid, MoveGroup>,
}

impl Moves {
    async fn of(inner: &Inner, change: &ZoneChange, upcoming: &[Upcoming]) -> Result<Self, Fault> {
        let (organization, now_us) = (change.organization, inner.clock.now_us());
        let group_move = |it: &Upcoming| Some((it.old.group_id?, it.by_us())).filter(|(_, by_us)| *by_us != 0);
        let by_group: HashMap<Uuid, i64> = upcoming.iter().filter_map(group_move).collect();
        let groups = inner.store.groups_at_location(organization, change.location, now_us).await;
        let groups: Vec<GroupRow> =
            groups.map_err(db_error::fault)?.into_iter().filter(|group| by_group.contains_key(&group.id)).collect();
        let owners = upcoming.iter().map(|it| it.old.id).chain(groups.iter().map(|group| group.id));
        let owners: Vec<Uuid> = owners.collect();
        let mut claims = HashMap::<Uuid, Vec<ClaimRow>>::new();
        for claim in inner.store.claims_of_owners(organization, &owners).await.map_err(db_error::fault)? {
            claims.entry(claim.owner).or_default().push(claim);
        }
        let mut moved = HashMap::new();
        for group in groups {
            let own = claims.remove(&group.id).unwrap_or_default();
            let by_us = by_group.get(&group.id).copied().unwrap_or(0);
            moved.insert(group.id, move_group(organization, group, own, by_us));
        }
        for it in upcoming {
            for claim in claims.entry(it.old.id).or_default() {
                claim.shift(it.by_us());
                claim.resource = moved.get(&claim.resource).map_or(claim.resource, |group| group.row.id);
            }
        }
        Ok(Self { claims, groups: moved })
    }

    /// All claims after the move.
    fn wanted(&self) -> impl Iterator<Item = &ClaimRow> {
        self.claims.values().flatten().chain(self.groups.values().flat_map(|group| &group.claims))
    }
}

fn move_group(organization: Uuid, group: GroupRow, mut claims: Vec<ClaimRow>, by_us: i64) -> MoveGroup {
    let (starts_at_us, ends_at_us) = (group.starts_at_us + by_us, group.ends_at_us + by_us);
    let id = group_id(organization, group.service_id, group.practitioner_id, group.location_id, starts_at_us);
    let row = GroupRow { id, starts_at_us, ends_at_us, ..group.clone() };
    for claim in &mut claims {
        claim.shift(by_us);
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

/// The one transaction: the zone, the appointments with their claims, group sessions and plans, and their changes.
async fn batch(inner: &Inner, change: &ZoneChange, upcoming: &[Upcoming], moves: Moves) -> Result<Batch, Fault> {
    let (organization, now_us) = (change.organization, inner.clock.now_us());
    let set_zone = LocationZone { location_id: change.location, time_zone: change.time_zone.clone() };
    let mut batch = Batch { set_zone: Some(set_zone), ..Batch::new(organization, now_us) };
    let mut rows = Vec::with_capacity(upcoming.len());
    for it in upcoming {
        let claims = moves.claims.get(&it.old.id).map(Vec::as_slice).unwrap_or_default();
        let (row, event) = rezoned_row(change, it, &moves.groups, now_us)?;
        rows.push(row.clone());
        record::release(&mut batch, &it.old);
        record::put(&mut batch, &inner.links, row, claims, event);
        batch.claims.extend(claims.iter().cloned());
    }
    // A group session moves with all of its members.
    batch.leave_group = None;
    batch.claims.sort_by_key(|claim| (claim.kind, claim.resource, claim.unit, claim.starts_at_us));
    batch.move_groups = moves.groups.into_values().collect();
    batch.move_groups.sort_by_key(|group| group.from);
    let sessions = rows.iter().filter_map(|row| row.plan_session_id);
    for plan in stored::of_sessions(inner, organization, sessions).await? {
        if let Some(next) = plan.after_bookings(&rows, now_us)? {
            next.put(&mut batch, inner.config.at_risk_days)?;
        }
    }
    Ok(batch)
}

/// An appointment by the new zone, and the event of its change: `rescheduled` where the patient has another hour of the
/// day, or another instant.
fn rezoned_row(
    change: &ZoneChange,
    upcoming: &Upcoming,
    groups: &HashMap<Uuid, MoveGroup>,
    now_us: i64,
) -> Result<(AppointmentRow, &'static str), Fault> {
    let (old, by_us) = (&upcoming.old, upcoming.by_us());
    let start = from_micros(upcoming.start_us).ok_or_else(|| Fault::internal("an appointment has no time"))?;
    let starts_local = start.to_zoned(change.zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string();
    let same_hour = starts_local == old.starts_local;
    let row = AppointmentRow {
        version: old.version + 1,
        group_id: old.group_id.map(|id| groups.get(&id).map_or(id, |group| group.row.id)),
        starts_at_us: upcoming.start_us,
        ends_at_us: old.ends_at_us + by_us,
        time_zone: change.time_zone.clone(),
        starts_local,
        // A patient confirms an hour of the day.
        confirmed_at_us: old.confirmed_at_us.filter(|_| same_hour),
        previous_starts_at_us: if by_us == 0 { old.previous_starts_at_us } else { Some(old.starts_at_us) },
        updated_at_us: now_us,
        ..old.clone()
    };
    Ok((row, if by_us == 0 && same_hour { "clock_corrected" } else { "rescheduled" }))
}
