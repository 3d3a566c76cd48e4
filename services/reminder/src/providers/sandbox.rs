//! A provider for trials: it delivers to nobody and reports every message as delivered. `GET /v1/messages` shows the texts.

use super::{OutgoingMessage, Provider, SendOutcome};

/// The sandbox.
pub(crate) struct Sandbox;

#[tonic::async_trait]
impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn send(&self, message: &OutgoingMessage) -> SendOutcome {
        SendOutcome::Delivered { id: format!("sandbox-{}", message.reference) }
    }
}
