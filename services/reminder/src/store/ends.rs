// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What commits together when a message ends without reaching its patient: its end, and the one that stands in for it.

use std::collections::HashSet;

use sql::Failure;
use sqlx::query;
use uuid::Uuid;

use super::{
    super::{
        End,
        rows::{EndedRow, MessageRow},
    },
    Store,
    sends::given,
    transactions::Tx,
};
use crate::planning;

const FINISH: &str = " UPDATE messages SET status = g_status, reason = g_reason, wake_at_us = NULL, updated_at_us = g_now \
     FROM given WHERE organization_id = g_organization AND id = g_id AND fence = g_fence \
     AND status IN ('scheduled', 'unknown') RETURNING id";
const ENDED: &str = " SELECT m.id, m.trigger, m.channel, r.body FROM given JOIN messages m \
     ON m.organization_id = g_organization AND m.id = g_id \
     JOIN rules r ON r.organization_id = m.organization_id AND r.id = m.rule_id WHERE r.archived_at_us IS NULL";
// Once for each version: its key says so. What the rule took back before it left, it may plan again.
const STAND_IN: &str = "INSERT INTO messages (organization_id, id, appointment_id, appointment_version, rule_id, trigger, \
     channel, status, reason, base_at_us, due_at_us, wake_at_us, starts_at_us, location_id, time_zone, created_at_us, \
     updated_at_us, instead_of, changed) SELECT organization_id, $3, appointment_id, appointment_version, rule_id, trigger, \
     $4, 'scheduled', '', base_at_us, $5, $5, starts_at_us, location_id, time_zone, $5, $5, id, changed FROM messages \
     WHERE organization_id = $1 AND id = $2 \
     ON CONFLICT (organization_id, appointment_id, appointment_version, rule_id, channel) DO UPDATE SET \
     status = 'scheduled', reason = '', due_at_us = excluded.due_at_us, wake_at_us = excluded.wake_at_us, \
     tries = 0, next_way = '', provider_rank = 0, fence = messages.fence + 1, updated_at_us = excluded.updated_at_us, \
     instead_of = excluded.instead_of \
     WHERE messages.status = 'suppressed' AND messages.reason IN ('rule_changed', 'rule_archived')";

/// The one that does not grow with its rows, for the test that prepares such on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 1] = [STAND_IN];

impl Store {
    pub(crate) async fn finish(&self, ends: &[End]) -> Result<Vec<bool>, Failure> {
        let mut tx = self.begin().await?;
        let columns = ["organization", "id", "fence", "status", "reason", "now"];
        let mut query = given(&columns, ends, |mut row, one| {
            row.push_bind(one.message.organization_id).push_bind(one.message.id).push_bind(one.message.fence);
            row.push_bind(one.status).push_bind(one.reason).push_bind(one.now_us);
        });
        query.push(FINISH);
        let finished: Vec<Uuid> =
            query.build_query_scalar().persistent(sql::is_kept(ends.len())).fetch_all(&mut *tx).await?;
        let finished: HashSet<_> = finished.into_iter().collect();
        let ended = ends.iter().filter(|one| finished.contains(&one.message.id));
        let ended = ended.map(|one| Ended::of(&one.message, (one.status, one.reason), one.stand_in, one.now_us));
        replace(&mut tx, ended).await?;
        tx.commit().await?;
        Ok(ends.iter().map(|one| finished.contains(&one.message.id)).collect())
    }
}

/// A message that has ended.
pub(super) struct Ended<'a> {
    /// Its organisation and id.
    pub(super) message: (Uuid, Uuid),
    /// Its status and reason.
    pub(super) became: (&'a str, &'a str),
    /// The id of the message that stands in for it, where one does.
    pub(super) stand_in: Uuid,
    pub(super) now_us: i64,
}

impl<'a> Ended<'a> {
    pub(super) fn of(message: &MessageRow, became: (&'a str, &'a str), stand_in: Uuid, now_us: i64) -> Self {
        Self { message: (message.organization_id, message.id), became, stand_in, now_us }
    }
}

/// Plans what stands in for messages, where they have ended without reaching their patient and their rule names another
/// channel.
pub(super) async fn replace(tx: &mut Tx, ended: impl Iterator<Item = Ended<'_>>) -> Result<(), sqlx::Error> {
    let missed: Vec<_> = ended.filter(|one| planning::misses(one.became.0, one.became.1)).collect();
    if missed.is_empty() {
        return Ok(());
    }
    let mut asked = given(&["organization", "id"], &missed, |mut row, one| {
        row.push_bind(one.message.0).push_bind(one.message.1);
    });
    asked.push(ENDED);
    let rows: Vec<EndedRow> =
        asked.build_query_as().persistent(sql::is_kept(missed.len())).fetch_all(&mut **tx).await?;
    for row in rows {
        let Some(one) = missed.iter().find(|one| one.message.1 == row.id) else { continue };
        let Some(channel) = row.read()? else { continue };
        let plan = query(STAND_IN).bind(one.message.0).bind(one.message.1).bind(one.stand_in).bind(channel.as_str());
        plan.bind(one.now_us).execute(&mut **tx).await?;
    }
    Ok(())
}
