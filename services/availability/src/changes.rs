//! What those who watch must know of a change: whose time it touches, and when.

use calendar::{Span, tick};
use domain::claim::{Claim, Kind};
use tokio::sync::broadcast;
use uuid::Uuid;

/// News that a slow watcher may have before it; one that missed some looks at everything again.
const WAITING_MAX: usize = 256;

/// Something has changed.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// Time of these resources was taken or freed.
    Claims(Vec<(Kind, Uuid, Span)>),
    /// The directory, or everything that is booked.
    Everything,
}

impl News {
    /// The claims that an owner had and has.
    pub(crate) fn of(before: &[Claim], after: &[Claim]) -> Self {
        let touched = before.iter().chain(after);
        Self::Claims(touched.map(|claim| (claim.kind, claim.resource, Span::touching(claim.interval))).collect())
    }

    /// Whether it can touch starts in some ticks, where `concerns` says whose time matters.
    pub(crate) fn touches(&self, window: Span, concerns: impl Fn(Kind, Uuid) -> bool) -> bool {
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

/// Where an organisation's news is told.
pub(crate) fn channel() -> broadcast::Sender<News> {
    broadcast::Sender::new(WAITING_MAX)
}
