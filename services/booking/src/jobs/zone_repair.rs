//! Appointments whose instant no longer shows the wall clock that the patient was told, because the rules of their time
//! zone have changed since; and moving them to the instant that does.

use std::sync::Arc;

use domain::{
    appointment::Status,
    id::{AppointmentId, LocationId, PlanSessionId},
    time::{from_micros, zone},
};
use jiff::{Timestamp, civil::DateTime};
use rpc::Fault;
use uuid::Uuid;

use crate::{
    App, Inner,
    appointments::{claims_of, reschedule},
    commit,
    plans::{self, on_visit},
    store::{
        batch::{Batch, Refusal},
        rows::AppointmentRow,
    },
};

const PAGE: i64 = 1000;

/// An appointment ahead whose clock is wrong.
#[derive(Debug, Clone)]
pub struct WrongClock {
    /// Which.
    pub appointment: AppointmentId,
    /// Where.
    pub location: LocationId,
    /// The IANA zone.
    pub time_zone: String,
    /// The wall clock that the patient was told.
    pub told: DateTime,
    /// When it begins as it is stored.
    pub starts_at: Timestamp,
    /// When that wall clock is, by the present rules.
    pub should_start_at: Timestamp,
    organization: Uuid,
}

/// What became of a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It was moved.
    Moved,
    /// Someone else has the time that it would move to: staff must settle it with the patients.
    Taken,
    /// It is a place in a group session, which moves as one: staff must move it.
    Group,
    /// It has changed meanwhile: look again.
    Changed,
}

impl App {
    /// Every appointment ahead whose clock is wrong, of all organisations, in an order in which they can be moved one
    /// after the other without being in each other's way.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn wrong_clocks(&self) -> Result<Vec<WrongClock>, sqlx::Error> {
        let (mut wrong, mut after) = (Vec::new(), (self.0.clock.now_us(), Uuid::nil()));
        loop {
            let page = self.0.store.ahead(after, PAGE).await.map_err(crate::failed)?;
            wrong.extend(page.iter().filter_map(wrong_clock));
            match page.last() {
                Some(last) => after = (last.ends_at_us, last.id),
                None => break,
            }
        }
        // Those that move later go first from the end, those that move earlier from the beginning.
        wrong.sort_by_key(|one: &WrongClock| {
            let later = one.should_start_at > one.starts_at;
            let at = one.starts_at.as_microsecond();
            (later, if later { -at } else { at })
        });
        Ok(wrong)
    }

    /// Moves an appointment to where its wall clock is now: claims, plan and feed in one transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn repair_clock(&self, wrong: &WrongClock) -> Result<Repair, Fault> {
        let id = wrong.appointment.uuid();
        let found = self.0.store.appointment(wrong.organization, id).await.map_err(commit::failure)?;
        let Some(old) = found.filter(|old| old.starts_at_us == wrong.starts_at.as_microsecond()) else {
            return Ok(Repair::Changed);
        };
        if old.group_id.is_some() {
            return Ok(Repair::Group);
        }
        let batch = moved(&self.0, &old, wrong.should_start_at).await?;
        match commit::commit(&self.0, batch).await {
            Ok(_) => Ok(Repair::Moved),
            Err(Refusal::Taken(_)) => Ok(Repair::Taken),
            Err(Refusal::Stale) => Ok(Repair::Changed),
            Err(other) => Err(commit::refused(other)),
        }
    }
}

/// Any hour that an instant shows in its zone is right, the later one of two as well.
fn wrong_clock(row: &AppointmentRow) -> Option<WrongClock> {
    row.status.parse::<Status>().ok().filter(|status| status.is_ahead())?;
    let (zone, starts_at) = (zone(&row.time_zone)?, from_micros(row.starts_at_us)?);
    let told: DateTime = row.starts_local.parse().ok()?;
    if starts_at.to_zoned(zone.clone()).datetime() == told {
        return None;
    }
    let should_start_at = zone.to_timestamp(told).ok().filter(|should| *should != starts_at)?;
    Some(WrongClock {
        appointment: AppointmentId::new(row.id),
        location: LocationId::new(row.location_id),
        time_zone: row.time_zone.clone(),
        told,
        starts_at,
        should_start_at,
        organization: row.organization_id,
    })
}

async fn moved(inner: &Arc<Inner>, old: &AppointmentRow, start: Timestamp) -> Result<Batch, Fault> {
    let (by_us, now_us) = (start.as_microsecond() - old.starts_at_us, inner.clock.now_us());
    let mut claims = claims_of(inner, old.organization_id, old).await?;
    for claim in &mut claims {
        claim.starts_at_us += by_us;
        claim.ends_at_us += by_us;
    }
    let row = AppointmentRow {
        version: old.version + 1,
        starts_at_us: old.starts_at_us + by_us,
        ends_at_us: old.ends_at_us + by_us,
        updated_at_us: now_us,
        ..old.clone()
    };
    let mut batch = Batch { organization_id: old.organization_id, now_us, claims: claims.clone(), ..Batch::default() };
    if let Some(session) = row.plan_session_id
        && let Some(stored) = plans::of_session(inner, old.organization_id, session).await?
    {
        on_visit::booked(inner, &mut batch, &stored, PlanSessionId::new(session), &row)?;
    }
    // The patient's clock stays as it was told: nobody is to be written to.
    reschedule::put_as(inner, &mut batch, old, row, &claims, "clock_corrected");
    Ok(batch)
}
