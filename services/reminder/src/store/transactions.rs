// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What commits together when something is planned; what does when something is sent is in `sends.rs`. Locks are taken in
// one order: position, organisation, appointment, message, webhook endpoint, delivery.

use std::collections::BTreeMap;

use runtime::Ids;
use sql::Failure;
use sqlx::{Transaction, query, query_as, query_scalar};
use uuid::Uuid;

use super::{
    super::{
        Applied, Batch, Progress, Refusal, Remember, RuleWrite, Step,
        rows::{AppointmentRow, PendingRow, RuleRow},
    },
    Db, Store,
    deliveries::queue_events,
    writes::Writes,
};
use crate::{
    planning::{self, Again, Appointment, Change, Event, Known, Offered, Revive, Series},
    rules::{self, Rule},
};

const FIRST_POSITION: &str = "INSERT INTO feed_position VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
const MOVE_POSITION: &str = "UPDATE feed_position SET position = $2, stored_at_us = $3 WHERE id = 1 AND position = $1";
const READ_ON: &str = "UPDATE history SET place = $1 WHERE id = 1";
const SEE: &str = "INSERT INTO organizations VALUES ($1, $2, 1) \
     ON CONFLICT (organization_id) DO UPDATE SET writes = organizations.writes + 1 RETURNING writes";
const NEW_RULE: &str = "INSERT INTO rules VALUES ($1, $2, $3, $4, $5, $6, $7)";
const CHANGE_RULE: &str = "UPDATE rules SET version = $3, body = $4, updated_at_us = $5, archived_at_us = $6 \
     WHERE organization_id = $1 AND id = $2 AND version = $3 - 1";
const RULES_IN_USE: &str = "SELECT id, version, body, created_at_us, updated_at_us, archived_at_us FROM rules \
     WHERE organization_id = $1 AND archived_at_us IS NULL ORDER BY id";
const APPOINTMENTS_AHEAD: &str = "SELECT * FROM appointments WHERE organization_id = $1 \
     AND (starts_at_us, id) > ($2, $3) AND status IN ('pending', 'booked') ORDER BY starts_at_us, id LIMIT $4";
/// Another visit that was booked in the same moment for the same patient, and is known already.
const TOLD_TOGETHER: &str = "SELECT count(*) FROM appointments WHERE organization_id = $1 AND patient_id = $2 \
     AND booked_at_us = $3 AND id <> $4 AND plan_session_id IS NOT NULL";
const UNTOLD: &str = "SELECT count(*) FROM messages WHERE organization_id = $1 AND appointment_id = $2 \
     AND trigger = 'booked' AND status = 'scheduled'";
const NEXT_OF_SERIES: &str = "SELECT * FROM appointments WHERE organization_id = $1 AND patient_id = $2 \
     AND booked_at_us = $3 AND id <> $4 AND plan_session_id IS NOT NULL AND status IN ('pending', 'booked') \
     AND starts_at_us > $5 ORDER BY starts_at_us, id LIMIT 1";
const SUPPRESS: &str = "UPDATE messages SET status = 'suppressed', reason = $3, wake_at_us = NULL, fence = fence + 1, \
     updated_at_us = $4 WHERE organization_id = $1 AND appointment_id = $2 AND status = 'scheduled' \
     AND trigger <> 'reply'";
/// Only the last that each rule planned about this visit, and none where one of them has left. A series may have told of
/// its booking through another visit meanwhile.
const REVIVE: &str = "UPDATE messages SET status = 'scheduled', reason = '', due_at_us = $6, wake_at_us = $6, tries = 0, \
     next_way = '', provider_rank = 0, fence = fence + 1, updated_at_us = $7 \
     WHERE organization_id = $1 AND appointment_id = $2 AND starts_at_us = $3 AND location_id = $4 \
     AND due_at_us <= $5 AND starts_at_us > $6 AND status = 'suppressed' AND reason = 'superseded' \
     AND (trigger = 'before_start' OR (trigger = 'booked' AND $8)) AND rule_id IN \
     (SELECT id FROM rules WHERE organization_id = $1 AND archived_at_us IS NULL) AND NOT EXISTS (SELECT 1 \
     FROM messages other WHERE other.organization_id = messages.organization_id AND other.id <> messages.id \
     AND other.appointment_id = messages.appointment_id AND other.rule_id = messages.rule_id \
     AND other.channel = messages.channel AND other.starts_at_us = messages.starts_at_us \
     AND other.location_id = messages.location_id AND (other.status <> 'suppressed' \
     OR other.appointment_version > messages.appointment_version))";
