//! SQLite: one writer, so a batch is applied step by step in one immediate transaction, and the sequence of the
//! feed is the order of commits.

mod claims;
mod groups;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "live.rs"]
pub(crate) mod live;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "patients.rs"]
pub(crate) mod patients;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "queries.rs"]
pub(crate) mod queries;
mod record;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "waitlist.rs"]
pub(crate) mod waitlist;
mod zone;
#[expect(clippy::duplicate_mod, reason = "one text, compiled once for each engine")]
#[path = "zones.rs"]
pub(crate) mod zones;

use sql::{Failure, SqlitePools, feed::Position};
use sqlx::{SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::{
    Committed, Each, Early, Tail,
    batch::{Batch, JoinGroup, LeaveGroup, PlanChange, ReasonChange, Refusal},
    rows::{AppointmentRow, ChangeRow, ClaimRow},
};

pub(crate) type Db = sqlx::Sqlite;

const EPOCH: &str = "SELECT value FROM epoch";
const LAST: &str = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes'";
const STORED: &str = "SELECT seq, version FROM changes WHERE seq > $1 ORDER BY seq";
const LIFE: &str = "SELECT value, floor_seq FROM epoch";
const FLOOR: &str = "UPDATE epoch SET floor_seq = max(floor_seq, (SELECT coalesce(max(seq), 0) FROM changes \
     WHERE changed_at_us < $1 AND seq < (SELECT min(seq) FROM changes) + $2))";
const SWEEP_CHANGES: &str = "DELETE FROM changes WHERE seq <= (SELECT floor_seq FROM epoch)";
const TAIL: &str = "SELECT seq, 0 AS xid, organization_id, version, changed_at_us, payload FROM changes \
     WHERE seq > $1 ORDER BY seq LIMIT $2";
const CHANGE: &str = "INSERT INTO changes (organization_id, version, changed_at_us, payload) VALUES ($1, $2, $3, $4)";

/// Booking's file.
#[derive(Clone)]
pub(crate) struct Store {
    pools: SqlitePools,
}

impl Store {
    pub(crate) fn new(pools: SqlitePools) -> Self {
        Self { pools }
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.pools.reader
    }

    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.pools.writer
    }

    pub(crate) async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        super::SCHEMA.migrate_sqlite(&self.pools).await
    }

    pub(crate) async fn commit(&self, batch: &Batch) -> Result<Committed, Refusal> {
        let mut tx = self.pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        let committed = apply(&mut tx, batch).await?;
        tx.commit().await?;
        Ok(committed)
    }

    pub(crate) async fn snapshot(&self, ends_after_us: i64, each: Each<'_>) -> Result<Position, Failure> {
        // A deferred transaction that only reads sees one state of the file throughout.
        let mut tx = self.pools.reader.begin().await?;
        let epoch = sqlx::query_scalar(EPOCH).fetch_one(&mut *tx).await?;
        let seq = sqlx::query_scalar(LAST).fetch_one(&mut *tx).await?;
        live::read(&mut tx, ends_after_us, each).await?;
        Ok(Position { epoch, xid: 0, seq })
    }

    /// A file does not tell that it was put back. Who restores an older one restores the other services' files with it;
    /// a follower that stands ahead of the file is told that its position is lost.
    #[expect(clippy::unused_async, reason = "the other engine asks its server")]
    pub(crate) async fn notice_new_life(&self) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Forgets the oldest changes, and tells how many.
    pub(crate) async fn sweep_changes(&self, before_us: i64, limit: i64) -> Result<u64, Failure> {
        let mut tx = self.pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(FLOOR).bind(before_us).bind(limit).execute(&mut *tx).await?;
        let gone = sqlx::query(SWEEP_CHANGES).execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        Ok(gone)
    }

    pub(crate) async fn keep_proposals(
        &self,
        organization: Uuid,
        plan: Uuid,
        proposals: &[(Uuid, String)],
        expires_at_us: i64,
    ) -> Result<(), Failure> {
        let mut tx = self.pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        for (id, sessions) in proposals {
            let keep = sqlx::query("INSERT INTO proposals VALUES ($1, $2, $3, $4, $5)").bind(organization).bind(id);
            keep.bind(plan).bind(sessions).bind(expires_at_us).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    pub(crate) async fn end(&self) -> Result<Position, Failure> {
        let mut tx = self.pools.reader.begin().await?;
        let epoch = sqlx::query_scalar(EPOCH).fetch_one(&mut *tx).await?;
        let seq = sqlx::query_scalar(LAST).fetch_one(&mut *tx).await?;
        Ok(Position { epoch, xid: 0, seq })
    }

    pub(crate) async fn tail(&self, after: Position, _early: &Early, limit: i64) -> Result<Tail, Failure> {
        let mut tx = self.pools.reader.begin().await?;
        let (epoch, floor): (i64, i64) = sqlx::query_as(LIFE).fetch_one(&mut *tx).await?;
        let last: i64 = sqlx::query_scalar(LAST).fetch_one(&mut *tx).await?;
        if after.epoch != epoch || after.seq > last || after.seq < floor {
            return Ok(Tail::lost());
        }
        let changes: Vec<ChangeRow> = sqlx::query_as(TAIL).bind(after.seq).bind(limit).fetch_all(&mut *tx).await?;
        let seq = changes.last().map_or(after.seq, |change| change.seq);
        Ok(Tail { changes, position: Some(Position { epoch, xid: 0, seq }), seen: None })
    }
}

async fn apply(tx: &mut SqliteConnection, batch: &Batch) -> Result<Committed, Refusal> {
    let org = batch.organization_id;
    let before: i64 = sqlx::query_scalar(LAST).fetch_one(&mut *tx).await?;
    zone::check(tx, batch).await?;
    remember(tx, batch).await?;
    if let Some(hold) = batch.consume_hold {
        let statement = "DELETE FROM holds WHERE organization_id = $1 AND id = $2 AND expires_at_us > $3";
        let done = sqlx::query(statement).bind(org).bind(hold).bind(batch.now_us).execute(&mut *tx).await?;
        if done.rows_affected() == 0 {
            return Err(Refusal::HoldGone);
        }
    }
    drop_holds(tx, batch).await?;
    record::add_patients(tx, batch).await?;
    record::change_patients(tx, batch).await?;
    for appointment in &batch.appointments {
        write_appointment(tx, org, appointment).await?;
    }
    if let Some(reason) = &batch.reason_code {
        write_reason(tx, batch, reason).await?;
    }
    zone::all_have_it(tx, batch).await?;
    for plan in &batch.plans {
        write_plan(tx, batch, plan).await?;
    }
    for owner in &batch.release {
        release(tx, org, *owner).await?;
    }
    let mut wanted = batch.claims.clone();
    wanted.extend(groups::move_all(tx, batch).await?);
    if let Some(leave) = &batch.leave_group {
        leave_group(tx, batch, leave).await?;
    }
    if let Some(join) = &batch.join_group {
        wanted.extend(join_group(tx, batch, join).await?);
    }
    claims::lay(tx, batch, wanted).await?;
    claims::keep_places(tx, batch).await?;
    claims::keep_limits(tx, batch).await?;
    write_rest(tx, batch).await?;
    let epoch = sqlx::query_scalar(EPOCH).fetch_one(&mut *tx).await?;
    // Nobody else writes meanwhile: what is new is the batch's.
    let stored: Vec<(i64, i64)> = sqlx::query_as(STORED).bind(before).fetch_all(&mut *tx).await?;
    let position = Position { epoch, xid: 0, seq: stored.last().map_or(before, |(seq, _)| *seq) };
    if let Some(key) = &batch.idempotency {
        let statement = "UPDATE idempotency SET revision = $1 WHERE organization_id = $2 AND caller = $3 \
             AND route = $4 AND key = $5";
        let query = sqlx::query(statement).bind(position.to_string()).bind(org).bind(&key.caller);
        query.bind(&key.route).bind(&key.key).execute(&mut *tx).await?;
    }
    Ok(Committed { position, changes: batch.told(position.xid, &stored), at_us: 0 })
}

async fn remember(tx: &mut SqliteConnection, batch: &Batch) -> Result<(), Refusal> {
    let Some(key) = &batch.idempotency else { return Ok(()) };
    let done = sqlx::query("INSERT INTO idempotency VALUES ($1, $2, $3, $4, $5, $6, '', $7) ON CONFLICT DO NOTHING")
        .bind(batch.organization_id)
        .bind(&key.caller)
        .bind(&key.route)
        .bind(&key.key)
        .bind(&key.fingerprint)
        .bind(&key.response.0)
        .bind(batch.now_us)
        .execute(tx)
        .await?;
    if done.rows_affected() == 0 { Err(Refusal::Replay) } else { Ok(()) }
}

async fn drop_holds(tx: &mut SqliteConnection, batch: &Batch) -> Result<(), Refusal> {
    for hold in &batch.drop_holds {
        let query = sqlx::query("DELETE FROM holds WHERE organization_id = $1 AND id = $2");
        if query.bind(batch.organization_id).bind(hold).execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(Refusal::HoldGone);
        }
    }
    Ok(())
}

