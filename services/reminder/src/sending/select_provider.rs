//! The provider of a message's next attempt, and when another one is tried.
//!
//! Only a message that a provider has certainly not accepted goes by another one. A message that a provider may hold stays
//! with it, and one with an unknown outcome is not sent again unless its rule repeats it.

use domain::patient::Channel;

use super::send::delay_us;
use crate::{
    Inner,
    providers::{SendOutcome, limiter::Permit, registry::ProviderRoute},
    store::messages::MessageRow,
};

/// The provider that may get a message now.
pub(super) enum Selection<'a> {
    /// This one, after so many microseconds; 0 for at once.
    Provider(&'a ProviderRoute, i64),
    /// None for so many microseconds.
    SuspendedFor(i64),
    /// The provider that may hold the message is no longer configured, and no other may get it.
    Gone,
}

/// Takes a permit of the first provider that is available. `elapsed_us`: a reading of `Clock::elapsed_us`.
pub(super) fn select<'a>(routes: &'a [ProviderRoute], message: &MessageRow, elapsed_us: i64) -> Selection<'a> {
    let mut available_in_us: Option<i64> = None;
    let earliest = |known: Option<i64>, in_us: i64| Some(known.map_or(in_us, |known| known.min(in_us)));
    for route in in_order(routes, message) {
        // A provider that asked for a delay is skipped while there is another one.
        if routes.len() > 1
            && !message.held
            && let Some(delay) = route.retry_after(elapsed_us)
        {
            available_in_us = earliest(available_in_us, i64::try_from(delay.as_micros()).unwrap_or(i64::MAX));
            continue;
        }
        match route.limiter.acquire(elapsed_us) {
            Permit::Now => return Selection::Provider(route, 0),
            Permit::After(wait_us) => return Selection::Provider(route, wait_us),
            Permit::SuspendedFor(left_us) => available_in_us = earliest(available_in_us, left_us),
        }
    }
    available_in_us.map_or(Selection::Gone, Selection::SuspendedFor)
}

/// The providers for a message: the one that may hold it alone, else all, beginning with the next one.
fn in_order<'a>(routes: &'a [ProviderRoute], message: &MessageRow) -> impl Iterator<Item = &'a ProviderRoute> {
    let first = routes.iter().position(|route| route.name() == message.next_provider).unwrap_or(0);
    let all = routes.iter().cycle().skip(first).take(routes.len());
    all.filter(|route| !message.held || route.name() == message.provider)
}

/// Whether a provider had the last attempt and may have accepted it.
fn is_repeat(message: &MessageRow, route: &ProviderRoute) -> bool {
    (message.held || message.is_unknown() || message.reason == "provider_busy") && route.name() == message.provider
}

/// The attempt whose reference is the key of the next one; 0 for its own. Attempts that share a key count once for
/// providers that deduplicate.
pub(super) fn key_attempt(message: &MessageRow, route: &ProviderRoute) -> i32 {
    if is_repeat(message, route) { message.key_attempt } else { 0 }
}

/// Whether a message stays with its provider from now on.
pub(super) fn is_held(message: &MessageRow, outcome: &SendOutcome) -> bool {
    // A refusal now does not prove that the provider holds nothing from before.
    message.held || matches!(outcome, SendOutcome::Busy { may_hold: true, .. })
}

/// The instant of the next attempt after a busy provider, and its provider unless it is the first one; `None` after the
/// last attempt.
pub(super) fn next_attempt(
    inner: &Inner,
    message: &MessageRow,
    channel: Channel,
    route: &ProviderRoute,
    outcome: &SendOutcome,
) -> Option<(i64, &'static str)> {
    let SendOutcome::Busy { retry_after, .. } = outcome else { return None };
    let (now_us, elapsed_us) = (inner.clock.now_us(), inner.clock.elapsed_us());
    let all = inner.providers.for_channel(channel);
    let routes = if is_held(message, outcome) { std::slice::from_ref(route) } else { all };
    // Counted over all providers: others may have had attempts before one held the message.
    let count = i32::try_from(all.len()).unwrap_or(i32::MAX);
    let tries_max = i32::try_from(inner.config.attempts_max).unwrap_or(1).saturating_mul(count);
    if message.tries + 1 >= tries_max {
        return None;
    }
    if let Some(next) =
        routes.iter().find(|next| next.position > route.position && next.limiter.is_available(elapsed_us))
    {
        return Some((now_us, next.name()));
    }
    // The first provider is next, and not sooner than it asked for. The delay grows with the attempts of each.
    let retry_after = (*retry_after).max(routes.first().and_then(|first| first.retry_after(elapsed_us)));
    Some((now_us + delay_us(&inner.ids, retry_after, message.tries / count.max(1)), ""))
}
