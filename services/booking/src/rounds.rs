//! How often a follower of the feed reads.

use std::time::Duration;

use runtime::Pace;
use tokio::time::Instant;

use crate::follow::POLL;

/// Under load a follower reads no more often than this: one read tells of many commits.
const PERIOD: Duration = Duration::from_millis(20);
/// So many reads are made without a wait after a quiet time: one person's patient, plan and visits, written one right
/// after the other, are each told at once.
const BURST: u32 = 4;

/// When a follower reads next: after a commit that it was rung for, at its pace, and every [`POLL`] otherwise.
pub(crate) struct Rounds {
    due: Instant,
    /// There was a commit since the last read began.
    rung: bool,
    pace: Pace,
}

impl Rounds {
    /// The first read is due at once.
    pub(crate) fn new() -> Self {
        Self { due: Instant::now(), rung: false, pace: Pace::new(PERIOD, BURST) }
    }

    /// When the next read is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Something was committed.
    pub(crate) fn ring(&mut self) {
        if !self.rung {
            self.rung = true;
            self.due = self.due.min(self.pace.take(Instant::now()));
        }
    }

    /// A read begins. It may miss what is committed from now on.
    pub(crate) fn begin(&mut self) {
        self.rung = false;
        self.due = Instant::now() + POLL;
    }

    /// A read has ended; `more` where it was cut short.
    pub(crate) fn end(&mut self, more: bool) {
        if more {
            self.due = Instant::now();
        } else if !self.rung {
            self.due = Instant::now() + POLL;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_hastened_by_a_commit_even_by_one_that_comes_while_it_runs() {
        let mut rounds = Rounds::new();
        assert!(rounds.due() <= Instant::now());
        rounds.begin();
        rounds.end(false);
        assert!(rounds.due() > Instant::now(), "in a quiet time there is time");
        rounds.ring();
        assert!(rounds.due() <= Instant::now(), "a commit is read at once");
        rounds.begin();
        rounds.ring();
        rounds.end(false);
        assert!(rounds.due() <= Instant::now(), "the read may have missed it");
        rounds.begin();
        rounds.end(true);
        assert!(rounds.due() <= Instant::now(), "there is more to read");
    }
}
