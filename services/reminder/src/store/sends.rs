// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What commits together when a message is sent.

use std::collections::{HashMap, HashSet};

use sql::Failure;
use sqlx::{QueryBuilder, query_builder::Separated};
use uuid::Uuid;

use super::{
    super::{Begun, Record, Refusal, Remember, Sending, rows::MessageRow},
    Db, Store,
    ends::{Ended, replace},
    transactions::{Tx, remember},
};

// Before a message leaves: a move that is planned meanwhile must know that the old time may be out.
const TELL: &str = " UPDATE appointments SET told_starts_at_us = g_starts, told_location_id = g_location, \
     told_practitioner_id = coalesce(g_practitioner, told_practitioner_id), \
     told_service_id = coalesce(g_service, told_service_id) FROM given \
     WHERE organization_id = g_organization AND id = g_appointment \
     AND (told_starts_at_us <> g_starts OR told_location_id <> g_location OR g_practitioner IS NOT NULL)";
const CLAIM: &str = " UPDATE messages SET status = 'sending', wake_at_us = g_lease, attempts = attempts + 1, \
     repeated = repeated OR status = 'unknown', provider_rank = 0, provider = g_provider, recipient = g_recipient, \
     subject = g_subject, body = g_body, updated_at_us = g_now, segments = g_segments, \
     key_attempt = CASE WHEN g_key > 0 THEN g_key ELSE attempts + 1 END FROM given \
     WHERE organization_id = g_organization AND id = g_id AND fence = g_fence AND status IN ('scheduled', 'unknown') \
     AND EXISTS (SELECT 1 FROM appointments a WHERE a.organization_id = g_organization \
     AND a.id = messages.appointment_id AND a.version <= g_truth) RETURNING id, attempts";
const ATTEMPTS: &str = "INSERT INTO attempts (organization_id, message_id, number, at_us, outcome, provider_message_id, \
     error_code, detail, provider) ";
const RECORD: &str = " UPDATE messages SET status = g_status, reason = g_reason, wake_at_us = g_wake, \
     tries = tries + g_try, sent_at_us = coalesce(g_sent, sent_at_us), provider_rank = g_rank, updated_at_us = g_now, \
     held = g_held, next_way = g_next FROM given WHERE organization_id = g_organization AND id = g_id AND fence = g_fence \
     AND status IN ('sending', 'unknown') RETURNING id";
const RECORD_ATTEMPT: &str = " UPDATE attempts SET outcome = g_outcome, provider_message_id = g_provider_message, \
     error_code = g_code, detail = g_detail, parts = g_parts \
     FROM given WHERE organization_id = g_organization AND message_id = g_id AND number = g_number";
pub(super) const BLOCK: &str = "INSERT INTO blocked VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
pub(super) const UNBLOCK: &str =
    "DELETE FROM blocked WHERE organization_id = $1 AND channel = $2 AND address_hash = $3";
const RETRY: &str = "UPDATE messages SET status = 'scheduled', reason = '', due_at_us = $4, wake_at_us = $4, \
     fence = fence + 1, tries = 0, held = false, repeated = false, next_way = '', provider_rank = 0, \
     updated_at_us = $4 \
     WHERE organization_id = $1 AND id = $2 AND fence = $3 AND status IN ('failed', 'undelivered', 'unknown')";

/// Those that do not grow with their rows, for the test that prepares them on both engines; `crowd_tests.rs` runs the others.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 3] = [BLOCK, UNBLOCK, RETRY];

impl Store {
    pub(crate) async fn begin_sends(&self, sendings: &[Sending]) -> Result<Vec<Begun>, Failure> {
        let mut tx = self.begin().await?;
        let free = Self::lock(&mut tx, sendings).await?;
        let now: Vec<_> = sendings.iter().filter(|one| free.contains(&one.message.id)).collect();
        let begun = claim(&mut tx, &now).await?;
        tx.commit().await?;
        let became = |one: &Sending| match begun.get(&one.message.id) {
            Some(attempt) => Begun::Attempt(*attempt),
            None if free.contains(&one.message.id) => Begun::Refused,
            None => Begun::Held,
        };
        Ok(sendings.iter().map(became).collect())
    }

    pub(crate) async fn begin_alone(&self, sending: &Sending) -> Result<Option<i32>, Failure> {
        let mut tx = self.begin().await?;
        Self::wait_for(&mut tx, sending).await?;
        let begun = claim(&mut tx, &[sending]).await?;
        tx.commit().await?;
        Ok(begun.get(&sending.message.id).copied())
    }

