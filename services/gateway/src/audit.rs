//! The audit log: every write, and each read of a patient's data. It never holds contents.

use axum::http::Method;
use domain::id::{KeyId, PatientId};
use tokio::sync::mpsc;

use crate::{Inner, auth::Caller, call::Reply, operation::Operation, store::AuditRow};

/// Lines that may wait to be written; where the database cannot keep up, a loss is counted and logged.
pub(crate) const WAITING_MAX: usize = 10_000;

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

/// Writes the lines until the gateway is gone.
pub(crate) async fn write(inner: &Inner, lines: &mut mpsc::Receiver<AuditRow>) {
    while let Some(row) = lines.recv().await {
        if let Err(error) = inner.store.add_audit(&row).await {
            metrics::counter!("audit_lines_lost_total").increment(1);
            tracing::error!(%error, "a line of the audit log was lost");
        }
    }
}

/// A key's id as a label.
pub(crate) fn key_text(id: uuid::Uuid) -> String {
    KeyId::new(id).to_string()
}
