//! Who carries a message: a trait, a sandbox, Twilio's and Vonage's forms, a form of our own over HTTP, and SMTP.

pub(crate) mod callback;
mod http;
mod http_client;
pub(crate) mod inbound;
pub(crate) mod limiter;
pub(crate) mod receipt;
pub(crate) mod registry;
mod sandbox;
pub(crate) mod smtp;
pub(crate) mod twilio;
pub(crate) mod vonage;

use std::{fmt, time::Duration};

use jiff::Timestamp;
use rpc::Fault;
use wire::reminder::ReceiveRequest;

use self::receipt::{Fields, Receipt};
use crate::replies::Heard;

/// A message on its way. Its `Debug` shows nothing: personal data stays out of logs.
pub(crate) struct Outgoing {
    /// The number or address.
    pub(crate) to: String,
    /// Empty for a text message.
    pub(crate) subject: String,
    pub(crate) text: String,
    /// Where one click ends messages of this kind; only an e-mail can carry it.
    pub(crate) unsubscribe: Option<String>,
    /// Where the provider reports what became of it.
    pub(crate) callback: Option<String>,
    /// Names this attempt, unlike every other.
    pub(crate) reference: String,
    /// That of the first of these attempts, where the provider seems not to have taken those before: whoever has taken
    /// one of them after all drops the others.
    pub(crate) key: String,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({})", self.reference)
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is with the patient.
    Delivered {
        /// The provider's own id.
        id: String,
    },
    /// The provider has taken it.
    Sent {
        /// The provider's own id; empty where its answer could not be read.
        id: String,
        /// How many parts it reports on one by one.
        parts: i32,
    },
    /// The provider has not taken it, and will later.
    Busy {
        /// When it says to come back.
        after: Option<Duration>,
        /// Its error code, or ours.
        code: String,
        /// Whether it may have taken it after all, and drops what comes again under the same key: nobody else may be given
        /// such a message. Otherwise it says for certain that it has not.
        may_hold: bool,
    },
    /// The provider has refused it, and will again.
    Refused {
        /// Its error code, or ours.
        code: String,
        /// Whether the patient has told the carrier to stop.
        opted_out: bool,
    },
    /// Nobody can say: it may have been sent.
    Unknown {
        /// What went wrong, in words without personal data.
        detail: &'static str,
    },
}

impl Outcome {
    pub(crate) fn sent(id: impl Into<String>) -> Self {
        Self::Sent { id: id.into(), parts: 1 }
    }

    pub(crate) fn busy(code: impl Into<String>) -> Self {
        Self::Busy { after: None, code: code.into(), may_hold: false }
    }

    /// Busy, for all that is known: what comes again under the same key does no harm.
    pub(crate) fn may_hold(code: impl Into<String>) -> Self {
        Self::Busy { after: None, code: code.into(), may_hold: true }
    }

    pub(crate) fn refused(code: impl Into<String>) -> Self {
        Self::Refused { code: code.into(), opted_out: false }
    }

    /// Its word in metrics.
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

/// Someone who carries messages.
#[tonic::async_trait]
pub(crate) trait Provider: Send + Sync {
    /// Its name in `messages`.
    fn name(&self) -> &'static str;

    /// Hands a message over, once. Never tries again by itself: the caller knows whether that is safe.
    async fn send(&self, message: &Outgoing) -> Outcome;

    /// The fields of a call that it has made to us.
    ///
    /// # Errors
    /// Where its signature is not right.
    fn signed(&self, _: &ReceiveRequest, _: Timestamp) -> Result<Fields, Fault> {
        Err(Fault::not_found())
    }

    /// Reads a report; `None` where it says nothing that is known.
    ///
    /// # Errors
    /// What is wrong with it, where its sender can mend that.
    fn receipt(&self, _: &Fields) -> Result<Option<Receipt>, Fault> {
        Ok(None)
    }

    /// Reads a patient's message that it passes on; `None` where it is none.
    ///
    /// # Errors
    /// What is wrong with it, where its sender can mend that.
    fn heard(&self, _: &Fields) -> Result<Option<Heard>, Fault> {
        Ok(None)
    }

    /// Whether the form of its calls is ours: then its author can mend what is wrong with them.
    fn has_our_form(&self) -> bool {
        false
    }
}
