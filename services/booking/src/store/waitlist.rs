// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// The waitlist and its offers. Each statement is a transaction of its own: what makes them agree is that only one step can
// be made from each status.

use sql::Failure;
use sqlx::{QueryBuilder, query, query_as, query_scalar};
use uuid::Uuid;

use super::{
    super::rows::{EntryRow, OfferRow},
    Db, Store,
};

const JOIN: &str = "INSERT INTO waitlist (organization_id, id, version, status, patient_id, service_id, wish, ends_at_us, \
     rests_until_us, created_at_us, updated_at_us, wish_key, place) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";
/// The live entries of one patient: the indexes allow a few.
const LIVE_ENTRIES: &str = "SELECT * FROM waitlist WHERE organization_id = $1 AND patient_id = $2 \
     AND status IN ('waiting', 'offered') ORDER BY id";
const UNJOIN: &str = "DELETE FROM waitlist WHERE organization_id = $1 AND id = $2 AND version = 1";
const ENTRY: &str = "SELECT * FROM waitlist WHERE organization_id = $1 AND id = $2";
const END_ENTRY: &str = "UPDATE waitlist SET status = $3, version = version + 1, updated_at_us = $4 \
     WHERE organization_id = $1 AND id = $2 AND status IN ('waiting', 'offered') AND (version = $5 OR $5 = 0) \
     RETURNING *";
const REST: &str = "UPDATE waitlist SET status = 'waiting', rests_until_us = $3, version = version + 1, \
     updated_at_us = $4 WHERE organization_id = $1 AND id = $2 AND status = 'offered'";
/// Those to whom something may be offered now, who waited longest first.
const WAITING: &str = "SELECT * FROM waitlist w WHERE status = 'waiting' AND rests_until_us <= $1 AND ends_at_us > $1 \
     AND NOT EXISTS (SELECT 1 FROM offers o WHERE o.organization_id = w.organization_id \
     AND o.patient_id = w.patient_id AND o.status IN ('making', 'open', 'accepting')) ORDER BY created_at_us, id LIMIT $2";
const ENTRIES_OVER: &str = "SELECT * FROM waitlist WHERE status = 'waiting' AND ends_at_us <= $1 LIMIT $2";
const MAKE_OFFER: &str = "INSERT INTO offers VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
     ON CONFLICT DO NOTHING";
const OFFERED: &str = "UPDATE waitlist SET status = 'offered', version = version + 1, updated_at_us = $3 \
     WHERE organization_id = $1 AND id = $2 AND status = 'waiting'";
const UNMAKE_OFFER: &str = "DELETE FROM offers WHERE organization_id = $1 AND id = $2 AND status = 'making'";
/// Its hold is laid: it can be taken.
const OPEN_OFFER: &str =
    "UPDATE offers SET status = 'open' WHERE organization_id = $1 AND id = $2 AND status = 'making'";
const UNOFFERED: &str = "UPDATE waitlist SET status = 'waiting', version = version + 1 \
     WHERE organization_id = $1 AND id = $2 AND status = 'offered'";
const OFFER: &str = "SELECT * FROM offers WHERE organization_id = $1 AND id = $2";
const OFFER_BY_TOKEN: &str = "SELECT * FROM offers WHERE token_hash = $1";
const OFFERS_OF: &str = "SELECT * FROM offers WHERE organization_id = $1 AND waitlist_id = $2 AND status <> 'making' \
     ORDER BY id DESC LIMIT $3";
/// The one that is not decided: the indexes allow one.
const LIVE_OFFER: &str = "SELECT * FROM offers WHERE organization_id = $1 AND waitlist_id = $2 \
     AND status IN ('making', 'open', 'accepting')";
/// What an entry was offered before, and what its patient declined through another one.
const SLOTS_OFFERED: &str = "SELECT slot_id FROM offers WHERE organization_id = $1 AND patient_id = $2 \
     AND ((waitlist_id = $3 AND status <> 'withdrawn') OR status = 'declined')";
