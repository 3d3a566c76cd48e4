//! The rows, as both engines store them.

mod appointment;

use std::fmt;

use domain::{event::Kind, patient::Channel};
use sqlx::FromRow;
use uuid::Uuid;

pub(crate) use self::appointment::{AppointmentRow, OwnedAppointmentRow};
use crate::{
    appointment::{Changed, Visit},
    planning::{self, Pending},
    reports::{Messages, Seen},
    rules::{self, Rule, Trigger, channel},
};

/// A rule; `body` is the JSON of `rules::Body`.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct RuleRow {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) body: String,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    pub(crate) archived_at_us: Option<i64>,
}

impl RuleRow {
    pub(crate) fn read(self) -> Result<Rule, sqlx::Error> {
        Ok(Rule {
            id: self.id,
            version: self.version,
            body: serde_json::from_str(&self.body).map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            created_at_us: self.created_at_us,
            updated_at_us: self.updated_at_us,
            archived_at_us: self.archived_at_us,
        })
    }
}

/// The columns of a message. A statement that is kept prepared names them: with `*` it would fail, in a process that is older,
/// as soon as a newer one adds a column.
pub(crate) const MESSAGE_COLUMNS: &str = "organization_id, id, appointment_id, appointment_version, rule_id, trigger, \
     channel, status, reason, due_at_us, starts_at_us, location_id, time_zone, fence, tries, attempts, provider, recipient, \
     subject, body, segments, sent_at_us, key_attempt, held, next_way, instead_of, repeated, \
     changed";

/// A message. Its `Debug` shows no recipient and no text.
#[derive(Clone, PartialEq, FromRow)]
pub(crate) struct MessageRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) appointment_id: Uuid,
    pub(crate) appointment_version: i64,
    pub(crate) rule_id: Uuid,
    pub(crate) trigger: String,
    pub(crate) channel: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) due_at_us: i64,
    pub(crate) starts_at_us: i64,
    pub(crate) location_id: Uuid,
    pub(crate) time_zone: String,
    pub(crate) fence: i64,
    pub(crate) tries: i32,
    pub(crate) attempts: i32,
    pub(crate) provider: String,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// As carriers count them; 0 for e-mail, and until it is sent.
    pub(crate) segments: i32,
    pub(crate) sent_at_us: Option<i64>,
    /// The attempt whose name is the key of the last one.
    pub(crate) key_attempt: i32,
    /// Whether its provider may hold it, though it seemed not to take it.
    pub(crate) held: bool,
    /// Who is asked next; empty: the first one.
    pub(crate) next_way: String,
    /// The message that it stands in for.
    pub(crate) instead_of: Option<Uuid>,
    /// Whether it was sent once more since nobody knew whether it was sent.
    pub(crate) repeated: bool,
    /// As [`Changed::letters`].
    pub(crate) changed: String,
}

impl fmt::Debug for MessageRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} {} {} {}, fence {})", self.id, self.trigger, self.channel, self.status, self.fence)
    }
}

impl MessageRow {
    /// Whether nobody knows whether it was sent.
    pub(crate) fn is_unknown(&self) -> bool {
        self.status == "unknown"
    }

    /// What it says has changed.
    pub(crate) fn changed(&self) -> Changed {
        Changed::of_letters(&self.changed)
    }

    /// What the message tells.
    pub(crate) fn visit(&self) -> Visit {
        Visit { starts_at_us: self.starts_at_us, location: self.location_id }
    }
}

/// A message that was sent to a number, and how its visit stands.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct SentMessageRow {
    pub(crate) id: Uuid,
    pub(crate) rule_id: Uuid,
    pub(crate) appointment_id: Uuid,
    pub(crate) patient_id: Uuid,
    pub(crate) trigger: String,
    pub(crate) sent_at_us: i64,
    pub(crate) starts_at_us: i64,
    pub(crate) location_id: Uuid,
    pub(crate) time_zone: String,
    pub(crate) status: String,
    pub(crate) current_starts_at_us: i64,
    pub(crate) current_location_id: Uuid,
}

/// What a patient wrote. It has no `Debug`: nobody shows it by accident.
#[derive(Clone, FromRow)]
pub(crate) struct InboundRow {
    pub(crate) id: Uuid,
    pub(crate) received_at_us: i64,
    pub(crate) sender: String,
    pub(crate) body: String,
    pub(crate) meaning: String,
    pub(crate) message_id: Option<Uuid>,
    pub(crate) appointment_id: Option<Uuid>,
    pub(crate) patient_id: Option<Uuid>,
    pub(crate) score: Option<i16>,
    pub(crate) attention: String,
    pub(crate) read_at_us: Option<i64>,
    pub(crate) read_by: String,
}

/// An appointment with the counts of its messages.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct SeenRow {
    pub(crate) id: Uuid,
    pub(crate) status: String,
    pub(crate) service_id: Uuid,
    pub(crate) practitioner_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) time_zone: String,
    pub(crate) confirmed_at_us: Option<i64>,
    pub(crate) replied: bool,
    pub(crate) reminded: i64,
    pub(crate) sent: i64,
    pub(crate) delivered: i64,
    pub(crate) failed: i64,
    pub(crate) unknown: i64,
    pub(crate) suppressed: i64,
    pub(crate) segments: i64,
}

