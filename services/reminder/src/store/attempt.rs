//! What is written of an attempt to send a message: before it, after it, and when a provider reports.

use std::sync::Arc;

use domain::patient::Channel;
use uuid::Uuid;

use super::rows::MessageRow;
use crate::{address_hash, planning::Visit, providers::receipt::Stage};

/// How long nobody knows whether a message was sent before its rule is asked whether it is sent once more: most late
/// reports have come by then.
pub(crate) const UNKNOWN_US: i64 = 600_000_000;

/// A message about to be sent.
#[derive(Clone)]
pub(crate) struct Sending {
    pub(crate) message: Arc<MessageRow>,
    /// The appointment's version that the message was checked against.
    pub(crate) truth_version: i64,
    /// What the message tells the patient; `None` where it tells no time that holds.
    pub(crate) tells: Option<Visit>,
    /// The practitioner and the service that it names to the patient, where it does.
    pub(crate) names: Option<(Uuid, Uuid)>,
    pub(crate) provider: &'static str,
    /// The attempt whose name is its key; 0: its own.
    pub(crate) key_attempt: i32,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// As carriers count it; 0 for e-mail.
    pub(crate) segments: i32,
    pub(crate) now_us: i64,
    pub(crate) lease_until_us: i64,
}

/// What became of a message that was to leave with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It leaves, as this attempt.
    Attempt(i32),
    /// Its lease is lost, or something newer is known.
    Refused,
    /// Somebody holds it or its visit just now.
    Held,
}

/// An address of a patient.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) organization: Uuid,
    /// The channel's name.
    pub(crate) channel: String,
    /// See [`crate::address_hash`].
    pub(crate) hash: Vec<u8>,
}

impl Address {
    pub(crate) fn of(organization: Uuid, channel: &str, address: &str) -> Self {
        Self { organization, channel: channel.to_owned(), hash: address_hash(address) }
    }
}

/// What is recorded of an attempt.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) message: Arc<MessageRow>,
    pub(crate) attempt: i32,
    pub(crate) status: &'static str,
    pub(crate) reason: &'static str,
    /// When it is tried again.
    pub(crate) wake_at_us: Option<i64>,
    pub(crate) sent: bool,
    pub(crate) rank: i16,
    pub(crate) outcome: &'static str,
    pub(crate) provider_message_id: String,
    /// In how many parts the text travels; 0 where nobody has said.
    pub(crate) parts: i32,
    pub(crate) error_code: String,
    pub(crate) detail: &'static str,
    /// The address to which nothing is sent any more.
    pub(crate) block: Option<(Channel, Vec<u8>)>,
    /// Whether its provider may hold it, though it seemed not to take it: nobody else is given it.
    pub(crate) held: bool,
    /// Who is asked next; empty: the first one.
    pub(crate) next_way: &'static str,
    /// The id of the message that stands in for it, where one does.
    pub(crate) stand_in: Uuid,
    pub(crate) now_us: i64,
}

impl Record {
    /// Whether it was not taken and is tried again.
    pub(crate) fn is_busy(&self) -> bool {
        self.outcome == "failed" && self.wake_at_us.is_some()
    }
}

/// A message that ends without being sent.
#[derive(Clone)]
pub(crate) struct End {
    pub(crate) message: Arc<MessageRow>,
    pub(crate) status: &'static str,
    pub(crate) reason: &'static str,
    /// The id of the message that stands in for it, where one does.
    pub(crate) stand_in: Uuid,
    pub(crate) now_us: i64,
}

/// A report of a provider.
#[derive(Clone, Copy)]
pub(crate) struct Report<'a> {
    pub(crate) organization: Uuid,
    pub(crate) event: Uuid,
    /// The id of the message that stands in for it, where one does.
    pub(crate) stand_in: Uuid,
    pub(crate) message: Uuid,
    /// Whose report it is: it counts only for attempts that went by them.
    pub(crate) provider: &'a str,
    pub(crate) attempt: i32,
    /// Whether it speaks for the attempts before and after with the same key, too.
    pub(crate) by_key: bool,
    pub(crate) stage: Stage,
    pub(crate) reason: &'static str,
    pub(crate) provider_message_id: &'a str,
    /// Whether it is about one part of a text, which `provider_message_id` names.
    pub(crate) is_part: bool,
    pub(crate) error_code: &'a str,
    pub(crate) form: &'a str,
    pub(crate) block: bool,
    /// Where it is worth another attempt: when, and after how many at most.
    pub(crate) again: Option<(i64, i32)>,
    pub(crate) now_us: i64,
}

/// What a report has changed.
pub(crate) struct Reported {
    pub(crate) trigger: String,
    pub(crate) channel: String,
    /// The message's status by this report.
    pub(crate) status: &'static str,
    /// Whether the message is to be sent once more.
    pub(crate) again: bool,
}
