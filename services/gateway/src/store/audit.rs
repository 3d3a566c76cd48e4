//! The audit log: a chain of lines for each organisation.

use domain::id::{OrganizationId, PatientId};
use sha2::{Digest, Sha256};
use sql::Failure;
use sqlx::{QueryBuilder, query, query_as};
use uuid::Uuid;

use super::Store;

const INSERT_LINES: &str = r#"
    INSERT INTO audit_lines (organization_id, number, at_us, caller, person, action, target, patient_id, status, filter,
        row_count, requests, address, previous_hash, hash)
"#;
const SELECT_LINES: &str = r#"
    SELECT organization_id, number, at_us, caller, person, action, target, patient_id, status, filter, row_count,
        requests, address, previous_hash, hash
    FROM audit_lines
    WHERE organization_id =
"#;
/// The update changes nothing: on PostgreSQL it locks the row until the end of the transaction.
const LOCK_CHAIN: &str = r#"
    INSERT INTO audit_chains (organization_id, first_number, number, hash)
    VALUES ($1, 1, 0, $2)
    ON CONFLICT (organization_id) DO UPDATE
    SET number = audit_chains.number
    RETURNING organization_id, first_number, number, hash
"#;
const ADVANCE_CHAIN: &str = r#"
    UPDATE audit_chains
    SET number = $2, hash = $3
    WHERE organization_id = $1
"#;
const SELECT_CHAINS: &str = r#"
    SELECT organization_id, first_number, number, hash
    FROM audit_chains
    ORDER BY organization_id
"#;
/// One statement, because a gateway may append between two.
const SELECT_BEYOND: &str = r#"
    SELECT audit_lines.organization_id, min(audit_lines.number) AS number
    FROM audit_lines
    LEFT JOIN audit_chains ON audit_chains.organization_id = audit_lines.organization_id
    WHERE audit_lines.number > coalesce(audit_chains.number, 0)
    GROUP BY audit_lines.organization_id
"#;

/// The beginning of the canonical form, which names its version.
const FORM: &[u8] = b"meridian-audit-1";

/// An event of the audit log, before it has its place in the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, sql::FromRow)]
pub(crate) struct Entry {
    pub(crate) organization_id: Uuid,
    /// Microseconds since the Unix epoch.
    pub(crate) at_us: i64,
    /// A key's id, `admin`, `patient`, `oidc:` and a person's subject, `command_line`, or `nobody` without a valid key.
    pub(crate) caller: String,
    /// The name of a person with a token of an OpenID provider; empty for others.
    pub(crate) person: String,
    /// The id of the operation, `authenticate` or `lines_lost`.
    pub(crate) action: String,
    /// The id of the resource, as asked; empty without one.
    pub(crate) target: String,
    pub(crate) patient_id: Option<Uuid>,
    /// HTTP status of the answer; 0 for a line of an earlier version.
    pub(crate) status: i16,
    /// The query as asked, without its texts.
    pub(crate) filter: String,
    /// The rows of a list.
    pub(crate) row_count: Option<i64>,
    /// The requests for which the line stands.
    pub(crate) requests: i64,
    /// The client's address, where the request had no valid key.
    pub(crate) address: String,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, sql::FromRow)]
pub(crate) struct Line {
    /// The place in the organisation's chain, from 1 without a gap.
    pub(crate) number: i64,
    /// The hash of the line before; empty before the first line.
    pub(crate) previous_hash: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    #[sqlx(flatten)]
    pub(crate) entry: Entry,
}

impl Line {
    /// SHA-256 of the canonical form: each field as its length in eight bytes, big-endian, and its bytes.
    pub(crate) fn computed_hash(&self) -> Vec<u8> {
        let Entry { organization_id, at_us, patient_id, status, row_count, requests, .. } = self.entry;
        let Entry { caller, person, action, target, filter, address, .. } = &self.entry;
        let organization = OrganizationId::new(organization_id).to_string();
        let patient = patient_id.map(|id| PatientId::new(id).to_string()).unwrap_or_default();
        let rows = row_count.map(|rows| rows.to_string()).unwrap_or_default();
        let numbers = [self.number, at_us, i64::from(status), requests].map(|number| number.to_string());
        let [number, at, status, requests] = &numbers;
        let texts = [
            organization.as_str(),
            number,
            at,
            caller,
            person,
            action,
            target,
            patient.as_str(),
            status,
            filter,
            rows.as_str(),
            requests,
            address,
        ];
        let mut digest = Sha256::new();
        for field in [FORM, self.previous_hash.as_slice()].into_iter().chain(texts.map(str::as_bytes)) {
            digest.update((field.len() as u64).to_be_bytes());
            digest.update(field);
        }
        digest.finalize().to_vec()
    }
}

/// The end of an organisation's chain.
#[derive(Debug, Clone, PartialEq, Eq, sql::FromRow)]
pub(crate) struct Chain {
    pub(crate) organization_id: Uuid,
    /// The first line with a hash; lines before it are of an earlier version.
    pub(crate) first_number: i64,
    /// The last line.
    pub(crate) number: i64,
    /// Its hash; empty before the first line.
    pub(crate) hash: Vec<u8>,
}