impl SeenRow {
    pub(crate) fn read(self) -> Result<Seen, sqlx::Error> {
        Ok(Seen {
            status: self.status.parse().map_err(|text: &str| sqlx::Error::Decode(text.into()))?,
            service: self.service_id,
            practitioner: self.practitioner_id,
            location: self.location_id,
            starts_at_us: self.starts_at_us,
            time_zone: self.time_zone,
            confirmed: self.confirmed_at_us.is_some(),
            replied: self.replied,
            reminded: self.reminded > 0,
            messages: Messages {
                sent: self.sent.unsigned_abs(),
                delivered: self.delivered.unsigned_abs(),
                failed: self.failed.unsigned_abs(),
                unknown: self.unknown.unsigned_abs(),
                suppressed: self.suppressed.unsigned_abs(),
                segments: self.segments.unsigned_abs(),
            },
        })
    }
}

/// An attempt to send a message.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct AttemptRow {
    pub(crate) message_id: Uuid,
    pub(crate) at_us: i64,
    pub(crate) outcome: String,
    pub(crate) provider_message_id: String,
    pub(crate) error_code: String,
    pub(crate) detail: String,
    /// Empty where it was not kept.
    pub(crate) provider: String,
}

/// A planned message of a rule that changes.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct PendingRow {
    pub(crate) id: Uuid,
    pub(crate) trigger: String,
    pub(crate) channel: String,
    pub(crate) base_at_us: i64,
    pub(crate) due_at_us: i64,
    pub(crate) service_id: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) time_zone: String,
    pub(crate) instead_of: Option<Uuid>,
}

impl PendingRow {
    pub(crate) fn read(self) -> Result<Pending, sqlx::Error> {
        let odd = || sqlx::Error::Decode("a message's trigger or channel is unknown".into());
        Ok(Pending {
            trigger: self.trigger.parse::<Trigger>().map_err(|_| odd())?,
            channel: channel(&self.channel).ok_or_else(odd)?,
            base_at_us: self.base_at_us,
            due_at_us: self.due_at_us,
            service: self.service_id,
            starts_at_us: self.starts_at_us,
            time_zone: self.time_zone,
            stands_in: self.instead_of.is_some(),
        })
    }
}

/// A message that has ended, with its rule's JSON.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct EndedRow {
    pub(crate) id: Uuid,
    trigger: String,
    channel: String,
    body: String,
}

impl EndedRow {
    /// The channel on which another message stands in for it.
    pub(crate) fn read(self) -> Result<Option<Channel>, sqlx::Error> {
        // An answer to a patient's own message goes nowhere else.
        let Ok(trigger) = self.trigger.parse::<Trigger>() else { return Ok(None) };
        let body: rules::Body =
            serde_json::from_str(&self.body).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(planning::stand_in(&body, trigger, &self.channel))
    }
}

/// The answer kept for an idempotency key. Its `Debug` shows nothing: it may hold a message.
#[derive(Clone, FromRow)]
pub(crate) struct ReplayRow {
    pub(crate) fingerprint: String,
    pub(crate) response: Vec<u8>,
    pub(crate) revision: String,
}

impl fmt::Debug for ReplayRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayRow(…)")
    }
}

/// A webhook endpoint. Its `Debug` shows neither address nor secret.
#[derive(Clone, FromRow)]
pub(crate) struct EndpointRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) url: String,
    /// JSON.
    pub(crate) events: String,
    pub(crate) description: String,
    pub(crate) enabled: bool,
    pub(crate) disabled_reason: String,
    pub(crate) secret: String,
    pub(crate) old_secret: String,
    pub(crate) old_until_us: i64,
    pub(crate) failing_since_us: Option<i64>,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
}

impl fmt::Debug for EndpointRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}, version {})", self.id, self.version)
    }
}

impl EndpointRow {
    /// The events that it wants; none: all.
    pub(crate) fn events(&self) -> Vec<Kind> {
        serde_json::from_str(&self.events).unwrap_or_default()
    }

    /// As the column `events` keeps them.
    pub(crate) fn events_text(events: &[Kind]) -> String {
        serde_json::to_string(events).unwrap_or_default()
    }

    /// The secrets that sign now, the present one first.
    pub(crate) fn secrets(&self, now_us: i64) -> Vec<&str> {
        let old = (!self.old_secret.is_empty() && now_us < self.old_until_us).then_some(self.old_secret.as_str());
        std::iter::once(self.secret.as_str()).chain(old).collect()
    }
}

/// Whether an endpoint with this column `events` wants an event of this kind.
pub(crate) fn wants(events: &str, kind: Kind) -> bool {
    let events: Result<Vec<Kind>, _> = serde_json::from_str(events);
    events.is_ok_and(|events| events.is_empty() || events.contains(&kind))
}

/// A delivery to a webhook endpoint.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct DeliveryRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) endpoint_id: Uuid,
    pub(crate) number: i64,
    pub(crate) subject_id: Uuid,
    pub(crate) event: String,
    pub(crate) payload: String,
    pub(crate) status: String,
    pub(crate) wake_at_us: Option<i64>,
    pub(crate) since_us: i64,
    pub(crate) fence: i64,
    pub(crate) tries: i32,
    pub(crate) attempts: i32,
    pub(crate) last_status: i32,
    pub(crate) last_error: String,
    pub(crate) created_at_us: i64,
    pub(crate) delivered_at_us: Option<i64>,
}
