// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.

use sql::Failure;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{
    super::{
        Before, Filter,
        batch::Remember,
        rows::{AppointmentRow, ClaimRow, GroupRow, HoldRow, LinkRow, OwnedPlanRow, PlanRow, ReasonRow, ReplayRow},
    },
    Db, Store,
};

const APPOINTMENT: &str = "SELECT * FROM appointments WHERE organization_id = $1 AND id = $2";
const AHEAD: &str = "SELECT * FROM appointments WHERE ends_at_us >= $1 AND (ends_at_us > $1 OR id > $2) \
     ORDER BY ends_at_us, id LIMIT $3";
const HAD_BEFORE: &str = "SELECT count(*) FROM appointments WHERE organization_id = $1 AND patient_id = $2 \
     AND service_id = $3 AND ends_at_us <= $4 AND status IN ('booked', 'arrived', 'checked-in', 'fulfilled')";
const CLAIMS_OF: &str = "SELECT kind, resource, unit, starts_at_us, ends_at_us, owner, expires_at_us, location_id, \
     needling FROM claims WHERE organization_id = $1 AND owner = $2 ORDER BY kind, resource, unit, starts_at_us";
/// Who has some of this time now.
const IN_THE_WAY: &str = "SELECT owner FROM claims WHERE organization_id = $1 AND kind = $2 AND resource = $3 \
     AND unit = $4 AND ends_at_us > $5 AND starts_at_us < $6 AND (expires_at_us IS NULL OR expires_at_us > $7)";
const HOLD: &str = "SELECT expires_at_us, slots FROM holds WHERE organization_id = $1 AND id = $2";
const EXPIRED_HOLDS: &str =
    "SELECT organization_id, id FROM holds WHERE expires_at_us <= $1 ORDER BY expires_at_us LIMIT $2";
const GROUP: &str = "SELECT id, service_id, practitioner_id, location_id, room_id, starts_at_us, ends_at_us, capacity \
     FROM groups WHERE organization_id = $1 AND id = $2 AND live";
const HOLD_GROUPS: &str = "SELECT DISTINCT resource FROM claims WHERE organization_id = $1 AND owner = $2 AND kind = 6";
/// By name, since the statement is kept.
const APPOINTMENTS_OF: &str = "SELECT organization_id, id, version, status, service_id, practitioner_id, location_id, \
     room_id, group_id, starts_at_us, ends_at_us, time_zone, starts_local, patient_id, plan_session_id, displaced, \
     confirmed_at_us, cancel_reason_code, cancel_reason, cancel_by, cancel_late, rescheduled_late, note, previous_starts_at_us, \
     link_generation, created_at_us, updated_at_us FROM appointments WHERE organization_id = ";
const PLAN: &str = "SELECT id, version, document, created_at_us, updated_at_us, at_risk FROM plans \
     WHERE organization_id = $1 AND id = $2";
const PLAN_OF_SESSION: &str = "SELECT p.id, p.version, p.document, p.created_at_us, p.updated_at_us, p.at_risk FROM plan_sessions s \
     JOIN plans p ON p.organization_id = s.organization_id AND p.id = s.plan_id \
     WHERE s.organization_id = $1 AND s.id = $2";
/// Those of all organisations that have been told to be at risk.
const PLANS_DUE: &str = "SELECT organization_id, id, version, document, created_at_us, updated_at_us, at_risk FROM plans \
     WHERE NOT at_risk AND risk_at_us <= $1 ORDER BY risk_at_us LIMIT $2";
const REASON: &str = "SELECT code, version, meaning, archived, created_at_us, updated_at_us FROM reason_codes \
     WHERE organization_id = $1 AND code = $2";
const REASONS: &str = "SELECT code, version, meaning, archived, created_at_us, updated_at_us FROM reason_codes \
     WHERE organization_id = $1";
const ENTRIES: &str = "SELECT entries FROM plan_entries WHERE organization_id = $1 AND plan_id = $2 ORDER BY version";
const KEEP_MOVES: &str = "INSERT INTO displaced_proposals VALUES ($1, $2, $3, $4)";
const MOVES: &str =
    "SELECT moves FROM displaced_proposals WHERE organization_id = $1 AND id = $2 AND expires_at_us > $3";
