// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// Single statements; what commits together is in `transactions.rs`.

use std::collections::HashSet;

use sql::Failure;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{
    super::{
        Address, Filter, History, UNKNOWN_US,
        rows::{AttemptRow, MessageRow, ReplayRow, RuleRow},
    },
    Db, Store,
};
use crate::rules::Rule;

const POSITION: &str = "SELECT position FROM feed_position WHERE id = 1";
const HISTORY: &str = "SELECT begun_at_us, place FROM history WHERE id = 1";
const BEGIN_HISTORY: &str = "INSERT INTO history (id, begun_at_us, place) VALUES (1, $1, '') \
     ON CONFLICT (id) DO NOTHING";
const FORGET_HISTORY: &str = "DELETE FROM history WHERE id = 1";
const FIRST_SEEN: &str = "SELECT first_seen_at_us FROM organizations WHERE organization_id = $1";
const RULE: &str = "SELECT id, version, body, created_at_us, updated_at_us, archived_at_us FROM rules \
     WHERE organization_id = $1 AND id = $2";
const RULES: &str = "SELECT id, version, body, created_at_us, updated_at_us, archived_at_us FROM rules \
     WHERE organization_id = $1 AND id > $2 AND (archived_at_us IS NULL OR $3) ORDER BY id LIMIT $4";
const REPLAY: &str = "SELECT fingerprint, response, revision FROM idempotency \
     WHERE organization_id = $1 AND caller = $2 AND route = $3 AND key = $4";
const MESSAGE: &str = "SELECT * FROM messages WHERE organization_id = $1 AND id = $2";
const NEXT_WAKE: &str = "SELECT (SELECT min(wake_at_us) FROM messages WHERE wake_at_us IS NOT NULL), \
     (SELECT min(wake_at_us) FROM messages WHERE status = 'sending')";
const PUT_OFF: &str = "UPDATE messages SET wake_at_us = $4 \
     WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status IN ('scheduled', 'unknown')";
const SERIES: &str = "SELECT b.starts_at_us, b.time_zone FROM appointments a JOIN appointments b \
     ON b.organization_id = a.organization_id AND b.patient_id = a.patient_id AND b.booked_at_us = a.booked_at_us \
     WHERE a.organization_id = $1 AND a.id = $2 AND a.plan_session_id IS NOT NULL AND b.plan_session_id IS NOT NULL \
     AND b.status IN ('pending', 'booked') AND b.starts_at_us > $3 ORDER BY b.starts_at_us, b.id LIMIT $4";
const SENT_SINCE: &str = "SELECT count(*) FROM messages m JOIN appointments a \
     ON a.organization_id = m.organization_id AND a.id = m.appointment_id WHERE m.organization_id = $1 \
     AND m.recipient = $2 AND m.sent_at_us >= $3 AND m.trigger <> 'reply' AND a.patient_id = \
     (SELECT patient_id FROM appointments WHERE organization_id = $1 AND id = $4)";
const SWEEP_KEYS: &str = "DELETE FROM idempotency WHERE created_at_us < $1";
const SWEEP_EVENTS: &str = "DELETE FROM provider_events WHERE received_at_us < $1";
const SWEEP_INBOUND: &str = "DELETE FROM inbound WHERE received_at_us < $1";
const SWEEP_PARTS: &str = "DELETE FROM arrived_parts WHERE arrived_at_us < $1";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 17] = [
    HISTORY,
    BEGIN_HISTORY,
    FORGET_HISTORY,
    FIRST_SEEN,
    SERIES,
    SENT_SINCE,
    POSITION,
    RULE,
    RULES,
    REPLAY,
    MESSAGE,
    NEXT_WAKE,
    PUT_OFF,
    SWEEP_KEYS,
    SWEEP_EVENTS,
    SWEEP_INBOUND,
    SWEEP_PARTS,
];

