//! Verifications of telephone numbers and e-mail addresses.

use domain::patient::Channel;
use service::{read, statement, store::Tx, write};
use sql::{Failure, FromRow};
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::{Store, postgres};

const COUNT_OF_RECIPIENT: &str = r#"
    SELECT count(*), min(created_at_us)
    FROM verifications
    WHERE organization_id = $1 AND address_hash = $2 AND created_at_us > $3
"#;
const COUNT_OF_VISITOR: &str = r#"
    SELECT count(*), min(created_at_us)
    FROM verifications
    WHERE organization_id = $1 AND caller = $2 AND visitor = $3 AND created_at_us > $4
"#;
const COUNT_OF_CALLER: &str = r#"
    SELECT count(*), min(created_at_us)
    FROM verifications
    WHERE organization_id = $1 AND caller = $2 AND created_at_us > $3
"#;
const INSERT: &str = r#"
    INSERT INTO verifications (organization_id, id, channel, address_hash, code_hash, tries_left, caller, visitor,
                               created_at_us, expires_at_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"#;
const TAKE_TRY: &str = r#"
    UPDATE verifications
    SET tries_left = tries_left - 1
    WHERE organization_id = $1 AND id = $2 AND caller = $3 AND tries_left > 0 AND expires_at_us > $4
    RETURNING channel, address_hash, code_hash, tries_left
"#;
const HAS: &str = "SELECT count(*) FROM verifications WHERE organization_id = $1 AND id = $2 AND caller = $3";
const END: &str = "UPDATE verifications SET tries_left = 0 WHERE organization_id = $1 AND id = $2";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 7] =
    [COUNT_OF_RECIPIENT, COUNT_OF_VISITOR, COUNT_OF_CALLER, INSERT, TAKE_TRY, HAS, END];

/// A verification to insert.
pub(crate) struct NewVerification {
    pub(crate) organization: Uuid,
    pub(crate) id: Uuid,
    pub(crate) channel: Channel,
    /// See [`crate::address_hash`].
    pub(crate) address_hash: Vec<u8>,
    pub(crate) code_hash: Vec<u8>,
    pub(crate) tries: i32,
    pub(crate) caller: String,
    /// As `rpc::Visitor` writes it; empty for staff.
    pub(crate) visitor: String,
    pub(crate) now_us: i64,
    pub(crate) expires_at_us: i64,
}

/// The most verifications since an instant.
#[derive(Clone, Copy)]
pub(crate) struct CodeLimits {
    pub(crate) recipient: i64,
    pub(crate) visitor: i64,
    pub(crate) caller: i64,
    pub(crate) since_us: i64,
}

/// A verification of which a try was taken.
#[derive(FromRow)]
pub(crate) struct VerificationRow {
    pub(crate) channel: String,
    pub(crate) address_hash: Vec<u8>,
    pub(crate) code_hash: Vec<u8>,
    pub(crate) tries_left: i32,
}

impl Store {
    /// Takes a try of a verification of this caller that is valid and has one left.
    pub(crate) async fn take_try(
        &self,
        organization: Uuid,
        id: Uuid,
        caller: &str,
        now_us: i64,
    ) -> Result<Option<VerificationRow>, Failure> {
        write!(self.database.of(organization), "reminder.take_try", |pool| query_as(TAKE_TRY)
            .bind(organization)
            .bind(id)
            .bind(caller)
            .bind(now_us)
            .fetch_optional(pool)
            .await)
    }

    /// Whether this caller has started the verification.
    pub(crate) async fn has_verification(&self, organization: Uuid, id: Uuid, caller: &str) -> Result<bool, Failure> {
        let count: i64 = read!(self.database.of(organization), "reminder.has_verification", |pool| query_scalar(HAS)
            .bind(organization)
            .bind(id)
            .bind(caller)
            .fetch_one(pool)
            .await)?;
        Ok(count > 0)
    }

    /// Leaves a verification no try: its code was right.
    pub(crate) async fn end_verification(&self, organization: Uuid, id: Uuid) -> Result<(), Failure> {
        write!(self.database.of(organization), "reminder.end_verification", |pool| query(END)
            .bind(organization)
            .bind(id)
            .execute(pool)
            .await
            .map(drop))
    }
}

/// Makes verifications that share a limit wait for each other, so that each counts those before it.
pub(crate) async fn lock_limits(tx: &mut Tx, new: &NewVerification) -> Result<(), Failure> {
    match tx {
        // SQLite's one writer holds every row.
        Tx::Sqlite(_) => Ok(()),
        // Every limit but the recipient's belongs to the caller.
        Tx::Postgres(tx) => postgres::lock_verifications(tx, new.organization, &new.caller, &new.address_hash).await,
    }
}

/// Inserts a verification; or answers the age of the oldest one that counts, where a limit is reached.
pub(crate) async fn insert_verification(
    tx: &mut Tx,
    new: &NewVerification,
    limits: CodeLimits,
) -> Result<Option<i64>, Failure> {
    let of_recipient: (i64, Option<i64>) =
        statement!(tx, "reminder.count_of_recipient", |conn| query_as(COUNT_OF_RECIPIENT)
            .bind(new.organization)
            .bind(&new.address_hash)
            .bind(limits.since_us)
            .fetch_one(conn)
            .await)?;
    let of_visitor: (i64, Option<i64>) =
        statement!(tx, "reminder.count_of_visitor", |conn| query_as(COUNT_OF_VISITOR)
            .bind(new.organization)
            .bind(&new.caller)
            .bind(&new.visitor)
            .bind(limits.since_us)
            .fetch_one(conn)
            .await)?;
    let of_caller: (i64, Option<i64>) = statement!(tx, "reminder.count_of_caller", |conn| query_as(COUNT_OF_CALLER)
        .bind(new.organization)
        .bind(&new.caller)
        .bind(limits.since_us)
        .fetch_one(conn)
        .await)?;
    // Staff act for many patients and have no visitor.
    let visitor_max = if new.visitor.is_empty() { i64::MAX } else { limits.visitor };
    let counted = [(of_recipient, limits.recipient), (of_visitor, visitor_max), (of_caller, limits.caller)];
    let reached = counted.into_iter().filter(|((count, _), most)| count >= most);
    if let Some(oldest_us) = reached.filter_map(|((_, oldest_us), _)| oldest_us).max() {
        return Ok(Some(oldest_us));
    }
    statement!(tx, "reminder.insert_verification", |conn| query(INSERT)
        .bind(new.organization)
        .bind(new.id)
        .bind(new.channel.as_str())
        .bind(&new.address_hash)
        .bind(&new.code_hash)
        .bind(new.tries)
        .bind(&new.caller)
        .bind(&new.visitor)
        .bind(new.now_us)
        .bind(new.expires_at_us)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(None)
}
