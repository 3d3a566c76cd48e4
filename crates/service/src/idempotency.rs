//! The frame of a write with an idempotency key: begin, replay, remember.
//!
//! A service keeps each answer in its own table `idempotency`, sealed, written in the transaction of the write itself. Of two
//! requests with one key that run at the same moment in one process, the second is refused with
//! `idempotency_in_progress`; in two processes the table's primary key decides, and the loser replays.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prost::Message;
use rpc::{Code, Context, Fault};
use sql::Failure;
use sqlx::{query, query_as};
use tonic::Response;
use uuid::Uuid;

use crate::{
    db_error,
    reseal::{PAGE, Progress, Resealed},
    seal::{Cell, Keyring},
    store::{Database, Tx},
};

/// How long an answer is kept, in microseconds: one day.
pub const KEPT_US: i64 = 24 * 3_600_000_000;

const SELECT_ANSWER: &str = r#"
    SELECT fingerprint, response, revision
    FROM idempotency
    WHERE organization_id = $1 AND caller = $2 AND route = $3 AND key = $4
"#;
const INSERT_ANSWER: &str = r#"
    INSERT INTO idempotency
        (organization_id, caller, route, key, fingerprint, response, revision, created_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"#;
const DELETE_EXPIRED: &str = "DELETE FROM idempotency WHERE created_at_us < $1";

const SELECT_OLD: &str = r#"
    SELECT organization_id, caller, route, key, response
    FROM idempotency
    WHERE (organization_id, caller, route, key) > ($1, $2, $3, $4) AND substr(response, 1, $5) <> $6
    ORDER BY organization_id, caller, route, key
    LIMIT $7
"#;
const REPLACE_RESPONSE: &str = r#"
    UPDATE idempotency
    SET response = $6
    WHERE organization_id = $1 AND caller = $2 AND route = $3 AND key = $4 AND response = $5
"#;

/// The statements on the table, for tests that prepare them on both engines.
pub const STATEMENTS: [&str; 5] = [SELECT_ANSWER, INSERT_ANSWER, DELETE_EXPIRED, SELECT_OLD, REPLACE_RESPONSE];

/// Organisation, caller, route and key of a request.
type Name = (Uuid, String, String, String);

/// The keys whose first request still runs in this process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct RunningKeys(Arc<Mutex<HashSet<Name>>>);

/// Frees a key when its request ends, in success, failure or cancellation.
#[derive(Debug)]
pub struct KeyGuard {
    running: RunningKeys,
    name: Option<Name>,
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        }
    }
}

impl RunningKeys {
    /// Marks a key as running.
    ///
    /// # Errors
    /// `idempotency_in_progress` while another request with it runs in this process.
    pub fn enter(&self, organization: Uuid, caller: &str, route: &str, key: &str) -> Result<KeyGuard, Fault> {
        let name = (organization, caller.to_owned(), route.to_owned(), key.to_owned());
        if !self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
            return Err(Fault::new(
                Code::IdempotencyInProgress,
                "wait for the answer to the first request with this key",
            )
            .retry_after(Duration::from_secs(1)));
        }
        Ok(KeyGuard { running: self.clone(), name: Some(name) })
    }
}

/// The state of a request's idempotency key when the request begins.
#[derive(Debug)]
pub enum Begun<T> {
    /// The write is new, or has no key. Hold the guard until it ends.
    New(KeyGuard),
    /// The write was done before, with this answer.
    Replay(Response<T>),
}

/// A kept answer.
#[derive(Clone, sql::FromRow)]
pub struct AnswerRow {
    /// SHA-256 of the first request's route and body, in hexadecimal.
    pub fingerprint: String,
    /// The encoded answer, sealed.
    pub response: Vec<u8>,
    /// The revision that the write made, as the service stores it.
    pub revision: String,
}

/// An answer to keep, with the key of its request. Without `Debug`: an answer may hold personal data.
#[derive(Clone)]
pub struct Remember {
    /// The organisation.
    pub organization: Uuid,
    /// The caller.
    pub caller: String,
    /// The operation.
    pub route: &'static str,
    /// The caller's key.
    pub key: String,
    /// SHA-256 of route and body, in hexadecimal.
    pub fingerprint: String,
    /// The encoded answer, sealed.
    pub response: Vec<u8>,
    /// The revision that the write made.
    pub revision: String,
}