const SWEEP_MOVES: &str = "DELETE FROM displaced_proposals WHERE expires_at_us < $1 AND expires_at_us <= (SELECT max(at_us) \
     FROM (SELECT expires_at_us AS at_us FROM displaced_proposals ORDER BY expires_at_us LIMIT $2) AS oldest)";
const PROPOSAL: &str = "SELECT sessions FROM proposals \
     WHERE organization_id = $1 AND id = $2 AND plan_id = $3 AND expires_at_us > $4";
const SWEEP_PROPOSALS: &str = "DELETE FROM proposals WHERE expires_at_us < $1 AND expires_at_us <= (SELECT max(at_us) FROM \
     (SELECT expires_at_us AS at_us FROM proposals ORDER BY expires_at_us LIMIT $2) AS oldest)";
const REPLAY: &str = "SELECT fingerprint, response, revision FROM idempotency \
     WHERE organization_id = $1 AND caller = $2 AND route = $3 AND key = $4";
const AMEND: &str = "UPDATE idempotency SET response = $5 \
     WHERE organization_id = $1 AND caller = $2 AND route = $3 AND key = $4";
const LINK: &str = "SELECT organization_id, appointment_id, expires_at_us FROM manage_links WHERE token_hash = $1";
const KEEP_SECRET: &str = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const SECRET: &str = "SELECT value FROM secrets WHERE name = $1";
// Each of them forgets the oldest $2 rows at most: the inner bound is read from the index, and no lock is held long.
const SWEEP_KEYS: &str = "DELETE FROM idempotency WHERE created_at_us < $1 AND created_at_us <= (SELECT max(at_us) FROM \
     (SELECT created_at_us AS at_us FROM idempotency ORDER BY created_at_us LIMIT $2) AS oldest)";
const SWEEP_CLAIMS: &str = "DELETE FROM claims WHERE ends_at_us < $1 AND ends_at_us <= (SELECT max(at_us) FROM \
     (SELECT ends_at_us AS at_us FROM claims ORDER BY ends_at_us LIMIT $2) AS oldest)";
const SWEEP_LINKS: &str = "DELETE FROM manage_links WHERE expires_at_us < $1 AND expires_at_us <= (SELECT max(at_us) FROM \
     (SELECT expires_at_us AS at_us FROM manage_links ORDER BY expires_at_us LIMIT $2) AS oldest)";
const SWEEP_GROUPS: &str = "DELETE FROM groups WHERE ends_at_us < $1 AND ends_at_us <= (SELECT max(at_us) FROM \
     (SELECT ends_at_us AS at_us FROM groups ORDER BY ends_at_us LIMIT $2) AS oldest)";

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 29] = [
    APPOINTMENT,
    AHEAD,
    CLAIMS_OF,
    IN_THE_WAY,
    HAD_BEFORE,
    HOLD,
    EXPIRED_HOLDS,
    GROUP,
    HOLD_GROUPS,
    PLAN,
    PLAN_OF_SESSION,
    PLANS_DUE,
    REASON,
    REASONS,
    ENTRIES,
    KEEP_MOVES,
    MOVES,
    SWEEP_MOVES,
    PROPOSAL,
    SWEEP_PROPOSALS,
    REPLAY,
    AMEND,
    LINK,
    KEEP_SECRET,
    SECRET,
    SWEEP_KEYS,
    SWEEP_CLAIMS,
    SWEEP_LINKS,
    SWEEP_GROUPS,
];