const PENDING: &str = "SELECT m.id, m.trigger, m.channel, m.base_at_us, m.due_at_us, a.service_id, m.starts_at_us, \
     m.time_zone, m.instead_of FROM messages m JOIN appointments a \
     ON a.organization_id = m.organization_id AND a.id = m.appointment_id \
     WHERE m.organization_id = $1 AND m.rule_id = $2 AND m.id > $3 AND m.status = 'scheduled' \
     AND m.wake_at_us IS NOT NULL AND m.trigger <> 'reply' ORDER BY m.id LIMIT $4";
const MOVE_MESSAGE: &str = "UPDATE messages SET due_at_us = $3, wake_at_us = $3, fence = fence + 1, updated_at_us = $4 \
     WHERE organization_id = $1 AND id = $2 AND status = 'scheduled'";
const SUPPRESS_MESSAGE: &str = "UPDATE messages SET status = 'suppressed', reason = $3, wake_at_us = NULL, \
     fence = fence + 1, updated_at_us = $4 WHERE organization_id = $1 AND id = $2 AND status = 'scheduled'";
const REMEMBER: &str = "INSERT INTO idempotency VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const PAGE: i64 = 500;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 17] = [
    READ_ON,
    REVIVE,
    TOLD_TOGETHER,
    UNTOLD,
    NEXT_OF_SERIES,
    FIRST_POSITION,
    MOVE_POSITION,
    SEE,
    NEW_RULE,
    CHANGE_RULE,
    RULES_IN_USE,
    APPOINTMENTS_AHEAD,
    SUPPRESS,
    PENDING,
    MOVE_MESSAGE,
    SUPPRESS_MESSAGE,
    REMEMBER,
];

pub(super) type Tx = Transaction<'static, Db>;

impl Store {
    pub(crate) async fn apply(&self, batch: &Batch<'_>) -> Result<Applied, Failure> {
        let mut tx = self.begin().await?;
        match batch.step {
            Progress::Feed(step) if !move_position(&mut tx, step, batch.now_us).await? => {
                return Ok(Applied::Elsewhere);
            }
            Progress::Feed(_) => {}
            Progress::History(place) => {
                query(READ_ON).bind(place).execute(&mut *tx).await?;
            }
        }
        // The organisations in order: two writers that lock the same ones never wait for each other in a ring.
        let mut rules = BTreeMap::<Uuid, Vec<Rule>>::new();
        let changed = batch.changes.iter().map(|change| change.organization);
        let of_offers = batch.offers.iter().map(|offer| offer.organization);
        for organization in changed.chain(batch.risks.iter().map(|risk| risk.organization)).chain(of_offers) {
            rules.entry(organization).or_default();
        }
        for (organization, rules) in &mut rules {
            see(&mut tx, *organization, batch.now_us, batch.ids).await?;
            let rows: Vec<RuleRow> = query_as(RULES_IN_USE).bind(*organization).fetch_all(&mut *tx).await?;
            *rules = rows.into_iter().map(RuleRow::read).collect::<Result<_, _>>()?;
        }
        let mut writes = Writes::new(batch.now_us, batch.ids);
        let known = batch.changes.iter().map(|change| (change.organization, change.appointment.id));
        let at_risk = batch.risks.iter().map(|risk| (risk.organization, risk.visit));
        writes.read(&mut tx, &known.chain(at_risk).collect::<Vec<_>>()).await?;
        for change in batch.changes {
            let rules = rules.get(&change.organization).map(Vec::as_slice).unwrap_or_default();
            follow(&mut tx, change, rules, batch, &mut writes).await?;
        }
        for risk in batch.risks {
            // A visit that was never seen here leads to nobody.
            let known = writes.known(risk.organization, risk.visit).map(|known| known.appointment.clone());
            let Some(known) = known else { continue };
            let rules = rules.get(&risk.organization).map(Vec::as_slice).unwrap_or_default();
            writes.plan(risk.organization, &known, planning::recall(rules, risk, &known.zone()));
        }
        for offer in batch.offers {
            let rules = rules.get(&offer.organization).map(Vec::as_slice).unwrap_or_default();
            offered(&mut tx, offer, rules, &mut writes).await?;
        }
        writes.flush(&mut tx).await?;
        queue_events(&mut tx, batch.events, batch.now_us, batch.ids).await?;
        tx.commit().await?;
        Ok(Applied::Here { planned: writes.planned })
    }

    pub(crate) async fn welcome(&self, organization: Uuid, now_us: i64, ids: &Ids) -> Result<(), Failure> {
        let mut tx = self.begin().await?;
        see(&mut tx, organization, now_us, ids).await?;
        Ok(tx.commit().await?)
    }

