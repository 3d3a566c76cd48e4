//! Appointments whose instant no longer shows the wall clock that the patient knows, since the rules of their time zone
//! have changed; and moving them to the instant that does.

use std::sync::Arc;

use domain::{
    appointment::Status,
    id::{AppointmentId, LocationId},
    time::{from_micros, zone},
};
use jiff::{Timestamp, civil::DateTime};
use rpc::Fault;
use service::db_error;
use uuid::Uuid;

use crate::{
    App, Inner,
    appointments::{claims_of, record},
    commit,
    plans::stored,
    store::{
        appointments::AppointmentRow,
        batch::{Batch, CommitError},
    },
};

const PAGE: i64 = 1000;

/// An upcoming appointment whose instant does not show its wall clock.
#[derive(Debug, Clone)]
pub struct ZoneDrift {
    /// The appointment.
    pub appointment: AppointmentId,
    /// Its location.
    pub location: LocationId,
    /// The location's IANA zone.
    pub time_zone: String,
    /// The wall clock that the patient knows.
    pub wall_clock: DateTime,
    /// The stored start.
    pub starts_at: Timestamp,
    /// The instant of the wall clock by the present rules.
    pub should_start_at: Timestamp,
    organization: Uuid,
}

/// The outcome of a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// The appointment was moved.
    Moved,
    /// Someone else has the time that it would move to: staff must settle it with the patients.
    Conflict,
    /// It is a place in a group session, which moves as one: staff must move it.
    Group,
    /// It has changed meanwhile: look again.
    Changed,
}

impl App {
    /// All drifted appointments of all organisations, in an order in which they can be moved one after the other without
    /// a conflict among them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn zone_drifts(&self) -> Result<Vec<ZoneDrift>, sqlx::Error> {
        let (mut drifts, mut after) = (Vec::new(), (self.0.clock.now_us(), Uuid::nil()));
        loop {
            let page = self.0.store.appointments_by_end(after, PAGE).await.map_err(sql::Failure::into_source)?;
            drifts.extend(page.iter().filter_map(drift));
            match page.last() {
                Some(last) => after = (last.ends_at_us, last.id),
                None => break,
            }
        }
        // Those that move earlier go first, the earliest first; then those that move later, the latest first.
        drifts.sort_by_key(|drift: &ZoneDrift| {
            let later = drift.should_start_at > drift.starts_at;
            let at = drift.starts_at.as_microsecond();
            (later, if later { -at } else { at })
        });
        Ok(drifts)
    }

    /// Moves an appointment to the instant of its wall clock: claims, plan and feed in one transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn repair_zone_drift(&self, drift: &ZoneDrift) -> Result<Repair, Fault> {
        let id = drift.appointment.uuid();
        let found = self.0.store.appointment(drift.organization, id).await.map_err(db_error::fault)?;
        let Some(old) = found.filter(|old| old.starts_at_us == drift.starts_at.as_microsecond()) else {
            return Ok(Repair::Changed);
        };
        if old.group_id.is_some() {
            return Ok(Repair::Group);
        }
        let batch = repair_batch(&self.0, &old, drift.should_start_at).await?;
        match commit::commit(&self.0, batch).await {
            Ok(_) => Ok(Repair::Moved),
            Err(CommitError::ClaimsConflict(_)) => Ok(Repair::Conflict),
            Err(CommitError::VersionMismatch) => Ok(Repair::Changed),
            Err(other) => Err(commit::refused(other)),
        }
    }
}

/// The drift of an appointment. Of an hour that a zone has twice either instant is right.
fn drift(row: &AppointmentRow) -> Option<ZoneDrift> {
    row.status.parse::<Status>().ok().filter(|status| status.is_upcoming())?;
    let (zone, starts_at) = (zone(&row.time_zone)?, from_micros(row.starts_at_us)?);
    let wall_clock: DateTime = row.starts_local.parse().ok()?;
    if starts_at.to_zoned(zone.clone()).datetime() == wall_clock {
        return None;
    }
    let should_start_at = zone.to_timestamp(wall_clock).ok().filter(|should| *should != starts_at)?;
    Some(ZoneDrift {
        appointment: AppointmentId::new(row.id),
        location: LocationId::new(row.location_id),
        time_zone: row.time_zone.clone(),
        wall_clock,
        starts_at,
        should_start_at,
        organization: row.organization_id,
    })
}

async fn repair_batch(inner: &Arc<Inner>, old: &AppointmentRow, start: Timestamp) -> Result<Batch, Fault> {
    let (by_us, now_us) = (start.as_microsecond() - old.starts_at_us, inner.clock.now_us());
    let mut claims = claims_of(inner, old).await?;
    for claim in &mut claims {
        claim.shift(by_us);
    }
    let row = AppointmentRow {
        version: old.version + 1,
        starts_at_us: old.starts_at_us + by_us,
        ends_at_us: old.ends_at_us + by_us,
        updated_at_us: now_us,
        ..old.clone()
    };
    let mut batch = Batch { claims: claims.clone(), ..Batch::new(old.organization_id, now_us) };
    for plan in stored::of_sessions(inner, old.organization_id, row.plan_session_id.into_iter()).await? {
        if let Some(next) = plan.after_bookings(std::slice::from_ref(&row), now_us)? {
            next.put(&mut batch, inner.config.at_risk_days)?;
        }
    }
    record::release(&mut batch, old);
    // The patient's wall clock stays as it is, so no message is due.
    record::put(&mut batch, &inner.links, row, &claims, "clock_corrected");
    Ok(batch)
}
