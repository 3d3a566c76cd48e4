// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What commits together when a message ends without reaching its patient: its end, and the one that stands in for it.

use sql::Failure;
use sqlx::{query, query_as};
use uuid::Uuid;

use super::{
    super::rows::{EndedRow, MessageRow},
    Store,
    transactions::Tx,
};
use crate::plan;

const FINISH: &str = "UPDATE messages SET status = $4, reason = $5, wake_at_us = NULL, updated_at_us = $6 \
     WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status IN ('scheduled', 'unknown')";
const ENDED: &str = "SELECT m.trigger, m.channel, r.body FROM messages m JOIN rules r \
     ON r.organization_id = m.organization_id AND r.id = m.rule_id \
     WHERE m.organization_id = $1 AND m.id = $2 AND r.archived_at_us IS NULL";
// Once for each version: its key says so. What the rule took back before it left, it may plan again.
const STAND_IN: &str = "INSERT INTO messages (organization_id, id, appointment_id, appointment_version, rule_id, trigger, \
     channel, status, reason, base_at_us, due_at_us, wake_at_us, starts_at_us, location_id, time_zone, created_at_us, \
     updated_at_us, instead_of) SELECT organization_id, $3, appointment_id, appointment_version, rule_id, trigger, \
     $4, 'scheduled', '', base_at_us, $5, $5, starts_at_us, location_id, time_zone, $5, $5, id FROM messages \
     WHERE organization_id = $1 AND id = $2 \
     ON CONFLICT (organization_id, appointment_id, appointment_version, rule_id, channel) DO UPDATE SET \
     status = 'scheduled', reason = '', due_at_us = excluded.due_at_us, wake_at_us = excluded.wake_at_us, \
     tries = 0, next_way = '', provider_rank = 0, fence = messages.fence + 1, updated_at_us = excluded.updated_at_us, \
     instead_of = excluded.instead_of \
     WHERE messages.status = 'suppressed' AND messages.reason IN ('rule_changed', 'rule_archived')";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 3] = [FINISH, ENDED, STAND_IN];

impl Store {
    pub(crate) async fn finish(
        &self,
        message: &MessageRow,
        status: &str,
        reason: &str,
        stand_in: Uuid,
        now_us: i64,
    ) -> Result<bool, Failure> {
        let mut tx = self.begin().await?;
        let finish = query(FINISH).bind(message.organization_id).bind(message.id).bind(message.fence);
        let finish = finish.bind(status).bind(reason).bind(now_us);
        let finished = finish.execute(&mut *tx).await?.rows_affected() == 1;
        if finished {
            let ended = (message.organization_id, message.id);
            replace(&mut tx, ended, (status, reason), stand_in, now_us).await?;
        }
        tx.commit().await?;
        Ok(finished)
    }
}

/// Plans what stands in for a message, where it has ended without reaching its patient and its rule names another
/// channel.
pub(super) async fn replace(
    tx: &mut Tx,
    (organization, message): (Uuid, Uuid),
    (status, reason): (&str, &str),
    stand_in: Uuid,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    if !plan::misses(status, reason) {
        return Ok(());
    }
    let ended: Option<EndedRow> = query_as(ENDED).bind(organization).bind(message).fetch_optional(&mut **tx).await?;
    let Some(channel) = ended.map(EndedRow::read).transpose()?.flatten() else { return Ok(()) };
    let plan = query(STAND_IN).bind(organization).bind(message).bind(stand_in).bind(channel.as_str());
    plan.bind(now_us).execute(&mut **tx).await?;
    Ok(())
}
