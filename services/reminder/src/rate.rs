//! How often something may be done that is asked for again and again.

use std::time::Duration;

use tokio::time::Instant;

/// Once a period in the long run, a few times at once after a quiet time: the generic cell rate algorithm of ITU-T I.371.
///
/// In real time, whatever the clock shows: it spares the machine.
#[derive(Debug)]
pub(crate) struct Pace {
    period: Duration,
    burst: u32,
    /// When the next one is due by the long run alone.
    due: Instant,
}

impl Pace {
    /// A pace with its whole burst before it.
    pub(crate) fn new(period: Duration, burst: u32) -> Self {
        Self { period, burst, due: Instant::now() }
    }

    /// Takes the next one, asked for now: when it may be done.
    pub(crate) fn take(&mut self, now: Instant) -> Instant {
        let ahead = self.period * self.burst.saturating_sub(1);
        let at = self.due.checked_sub(ahead).map_or(now, |early| early.max(now));
        self.due = self.due.max(at) + self.period;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(20);
    const BURST: u32 = 4;

    /// When each of so many is done, one asked for as soon as the last one is done.
    fn done(pace: &mut Pace, from: Instant, count: u32) -> Vec<Duration> {
        let mut now = from;
        let mut one = || {
            now = pace.take(now);
            now - from
        };
        (0..count).map(|_| one()).collect()
    }

    #[test]
    fn a_few_go_at_once_and_the_long_run_keeps_its_pace() {
        let (began, mut pace) = (Instant::now(), Pace::new(PERIOD, BURST));
        let began = began.max(pace.due);
        let at = done(&mut pace, began, BURST + 100);
        assert!(at[..BURST as usize].iter().all(Duration::is_zero), "after a quiet time at once: {at:?}");
        assert_eq!(at.last(), Some(&(PERIOD * 100)), "a busy one once a period");

        let later = began + PERIOD * 1000;
        let at = done(&mut pace, later, BURST + 1);
        assert_eq!(at.last(), Some(&PERIOD), "a long quiet time earns one burst, not more: {at:?}");
    }
}