impl Store {
    pub(crate) async fn position(&self) -> Result<Option<String>, Failure> {
        Ok(sqlx::query_scalar(POSITION).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn history(&self) -> Result<Option<History>, Failure> {
        Ok(sqlx::query_as(HISTORY).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn begin_history(&self, now_us: i64) -> Result<(), Failure> {
        sqlx::query(BEGIN_HISTORY).bind(now_us).execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn forget_history(&self) -> Result<(), Failure> {
        sqlx::query(FORGET_HISTORY).execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn first_seen(&self, organization: Uuid) -> Result<Option<i64>, Failure> {
        Ok(sqlx::query_scalar(FIRST_SEEN).bind(organization).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn unseen(&self, visits: &[(Uuid, Uuid)]) -> Result<Vec<(Uuid, Uuid)>, Failure> {
        if visits.is_empty() {
            return Ok(vec![]);
        }
        let mut query = QueryBuilder::<Db>::new("SELECT organization_id, id FROM appointments WHERE ");
        these(&mut query, visits);
        let query = query.build_query_as().persistent(sql::is_kept(visits.len()));
        let seen: HashSet<(Uuid, Uuid)> = query.fetch_all(self.reader()).await?.into_iter().collect();
        Ok(visits.iter().filter(|visit| !seen.contains(visit)).copied().collect())
    }

    pub(crate) async fn rule(&self, organization: Uuid, id: Uuid) -> Result<Option<Rule>, Failure> {
        let row: Option<RuleRow> =
            sqlx::query_as(RULE).bind(organization).bind(id).fetch_optional(self.reader()).await?;
        Ok(row.map(RuleRow::read).transpose()?)
    }

    pub(crate) async fn rules(
        &self,
        organization: Uuid,
        archived: bool,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Rule>, Failure> {
        let query = sqlx::query_as(RULES).bind(organization).bind(after.unwrap_or(Uuid::nil())).bind(archived);
        let rows: Vec<RuleRow> = query.bind(limit).fetch_all(self.reader()).await?;
        Ok(rows.into_iter().map(RuleRow::read).collect::<Result<_, _>>()?)
    }

    pub(crate) async fn replay(
        &self,
        organization: Uuid,
        caller: &str,
        route: &str,
        key: &str,
    ) -> Result<Option<ReplayRow>, Failure> {
        let query = sqlx::query_as(REPLAY).bind(organization).bind(caller).bind(route).bind(key);
        Ok(query.fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn message(&self, organization: Uuid, id: Uuid) -> Result<Option<MessageRow>, Failure> {
        Ok(sqlx::query_as(MESSAGE).bind(organization).bind(id).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn messages(&self, organization: Uuid, filter: &Filter) -> Result<Vec<MessageRow>, Failure> {
        let mut query = QueryBuilder::<Db>::new("SELECT * FROM messages WHERE organization_id = ");
        query.push_bind(organization);
        if let Some(appointment) = filter.appointment {
            query.push(" AND appointment_id = ").push_bind(appointment);
        }
        if !filter.statuses.is_empty() {
            query.push(" AND status IN (");
            let mut list = query.separated(", ");
            for status in &filter.statuses {
                list.push_bind(status.clone());
            }
            query.push(")");
        }
        if let Some((due_at_us, id)) = filter.after {
            query.push(" AND (due_at_us, id) < (").push_bind(due_at_us).push(", ").push_bind(id).push(")");
        }
        query.push(" ORDER BY due_at_us DESC, id DESC LIMIT ").push_bind(filter.limit);
        Ok(query.build_query_as().fetch_all(self.reader()).await?)
    }

    pub(crate) async fn attempts(&self, organization: Uuid, messages: &[Uuid]) -> Result<Vec<AttemptRow>, Failure> {
        if messages.is_empty() {
            return Ok(vec![]);
        }
        let mut query = QueryBuilder::<Db>::new("SELECT * FROM attempts WHERE organization_id = ");
        query.push_bind(organization).push(" AND message_id IN (");
        let mut list = query.separated(", ");
        for message in messages {
            list.push_bind(*message);
        }
        query.push(") ORDER BY message_id, number");
        Ok(query.build_query_as().fetch_all(self.reader()).await?)
    }

    pub(crate) async fn next_wake(&self) -> Result<(Option<i64>, Option<i64>), Failure> {
        Ok(sqlx::query_as(NEXT_WAKE).fetch_one(self.reader()).await?)
    }

    pub(crate) async fn due(&self, now_us: i64, limit: i64, busy: &[Uuid]) -> Result<Vec<(Uuid, Uuid)>, Failure> {
        let mut query = QueryBuilder::<Db>::new("SELECT organization_id, id FROM messages WHERE ");
        query.push("status IN ('scheduled', 'unknown') AND wake_at_us <= ").push_bind(now_us);
        none_of(&mut query, busy);
        query.push(" ORDER BY starts_at_us, id LIMIT ").push_bind(limit);
        // Planned for this instant: for any instant a third of the table would be due, and all of it be read.
        Ok(query.build_query_as().persistent(false).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn settle_stale(&self, now_us: i64, busy: &[Uuid]) -> Result<Vec<(String, String)>, Failure> {
        let mut query = QueryBuilder::<Db>::new("UPDATE messages SET status = 'unknown', reason = 'no_answer', ");
        query.push("wake_at_us = CASE WHEN repeated THEN NULL ELSE ").push_bind(now_us + UNKNOWN_US);
        query.push(" END, updated_at_us = ").push_bind(now_us);
        query.push(" WHERE status = 'sending' AND wake_at_us <= ").push_bind(now_us);
        none_of(&mut query, busy);
        query.push(" RETURNING trigger, channel");
        Ok(query.build_query_as().persistent(sql::is_kept(busy.len())).fetch_all(self.writer()).await?)
    }

    pub(crate) async fn put_off(&self, message: &MessageRow, wake_at_us: i64) -> Result<bool, Failure> {
        let query = sqlx::query(PUT_OFF).bind(message.organization_id).bind(message.id).bind(message.fence);
        Ok(query.bind(wake_at_us).execute(self.writer()).await?.rows_affected() == 1)
    }

    pub(crate) async fn blocked(&self, addresses: &[Address]) -> Result<HashSet<Address>, Failure> {
        let mut query = QueryBuilder::<Db>::new("SELECT organization_id, channel, address_hash FROM blocked WHERE ");
        query.push("(organization_id, channel, address_hash) IN (").push_values(addresses, |mut row, one| {
            row.push_bind(one.organization).push_bind(&one.channel).push_bind(&one.hash);
        });
        query.push(")");
        let rows = query.build_query_as().persistent(sql::is_kept(addresses.len())).fetch_all(self.reader()).await?;
        Ok(rows.into_iter().map(|(organization, channel, hash)| Address { organization, channel, hash }).collect())
    }

    pub(crate) async fn series(
        &self,
        organization: Uuid,
        appointment: Uuid,
        after_us: i64,
        limit: i64,
    ) -> Result<Vec<(i64, String)>, Failure> {
        let query = sqlx::query_as(SERIES).bind(organization).bind(appointment).bind(after_us).bind(limit);
        Ok(query.fetch_all(self.reader()).await?)
    }

    pub(crate) async fn sent_since(&self, message: &MessageRow, to: &str, since_us: i64) -> Result<i64, Failure> {
        let query = sqlx::query_scalar(SENT_SINCE).bind(message.organization_id).bind(to).bind(since_us);
        Ok(query.bind(message.appointment_id).fetch_one(self.reader()).await?)
    }

    pub(crate) async fn sweep(
        &self,
        keys_before_us: i64,
        events_before_us: i64,
        inbound_before_us: i64,
    ) -> Result<(), Failure> {
        let sweeps = [
            (SWEEP_KEYS, keys_before_us),
            (SWEEP_EVENTS, events_before_us),
            (SWEEP_PARTS, events_before_us),
            (SWEEP_INBOUND, inbound_before_us),
        ];
        for (statement, before) in sweeps {
            sqlx::query(statement).bind(before).execute(self.writer()).await?;
        }
        Ok(())
    }
}

/// Leaves these messages out: this process is at them.
pub(super) fn none_of(query: &mut QueryBuilder<Db>, busy: &[Uuid]) {
    none_in(query, "id", busy);
}

/// Leaves out what has one of these ids in a column.
pub(super) fn none_in(query: &mut QueryBuilder<Db>, column: &'static str, ids: &[Uuid]) {
    if ids.is_empty() {
        return;
    }
    query.push(" AND ").push(column).push(" NOT IN (");
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    query.push(")");
}

/// Those of these, by organisation and id.
pub(super) fn these(query: &mut QueryBuilder<Db>, messages: &[(Uuid, Uuid)]) {
    query.push("(organization_id, id) IN (").push_values(messages, |mut row, one| {
        row.push_bind(one.0).push_bind(one.1);
    });
    query.push(")");
}
