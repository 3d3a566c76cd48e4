//! Providers that carry messages to patients: one trait, and an implementation for each of Twilio, Vonage, an HTTP gateway
//! of the clinic's own, SMTP, and a sandbox.
//!
//! `registry.rs` holds the providers of each channel in their order, each behind its `limiter.rs`. What a provider posts to
//! us arrives in `callback.rs`: delivery receipts (`record_receipt.rs` verifies, `apply_receipt.rs` writes) and patients'
//! replies (`inbound.rs`).

pub(crate) mod apply_receipt;
pub(crate) mod callback;
pub(crate) mod callback_url;
mod fields;
mod http;
mod http_client;
pub(crate) mod inbound;
pub(crate) mod limiter;
pub(crate) mod receipt;
pub(crate) mod record_receipt;
pub(crate) mod registry;
mod sandbox;
pub(crate) mod smtp;
pub(crate) mod twilio;
pub(crate) mod vonage;

use std::{fmt, time::Duration};

use jiff::Timestamp;
use rpc::Fault;
use wire::reminder::ReceiveRequest;

use self::{fields::Fields, inbound::InboundMessage, receipt::DeliveryReceipt};

/// A message to send. Its `Debug` shows the reference alone, so that no log holds personal data.
pub(crate) struct OutgoingMessage {
    /// The phone number or e-mail address.
    pub(crate) to: String,
    /// Empty for a text message.
    pub(crate) subject: String,
    pub(crate) text: String,
    /// The one-click unsubscribe URL; only e-mails carry it.
    pub(crate) unsubscribe_url: Option<String>,
    /// The URL at which the provider reports the delivery.
    pub(crate) callback_url: Option<String>,
    /// Names this attempt.
    pub(crate) reference: String,
    /// The idempotency key: the reference of the first of the attempts that a provider may have accepted without an
    /// answer. A provider that accepted one of them drops the others.
    pub(crate) key: String,
}

impl fmt::Debug for OutgoingMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutgoingMessage({})", self.reference)
    }
}

/// The outcome of one attempt to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SendOutcome {
    /// The patient has the message.
    Delivered {
        /// The provider's id of the message.
        id: String,
    },
    /// The provider accepted the message.
    Sent {
        /// The provider's id of the message; empty where its answer was unreadable.
        id: String,
        /// How many parts the provider reports on separately.
        parts: i32,
    },
    /// The provider did not accept the message and asks for a retry.
    Busy {
        /// The delay that the provider asked for.
        retry_after: Option<Duration>,
        /// The provider's error code, or ours.
        code: String,
        /// The provider may have accepted the message and drops a repetition with the same key. No other provider may get
        /// such a message. `false`: it certainly did not accept the message.
        may_hold: bool,
    },
    /// The provider refused the message for good.
    Refused {
        /// The provider's error code, or ours.
        code: String,
        /// The patient opted out at the carrier.
        opted_out: bool,
    },
    /// The provider may or may not have accepted the message.
    Unknown {
        /// The failure, without personal data.
        detail: &'static str,
    },
}

impl SendOutcome {
    pub(crate) fn sent(id: impl Into<String>) -> Self {
        Self::Sent { id: id.into(), parts: 1 }
    }

    /// Certainly not accepted.
    pub(crate) fn busy(code: impl Into<String>) -> Self {
        Self::Busy { retry_after: None, code: code.into(), may_hold: false }
    }

    /// Possibly accepted; a repetition with the same key does no harm.
    pub(crate) fn may_hold(code: impl Into<String>) -> Self {
        Self::Busy { retry_after: None, code: code.into(), may_hold: true }
    }

    pub(crate) fn refused(code: impl Into<String>) -> Self {
        Self::Refused { code: code.into(), opted_out: false }
    }

    /// The value of the label `outcome` in metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Sent { .. } => "sent",
            Self::Busy { .. } => "busy",
            Self::Refused { .. } => "refused",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// A service that carries messages.
#[tonic::async_trait]
pub(crate) trait Provider: Send + Sync {
    /// The name in `messages.provider`, in metrics and in callback URLs.
    fn name(&self) -> &'static str;

    /// Sends a message once. Never retries: the caller knows whether a retry is safe.
    async fn send(&self, message: &OutgoingMessage) -> SendOutcome;

    /// Verifies the signature of a callback and returns its fields.
    ///
    /// # Errors
    /// `signature_invalid` for a wrong signature, `not_found` where the provider makes no callbacks.
    fn verify(&self, _: &ReceiveRequest, _: Timestamp) -> Result<Fields, Fault> {
        Err(Fault::not_found())
    }

    /// Parses a delivery receipt; `None` for an unknown status.
    ///
    /// # Errors
    /// `validation_failed` where the sender can mend the receipt.
    fn parse_receipt(&self, _: &Fields) -> Result<Option<DeliveryReceipt>, Fault> {
        Ok(None)
    }

    /// Parses a patient's message; `None` where the sender is no phone number.
    ///
    /// # Errors
    /// `validation_failed` where the sender can mend the message.
    fn parse_inbound(&self, _: &Fields) -> Result<Option<InboundMessage>, Fault> {
        Ok(None)
    }

    /// Whether callbacks come in our own format, so that their author can mend what is wrong with them.
    fn uses_own_format(&self) -> bool {
        false
    }
}
