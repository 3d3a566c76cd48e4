//! How often a follower of the feed reads.

use std::time::Duration;

use tokio::time::Instant;

/// Under load a follower reads no more often than this: one read tells of many commits, and none waits longer.
const PERIOD: Duration = Duration::from_millis(5);
/// So many reads are made without a wait after a quiet time: one person's patient, plan and visits, written one right
/// after the other, are each told at once.
const BURST: u32 = 4;

/// One read a period in the long run, a few at once after a quiet time: the generic cell rate algorithm of ITU-T I.371.
pub(crate) struct Pace {
    /// When the next read is due by the long run alone.
    due: Instant,
}

impl Pace {
    /// A pace with its whole burst before it.
    pub(crate) fn new() -> Self {
        Self { due: Instant::now() }
    }

    /// Waits until the next read may be made.
    pub(crate) async fn wait(&mut self) {
        let at = self.take(Instant::now());
        tokio::time::sleep_until(at).await;
    }

    /// Takes the next read, asked for now: when it may be made.
    fn take(&mut self, now: Instant) -> Instant {
        let ahead = PERIOD * (BURST - 1);
        let at = self.due.checked_sub(ahead).map_or(now, |early| early.max(now));
        self.due = self.due.max(at) + PERIOD;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of so many reads is made, one asked for as soon as the last one is made.
    fn reads(pace: &mut Pace, from: Instant, count: u32) -> Vec<Duration> {
        let mut now = from;
        let mut read = || {
            now = pace.take(now);
            now - from
        };
        (0..count).map(|_| read()).collect()
    }

    #[test]
    fn a_few_reads_go_at_once_and_the_long_run_keeps_its_pace() {
        let (began, mut pace) = (Instant::now(), Pace::new());
        let began = began.max(pace.due);
        let at = reads(&mut pace, began, BURST + 100);
        assert!(at[..BURST as usize].iter().all(Duration::is_zero), "a quiet follower reads at once: {at:?}");
        assert_eq!(at.last(), Some(&(PERIOD * 100)), "a busy one reads once a period");

        let later = began + PERIOD * 1000;
        let at = reads(&mut pace, later, BURST + 1);
        assert_eq!(at.last(), Some(&PERIOD), "a long quiet time earns one burst, not more: {at:?}");
    }
}