    pub(crate) async fn write_rule(&self, write: &RuleWrite<'_>) -> Result<u64, Refusal> {
        let (organization, rule) = (write.organization, write.rule);
        let mut tx = self.begin().await?;
        see(&mut tx, organization, write.now_us, write.ids).await?;
        if rule.version == 1 {
            new_rule(&mut tx, organization, rule).await?;
        } else {
            let change = query(CHANGE_RULE).bind(organization).bind(rule.id).bind(rule.version).bind(body(rule)?);
            let change = change.bind(rule.updated_at_us).bind(rule.archived_at_us);
            if change.execute(&mut *tx).await?.rows_affected() == 0 {
                return Err(Refusal::Stale);
            }
            again(&mut tx, write).await?;
        }
        let planned = newly(&mut tx, write).await?;
        remember(&mut tx, organization, write.now_us, write.remember.as_ref()).await?;
        tx.commit().await?;
        Ok(planned)
    }
}

/// Does what a change of an appointment asks for.
async fn follow(
    tx: &mut Tx,
    change: &Change,
    rules: &[Rule],
    batch: &Batch<'_>,
    writes: &mut Writes<'_>,
) -> Result<(), sqlx::Error> {
    let (organization, id) = (change.organization, change.appointment.id);
    let series = series(tx, change, writes).await?;
    let known = writes.known(organization, id);
    let Some(plan) = planning::plan(rules, known, change, batch.now_us, batch.settle_us, series) else { return Ok(()) };
    writes.save(organization, plan.known.clone());
    if plan.suppress.is_some() || plan.revive.is_some() {
        writes.flush(tx).await?;
    }
    if let Some(reason) = plan.suppress {
        hand_on(tx, organization, &plan.known, rules, writes).await?;
        let suppress = query(SUPPRESS).bind(organization).bind(id).bind(reason).bind(batch.now_us);
        suppress.execute(&mut **tx).await?;
    }
    if let Some(again) = plan.revive {
        writes.planned += revive(tx, organization, &change.appointment, again, batch.now_us).await?;
    }
    writes.plan(organization, &change.appointment, plan.add);
    Ok(())
}

/// Whether another visit of the same series is told of already.
async fn series(tx: &mut Tx, change: &Change, writes: &mut Writes<'_>) -> Result<Series, sqlx::Error> {
    let visit = &change.appointment;
    if change.event != Event::Booked || visit.plan_session.is_none() {
        return Ok(Series::First);
    }
    writes.flush(tx).await?;
    let together = query_scalar(TOLD_TOGETHER).bind(change.organization).bind(visit.patient);
    let together: i64 = together.bind(change.changed_at_us).bind(visit.id).fetch_one(&mut **tx).await?;
    Ok(if together > 0 { Series::Told } else { Series::First })
}

/// Where a visit falls away that was to tell of its series, the next one of the series tells.
async fn hand_on(
    tx: &mut Tx,
    organization: Uuid,
    known: &Known,
    rules: &[Rule],
    writes: &mut Writes<'_>,
) -> Result<(), sqlx::Error> {
    let visit = &known.appointment;
    let (Some(booked_at_us), Some(_)) = (known.booked_at_us, visit.plan_session) else { return Ok(()) };
    let untold: i64 = query_scalar(UNTOLD).bind(organization).bind(visit.id).fetch_one(&mut **tx).await?;
    if untold == 0 {
        return Ok(());
    }
    let next = query_as(NEXT_OF_SERIES).bind(organization).bind(visit.patient).bind(booked_at_us).bind(visit.id);
    let next: Option<AppointmentRow> = next.bind(writes.now_us).fetch_optional(&mut **tx).await?;
    if let Some(next) = next.map(AppointmentRow::read).transpose()? {
        writes.plan(organization, &next.appointment, planning::handed_on(rules, &next, writes.now_us));
    }
    Ok(())
}

/// Plans what an offer brings, and takes back what has not left when it ends.
async fn offered(tx: &mut Tx, offer: &Offered, rules: &[Rule], writes: &mut Writes<'_>) -> Result<(), sqlx::Error> {
    let (organization, visit) = (offer.organization, &offer.visit);
    let known = Known { appointment: visit.clone(), visit_version: 1, booked_at_us: None, told: visit.arrangement() };
    writes.save(organization, known);
    if !offer.open {
        writes.flush(tx).await?;
        let suppress = query(SUPPRESS).bind(organization).bind(visit.id).bind("superseded").bind(writes.now_us);
        suppress.execute(&mut **tx).await?;
    }
    writes.plan(organization, visit, planning::offered(rules, offer));
    Ok(())
}