/// Begins a write: refuses its key while the first request runs, and finds the kept answer.
///
/// `respond` makes a replayed response of the answer and the kept revision.
///
/// # Errors
/// `idempotency_in_progress`; `idempotency_key_reused` when the key came with another request.
pub async fn begin<T: Message + Default>(
    running: &RunningKeys,
    database: &Database,
    keyring: &Keyring,
    ctx: &Context,
    route: &'static str,
    respond: impl FnOnce(T, &str) -> Result<Response<T>, Fault>,
) -> Result<Begun<T>, Fault> {
    let Some(idempotency) = &ctx.idempotency else {
        return Ok(Begun::New(KeyGuard { running: running.clone(), name: None }));
    };
    let guard = running.enter(ctx.organization.uuid(), &ctx.caller, route, &idempotency.key)?;
    Ok(match replay(database, keyring, ctx, route, respond).await? {
        Some(response) => Begun::Replay(response),
        None => Begun::New(guard),
    })
}

/// The kept answer of a request's key.
///
/// # Errors
/// `idempotency_key_reused` when the key came with another request.
pub async fn replay<T: Message + Default>(
    database: &Database,
    keyring: &Keyring,
    ctx: &Context,
    route: &'static str,
    respond: impl FnOnce(T, &str) -> Result<Response<T>, Fault>,
) -> Result<Option<Response<T>>, Fault> {
    let Some(idempotency) = &ctx.idempotency else { return Ok(None) };
    let answer = select(database, ctx.organization.uuid(), &ctx.caller, route, &idempotency.key).await;
    let Some(answer) = answer.map_err(db_error::fault)? else { return Ok(None) };
    if answer.fingerprint != idempotency.fingerprint {
        let detail = "this key came with another request before; use a new key for a new request";
        return Err(Fault::new(Code::IdempotencyKeyReused, detail));
    }
    let cell = cell(ctx.organization.uuid(), &ctx.caller, route, &idempotency.key);
    let response = keyring.open(&cell, &answer.response)?;
    let message = T::decode(response.as_slice()).map_err(Fault::internal)?;
    respond(message, &answer.revision).map(Some)
}

/// The answer of a request that another one with the same key has just committed.
///
/// # Errors
/// As [`replay`]; `internal` when there is no answer after all.
pub async fn replay_winner<T: Message + Default>(
    database: &Database,
    keyring: &Keyring,
    ctx: &Context,
    route: &'static str,
    respond: impl FnOnce(T, &str) -> Result<Response<T>, Fault>,
) -> Result<Response<T>, Fault> {
    let answer = replay(database, keyring, ctx, route, respond).await?;
    answer.ok_or_else(|| Fault::internal("the winner of an idempotency key has kept no answer"))
}

/// A replayed response whose revision is the kept one.
///
/// # Errors
/// Never.
pub fn as_kept<T>(message: T, revision: &str) -> Result<Response<T>, Fault> {
    Ok(rpc::respond(message, revision, true))
}

/// The answer to keep for a request, sealed; `None` without a key.
///
/// # Errors
/// When it cannot be sealed.
pub fn remember(
    keyring: &Keyring,
    ctx: &Context,
    route: &'static str,
    answer: &impl Message,
    revision: &str,
) -> Result<Option<Remember>, Fault> {
    let Some(idempotency) = &ctx.idempotency else { return Ok(None) };
    let cell = cell(ctx.organization.uuid(), &ctx.caller, route, &idempotency.key);
    Ok(Some(Remember {
        organization: ctx.organization.uuid(),
        caller: ctx.caller.clone(),
        route,
        key: idempotency.key.clone(),
        fingerprint: idempotency.fingerprint.clone(),
        response: keyring.seal(&cell, &answer.encode_to_vec())?,
        revision: revision.to_owned(),
    }))
}

/// An answer may hold a patient's link or a new secret, so it is sealed for its row.
fn cell(organization: Uuid, caller: &str, route: &str, key: &str) -> Cell {
    Cell::new("idempotency.response", &[organization.as_bytes(), caller.as_bytes(), route.as_bytes(), key.as_bytes()])
}

