//! The audit log: every write, and each read of a patient's data. It never holds a resource's content.

use axum::http::Method;
use domain::id::PatientId;
use tokio::sync::{mpsc, oneshot};

use crate::{Inner, auth::Caller, operation::Operation, reply::Reply, store::audit::AuditRow};

/// The most entries that wait for the database. Further entries are lost, counted and logged.
pub(crate) const QUEUE_MAX: usize = 10_000;
/// The most entries of one statement.
const BATCH_MAX: usize = 200;

/// Queues the entry of an operation.
pub(crate) fn record(inner: &Inner, operation: &Operation, caller: &Caller, reply: &Reply) {
    if operation.method == Method::GET && reply.patient.is_none() {
        return;
    }
    let now = inner.clock.now();
    let row = AuditRow {
        organization_id: caller.organization.uuid(),
        id: inner.ids.uuid(now),
        at_us: now.as_microsecond(),
        caller: caller.name.clone(),
        action: operation.id.clone(),
        target: reply.target.clone().unwrap_or_default(),
        patient_id: reply.patient.as_ref().and_then(|id| id.parse::<PatientId>().ok()).map(Into::into),
    };
    if inner.audit.try_send(row).is_err() {
        metrics::counter!("audit_lines_lost_total").increment(1);
        tracing::error!(
            organization = %caller.organization,
            caller = caller.name,
            operation = operation.id,
            queued = QUEUE_MAX,
            "an audit entry was lost: the database cannot keep up"
        );
    }
}

/// Writes queued entries in batches until `answered` closes after the last request, then the entries that are left.
pub(crate) async fn write(inner: &Inner, entries: &mut mpsc::Receiver<AuditRow>, mut answered: oneshot::Receiver<()>) {
    let mut batch = Vec::new();
    loop {
        // Biased: queued entries are received before the end. A write is never interrupted.
        tokio::select! {
            biased;
            _ = entries.recv_many(&mut batch, BATCH_MAX) => {}
            _ = &mut answered => return,
        }
        if let Err(error) = inner.store.insert_audit_entries(&batch).await {
            metrics::counter!("audit_lines_lost_total").increment(batch.len() as u64);
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, entries = batch.len(), "audit entries were lost: the database failed");
        }
        batch.clear();
    }
}
