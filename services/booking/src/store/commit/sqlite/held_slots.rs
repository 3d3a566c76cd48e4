//! The slots of visitors' holds, and the limits that they keep. No other writer runs meanwhile, so each hold counts those
//! before it.

use std::collections::BTreeMap;

use sqlx::{SqliteConnection, query, query_as, query_scalar};
use uuid::Uuid;

use crate::store::{
    batch::{Batch, CommitError},
    visitors::{HeldSlot, HoldLimit, VisitorHold},
};

const COUNT_LIVE: &str = r#"
    SELECT count(DISTINCT hold_id), min(expires_at_us)
    FROM held_slots
    WHERE organization_id = $1 AND caller = $2 AND visitor = $3 AND expires_at_us > $4
"#;
const SELECT_WAIT: &str = r#"
    SELECT max(2 * expires_at_us - held_from_us)
    FROM held_slots
    WHERE organization_id = $1 AND caller = $2 AND visitor = $3 AND expires_at_us <= $4
      AND practitioner_id = $5 AND starts_at_us < $7 AND $6 < ends_at_us
"#;
const SUM_OF_DAY: &str = r#"
    SELECT coalesce(sum(minutes), 0), count(*), min(expires_at_us)
    FROM held_slots
    WHERE organization_id = $1 AND caller = $2 AND location_id = $3 AND day_us = $4 AND expires_at_us > $5
"#;
const INSERT: &str = r#"
    INSERT INTO held_slots (organization_id, hold_id, caller, visitor, practitioner_id, starts_at_us, ends_at_us,
                            location_id, day_us, minutes, held_from_us, expires_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"#;
const DELETE_OF_HOLD: &str = "DELETE FROM held_slots WHERE organization_id = $1 AND hold_id = $2";
const END_OF_HOLD: &str = r#"
    UPDATE held_slots
    SET expires_at_us = $3
    WHERE organization_id = $1 AND hold_id = $2 AND expires_at_us > $3
"#;

/// Stores the slots of a visitor's new hold, or refuses the batch.
pub(super) async fn insert(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    let Some(hold) = &batch.visitor_hold else { return Ok(()) };
    check_visitor(conn, batch, hold).await?;
    for slot in &hold.slots {
        check_wait(conn, batch, hold, slot).await?;
    }
    check_share(conn, batch, hold).await?;
    for slot in &hold.slots {
        query(INSERT)
            .bind(batch.organization_id)
            .bind(hold.hold_id)
            .bind(&hold.caller)
            .bind(&hold.visitor)
            .bind(slot.practitioner_id)
            .bind(slot.starts_at_us)
            .bind(slot.ends_at_us)
            .bind(slot.location_id)
            .bind(slot.day_us)
            .bind(slot.minutes)
            .bind(batch.now_us)
            .bind(hold.expires_at_us)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

async fn check_visitor(conn: &mut SqliteConnection, batch: &Batch, hold: &VisitorHold) -> Result<(), CommitError> {
    let live = query_as(COUNT_LIVE).bind(batch.organization_id).bind(&hold.caller).bind(&hold.visitor);
    let (live, until_us): (i64, Option<i64>) = live.bind(batch.now_us).fetch_one(conn).await?;
    match until_us {
        Some(until_us) if live >= hold.holds_max => Err(CommitError::HoldLimit(HoldLimit::Visitor, until_us)),
        _ => Ok(()),
    }
}

/// Refuses the time that the visitor has held, for as long as it was held.
async fn check_wait(
    conn: &mut SqliteConnection,
    batch: &Batch,
    hold: &VisitorHold,
    slot: &HeldSlot,
) -> Result<(), CommitError> {
    let wait = query_scalar(SELECT_WAIT).bind(batch.organization_id).bind(&hold.caller).bind(&hold.visitor);
    let wait = wait.bind(batch.now_us).bind(slot.practitioner_id).bind(slot.starts_at_us).bind(slot.ends_at_us);
    let until_us: Option<i64> = wait.fetch_one(conn).await?;
    match until_us {
        Some(until_us) if until_us > batch.now_us => Err(CommitError::HoldLimit(HoldLimit::Slot, until_us)),
        _ => Ok(()),
    }
}

/// Refuses more than the key's share of a day. One slot may always be held, however short the day is.
async fn check_share(conn: &mut SqliteConnection, batch: &Batch, hold: &VisitorHold) -> Result<(), CommitError> {
    let mut days: BTreeMap<(Uuid, i64), (i64, i64, i64)> = BTreeMap::new();
    for slot in &hold.slots {
        let day = days.entry((slot.location_id, slot.day_us)).or_insert((0, 0, slot.minutes_max));
        *day = (day.0 + slot.minutes, day.1 + 1, day.2.min(slot.minutes_max));
    }
    for ((location, day_us), (minutes, slots, minutes_max)) in days {
        let held = query_as(SUM_OF_DAY).bind(batch.organization_id).bind(&hold.caller).bind(location);
        let held = held.bind(day_us).bind(batch.now_us).fetch_one(&mut *conn).await?;
        let (held_minutes, held_slots, until_us): (i64, i64, Option<i64>) = held;
        if minutes + held_minutes > minutes_max && slots + held_slots > 1 {
            return Err(CommitError::HoldLimit(HoldLimit::Share, until_us.unwrap_or(hold.expires_at_us)));
        }
    }
    Ok(())
}

/// Forgets the slots of a hold that was booked.
pub(super) async fn delete(conn: &mut SqliteConnection, batch: &Batch, hold: Uuid) -> Result<(), CommitError> {
    query(DELETE_OF_HOLD).bind(batch.organization_id).bind(hold).execute(conn).await?;
    Ok(())
}

/// Ends the slots of a hold that was released.
pub(super) async fn end(conn: &mut SqliteConnection, batch: &Batch, hold: Uuid) -> Result<(), CommitError> {
    query(END_OF_HOLD).bind(batch.organization_id).bind(hold).bind(batch.now_us).execute(conn).await?;
    Ok(())
}
