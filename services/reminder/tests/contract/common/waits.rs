//! Moments that tests wait for, and one that they bring about.

use super::{Running, World, organization, us, with_phone};

/// Waits until the text of a later appointment was sent, so that all earlier messages were handled.
pub async fn passes(world: &World, service: &Running) {
    let later = world.book_for(organization(1), us("2026-03-08T15:00:00Z"), with_phone("+15005550077"));
    service.becomes(&later, "booked", "sms", "sent").await;
}

/// A service that takes over from one which has died while it gave a visit's text to its provider, when the lease is over.
pub async fn dies_sending(world: &World, service: Running, visit: &str) -> Running {
    service.becomes(visit, "booked", "sms", "sending").await;
    // Not leased when the sender dies: a lease ends by the clock, which stands still here.
    service.becomes(visit, "booked", "email", "delivered").await;
    service.kill().await;
    let service = world.start().await;
    world.seconds(120);
    service
}
