//! Offers of free slots to entries of the waitlist.

use sql::Failure;
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::{Store, waitlist_entries::EntryRow};

/// An offer of a free slot.
#[derive(Debug, Clone, sql::FromRow)]
pub(crate) struct OfferRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) waitlist_id: Uuid,
    pub(crate) patient_id: Uuid,
    pub(crate) hold_id: Uuid,
    /// `making` (its hold is not committed), `open`, `accepting`, `accepted`, `declined`, `expired` or `withdrawn`.
    pub(crate) status: String,
    pub(crate) slot_id: String,
    /// The slot as JSON.
    pub(crate) slot: String,
    pub(crate) token_hash: Vec<u8>,
    pub(crate) appointment_id: Option<Uuid>,
    pub(crate) expires_at_us: i64,
    pub(crate) created_at_us: i64,
    pub(crate) decided_at_us: Option<i64>,
}

macro_rules! offer_columns {
    () => {
        r#"
        organization_id, id, version, waitlist_id, patient_id, hold_id, status, slot_id, slot, token_hash,
        appointment_id, expires_at_us, created_at_us, decided_at_us
        "#
    };
}

macro_rules! select_offers {
    ($clauses:literal) => {
        concat!("SELECT ", offer_columns!(), " FROM offers ", $clauses)
    };
}

const INSERT_OFFER: &str = concat!(
    "INSERT INTO offers (",
    offer_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING"
);
const DELETE_OFFER: &str = "DELETE FROM offers WHERE organization_id = $1 AND id = $2 AND status = 'making'";
const OPEN_OFFER: &str = r#"
    UPDATE offers
    SET status = 'open'
    WHERE organization_id = $1 AND id = $2 AND status = 'making'
"#;
const TRANSITION_OFFER: &str = concat!(
    r#"
    UPDATE offers
    SET status = $4, version = version + 1, decided_at_us = $5, appointment_id = coalesce($6, appointment_id)
    WHERE organization_id = $1 AND id = $2 AND status = $3
    RETURNING
    "#,
    offer_columns!()
);
const SELECT_OFFER: &str = select_offers!("WHERE organization_id = $1 AND id = $2");
const SELECT_OFFER_BY_TOKEN: &str = select_offers!("WHERE token_hash = $1");
const SELECT_OFFERS_OF_ENTRY: &str = select_offers!(
    r#"
    WHERE organization_id = $1 AND waitlist_id = $2 AND status <> 'making'
    ORDER BY id DESC
    LIMIT $3
    "#
);
/// The indexes allow one.
const SELECT_LIVE_OFFER: &str =
    select_offers!("WHERE organization_id = $1 AND waitlist_id = $2 AND status IN ('making', 'open', 'accepting')");
const SELECT_LIVE_OFFERS: &str =
    select_offers!("WHERE organization_id = $1 AND status IN ('making', 'open', 'accepting')");
/// Open offers that have expired, and those whose creation or acceptance began a minute ago. The first condition is that of
/// the index.
const SELECT_EXPIRED_OFFERS: &str = select_offers!(
    r#"
    WHERE status IN ('making', 'open', 'accepting')
      AND ((status = 'open' AND expires_at_us <= $1)
        OR (status = 'accepting' AND decided_at_us <= $1 - 60000000)
        OR (status = 'making' AND created_at_us <= $1 - 60000000))
    ORDER BY expires_at_us
    LIMIT $2
    "#
);
const SELECT_EXCLUDED_SLOTS: &str = r#"
    SELECT slot_id
    FROM offers
    WHERE organization_id = $1 AND patient_id = $2
      AND ((waitlist_id = $3 AND status <> 'withdrawn') OR status = 'declined')
"#;

const MARK_ENTRY_OFFERED: &str = r#"
    UPDATE waitlist
    SET status = 'offered', version = version + 1, updated_at_us = $3
    WHERE organization_id = $1 AND id = $2 AND status = 'waiting'
"#;
const MARK_ENTRY_WAITING: &str = r#"
    UPDATE waitlist
    SET status = 'waiting', version = version + 1
    WHERE organization_id = $1 AND id = $2 AND status = 'offered'
"#;
/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    INSERT_OFFER,
    DELETE_OFFER,
    OPEN_OFFER,
    TRANSITION_OFFER,
    SELECT_OFFER,
    SELECT_OFFER_BY_TOKEN,
    SELECT_OFFERS_OF_ENTRY,
    SELECT_LIVE_OFFER,
    SELECT_LIVE_OFFERS,
    SELECT_EXPIRED_OFFERS,
    SELECT_EXCLUDED_SLOTS,
    MARK_ENTRY_OFFERED,
    MARK_ENTRY_WAITING,
];

