//! Who carries a message: a trait, a sandbox, and Twilio's form.

pub(crate) mod sandbox;
pub(crate) mod sha1;
pub(crate) mod signature;
pub(crate) mod twilio;

use std::{fmt, time::Duration};

/// A message on its way. Its `Debug` shows nothing: personal data stays out of logs.
pub(crate) struct Outgoing {
    /// The number or address.
    pub(crate) to: String,
    pub(crate) text: String,
    /// Where the provider reports what became of it.
    pub(crate) callback: Option<String>,
    /// Names this attempt, unlike every other.
    pub(crate) reference: String,
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
    },
    /// The provider has not taken it, and will later.
    Busy {
        /// When it says to come back.
        after: Option<Duration>,
        /// Its error code, or ours.
        code: String,
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
}
