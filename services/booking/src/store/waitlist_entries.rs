//! Entries of the waitlist.
//!
//! Each statement on entries and offers is a transaction of its own. They agree because only one step can be made from each
//! status.

use sql::Failure;
use sqlx::{QueryBuilder, query, query_as};
use uuid::Uuid;

use super::{Store, push_in};

/// An entry; `criteria` is the JSON of `waitlist::criteria::Criteria`, `criteria_key` its hash.
#[derive(Debug, Clone, sql::FromRow)]
pub(crate) struct EntryRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    /// `waiting`, `offered`, `booked`, `left` or `expired`.
    pub(crate) status: String,
    pub(crate) patient_id: Uuid,
    pub(crate) service_id: Uuid,
    pub(crate) criteria: String,
    pub(crate) criteria_key: String,
    /// The number, from 1, among the live entries of the patient.
    pub(crate) number: i16,
    pub(crate) ends_at_us: i64,
    /// Nothing is offered before this instant.
    pub(crate) cool_down_until_us: i64,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
}

macro_rules! entry_columns {
    () => {
        r#"
        organization_id, id, version, status, patient_id, service_id, criteria, criteria_key, number, ends_at_us,
        cool_down_until_us, created_at_us, updated_at_us
        "#
    };
}

macro_rules! select_entries {
    ($clauses:literal) => {
        concat!("SELECT ", entry_columns!(), " FROM waitlist ", $clauses)
    };
}

const INSERT_ENTRY: &str = concat!(
    "INSERT INTO waitlist (",
    entry_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING"
);
const SELECT_ENTRY: &str = select_entries!("WHERE organization_id = $1 AND id = $2");
const SELECT_ENTRIES_OF_ORGANIZATION: &str = select_entries!("WHERE organization_id = ");
const SELECT_LIVE_ENTRIES: &str = select_entries!(
    r#"
    WHERE organization_id = $1 AND patient_id = $2 AND status IN ('waiting', 'offered')
    ORDER BY id
    "#
);
/// Entries to which something may be offered now, the longest wait first. The first condition is that of the index.
const SELECT_WAITING_ENTRIES: &str = select_entries!(
    r#"
    w
    WHERE status IN ('waiting', 'offered') AND status = 'waiting' AND cool_down_until_us <= $1 AND ends_at_us > $1
      AND NOT EXISTS (
          SELECT 1
          FROM offers o
          WHERE o.organization_id = w.organization_id AND o.patient_id = w.patient_id
            AND o.status IN ('making', 'open', 'accepting'))
    ORDER BY created_at_us, id
    LIMIT $2
    "#
);
const SELECT_EXPIRED_ENTRIES: &str =
    select_entries!("WHERE status IN ('waiting', 'offered') AND status = 'waiting' AND ends_at_us <= $1 LIMIT $2");
const DELETE_ENTRY: &str = "DELETE FROM waitlist WHERE organization_id = $1 AND id = $2 AND version = 1";
const END_ENTRY: &str = concat!(
    r#"
    UPDATE waitlist
    SET status = $3, version = version + 1, updated_at_us = $4
    WHERE organization_id = $1 AND id = $2 AND status IN ('waiting', 'offered') AND (version = $5 OR $5 = 0)
    RETURNING
    "#,
    entry_columns!()
);
const COOL_DOWN_ENTRY: &str = r#"
    UPDATE waitlist
    SET status = 'waiting', cool_down_until_us = $3, version = version + 1, updated_at_us = $4
    WHERE organization_id = $1 AND id = $2 AND status = 'offered'
"#;
/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    INSERT_ENTRY,
    SELECT_ENTRY,
    SELECT_LIVE_ENTRIES,
    SELECT_WAITING_ENTRIES,
    SELECT_EXPIRED_ENTRIES,
    DELETE_ENTRY,
    END_ENTRY,
    COOL_DOWN_ENTRY,
];