/// Reads a kept answer.
///
/// # Errors
/// When the database fails.
pub async fn select(
    database: &Database,
    organization: Uuid,
    caller: &str,
    route: &str,
    key: &str,
) -> Result<Option<AnswerRow>, Failure> {
    crate::read!(database.of(organization), "idempotency.select", |pool| {
        query_as(SELECT_ANSWER)
            .bind(organization)
            .bind(caller.to_owned())
            .bind(route.to_owned())
            .bind(key.to_owned())
            .fetch_optional(pool)
            .await
    })
}

/// Keeps an answer in the transaction of its write; nothing without one.
///
/// # Errors
/// [`Failure::Duplicate`] when another request with the same key was faster.
pub async fn insert(tx: &mut Tx, answer: Option<&Remember>, now_us: i64) -> Result<(), Failure> {
    let Some(answer) = answer else { return Ok(()) };
    crate::statement!(tx, "idempotency.insert", |conn| {
        query(INSERT_ANSWER)
            .bind(answer.organization)
            .bind(answer.caller.clone())
            .bind(answer.route)
            .bind(answer.key.clone())
            .bind(answer.fingerprint.clone())
            .bind(answer.response.clone())
            .bind(answer.revision.clone())
            .bind(now_us)
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(())
}

/// Deletes the answers of all organisations from before an instant, in microseconds.
///
/// # Errors
/// When the database fails.
pub async fn delete_before(database: &Database, before_us: i64) -> Result<(), Failure> {
    crate::write!(database.across(), "idempotency.delete_before", |pool| {
        query(DELETE_EXPIRED).bind(before_us).execute(pool).await.map(drop)
    })
}

/// Seals all answers under the key that seals, a page after another. Answers that are sealed so already are skipped, so that
/// an interrupted run goes on where it ended.
///
/// # Errors
/// When the database fails.
pub async fn reseal(database: &Database, keyring: &Keyring, progress: Progress<'_>) -> Result<Resealed, Failure> {
    let prefix = keyring.prefix();
    let (mut resealed, mut after) = (Resealed::default(), (Uuid::nil(), String::new(), String::new(), String::new()));
    loop {
        let page = old_answers(database, &after, &prefix).await?;
        let Some(last) = page.last() else { return Ok(resealed) };
        after = last.name();
        for row in &page {
            match keyring.reseal(&cell(row.organization_id, &row.caller, &row.route, &row.key), &row.response) {
                Ok(sealed) => resealed.count(replace(database, row, sealed).await?),
                Err(error) => resealed.fail(&error),
            }
        }
        progress("idempotency", resealed.sealed);
    }
}

/// An answer that is not sealed under the key that seals.
#[derive(sql::FromRow)]
struct OldRow {
    organization_id: Uuid,
    caller: String,
    route: String,
    key: String,
    response: Vec<u8>,
}

impl OldRow {
    fn name(&self) -> Name {
        (self.organization_id, self.caller.clone(), self.route.clone(), self.key.clone())
    }
}

async fn old_answers(database: &Database, after: &Name, prefix: &[u8]) -> Result<Vec<OldRow>, Failure> {
    let length = i32::try_from(prefix.len()).unwrap_or(0);
    crate::read!(database.across(), "idempotency.select_old", |pool| {
        query_as(SELECT_OLD)
            .bind(after.0)
            .bind(&after.1)
            .bind(&after.2)
            .bind(&after.3)
            .bind(length)
            .bind(prefix.to_vec())
            .bind(PAGE)
            .fetch_all(pool)
            .await
    })
}

/// `false` when the row has changed or expired meanwhile.
async fn replace(database: &Database, row: &OldRow, sealed: Vec<u8>) -> Result<bool, Failure> {
    crate::write!(database.of(row.organization_id), "idempotency.replace_response", |pool| {
        query(REPLACE_RESPONSE)
            .bind(row.organization_id)
            .bind(&row.caller)
            .bind(&row.route)
            .bind(&row.key)
            .bind(&row.response)
            .bind(&sealed)
            .execute(pool)
            .await
            .map(|done| done.rows_affected() > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_refused_while_its_first_request_runs_and_free_after_it() {
        let keys = RunningKeys::default();
        let enter = || keys.enter(Uuid::nil(), "web", "Book", "k");
        let first = enter().unwrap();
        assert_eq!(enter().unwrap_err().code, Code::IdempotencyInProgress);
        assert!(keys.enter(Uuid::nil(), "web", "Cancel", "k").is_ok());
        drop(first);
        assert!(enter().is_ok());
    }
}
