//! The audit log: every write, every read of personal data, and every refusal. It never holds a resource's content.
//!
//! Requests put entries into a bounded queue and never wait for the database. `write` appends them to the chain of their
//! organisation. Refusals are counted first (`refusals.rs`), so that a flood of them is a few lines.

mod chain;
mod refusals;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use axum::{extract::ConnectInfo, http::Extensions};
pub(crate) use chain::hex;
pub use chain::{Chain, ChainFault, verify};
use domain::id::{OrganizationId, PatientId};
use refusals::Refusals;
use rpc::Fault;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{Inner, auth::Caller, operation::Operation, params::Params, reply::Reply, store::audit::Entry};

/// The most entries that wait for the database. Further entries are lost, counted, logged, and counted in the chain.
const QUEUE_MAX: usize = 10_000;
/// The most entries of one statement.
const BATCH_MAX: usize = 200;
/// The most characters of a query.
const FILTER_MAX: usize = 1000;

/// The action of a request without a valid key, whatever it asked for.
const AUTHENTICATE: &str = "authenticate";
/// The action of a line that counts lost lines.
const LINES_LOST: &str = "lines_lost";

/// The entries that wait for the database.
pub(crate) struct AuditLog {
    queue: mpsc::Sender<Entry>,
    refusals: Refusals,
    /// The requests whose lines were lost, by organisation, until a line says so.
    lost: Mutex<BTreeMap<Uuid, i64>>,
}

/// The facts about a running request that its audit line needs.
#[derive(Default)]
pub(crate) struct Trail {
    pub(crate) caller: Option<Caller>,
    /// The organisation of a patient's link; set when the link is resolved.
    pub(crate) link_organization: Arc<OnceLock<OrganizationId>>,
    target: String,
    patient: Option<PatientId>,
    filter: String,
    address: String,
}

impl Trail {
    /// The trail of a request from this connection.
    pub(crate) fn new(extensions: &Extensions) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        Self { address: peer.map(|peer| peer.0.ip().to_string()).unwrap_or_default(), ..Self::default() }
    }

    /// Notes the id that the path names. Other parts of a path are left out: they may hold a patient's link.
    pub(crate) fn path(&mut self, path_params: &HashMap<String, String>) {
        let id = ["id", "parent_id"].into_iter().filter_map(|name| path_params.get(name)).find(|id| is_id(id));
        self.target = id.cloned().unwrap_or_default();
        self.patient = self.target.parse().ok();
    }

    /// Notes the query, without its texts.
    pub(crate) fn query(&mut self, operation: &Operation, params: &Params) {
        self.filter = params.without_texts(&operation.params).chars().take(FILTER_MAX).collect();
        self.patient = params.text("patient_id").and_then(|id| id.parse().ok()).or(self.patient);
    }

    fn entry(&self, inner: &Inner, action: &str, status: u16) -> Entry {
        let linked = self.link_organization.get().map(|organization| Caller::patient(*organization));
        let caller = linked.as_ref().or(self.caller.as_ref());
        Entry {
            organization_id: caller.map_or(inner.known_default_organization(), |caller| caller.organization).uuid(),
            at_us: inner.clock.now_us(),
            caller: caller.map_or("nobody", |caller| caller.name.as_str()).to_owned(),
            person: caller.and_then(|caller| caller.display_name.clone()).unwrap_or_default(),
            action: action.to_owned(),
            target: self.target.clone(),
            patient_id: self.patient.map(Into::into),
            status: i16::try_from(status).unwrap_or_default(),
            filter: self.filter.clone(),
            row_count: None,
            requests: 1,
            address: String::new(),
        }
    }
}

/// Whether a text has the form of a TypeID.
fn is_id(text: &str) -> bool {
    let is_body = |body: &str| body.len() == 26 && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_prefix =
        |prefix: &str| (1..=8).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_lowercase());
    text.rsplit_once('_').is_some_and(|(prefix, body)| is_prefix(prefix) && is_body(body))
}