async fn move_position(tx: &mut Tx, step: Step<'_>, now_us: i64) -> Result<bool, sqlx::Error> {
    let moved = match step.from {
        Some(from) => query(MOVE_POSITION).bind(from).bind(step.to).bind(now_us).execute(&mut **tx).await?,
        None => query(FIRST_POSITION).bind(step.to).bind(now_us).execute(&mut **tx).await?,
    };
    Ok(moved.rows_affected() == 1)
}

/// Locks an organisation, and gives it the default rules where it is new.
pub(super) async fn see(tx: &mut Tx, organization: Uuid, now_us: i64, ids: &Ids) -> Result<(), sqlx::Error> {
    let writes: i64 = query_scalar(SEE).bind(organization).bind(now_us).fetch_one(&mut **tx).await?;
    if writes == 1 {
        let now = jiff::Timestamp::from_microsecond(now_us).unwrap_or_default();
        for body in rules::defaults() {
            new_rule(tx, organization, &Rule::new(ids.uuid(now), body, now_us)).await?;
        }
    }
    Ok(())
}

async fn new_rule(tx: &mut Tx, organization: Uuid, rule: &Rule) -> Result<(), sqlx::Error> {
    let insert = query(NEW_RULE).bind(organization).bind(rule.id).bind(rule.version).bind(body(rule)?);
    let insert = insert.bind(rule.created_at_us).bind(rule.updated_at_us).bind(rule.archived_at_us);
    insert.execute(&mut **tx).await?;
    Ok(())
}

fn body(rule: &Rule) -> Result<String, sqlx::Error> {
    serde_json::to_string(&rule.body).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// Plans again what was taken back while a visit was elsewhere.
async fn revive(
    tx: &mut Tx,
    organization: Uuid,
    appointment: &Appointment,
    again: Revive,
    now_us: i64,
) -> Result<u64, sqlx::Error> {
    let visit = appointment.visit;
    let revive = query(REVIVE).bind(organization).bind(appointment.id).bind(visit.starts_at_us).bind(visit.location);
    let revive =
        revive.bind(again.until_us).bind(again.due_at_us).bind(now_us).bind(appointment.plan_session.is_none());
    Ok(revive.execute(&mut **tx).await?.rows_affected())
}

/// Does to a rule's planned messages what its change asks for.
async fn again(tx: &mut Tx, write: &RuleWrite<'_>) -> Result<(), sqlx::Error> {
    let mut after = Uuid::nil();
    loop {
        let page = query_as(PENDING).bind(write.organization).bind(write.rule.id).bind(after).bind(PAGE);
        let rows: Vec<PendingRow> = page.fetch_all(&mut **tx).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        for row in rows {
            let id = row.id;
            let update = match planning::again(write.rule, &row.read()?, write.now_us) {
                Again::Keep => continue,
                Again::Due(due_at_us) => query(MOVE_MESSAGE).bind(write.organization).bind(id).bind(due_at_us),
                Again::Suppress(reason) => query(SUPPRESS_MESSAGE).bind(write.organization).bind(id).bind(reason),
            };
            update.bind(write.now_us).execute(&mut **tx).await?;
        }
    }
}

/// Plans what a new or changed rule asks for of the visits ahead.
async fn newly(tx: &mut Tx, write: &RuleWrite<'_>) -> Result<u64, sqlx::Error> {
    let mut after = (write.now_us, Uuid::max());
    let mut writes = Writes::new(write.now_us, write.ids);
    loop {
        let page = query_as(APPOINTMENTS_AHEAD).bind(write.organization).bind(after.0).bind(after.1).bind(PAGE);
        let rows: Vec<AppointmentRow> = page.fetch_all(&mut **tx).await?;
        let Some(last) = rows.last() else { return Ok(writes.planned) };
        after = (last.starts_at_us, last.id);
        for row in rows {
            let known = row.read()?;
            writes.plan(write.organization, &known.appointment, planning::newly(write.rule, &known, write.now_us));
        }
        writes.flush(tx).await?;
    }
}

pub(super) async fn remember(
    tx: &mut Tx,
    organization: Uuid,
    now_us: i64,
    kept: Option<&Remember>,
) -> Result<(), Refusal> {
    let Some(kept) = kept else { return Ok(()) };
    let insert = query(REMEMBER).bind(organization).bind(&kept.caller).bind(kept.route).bind(&kept.key);
    let insert = insert.bind(&kept.fingerprint).bind(&kept.response).bind(&kept.revision).bind(now_us);
    match insert.execute(&mut **tx).await.map_err(Failure::from) {
        Err(Failure::Duplicate(_)) => Err(Refusal::Replay),
        Err(other) => Err(other.into()),
        Ok(_) => Ok(()),
    }
}