async fn write_plan(tx: &mut SqliteConnection, batch: &Batch, plan: &PlanChange) -> Result<(), Refusal> {
    let statement = "INSERT INTO plans VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9) \
         ON CONFLICT (organization_id, id) DO UPDATE SET version = excluded.version, status = excluded.status, \
         document = excluded.document, updated_at_us = excluded.updated_at_us, risk_at_us = excluded.risk_at_us, \
         at_risk = excluded.at_risk WHERE plans.version = excluded.version - 1";
    let query = sqlx::query(statement).bind(batch.organization_id).bind(plan.id).bind(plan.version);
    let query = query.bind(plan.patient_id).bind(&plan.status).bind(&plan.document).bind(batch.now_us);
    let query = query.bind(plan.risk_at_us).bind(plan.at_risk);
    if query.execute(&mut *tx).await?.rows_affected() == 0 {
        return Err(Refusal::Stale);
    }
    for session in &plan.sessions {
        let query = sqlx::query("INSERT INTO plan_sessions VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
        query.bind(batch.organization_id).bind(session).bind(plan.id).execute(&mut *tx).await?;
    }
    if let Some(entries) = &plan.entries {
        let query = sqlx::query("INSERT INTO plan_entries VALUES ($1, $2, $3, $4)").bind(batch.organization_id);
        query.bind(plan.id).bind(plan.version).bind(entries).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn write_appointment(tx: &mut SqliteConnection, org: Uuid, row: &AppointmentRow) -> Result<(), Refusal> {
    let statement = "INSERT INTO appointments VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
         $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27) \
         ON CONFLICT (organization_id, id) DO UPDATE SET version = excluded.version, status = excluded.status, \
         practitioner_id = excluded.practitioner_id, location_id = excluded.location_id, \
         room_id = excluded.room_id, group_id = excluded.group_id, starts_at_us = excluded.starts_at_us, \
         ends_at_us = excluded.ends_at_us, time_zone = excluded.time_zone, starts_local = excluded.starts_local, \
         displaced = excluded.displaced, confirmed_at_us = excluded.confirmed_at_us, \
         cancel_reason_code = excluded.cancel_reason_code, cancel_reason = excluded.cancel_reason, \
         cancel_by = excluded.cancel_by, cancel_late = excluded.cancel_late, \
         rescheduled_late = excluded.rescheduled_late, note = excluded.note, \
         previous_starts_at_us = excluded.previous_starts_at_us, link_generation = excluded.link_generation, \
         updated_at_us = excluded.updated_at_us WHERE appointments.version = excluded.version - 1";
    let done = sqlx::query(statement)
        .bind(org)
        .bind(row.id)
        .bind(row.version)
        .bind(&row.status)
        .bind(row.service_id)
        .bind(row.practitioner_id)
        .bind(row.location_id)
        .bind(row.room_id)
        .bind(row.group_id)
        .bind(row.starts_at_us)
        .bind(row.ends_at_us)
        .bind(&row.time_zone)
        .bind(&row.starts_local)
        .bind(row.patient_id)
        .bind(row.plan_session_id)
        .bind(row.displaced)
        .bind(row.confirmed_at_us)
        .bind(&row.cancel_reason_code)
        .bind(&row.cancel_reason)
        .bind(&row.cancel_by)
        .bind(row.cancel_late)
        .bind(row.rescheduled_late)
        .bind(&row.note)
        .bind(row.previous_starts_at_us)
        .bind(row.link_generation)
        .bind(row.created_at_us)
        .bind(row.updated_at_us)
        .execute(tx)
        .await?;
    if done.rows_affected() == 0 { Err(Refusal::Stale) } else { Ok(()) }
}

async fn write_reason(tx: &mut SqliteConnection, batch: &Batch, reason: &ReasonChange) -> Result<(), Refusal> {
    let statement = "INSERT INTO reason_codes VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (organization_id, code) DO UPDATE SET version = excluded.version, meaning = excluded.meaning, \
         archived = excluded.archived, updated_at_us = excluded.updated_at_us \
         WHERE reason_codes.version = excluded.version - 1";
    let query = sqlx::query(statement).bind(batch.organization_id).bind(&reason.code).bind(reason.version);
    let query = query.bind(&reason.meaning).bind(reason.archived).bind(reason.created_at_us).bind(batch.now_us);
    if query.execute(tx).await?.rows_affected() == 0 { Err(Refusal::Stale) } else { Ok(()) }
}

async fn release(tx: &mut SqliteConnection, org: Uuid, owner: Uuid) -> Result<(), Refusal> {
    let statement = "DELETE FROM claims WHERE organization_id = $1 AND owner = $2";
    sqlx::query(statement).bind(org).bind(owner).execute(tx).await?;
    Ok(())
}

async fn leave_group(tx: &mut SqliteConnection, batch: &Batch, leave: &LeaveGroup) -> Result<(), Refusal> {
    let org = batch.organization_id;
    let members: i64 =
        sqlx::query_scalar("SELECT count(*) FROM claims WHERE organization_id = $1 AND kind = 6 AND resource = $2")
            .bind(org)
            .bind(leave.id)
            .fetch_one(&mut *tx)
            .await?;
    if members > 0 {
        return Ok(());
    }
    let statement = "UPDATE groups SET version = version + 1, live = false WHERE organization_id = $1 AND id = $2 \
         AND live RETURNING version";
    let freed: Option<i64> = sqlx::query_scalar(statement).bind(org).bind(leave.id).fetch_optional(&mut *tx).await?;
    if let Some(version) = freed {
        release(tx, org, leave.id).await?;
        let query = sqlx::query(CHANGE).bind(org).bind(version).bind(batch.now_us).bind(&leave.freed.0);
        query.execute(tx).await?;
    }
    Ok(())
}

/// Answers the claims that making the group lays; none where it is there.
async fn join_group(tx: &mut SqliteConnection, batch: &Batch, join: &JoinGroup) -> Result<Vec<ClaimRow>, Refusal> {
    let (org, row) = (batch.organization_id, &join.row);
    let statement = "SELECT ends_at_us FROM groups WHERE organization_id = $1 AND id = $2 AND live";
    let ends_at_us: Option<i64> = sqlx::query_scalar(statement).bind(org).bind(row.id).fetch_optional(&mut *tx).await?;
    if ends_at_us.is_some() != join.exists || ends_at_us.is_some_and(|ends_at_us| ends_at_us != row.ends_at_us) {
        return Err(Refusal::GroupChanged);
    }
    if join.exists {
        return Ok(vec![]);
    }
    let statement = "INSERT INTO groups VALUES ($1, $2, 1, true, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (organization_id, id) DO UPDATE SET version = version + 1, live = true, \
         room_id = excluded.room_id, ends_at_us = excluded.ends_at_us, capacity = excluded.capacity RETURNING version";
    let version: i64 = sqlx::query_scalar(statement)
        .bind(org)
        .bind(row.id)
        .bind(row.service_id)
        .bind(row.practitioner_id)
        .bind(row.location_id)
        .bind(row.room_id)
        .bind(row.starts_at_us)
        .bind(row.ends_at_us)
        .bind(row.capacity)
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query(CHANGE).bind(org).bind(version).bind(batch.now_us).bind(&join.made.0).execute(tx).await?;
    Ok(join.claims.clone())
}

async fn write_rest(tx: &mut SqliteConnection, batch: &Batch) -> Result<(), Refusal> {
    let org = batch.organization_id;
    for hold in &batch.holds {
        let query = sqlx::query("INSERT INTO holds VALUES ($1, $2, $3, $4)").bind(org).bind(hold.id);
        query.bind(hold.expires_at_us).bind(&hold.slots).execute(&mut *tx).await?;
    }
    for link in &batch.links {
        let query = sqlx::query("DELETE FROM manage_links WHERE organization_id = $1 AND appointment_id = $2");
        query.bind(org).bind(link.appointment_id).execute(&mut *tx).await?;
        let query = sqlx::query("INSERT INTO manage_links VALUES ($1, $2, $3, $4)").bind(&link.token_hash.0);
        query.bind(org).bind(link.appointment_id).bind(link.expires_at_us).execute(&mut *tx).await?;
    }
    for change in &batch.changes {
        let query = sqlx::query(CHANGE).bind(org).bind(change.version).bind(batch.now_us).bind(&change.payload.0);
        query.execute(&mut *tx).await?;
    }
    Ok(())
}