const MOVE_OFFER: &str = "UPDATE offers SET status = $4, version = version + 1, decided_at_us = $5, \
     appointment_id = coalesce($6, appointment_id) \
     WHERE organization_id = $1 AND id = $2 AND status = $3 RETURNING *";
/// Open ones that ran out, and those that somebody began to take a minute ago.
const OFFERS_OVER: &str = "SELECT * FROM offers WHERE (status = 'open' AND expires_at_us <= $1) \
     OR (status = 'accepting' AND decided_at_us <= $1 - 60000000) \
     OR (status = 'making' AND created_at_us <= $1 - 60000000) ORDER BY expires_at_us LIMIT $2";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 20] = [
    LIVE_ENTRIES,
    LIVE_OFFER,
    OPEN_OFFER,
    JOIN,
    UNJOIN,
    ENTRY,
    END_ENTRY,
    REST,
    WAITING,
    ENTRIES_OVER,
    MAKE_OFFER,
    OFFERED,
    UNMAKE_OFFER,
    UNOFFERED,
    OFFER,
    OFFER_BY_TOKEN,
    OFFERS_OF,
    SLOTS_OFFERED,
    MOVE_OFFER,
    OFFERS_OVER,
];

impl Store {
    pub(crate) async fn join(&self, row: &EntryRow) -> Result<bool, Failure> {
        let join = query(JOIN).bind(row.organization_id).bind(row.id).bind(row.version).bind(&row.status);
        let join = join.bind(row.patient_id).bind(row.service_id).bind(&row.wish).bind(row.ends_at_us);
        let join = join.bind(row.rests_until_us).bind(row.created_at_us).bind(row.updated_at_us);
        let join = join.bind(&row.wish_key).bind(row.place);
        Ok(join.execute(self.writer()).await?.rows_affected() == 1)
    }

