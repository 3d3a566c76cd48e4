//! Messages as the clinic sees them: list, read, retry, preview.

pub(crate) mod list;
pub(crate) mod preview;
pub(crate) mod retry;

use std::collections::HashMap;

use domain::id::{AppointmentId, MessageId, RuleId};
use rpc::{Context, Fault};
use service::db_error;
use uuid::Uuid;
use wire::reminder;

use crate::{
    Inner,
    planning::restored::version_of_key,
    replies::REPLY_TRIGGER,
    store::{attempts::AttemptRow, messages::MessageRow},
};

/// One message of the caller's organisation.
pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<MessageRow, Fault> {
    let id: MessageId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.message(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    found.ok_or_else(Fault::not_found)
}

/// Messages with their attempts as protobuf messages.
pub(crate) async fn to_wire(inner: &Inner, rows: &[MessageRow]) -> Result<Vec<reminder::Message>, Fault> {
    let Some(first) = rows.first() else { return Ok(vec![]) };
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut attempts = HashMap::<Uuid, Vec<AttemptRow>>::new();
    for attempt in inner.store.attempts(first.organization_id, &ids).await.map_err(db_error::fault)? {
        attempts.entry(attempt.message_id).or_default().push(attempt);
    }
    Ok(rows.iter().map(|row| message_to_wire(row, attempts.remove(&row.id).unwrap_or_default())).collect())
}

fn message_to_wire(row: &MessageRow, attempts: Vec<AttemptRow>) -> reminder::Message {
    let attempt = |attempt: AttemptRow| reminder::Attempt {
        at_us: attempt.at_us,
        outcome: attempt.outcome,
        provider_message_id: attempt.provider_message_id,
        error_code: attempt.error_code,
        detail: attempt.detail,
        provider: attempt.provider,
    };
    reminder::Message {
        id: MessageId::new(row.id).to_string(),
        // The public interface shows the id of an offer here.
        appointment_id: AppointmentId::new(row.appointment_id.unwrap_or(row.subject_id)).to_string(),
        // A reply belongs to no version.
        appointment_version: if row.trigger == REPLY_TRIGGER { 0 } else { version_of_key(row.subject_version) },
        rule_id: RuleId::new(row.rule_id).to_string(),
        trigger: row.trigger.clone(),
        channel: row.channel.clone(),
        status: row.status.clone(),
        due_at_us: row.due_at_us,
        sent_at_us: row.sent_at_us.unwrap_or(0),
        reason: row.reason.clone(),
        attempts: attempts.into_iter().map(attempt).collect(),
        to: row.recipient.clone(),
        subject: row.subject.clone(),
        text: row.body.clone(),
        time_zone: row.time_zone.clone(),
        provider: row.provider.clone(),
        segments: u32::try_from(row.segments).unwrap_or(0),
        instead_of: row.fallback_for.map(|id| MessageId::new(id).to_string()).unwrap_or_default(),
    }
}
