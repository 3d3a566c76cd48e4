//! The audit log: every write, and each read of a patient's data. It never holds contents.

use axum::http::Method;
use domain::id::{KeyId, PatientId};
use tokio::sync::{mpsc, oneshot};

use crate::{Inner, auth::Caller, call::Reply, operation::Operation, store::AuditRow};

/// Lines that may wait to be written; where the database cannot keep up, a loss is counted and logged.
pub(crate) const WAITING_MAX: usize = 10_000;
/// Lines in one transaction.
const LINES_MAX: usize = 200;

/// Notes what was done.
pub(crate) fn note(inner: &Inner, operation: &Operation, caller: &Caller, reply: &Reply) {
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
        tracing::error!("a line of the audit log was lost: the database cannot keep up");
    }
}

/// Writes lines as they come, many in one transaction, until it is told that the last request has been answered; then
/// what still waits.
pub(crate) async fn write(inner: &Inner, lines: &mut mpsc::Receiver<AuditRow>, mut answered: oneshot::Receiver<()>) {
    let mut taken = Vec::new();
    loop {
        // Only the waiting ends, never a write; and what waits comes before the end.
        tokio::select! {
            biased;
            _ = lines.recv_many(&mut taken, LINES_MAX) => {}
            _ = &mut answered => return,
        }
        if let Err(error) = inner.store.add_audits(&taken).await {
            metrics::counter!("audit_lines_lost_total").increment(taken.len() as u64);
            tracing::error!(%error, lines = taken.len(), "lines of the audit log were lost");
        }
        taken.clear();
    }
}

/// A key's id as a label.
pub(crate) fn key_text(id: uuid::Uuid) -> String {
    KeyId::new(id).to_string()
}