    pub(crate) async fn unjoin(&self, organization: Uuid, id: Uuid) -> Result<(), Failure> {
        query(UNJOIN).bind(organization).bind(id).execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn live_entries(&self, organization: Uuid, patient: Uuid) -> Result<Vec<EntryRow>, Failure> {
        // Where it was written: what was refused just now must be seen.
        Ok(query_as(LIVE_ENTRIES).bind(organization).bind(patient).fetch_all(self.writer()).await?)
    }

    pub(crate) async fn entry(&self, organization: Uuid, id: Uuid) -> Result<Option<EntryRow>, Failure> {
        Ok(query_as(ENTRY).bind(organization).bind(id).fetch_optional(self.reader()).await?)
    }

    /// Newest first.
    pub(crate) async fn entries(
        &self,
        organization: Uuid,
        patient: Option<Uuid>,
        statuses: &[String],
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<EntryRow>, Failure> {
        let mut query = QueryBuilder::<Db>::new("SELECT * FROM waitlist WHERE organization_id = ");
        query.push_bind(organization).push(" AND id < ").push_bind(before.unwrap_or(Uuid::max()));
        if let Some(patient) = patient {
            query.push(" AND patient_id = ").push_bind(patient);
        }
        if !statuses.is_empty() {
            query.push(" AND status IN (");
            let mut list = query.separated(", ");
            for status in statuses {
                list.push_bind(status.clone());
            }
            query.push(")");
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        Ok(query.build_query_as().fetch_all(self.reader()).await?)
    }

    pub(crate) async fn end_entry(
        &self,
        organization: Uuid,
        id: Uuid,
        version: i64,
        status: &str,
        now_us: i64,
    ) -> Result<Option<EntryRow>, Failure> {
        let end = query_as(END_ENTRY).bind(organization).bind(id).bind(status).bind(now_us).bind(version);
        Ok(end.fetch_optional(self.writer()).await?)
    }

    pub(crate) async fn rest(
        &self,
        organization: Uuid,
        id: Uuid,
        rests_until_us: i64,
        now_us: i64,
    ) -> Result<(), Failure> {
        query(REST).bind(organization).bind(id).bind(rests_until_us).bind(now_us).execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn waiting(&self, now_us: i64, limit: i64) -> Result<Vec<EntryRow>, Failure> {
        Ok(query_as(WAITING).bind(now_us).bind(limit).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn entries_over(&self, now_us: i64, limit: i64) -> Result<Vec<EntryRow>, Failure> {
        Ok(query_as(ENTRIES_OVER).bind(now_us).bind(limit).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn make_offer(&self, row: &OfferRow) -> Result<bool, Failure> {
        let make = query(MAKE_OFFER).bind(row.organization_id).bind(row.id).bind(row.version).bind(row.waitlist_id);
        let make = make.bind(row.patient_id).bind(row.hold_id).bind(&row.status).bind(&row.slot_id).bind(&row.slot);
        let make = make.bind(&row.token_hash).bind(row.appointment_id).bind(row.expires_at_us);
        let make = make.bind(row.created_at_us).bind(row.decided_at_us);
        if make.execute(self.writer()).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let offered = query(OFFERED).bind(row.organization_id).bind(row.waitlist_id).bind(row.created_at_us);
        let offered = offered.execute(self.writer()).await?.rows_affected() == 1;
        if !offered {
            // Whoever waited has left since: nobody would take it.
            query(UNMAKE_OFFER).bind(row.organization_id).bind(row.id).execute(self.writer()).await?;
        }
        Ok(offered)
    }

    pub(crate) async fn unmake_offer(&self, row: &OfferRow) -> Result<(), Failure> {
        let unmade = query(UNMAKE_OFFER).bind(row.organization_id).bind(row.id).execute(self.writer()).await?;
        if unmade.rows_affected() == 0 {
            // It was ended meanwhile, and the entry may have another by now.
            return Ok(());
        }
        query(UNOFFERED).bind(row.organization_id).bind(row.waitlist_id).execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn open_offer(&self, row: &OfferRow) -> Result<bool, Failure> {
        let open = query(OPEN_OFFER).bind(row.organization_id).bind(row.id);
        Ok(open.execute(self.writer()).await?.rows_affected() == 1)
    }

    pub(crate) async fn live_offer(&self, organization: Uuid, entry: Uuid) -> Result<Option<OfferRow>, Failure> {
        Ok(query_as(LIVE_OFFER).bind(organization).bind(entry).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn offer(&self, organization: Uuid, id: Uuid) -> Result<Option<OfferRow>, Failure> {
        Ok(query_as(OFFER).bind(organization).bind(id).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn offer_by_token(&self, token_hash: &[u8]) -> Result<Option<OfferRow>, Failure> {
        Ok(query_as(OFFER_BY_TOKEN).bind(token_hash.to_vec()).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn offers_of(
        &self,
        organization: Uuid,
        entry: Uuid,
        limit: i64,
    ) -> Result<Vec<OfferRow>, Failure> {
        Ok(query_as(OFFERS_OF).bind(organization).bind(entry).bind(limit).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn slots_offered(&self, entry: &EntryRow) -> Result<Vec<String>, Failure> {
        let slots = query_scalar(SLOTS_OFFERED).bind(entry.organization_id).bind(entry.patient_id).bind(entry.id);
        Ok(slots.fetch_all(self.reader()).await?)
    }

    pub(crate) async fn move_offer(
        &self,
        row: &OfferRow,
        from: &str,
        to: &str,
        appointment: Option<Uuid>,
        now_us: i64,
    ) -> Result<Option<OfferRow>, Failure> {
        let step = query_as(MOVE_OFFER).bind(row.organization_id).bind(row.id).bind(from).bind(to).bind(now_us);
        Ok(step.bind(appointment).fetch_optional(self.writer()).await?)
    }

    pub(crate) async fn offers_over(&self, now_us: i64, limit: i64) -> Result<Vec<OfferRow>, Failure> {
        Ok(query_as(OFFERS_OVER).bind(now_us).bind(limit).fetch_all(self.reader()).await?)
    }
}