impl Store {
    /// Inserts an offer; `false` where the slot or the patient has a live offer, or the entry waits no longer.
    pub(crate) async fn insert_offer(&self, row: &OfferRow) -> Result<bool, Failure> {
        let inserted = service::write!(self.database.of(row.organization_id), "booking.insert_offer", |pool| {
            query(INSERT_OFFER)
                .bind(row.organization_id)
                .bind(row.id)
                .bind(row.version)
                .bind(row.waitlist_id)
                .bind(row.patient_id)
                .bind(row.hold_id)
                .bind(&row.status)
                .bind(&row.slot_id)
                .bind(&row.slot)
                .bind(&row.token_hash)
                .bind(row.appointment_id)
                .bind(row.expires_at_us)
                .bind(row.created_at_us)
                .bind(row.decided_at_us)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        })?;
        if inserted == 0 {
            return Ok(false);
        }
        let marked = service::write!(self.database.of(row.organization_id), "booking.mark_entry_offered", |pool| {
            query(MARK_ENTRY_OFFERED)
                .bind(row.organization_id)
                .bind(row.waitlist_id)
                .bind(row.created_at_us)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        })?;
        if marked == 0 {
            // The patient has left since.
            self.delete_making(row).await?;
        }
        Ok(marked == 1)
    }

    async fn delete_making(&self, row: &OfferRow) -> Result<u64, Failure> {
        service::write!(self.database.of(row.organization_id), "booking.delete_offer", |pool| {
            query(DELETE_OFFER)
                .bind(row.organization_id)
                .bind(row.id)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        })
    }

    /// Deletes an offer whose hold was refused, and lets its entry wait again.
    pub(crate) async fn delete_offer(&self, row: &OfferRow) -> Result<(), Failure> {
        if self.delete_making(row).await? == 0 {
            // The offer ended meanwhile, and the entry may have another one by now.
            return Ok(());
        }
        service::write!(self.database.of(row.organization_id), "booking.mark_entry_waiting", |pool| {
            query(MARK_ENTRY_WAITING).bind(row.organization_id).bind(row.waitlist_id).execute(pool).await.map(drop)
        })
    }

    /// Opens an offer once its hold is committed; `false` where the offer ended meanwhile.
    pub(crate) async fn open_offer(&self, row: &OfferRow) -> Result<bool, Failure> {
        let opened = service::write!(self.database.of(row.organization_id), "booking.open_offer", |pool| {
            query(OPEN_OFFER)
                .bind(row.organization_id)
                .bind(row.id)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(opened == 1)
    }

    /// The offer of an entry that is being created, open, or being accepted.
    pub(crate) async fn live_offer(&self, organization: Uuid, entry: Uuid) -> Result<Option<OfferRow>, Failure> {
        service::read!(self.database.of(organization), "booking.live_offer", |pool| {
            query_as(SELECT_LIVE_OFFER).bind(organization).bind(entry).fetch_optional(pool).await
        })
    }

    /// All live offers of an organisation.
    pub(crate) async fn live_offers(&self, organization: Uuid) -> Result<Vec<OfferRow>, Failure> {
        service::write!(self.database.of(organization), "booking.live_offers", |pool| {
            query_as(SELECT_LIVE_OFFERS).bind(organization).fetch_all(pool).await
        })
    }

    pub(crate) async fn offer(&self, organization: Uuid, id: Uuid) -> Result<Option<OfferRow>, Failure> {
        service::read!(self.database.of(organization), "booking.offer", |pool| {
            query_as(SELECT_OFFER).bind(organization).bind(id).fetch_optional(pool).await
        })
    }

    pub(crate) async fn offer_by_token(&self, token_hash: &[u8]) -> Result<Option<OfferRow>, Failure> {
        service::read!(self.database.across(), "booking.offer_by_token", |pool| {
            query_as(SELECT_OFFER_BY_TOKEN).bind(token_hash.to_vec()).fetch_optional(pool).await
        })
    }

    /// The offers of an entry, the newest first.
    pub(crate) async fn offers_of_entry(
        &self,
        organization: Uuid,
        entry: Uuid,
        limit: i64,
    ) -> Result<Vec<OfferRow>, Failure> {
        service::read!(self.database.of(organization), "booking.offers_of_entry", |pool| {
            query_as(SELECT_OFFERS_OF_ENTRY).bind(organization).bind(entry).bind(limit).fetch_all(pool).await
        })
    }

    /// The slots that were offered to this entry, and those that its patient declined through another one.
    pub(crate) async fn excluded_slots(&self, entry: &EntryRow) -> Result<Vec<String>, Failure> {
        service::read!(self.database.of(entry.organization_id), "booking.excluded_slots", |pool| {
            query_scalar(SELECT_EXCLUDED_SLOTS)
                .bind(entry.organization_id)
                .bind(entry.patient_id)
                .bind(entry.id)
                .fetch_all(pool)
                .await
        })
    }

    /// Moves an offer from one status to another; `None` where it has another status.
    pub(crate) async fn transition_offer(
        &self,
        row: &OfferRow,
        from: &str,
        to: &str,
        appointment: Option<Uuid>,
        now_us: i64,
    ) -> Result<Option<OfferRow>, Failure> {
        service::write!(self.database.of(row.organization_id), "booking.transition_offer", |pool| {
            query_as(TRANSITION_OFFER)
                .bind(row.organization_id)
                .bind(row.id)
                .bind(from)
                .bind(to)
                .bind(now_us)
                .bind(appointment)
                .fetch_optional(pool)
                .await
        })
    }

    /// Offers of all organisations that have expired, or whose creation or acceptance broke off.
    pub(crate) async fn expired_offers(&self, now_us: i64, limit: i64) -> Result<Vec<OfferRow>, Failure> {
        service::read!(self.database.across(), "booking.expired_offers", |pool| {
            query_as(SELECT_EXPIRED_OFFERS).bind(now_us).bind(limit).fetch_all(pool).await
        })
    }
}
