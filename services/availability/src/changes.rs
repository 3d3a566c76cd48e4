//! Notices of changes, for callers who watch a query.

use calendar::{Span, tick};
use domain::claim::{Claim, Kind};
use tokio::sync::broadcast;
use uuid::Uuid;

/// Notices that a slow watcher may have pending; a watcher that missed some searches again.
const PENDING_MAX: usize = 256;

/// The extent of a change.
#[derive(Debug, Clone)]
pub(crate) enum ChangeNotice {
    /// Claims on these resources came or went.
    Claims(Vec<(Kind, Uuid, Span)>),
    /// The directory changed, or all bookings were replaced.
    Everything,
}

impl ChangeNotice {
    /// The notice of an owner's claims before and after a change.
    pub(crate) fn of(before: &[Claim], after: &[Claim]) -> Self {
        let touched = before.iter().chain(after);
        Self::Claims(touched.map(|claim| (claim.kind, claim.resource, Span::touching(claim.interval))).collect())
    }

    /// Whether the change can affect starts in a window, where `concerns` selects the resources that matter.
    pub(crate) fn affects(&self, window: Span, concerns: impl Fn(Kind, Uuid) -> bool) -> bool {
        // A visit counts for the caps of its whole week.
        let near = Span::new(window.start - 7 * tick::PER_DAY, window.end + 7 * tick::PER_DAY);
        match self {
            Self::Everything => true,
            Self::Claims(claims) => {
                claims.iter().any(|(kind, resource, span)| !span.and(near).is_empty() && concerns(*kind, *resource))
            }
        }
    }
}

/// The channel of one organisation's notices.
pub(crate) fn channel() -> broadcast::Sender<ChangeNotice> {
    broadcast::Sender::new(PENDING_MAX)
}
