//! The public words of webhooks.

use crate::words::words;

words! {
    /// The status of a webhook delivery.
    pub enum DeliveryStatus as "WebhookDeliveryStatus" {
        /// An attempt is due, or waits for an earlier delivery about the same resource.
        Pending = "pending",
        /// The receiver answered with a 2xx status.
        Delivered = "delivered",
        /// No attempt is left, or the endpoint is disabled.
        Dead = "dead",
    }
}