impl Store {
    /// Inserts an entry; `false` where the patient has live criteria like these, or another entry with this number.
    pub(crate) async fn insert_entry(&self, row: &EntryRow) -> Result<bool, Failure> {
        let inserted = service::write!(self.database.of(row.organization_id), "booking.insert_entry", |pool| {
            query(INSERT_ENTRY)
                .bind(row.organization_id)
                .bind(row.id)
                .bind(row.version)
                .bind(&row.status)
                .bind(row.patient_id)
                .bind(row.service_id)
                .bind(&row.criteria)
                .bind(&row.criteria_key)
                .bind(row.number)
                .bind(row.ends_at_us)
                .bind(row.cool_down_until_us)
                .bind(row.created_at_us)
                .bind(row.updated_at_us)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(inserted == 1)
    }

    /// Deletes an entry that was never published.
    pub(crate) async fn delete_entry(&self, organization: Uuid, id: Uuid) -> Result<(), Failure> {
        service::write!(self.database.of(organization), "booking.delete_entry", |pool| {
            query(DELETE_ENTRY).bind(organization).bind(id).execute(pool).await.map(drop)
        })
    }

    /// The entries of a patient that have not ended, read where they are written: an entry that was refused just now must
    /// be seen.
    pub(crate) async fn live_entries(&self, organization: Uuid, patient: Uuid) -> Result<Vec<EntryRow>, Failure> {
        service::write!(self.database.of(organization), "booking.live_entries", |pool| {
            query_as(SELECT_LIVE_ENTRIES).bind(organization).bind(patient).fetch_all(pool).await
        })
    }

    pub(crate) async fn entry(&self, organization: Uuid, id: Uuid) -> Result<Option<EntryRow>, Failure> {
        service::read!(self.database.of(organization), "booking.entry", |pool| {
            query_as(SELECT_ENTRY).bind(organization).bind(id).fetch_optional(pool).await
        })
    }

    /// Newest first.
    pub(crate) async fn list_entries(
        &self,
        organization: Uuid,
        patient: Option<Uuid>,
        statuses: &[String],
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<EntryRow>, Failure> {
        service::read!(self.database.of(organization), "booking.list_entries", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_ENTRIES_OF_ORGANIZATION);
            query.push_bind(organization).push(" AND id < ").push_bind(before.unwrap_or(Uuid::max()));
            push_in(&mut query, "patient_id", patient.as_slice());
            push_in(&mut query, "status", statuses);
            query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
            query.build_query_as().fetch_all(pool).await
        })
    }

    /// Ends an entry of this version, 0 for any; `None` where it has ended, or has another version.
    pub(crate) async fn end_entry(
        &self,
        organization: Uuid,
        id: Uuid,
        version: i64,
        status: &str,
        now_us: i64,
    ) -> Result<Option<EntryRow>, Failure> {
        service::write!(self.database.of(organization), "booking.end_entry", |pool| {
            query_as(END_ENTRY)
                .bind(organization)
                .bind(id)
                .bind(status)
                .bind(now_us)
                .bind(version)
                .fetch_optional(pool)
                .await
        })
    }

    /// Lets an entry wait again whose offer ended without a booking; nothing is offered to it before `until_us`.
    pub(crate) async fn cool_down_entry(
        &self,
        organization: Uuid,
        id: Uuid,
        until_us: i64,
        now_us: i64,
    ) -> Result<(), Failure> {
        service::write!(self.database.of(organization), "booking.cool_down_entry", |pool| {
            query(COOL_DOWN_ENTRY).bind(organization).bind(id).bind(until_us).bind(now_us).execute(pool).await.map(drop)
        })
    }

    /// Entries of all organisations to which something may be offered now, the longest wait first.
    pub(crate) async fn waiting_entries(&self, now_us: i64, limit: i64) -> Result<Vec<EntryRow>, Failure> {
        service::read!(self.database.across(), "booking.waiting_entries", |pool| {
            query_as(SELECT_WAITING_ENTRIES).bind(now_us).bind(limit).fetch_all(pool).await
        })
    }

    /// Entries of all organisations that wait and whose time is over.
    pub(crate) async fn expired_entries(&self, now_us: i64, limit: i64) -> Result<Vec<EntryRow>, Failure> {
        service::read!(self.database.across(), "booking.expired_entries", |pool| {
            query_as(SELECT_EXPIRED_ENTRIES).bind(now_us).bind(limit).fetch_all(pool).await
        })
    }
}