    pub(crate) async fn record(&self, records: &[Record]) -> Result<Vec<bool>, Failure> {
        let mut tx = self.begin().await?;
        let columns =
            ["organization", "id", "fence", "status", "reason", "wake", "try", "sent", "rank", "now", "held", "next"];
        let mut query = given(&columns, records, |mut row, one| {
            let message = &one.message;
            row.push_bind(message.organization_id).push_bind(message.id).push_bind(message.fence);
            row.push_bind(one.status).push_bind(one.reason).push_bind(one.wake_at_us);
            row.push_bind(i32::from(one.is_busy())).push_bind(one.sent.then_some(one.now_us));
            row.push_bind(one.rank).push_bind(one.now_us).push_bind(one.held).push_bind(one.next_way);
        });
        query.push(RECORD);
        let recorded: Vec<Uuid> =
            query.build_query_scalar().persistent(sql::is_kept(records.len())).fetch_all(&mut *tx).await?;
        let recorded: HashSet<_> = recorded.into_iter().collect();
        let columns = ["organization", "id", "number", "outcome", "provider_message", "code", "detail", "parts"];
        let mut query = given(&columns, records, |mut row, one| {
            row.push_bind(one.message.organization_id).push_bind(one.message.id).push_bind(one.attempt);
            row.push_bind(one.outcome).push_bind(&one.provider_message_id).push_bind(&one.error_code);
            row.push_bind(one.detail).push_bind(one.parts);
        });
        query.push(RECORD_ATTEMPT);
        query.build().persistent(sql::is_kept(records.len())).execute(&mut *tx).await?;
        for record in records {
            if let Some((channel, hash)) = &record.block {
                let block = sqlx::query(BLOCK).bind(record.message.organization_id).bind(channel.as_str());
                block.bind(hash.clone()).bind(record.now_us).execute(&mut *tx).await?;
            }
        }
        let ended = records.iter().filter(|one| recorded.contains(&one.message.id));
        let ended = ended.map(|one| Ended::of(&one.message, (one.status, one.reason), one.stand_in, one.now_us));
        replace(&mut tx, ended).await?;
        tx.commit().await?;
        Ok(records.iter().map(|one| recorded.contains(&one.message.id)).collect())
    }

    pub(crate) async fn retry(
        &self,
        message: &MessageRow,
        now_us: i64,
        address_hash: &[u8],
        kept: Option<&Remember>,
    ) -> Result<(), Refusal> {
        let organization = message.organization_id;
        let mut tx = self.begin().await?;
        let retry = sqlx::query(RETRY).bind(organization).bind(message.id).bind(message.fence).bind(now_us);
        if retry.execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(Refusal::Stale);
        }
        // Whoever asks for it by hand knows that the patient wants messages again.
        let unblock = sqlx::query(UNBLOCK).bind(organization).bind(&message.channel).bind(address_hash.to_vec());
        unblock.execute(&mut *tx).await?;
        remember(&mut tx, organization, now_us, kept).await?;
        Ok(tx.commit().await?)
    }
}

/// Marks as sending those whose lease and truth hold, with the attempt and what it tells.
async fn claim(tx: &mut Tx, sendings: &[&Sending]) -> Result<HashMap<Uuid, i32>, Failure> {
    if sendings.is_empty() {
        return Ok(HashMap::new());
    }
    let columns = [
        "organization",
        "id",
        "fence",
        "truth",
        "lease",
        "provider",
        "recipient",
        "subject",
        "body",
        "now",
        "segments",
        "key",
    ];
    let mut query = given(&columns, sendings, |mut row, one| {
        let message = &one.message;
        row.push_bind(message.organization_id).push_bind(message.id).push_bind(message.fence);
        row.push_bind(one.truth_version).push_bind(one.lease_until_us).push_bind(one.provider);
        row.push_bind(&one.recipient).push_bind(&one.subject).push_bind(&one.body).push_bind(one.now_us);
        row.push_bind(one.segments).push_bind(one.key_attempt);
    });
    query.push(CLAIM);
    let begun: Vec<(Uuid, i32)> =
        query.build_query_as().persistent(sql::is_kept(sendings.len())).fetch_all(&mut **tx).await?;
    let begun: HashMap<_, _> = begun.into_iter().collect();
    let claimed = sendings.iter().filter_map(|one| Some((one, *begun.get(&one.message.id)?)));
    if begun.is_empty() {
        return Ok(begun);
    }
    let mut query = QueryBuilder::<Db>::new(ATTEMPTS);
    query.push_values(claimed.clone(), |mut row, (one, attempt)| {
        row.push_bind(one.message.organization_id).push_bind(one.message.id).push_bind(attempt).push_bind(one.now_us);
        row.push("'unknown', '', '', ''").push_bind(one.provider);
    });
    query.build().persistent(sql::is_kept(begun.len())).execute(&mut **tx).await?;
    let told: Vec<_> = claimed.filter_map(|(one, _)| Some((one, one.tells?))).collect();
    if !told.is_empty() {
        let columns = ["organization", "appointment", "starts", "location", "practitioner", "service"];
        let mut query = given(&columns, &told, |mut row, (one, visit)| {
            let (practitioner, service) = one.names.unzip();
            row.push_bind(one.message.organization_id).push_bind(one.message.appointment_id);
            row.push_bind(visit.starts_at_us).push_bind(visit.location).push_bind(practitioner).push_bind(service);
        });
        query.push(TELL);
        query.build().persistent(sql::is_kept(told.len())).execute(&mut **tx).await?;
    }
    Ok(begun)
}

/// A statement that begins with rows of its own, `given`, whose columns have a `g_` before their names.
pub(super) fn given<'a, T>(
    columns: &[&str],
    rows: &'a [T],
    push: impl FnMut(Separated<'_, Db, &'static str>, &'a T),
) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new("WITH given (");
    let mut names = query.separated(", ");
    for column in columns {
        names.push(format_args!("g_{column}"));
    }
    query.push(") AS (").push_values(rows, push).push(")");
    query
}