impl AuditLog {
    /// The log, and the entries that [`write`] takes.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Entry>) {
        let (queue, entries) = mpsc::channel(QUEUE_MAX);
        (Self { queue, refusals: Refusals::default(), lost: Mutex::default() }, entries)
    }

    /// Records the answer of an operation.
    pub(crate) fn answered(&self, inner: &Inner, operation: &Operation, trail: &Trail, reply: &Reply) {
        // A redirection of a read shows nothing.
        let is_elsewhere = reply.status == 303 && !operation.is_write();
        if is_elsewhere || (!operation.is_audited() && reply.patient.is_none()) {
            return;
        }
        let mut entry = trail.entry(inner, &operation.id, reply.status);
        if let Some(target) = &reply.target {
            entry.target.clone_from(target);
        }
        if let Some(note) = &reply.note {
            entry.filter.clone_from(note);
        }
        if let Some(patient) = reply.patient.as_ref().and_then(|id| id.parse::<PatientId>().ok()) {
            entry.patient_id = Some(patient.into());
        }
        entry.row_count = reply.rows.and_then(|rows| i64::try_from(rows).ok());
        self.put(entry);
    }

    /// Records a refusal (401, 403, 404), and a write that failed on our side: its outcome may be unknown.
    pub(crate) fn refused(&self, inner: &Inner, operation: &Operation, trail: &Trail, fault: &Fault) {
        let status = fault.code.http();
        match status {
            401 | 403 | 404 => self.refuse(inner, &operation.id, trail, status),
            500.. if operation.is_write() => self.put(trail.entry(inner, &operation.id, status)),
            _ => {}
        }
    }

    /// Records a refusal of an action.
    pub(crate) fn refuse(&self, inner: &Inner, action: &str, trail: &Trail, status: u16) {
        let is_keyed = trail.caller.as_ref().is_some_and(|caller| !caller.is_patient());
        let mut entry = trail.entry(inner, if status == 401 { AUTHENTICATE } else { action }, status);
        if status == 401 {
            (entry.target, entry.patient_id, entry.filter) = Default::default();
        }
        if !is_keyed || status == 401 {
            entry.address.clone_from(&trail.address);
        }
        self.refusals.count(entry);
    }

    fn put(&self, entry: Entry) {
        if let Err(error) = self.queue.try_send(entry) {
            let entry = error.into_inner();
            let organization = OrganizationId::new(entry.organization_id);
            let (caller, action) = (&entry.caller, &entry.action);
            tracing::error!(
                %organization,
                caller,
                action,
                queued = QUEUE_MAX,
                "an audit entry was lost: the database cannot keep up"
            );
            self.lose(&[entry]);
        }
    }

    /// Counts lost entries, for a line of the chain.
    fn lose(&self, entries: &[Entry]) {
        metrics::counter!("audit_lines_lost_total").increment(entries.len() as u64);
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            *lost.entry(entry.organization_id).or_default() += entry.requests;
        }
    }

    /// A line for each organisation that lost some.
    fn take_lost(&self, now_us: i64) -> Vec<Entry> {
        let lost = std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner));
        let entry = |(organization_id, requests)| {
            let (caller, action) = ("meridian".to_owned(), LINES_LOST.to_owned());
            Entry { organization_id, at_us: now_us, caller, action, requests, ..Entry::default() }
        };
        lost.into_iter().map(entry).collect()
    }
}

/// Writes queued entries in batches until `answered` closes after the last request, then the entries that are left.
pub(crate) async fn write(inner: &Inner, entries: &mut mpsc::Receiver<Entry>, mut answered: oneshot::Receiver<()>) {
    let log = &inner.audit;
    let mut batch = Vec::new();
    loop {
        // Biased: queued entries are received before the end. A write is never interrupted.
        let is_last = tokio::select! {
            biased;
            _ = entries.recv_many(&mut batch, BATCH_MAX) => false,
            () = log.refusals.due(&inner.clock) => false,
            _ = &mut answered => true,
        };
        let now_us = inner.clock.now_us();
        batch.extend(log.refusals.take_before(if is_last { i64::MAX } else { now_us }));
        batch.extend(log.take_lost(now_us));
        append(inner, &mut batch).await;
        if is_last {
            return;
        }
    }
}

/// Appends entries to the chains of their organisations, and empties the batch.
async fn append(inner: &Inner, batch: &mut Vec<Entry>) {
    batch.sort_by_key(|entry| entry.organization_id);
    for entries in batch.chunk_by(|a, b| a.organization_id == b.organization_id) {
        let organization = entries[0].organization_id;
        for entries in entries.chunks(BATCH_MAX) {
            let run = || inner.store.append_audit_lines(organization, entries);
            if let Err(error) = sql::retry_serialization(|| inner.ids.fraction(), run).await {
                inner.audit.lose(entries);
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, entries = entries.len(), "audit entries were lost: the database failed");
            }
        }
    }
    batch.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gives_its_id_and_never_a_link() {
        let target = |name: &str, value: &str| {
            let mut trail = Trail::default();
            trail.path(&HashMap::from([(name.to_owned(), value.to_owned())]));
            (trail.target, trail.patient.is_some())
        };
        let patient = "pat_01h455vb4pex5vsknk084sn02q";
        assert_eq!(target("id", patient), (patient.to_owned(), true));
        assert_eq!(target("id", "plan_01h455vb4pex5vsknk084sn02q").0, "plan_01h455vb4pex5vsknk084sn02q");
        for (name, value) in [("token", patient), ("file", patient), ("id", "Ada Example"), ("id", "pat_ada")] {
            assert_eq!(target(name, value), (String::new(), false), "{name} {value}");
        }
    }
}
