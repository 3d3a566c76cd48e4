//! A provider for trying things out: whatever it is given counts as delivered, and nobody receives it. The texts can be
//! read in the list of messages.

use super::{Outcome, Outgoing, Provider};

/// The sandbox.
pub(crate) struct Sandbox;

#[tonic::async_trait]
impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn send(&self, message: &Outgoing) -> Outcome {
        Outcome::Delivered { id: format!("sandbox-{}", message.reference) }
    }
}