impl Store {
    pub(crate) async fn appointment(&self, organization: Uuid, id: Uuid) -> Result<Option<AppointmentRow>, Failure> {
        Ok(sqlx::query_as(APPOINTMENT).bind(organization).bind(id).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn appointments_of(
        &self,
        organization: Uuid,
        ids: &[Uuid],
    ) -> Result<Vec<AppointmentRow>, Failure> {
        if ids.is_empty() {
            return Ok(vec![]);
        }
        let mut query = QueryBuilder::<Db>::new(APPOINTMENTS_OF);
        query.push_bind(organization);
        any_of(&mut query, "id", ids);
        Ok(query.build_query_as().persistent(sql::is_kept(ids.len())).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn ahead(&self, after: (i64, Uuid), limit: i64) -> Result<Vec<AppointmentRow>, Failure> {
        Ok(sqlx::query_as(AHEAD).bind(after.0).bind(after.1).bind(limit).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn appointments(
        &self,
        organization: Uuid,
        filter: &Filter,
    ) -> Result<Vec<AppointmentRow>, Failure> {
        let mut query = QueryBuilder::<Db>::new("SELECT * FROM appointments WHERE organization_id = ");
        query.push_bind(organization);
        any_of(&mut query, "location_id", &filter.locations);
        any_of(&mut query, "practitioner_id", &filter.practitioners);
        any_of(&mut query, "patient_id", filter.patient.as_slice());
        if !filter.statuses.is_empty() {
            query.push(" AND status IN (");
            let mut list = query.separated(", ");
            for status in &filter.statuses {
                list.push_bind(status.clone());
            }
            query.push(")");
        }
        if let Some(from) = filter.from_us {
            query.push(" AND starts_at_us >= ").push_bind(from);
        }
        if let Some(to) = filter.to_us {
            query.push(" AND starts_at_us < ").push_bind(to);
        }
        if let Some(displaced) = filter.displaced {
            query.push(" AND displaced = ").push_bind(displaced);
        }
        if let Some((starts_at_us, id)) = filter.after {
            query.push(" AND (starts_at_us, id) > (").push_bind(starts_at_us).push(", ").push_bind(id).push(")");
        }
        query.push(" ORDER BY starts_at_us, id LIMIT ").push_bind(filter.limit);
        Ok(query.build_query_as().fetch_all(self.reader()).await?)
    }

    pub(crate) async fn claims_of(&self, organization: Uuid, owner: Uuid) -> Result<Vec<ClaimRow>, Failure> {
        Ok(sqlx::query_as(CLAIMS_OF).bind(organization).bind(owner).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn in_the_way(
        &self,
        organization: Uuid,
        claim: &ClaimRow,
        now_us: i64,
    ) -> Result<Vec<Uuid>, Failure> {
        let query = sqlx::query_scalar(IN_THE_WAY).bind(organization).bind(claim.kind).bind(claim.resource);
        let query = query.bind(claim.unit).bind(claim.starts_at_us).bind(claim.ends_at_us).bind(now_us);
        Ok(query.fetch_all(self.writer()).await?)
    }

    pub(crate) async fn had_before(
        &self,
        organization: Uuid,
        patient: Uuid,
        service: Uuid,
        before_us: i64,
    ) -> Result<bool, Failure> {
        let query = sqlx::query_scalar::<Db, i64>(HAD_BEFORE).bind(organization).bind(patient).bind(service);
        Ok(query.bind(before_us).fetch_one(self.reader()).await? > 0)
    }

    pub(crate) async fn hold(&self, organization: Uuid, id: Uuid) -> Result<Option<HoldRow>, Failure> {
        Ok(sqlx::query_as(HOLD).bind(organization).bind(id).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn expired_holds(&self, now_us: i64, limit: i64) -> Result<Vec<(Uuid, Uuid)>, Failure> {
        Ok(sqlx::query_as(EXPIRED_HOLDS).bind(now_us).bind(limit).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn group(&self, organization: Uuid, id: Uuid) -> Result<Option<GroupRow>, Failure> {
        Ok(sqlx::query_as(GROUP).bind(organization).bind(id).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn hold_groups(&self, organization: Uuid, owner: Uuid) -> Result<Vec<Uuid>, Failure> {
        Ok(sqlx::query_scalar(HOLD_GROUPS).bind(organization).bind(owner).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn plan(&self, organization: Uuid, id: Uuid) -> Result<Option<PlanRow>, Failure> {
        Ok(sqlx::query_as(PLAN).bind(organization).bind(id).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn plan_of_session(&self, organization: Uuid, session: Uuid) -> Result<Option<PlanRow>, Failure> {
        Ok(sqlx::query_as(PLAN_OF_SESSION).bind(organization).bind(session).fetch_optional(self.reader()).await?)
    }

    /// Newest first.
    pub(crate) async fn plans(
        &self,
        organization: Uuid,
        patient: Option<Uuid>,
        statuses: &[String],
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<PlanRow>, Failure> {
        let mut query = QueryBuilder::<Db>::new(
            "SELECT id, version, document, created_at_us, updated_at_us, at_risk FROM plans WHERE organization_id = ",
        );
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

    pub(crate) async fn plans_due(&self, now_us: i64, limit: i64) -> Result<Vec<OwnedPlanRow>, Failure> {
        Ok(sqlx::query_as(PLANS_DUE).bind(now_us).bind(limit).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn ledger(&self, organization: Uuid, plan: Uuid) -> Result<Vec<String>, Failure> {
        Ok(sqlx::query_scalar(ENTRIES).bind(organization).bind(plan).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn reason(&self, organization: Uuid, code: &str) -> Result<Option<ReasonRow>, Failure> {
        Ok(sqlx::query_as(REASON).bind(organization).bind(code).fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn reasons(&self, organization: Uuid) -> Result<Vec<ReasonRow>, Failure> {
        Ok(sqlx::query_as(REASONS).bind(organization).fetch_all(self.reader()).await?)
    }

    pub(crate) async fn keep_moves(
        &self,
        organization: Uuid,
        id: Uuid,
        moves: &str,
        expires_at_us: i64,
    ) -> Result<(), Failure> {
        let query = sqlx::query(KEEP_MOVES).bind(organization).bind(id).bind(moves).bind(expires_at_us);
        query.execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn moves(&self, organization: Uuid, id: Uuid, now_us: i64) -> Result<Option<String>, Failure> {
        let query = sqlx::query_scalar(MOVES).bind(organization).bind(id).bind(now_us);
        Ok(query.fetch_optional(self.reader()).await?)
    }

    pub(crate) async fn proposal(
        &self,
        organization: Uuid,
        id: Uuid,
        plan: Uuid,
        now_us: i64,
    ) -> Result<Option<String>, Failure> {
        let query = sqlx::query_scalar(PROPOSAL).bind(organization).bind(id).bind(plan).bind(now_us);
        Ok(query.fetch_optional(self.reader()).await?)
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

    pub(crate) async fn amend(&self, organization: Uuid, remembered: &Remember) -> Result<(), Failure> {
        let Remember { caller, route, key, response, .. } = remembered;
        let query = sqlx::query(AMEND).bind(organization).bind(caller).bind(route).bind(key);
        query.bind(&response.0).execute(self.writer()).await?;
        Ok(())
    }

    pub(crate) async fn link(&self, token_hash: &[u8]) -> Result<Option<LinkRow>, Failure> {
        Ok(sqlx::query_as(LINK).bind(token_hash.to_vec()).fetch_optional(self.reader()).await?)
    }

    /// The secret with this name, kept from `fresh` where there was none.
    pub(crate) async fn secret(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, Failure> {
        sqlx::query(KEEP_SECRET).bind(name).bind(fresh.to_vec()).execute(self.writer()).await?;
        Ok(sqlx::query_scalar(SECRET).bind(name).fetch_one(self.writer()).await?)
    }

    pub(crate) async fn sweep(&self, before: Before, limit: i64) -> Result<bool, Failure> {
        let mut gone = self.sweep_changes(before.changes_us, limit).await?;
        for (statement, before_us) in [
            (SWEEP_KEYS, before.keys_us),
            (SWEEP_CLAIMS, before.claims_us),
            (SWEEP_LINKS, before.now_us),
            (SWEEP_PROPOSALS, before.now_us),
            (SWEEP_MOVES, before.now_us),
            (SWEEP_GROUPS, before.claims_us),
        ] {
            let done = sqlx::query(statement).bind(before_us).bind(limit).execute(self.writer()).await?;
            gone = gone.max(done.rows_affected());
        }
        Ok(i64::try_from(gone).is_ok_and(|gone| gone >= limit))
    }
}

/// Only what has one of these ids in a column; no ids: whatever it has.
pub(crate) fn any_of(query: &mut QueryBuilder<Db>, column: &str, ids: &[Uuid]) {
    if !ids.is_empty() {
        query.push(format_args!(" AND {column} IN ("));
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(*id);
        }
        query.push(")");
    }
}