impl Chain {
    /// The lines that continue this chain.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Vec<Line> {
        let mut lines = Vec::with_capacity(entries.len());
        for entry in entries {
            let (number, previous_hash) = (self.number + 1, std::mem::take(&mut self.hash));
            let mut line = Line { number, previous_hash, hash: vec![], entry: entry.clone() };
            line.hash = line.computed_hash();
            (self.number, self.hash) = (number, line.hash.clone());
            lines.push(line);
        }
        lines
    }
}

/// A line beyond the end of its chain.
#[derive(Debug, sql::FromRow)]
pub(crate) struct Beyond {
    pub(crate) organization_id: Uuid,
    pub(crate) number: i64,
}

/// Which lines of an organisation to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) organization: Uuid,
    /// Lines before this one.
    pub(crate) before: i64,
    /// A caller, or a person's name.
    pub(crate) actor: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) patient: Option<Uuid>,
    /// Not earlier than this, in microseconds since the Unix epoch.
    pub(crate) from_us: Option<i64>,
    /// Earlier than this.
    pub(crate) to_us: Option<i64>,
}

impl Store {
    /// Appends entries of one organisation to its chain, in one transaction. Writers of all processes take turns.
    pub(crate) async fn append_audit_lines(&self, organization: Uuid, entries: &[Entry]) -> Result<(), Failure> {
        let mut tx = self.database.of(organization).begin().await?;
        let mut chain: Chain = service::statement!(&mut tx, "gateway.lock_audit_chain", |conn| {
            query_as(LOCK_CHAIN).bind(organization).bind(Vec::<u8>::new()).fetch_one(conn).await
        })?;
        let lines = chain.append(entries);
        service::statement!(&mut tx, "gateway.insert_audit_lines", |conn: Engine| {
            let mut query = QueryBuilder::<Engine>::new(INSERT_LINES);
            query.push_values(&lines, |mut values, line| {
                let entry = &line.entry;
                values.push_bind(entry.organization_id).push_bind(line.number).push_bind(entry.at_us);
                values.push_bind(&entry.caller).push_bind(&entry.person).push_bind(&entry.action);
                values.push_bind(&entry.target).push_bind(entry.patient_id).push_bind(entry.status);
                values.push_bind(&entry.filter).push_bind(entry.row_count).push_bind(entry.requests);
                values.push_bind(&entry.address).push_bind(&line.previous_hash).push_bind(&line.hash);
            });
            query.build().persistent(sql::is_kept(lines.len())).execute(conn).await.map(drop)
        })?;
        service::statement!(&mut tx, "gateway.advance_audit_chain", |conn| {
            query(ADVANCE_CHAIN).bind(organization).bind(chain.number).bind(&chain.hash).execute(conn).await.map(drop)
        })?;
        tx.commit().await
    }

    /// The newest lines that pass the filter.
    pub(crate) async fn list_audit_lines(&self, filter: &Filter, limit: i64) -> Result<Vec<Line>, Failure> {
        service::read!(self.database.of(filter.organization), "gateway.list_audit_lines", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_LINES);
            query.push_bind(filter.organization).push(" AND number < ").push_bind(filter.before);
            if let Some(actor) = &filter.actor {
                query.push(" AND (caller = ").push_bind(actor).push(" OR person = ").push_bind(actor).push(")");
            }
            if let Some(action) = &filter.action {
                query.push(" AND action = ").push_bind(action);
            }
            if let Some(patient) = filter.patient {
                query.push(" AND patient_id = ").push_bind(patient);
            }
            if let Some(from_us) = filter.from_us {
                query.push(" AND at_us >= ").push_bind(from_us);
            }
            if let Some(to_us) = filter.to_us {
                query.push(" AND at_us < ").push_bind(to_us);
            }
            query.push(" ORDER BY number DESC LIMIT ").push_bind(limit);
            query.build_query_as::<Line>().fetch_all(pool).await
        })
    }

    /// The lines of a chain after one and up to another, in their order.
    pub(crate) async fn audit_lines_between(
        &self,
        organization: Uuid,
        (after, last): (i64, i64),
        limit: i64,
    ) -> Result<Vec<Line>, Failure> {
        service::read!(self.database.of(organization), "gateway.audit_lines_between", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_LINES);
            query.push_bind(organization).push(" AND number > ").push_bind(after);
            query.push(" AND number <= ").push_bind(last).push(" ORDER BY number LIMIT ").push_bind(limit);
            query.build_query_as::<Line>().fetch_all(pool).await
        })
    }

    /// The ends of all chains.
    pub(crate) async fn audit_chains(&self) -> Result<Vec<Chain>, Failure> {
        service::read!(self.database.across(), "gateway.audit_chains", |pool| query_as(SELECT_CHAINS)
            .fetch_all(pool)
            .await)
    }

    /// The first line beyond the end of each chain that has one. No gateway writes such lines.
    pub(crate) async fn audit_lines_beyond(&self) -> Result<Vec<Beyond>, Failure> {
        service::read!(self.database.across(), "gateway.audit_lines_beyond", |pool| {
            query_as(SELECT_BEYOND).fetch_all(pool).await
        })
    }
}
