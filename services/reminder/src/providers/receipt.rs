//! A delivery receipt: a provider's report on one attempt. Each provider parses its own format into this type.

/// The progress of an attempt at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Accepted,
    Queued,
    Sending,
    Sent,
    Delivered,
    Undelivered,
    Failed,
    Read,
}

/// Whether a retry of an undelivered message is worthwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// The cause is unknown: the message may have arrived.
    Once,
    /// Up to the number of attempts for a busy provider.
    UpToMax,
}

/// A provider's report on an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeliveryReceipt {
    pub(crate) stage: Stage,
    /// The provider's id of the message, or of the part that the receipt is about.
    pub(crate) id: String,
    /// The receipt is about one part of a text that travels in several.
    pub(crate) is_part: bool,
    /// The attempt's reference or key, where the provider repeats it; it must belong to the message of the callback URL.
    pub(crate) reference: Option<String>,
    /// The receipt speaks for all attempts with the same key, because the provider counts them as one.
    pub(crate) by_key: bool,
    pub(crate) error_code: String,
    /// The patient opted out at the carrier.
    pub(crate) opted_out: bool,
    /// The carrier filtered the message as spam.
    pub(crate) filtered: bool,
    pub(crate) retry: Retry,
    /// The fields to store, as JSON: no phone number, no text, and no field that the provider adds without notice.
    pub(crate) retained: String,
}

impl Stage {
    /// Orders the stages: receipts arrive repeated and out of order, and a message only moves up.
    pub(crate) fn rank(self) -> i16 {
        match self {
            Self::Accepted => 1,
            Self::Queued => 2,
            Self::Sending => 3,
            Self::Sent => 4,
            Self::Delivered | Self::Undelivered | Self::Failed => 5,
            Self::Read => 6,
        }
    }

    /// The message's status.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Accepted | Self::Queued | Self::Sending | Self::Sent => "sent",
            Self::Delivered | Self::Read => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
        }
    }

    /// The message did not reach the patient.
    pub(crate) fn is_lost(self) -> bool {
        matches!(self, Self::Undelivered | Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_rank_in_the_order_of_a_delivery() {
        let order = [Stage::Accepted, Stage::Queued, Stage::Sending, Stage::Sent, Stage::Delivered, Stage::Read];
        assert!(order.windows(2).all(|pair| pair[0].rank() < pair[1].rank()));
        assert_eq!([Stage::Undelivered.rank(), Stage::Failed.rank()], [Stage::Delivered.rank(); 2]);
    }
}
