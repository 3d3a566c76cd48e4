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

/// Where a message may go now.
pub(super) enum Route<'a> {
    /// This way, in its turn: at once where there is no instant.
    Go(&'a ProviderRoute, Option<i64>),
    /// None before this instant.
    Closed(i64),
    /// The one that may hold it is not in use any more, and nobody else may be given it.
    Gone,
}

/// Takes a turn on the first way that is open.
pub(super) fn route<'a>(ways: &'a [ProviderRoute], message: &MessageRow, now_us: i64) -> Route<'a> {
    let mut opens_at_us: Option<i64> = None;
    for way in in_order(ways, message) {
        // One that said when to come back is left alone while there is another.
        if ways.len() > 1
            && !message.held
            && let Some(rests) = way.retry_after(now_us)
        {
            let until_us = now_us.saturating_add(i64::try_from(rests.as_micros()).unwrap_or(i64::MAX));
            opens_at_us = Some(opens_at_us.map_or(until_us, |at_us| at_us.min(until_us)));
            continue;
        }
        match way.limiter.acquire(now_us) {
            Permit::Now => return Route::Go(way, None),
            Permit::At(at_us) => return Route::Go(way, Some(at_us)),
            Permit::SuspendedUntil(until_us) => {
                opens_at_us = Some(opens_at_us.map_or(until_us, |at_us| at_us.min(until_us)))
            }
        }
    }
    opens_at_us.map_or(Route::Gone, Route::Closed)
}

/// The ways for this message: the one that may hold it alone, else all, beginning with the one whose turn it is.
fn in_order<'a>(ways: &'a [ProviderRoute], message: &MessageRow) -> impl Iterator<Item = &'a ProviderRoute> {
    let first = ways.iter().position(|way| way.name() == message.next_provider).unwrap_or(0);
    ways.iter().cycle().skip(first).take(ways.len()).filter(|way| !message.held || way.name() == message.provider)
}

/// Whether this way was given the message the last time and may or may not have taken it.
fn is_repeat(message: &MessageRow, way: &ProviderRoute) -> bool {
    (message.held || message.is_unknown() || message.reason == "provider_busy") && way.name() == message.provider
}

/// The attempt whose name is the key of the next one by this way: 0 for its own. Attempts that a provider seemed not to
/// take are one for whoever keeps count by their key.
pub(super) fn key_attempt(message: &MessageRow, way: &ProviderRoute) -> i32 {
    if is_repeat(message, way) { message.key_attempt } else { 0 }
}

/// Whether a message stays with this way from now on.
pub(super) fn is_held(message: &MessageRow, outcome: &SendOutcome) -> bool {
    // That it takes nothing now does not say that it holds nothing from before.
    message.held || matches!(outcome, SendOutcome::Busy { may_hold: true, .. })
}

/// When a message is tried again that this way has not taken, and by whom where it is not the first one; `None` where
/// there was enough patience with each.
pub(super) fn again(
    inner: &Inner,
    message: &MessageRow,
    channel: Channel,
    way: &ProviderRoute,
    outcome: &SendOutcome,
) -> Option<(i64, &'static str)> {
    let SendOutcome::Busy { retry_after, .. } = outcome else { return None };
    let now_us = inner.clock.now_us();
    let ways = if is_held(message, outcome) { std::slice::from_ref(way) } else { inner.providers.for_channel(channel) };
    // By all of them: it may have been given to others before one held it.
    let count = i32::try_from(inner.providers.for_channel(channel).len()).unwrap_or(i32::MAX);
    let tries_max = i32::try_from(inner.config.attempts_max).unwrap_or(1).saturating_mul(count);
    if message.tries + 1 >= tries_max {
        return None;
    }
    if let Some(next) = ways.iter().find(|next| next.position > way.position && next.limiter.is_available(now_us)) {
        return Some((now_us, next.name()));
    }
    // The first one is next, and not sooner than it said. The pause grows by how often each was asked.
    let after = (*retry_after).max(ways.first().and_then(|first| first.retry_after(now_us)));
    Some((now_us + delay_us(&inner.ids, after, message.tries / count.max(1)), ""))
}
