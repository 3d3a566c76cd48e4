//! The only source of time.
//!
//! Four kinds: the system's clock, the system's clock with a lag, a clock that simulates time at a rate, and a manual
//! clock for tests. Each clock also sleeps, so that a simulated day passes in seconds.
//!
//! The wall time may be set, in both directions. [`Clock::now`] is for instants that mean wall time; a duration is the
//! difference of two readings of [`Clock::elapsed_us`], which never steps.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

/// The longest real sleep before a sleeper reads the clock again, which may have been set.
const REAL_SLEEP_MAX: Duration = Duration::from_secs(60);
/// The first reading of the monotonic clock.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A handle to a clock; clones share it.
#[derive(Clone)]
pub struct Clock(Arc<Kind>);

enum Kind {
    System,
    Behind(AtomicI64),
    Simulated { start_us: i64, anchor_us: i64, rate: u32 },
    Manual(Mutex<Manual>),
}

struct Manual {
    now_us: i64,
    next: u64,
    sleepers: BTreeMap<(i64, u64), oneshot::Sender<()>>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Arc::new(Kind::System))
    }

    /// The system's clock with a lag, until [`Clock::catch_up`]: for loading a history up to the present.
    pub fn behind(by: SignedDuration) -> Self {
        Self(Arc::new(Kind::Behind(AtomicI64::new(i64::try_from(by.as_micros()).unwrap_or(0).max(0)))))
    }

    /// Moves a lagging clock forward to an instant, at most to the present. Does nothing on other clocks.
    pub fn catch_up(&self, to: Timestamp) {
        let Kind::Behind(behind_us) = &*self.0 else { return };
        let left = system_us().saturating_sub(to.as_microsecond()).max(0);
        behind_us.fetch_min(left, Ordering::AcqRel);
    }

    /// A clock for tests, which stands still until [`Clock::advance`] moves it.
    pub fn manual(now: Timestamp) -> Self {
        let manual = Manual { now_us: now.as_microsecond(), next: 0, sleepers: BTreeMap::new() };
        Self(Arc::new(Kind::Manual(Mutex::new(manual))))
    }

    /// The present instant, in whole microseconds.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.now_us()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The present instant in microseconds since the Unix epoch.
    pub fn now_us(&self) -> i64 {
        match &*self.0 {
            Kind::System => system_us(),
            Kind::Behind(behind_us) => system_us().saturating_sub(behind_us.load(Ordering::Acquire)),
            Kind::Simulated { start_us, anchor_us, rate } => {
                start_us.saturating_add(system_us().saturating_sub(*anchor_us).saturating_mul(i64::from(*rate)))
            }
            Kind::Manual(manual) => manual.lock().unwrap_or_else(PoisonError::into_inner).now_us,
        }
    }

    /// The time that has passed by this clock, in microseconds since an arbitrary instant of this process. Unlike
    /// [`Clock::now_us`] it does not step when the system's clock is set.
    pub fn elapsed_us(&self) -> i64 {
        let rate = match &*self.0 {
            Kind::System | Kind::Behind(_) => 1,
            Kind::Simulated { rate, .. } => *rate,
            Kind::Manual(_) => return self.now_us(),
        };
        let real_us = i64::try_from(STARTED.elapsed().as_micros()).unwrap_or(i64::MAX);
        real_us.saturating_mul(i64::from(rate))
    }

    /// Sleeps for a duration of this clock, however its wall time is set meanwhile.
    pub async fn sleep(&self, duration: Duration) {
        let us = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match &*self.0 {
            Kind::Manual(_) => self.sleep_until_us(self.now_us().saturating_add(us)).await,
            Kind::Simulated { rate, .. } => real_sleep(real_time(us, *rate)).await,
            Kind::System | Kind::Behind(_) => real_sleep(duration).await,
        }
    }

    /// Sleeps until this clock reaches the instant.
    pub async fn sleep_until(&self, at: Timestamp) {
        self.sleep_until_us(at.as_microsecond()).await;
    }

    async fn sleep_until_us(&self, at_us: i64) {
        match &*self.0 {
            Kind::Manual(manual) => {
                let woken = {
                    let mut manual = manual.lock().unwrap_or_else(PoisonError::into_inner);
                    if at_us <= manual.now_us {
                        return;
                    }
                    let (wake, woken) = oneshot::channel();
                    let number = manual.next;
                    manual.next += 1;
                    manual.sleepers.insert((at_us, number), wake);
                    woken
                };
                // An error means that the clock was dropped.
                let _ = woken.await;
            }
            Kind::System | Kind::Behind(_) => self.sleep_really(at_us, 1).await,
            Kind::Simulated { rate, .. } => self.sleep_really(at_us, *rate).await,
        }
    }

    /// The timer and the wall clock may disagree, so a woken sleeper reads the clock again.
    async fn sleep_really(&self, at_us: i64, rate: u32) {
        loop {
            let left = real_time(at_us.saturating_sub(self.now_us()), rate).min(REAL_SLEEP_MAX);
            if left.is_zero() {
                return;
            }
            real_sleep(left).await;
        }
    }

    /// Moves a manual clock forward and wakes the sleepers that are due, in order. Does nothing on other clocks.
    pub fn advance(&self, duration: SignedDuration) {
        let Kind::Manual(manual) = &*self.0 else { return };
        let mut manual = manual.lock().unwrap_or_else(PoisonError::into_inner);
        let us = i64::try_from(duration.as_micros()).unwrap_or(0);
        manual.now_us = manual.now_us.saturating_add(us.max(0));
        let first_left = (manual.now_us.saturating_add(1), 0);
        let still_asleep = manual.sleepers.split_off(&first_left);
        for (_, wake) in std::mem::replace(&mut manual.sleepers, still_asleep) {
            // The sleeper may have been dropped.
            let _ = wake.send(());
        }
    }

    /// The number of tasks that sleep on a manual clock, without dropped ones. 0 on other clocks.
    pub fn sleepers(&self) -> usize {
        let Kind::Manual(manual) = &*self.0 else { return 0 };
        let manual = manual.lock().unwrap_or_else(PoisonError::into_inner);
        manual.sleepers.values().filter(|wake| !wake.is_closed()).count()
    }

    /// For tests: waits until at least `count` tasks sleep on a manual clock, so that [`Clock::advance`] wakes them.
    /// Returns at once on other clocks.
    pub async fn until_sleepers(&self, count: usize) {
        while matches!(&*self.0, Kind::Manual(_)) && self.sleepers() < count {
            tokio::task::yield_now().await;
        }
    }

    /// `START@RATE+ANCHOR`, from which [`Clock::from_str`] makes the same clock in another process. `None` for a clock
    /// without a rate.
    pub fn description(&self) -> Option<String> {
        let Kind::Simulated { start_us, anchor_us, rate } = &*self.0 else { return None };
        let start = Timestamp::from_microsecond(*start_us).ok()?;
        Some(format!("{start}@{rate}+{}", anchor_us / 1000))
    }

    /// Whether the clock is simulated or manual.
    pub fn is_simulated(&self) -> bool {
        !matches!(*self.0, Kind::System | Kind::Behind(_))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// The text does not describe a simulated clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a simulated clock as START@RATE, such as 2026-03-06T08:00:00Z@600, with a rate of 1 to 100000")]
pub struct ParseError;

impl FromStr for Clock {
    type Err = ParseError;

    /// Reads `START@RATE`, which starts now, or `START@RATE+ANCHOR`, which started at the real instant ANCHOR
    /// (milliseconds since the Unix epoch). Processes with the same anchor agree on the time.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (start, speed) = text.split_once('@').ok_or(ParseError)?;
        let (rate, anchor) = speed.split_once('+').map_or((speed, None), |(rate, anchor)| (rate, Some(anchor)));
        let start: Timestamp = start.parse().map_err(|_| ParseError)?;
        let rate = rate.parse().ok().filter(|rate| (1..=100_000).contains(rate)).ok_or(ParseError)?;
        let anchor_us = match anchor {
            Some(ms) => ms.parse::<i64>().ok().and_then(|ms| ms.checked_mul(1000)).ok_or(ParseError)?,
            None => system_us(),
        };
        // Whole milliseconds, so that a description loses nothing.
        let anchor_us = anchor_us.div_euclid(1000) * 1000;
        Ok(Self(Arc::new(Kind::Simulated { start_us: start.as_microsecond(), anchor_us, rate })))
    }
}

#[expect(clippy::disallowed_methods, reason = "the source of time")]
fn system_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The real time in which a remaining time of the clock passes.
fn real_time(left_us: i64, rate: u32) -> Duration {
    let real_us = u64::try_from(left_us).unwrap_or(0).div_ceil(u64::from(rate));
    Duration::from_micros(real_us)
}

#[expect(clippy::disallowed_methods, reason = "the source of real sleep")]
async fn real_sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_due_sleepers() {
        let clock = Clock::manual(at("2026-03-06T08:00:00Z"));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(3600)).await }
        });
        clock.until_sleepers(1).await;
        clock.advance(SignedDuration::from_mins(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        assert_eq!(clock.sleepers(), 1);
        clock.advance(SignedDuration::from_mins(1));
        sleeper.await.unwrap();
        assert_eq!((clock.now(), clock.sleepers()), (at("2026-03-06T09:00:00Z"), 0));
    }

    #[test]
    fn a_lagging_clock_catches_up_and_never_goes_back() {
        let (present, clock) = (Clock::system(), Clock::behind(SignedDuration::from_hours(48)));
        // Read first, so that time that passes before the second reading only adds to the difference.
        let behind = |clock: &Clock| {
            let lagging = clock.now();
            present.now().duration_since(lagging).as_hours()
        };
        assert_eq!(behind(&clock), 48);
        clock.catch_up(present.now() - SignedDuration::from_hours(24));
        assert_eq!(behind(&clock), 24);
        clock.catch_up(present.now() - SignedDuration::from_hours(36));
        assert_eq!(behind(&clock), 24);
        clock.catch_up(present.now() + SignedDuration::from_hours(1));
        assert_eq!(behind(&clock), 0);
    }

    #[tokio::test]
    async fn sleepers_wake_in_order_and_dropped_ones_do_not_count() {
        let clock = Clock::manual(at("2026-03-06T08:00:00Z"));
        let (woken, mut order) = tokio::sync::mpsc::unbounded_channel();
        for minutes in [30_u64, 10, 20] {
            let (clock, woken) = (clock.clone(), woken.clone());
            tokio::spawn(async move {
                clock.sleep(Duration::from_secs(minutes * 60)).await;
                woken.send(minutes).unwrap();
            });
        }
        clock.until_sleepers(3).await;
        let dropped = tokio::time::timeout(Duration::ZERO, clock.sleep(Duration::from_secs(60))).await;
        assert!(dropped.is_err());
        assert_eq!(clock.sleepers(), 3);
        clock.advance(SignedDuration::from_hours(1));
        assert_eq!([order.recv().await, order.recv().await, order.recv().await], [Some(10), Some(20), Some(30)]);
    }

    #[tokio::test]
    async fn a_sleep_until_the_past_returns_at_once() {
        for clock in [Clock::manual(at("2026-03-06T08:00:00Z")), "2026-03-06T08:00:00Z@1".parse().unwrap()] {
            let past = clock.sleep_until(at("2026-03-06T07:59:59Z"));
            tokio::time::timeout(Duration::from_secs(10), past).await.expect("the past is over");
        }
    }

    #[test]
    fn ten_simulated_minutes_at_600_last_a_real_second() {
        assert_eq!(real_time(600_000_000, 600), Duration::from_secs(1));
        assert_eq!(real_time(1, 600), Duration::from_micros(1), "never shorter than it must be");
        assert_eq!(real_time(-5, 600), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_simulated_sleep_ends_when_its_clock_says_so() {
        let clock: Clock = "2026-03-06T08:00:00Z@100000".parse().unwrap();
        let until = at("2026-03-06T08:01:00Z");
        clock.sleep_until(until).await;
        assert!(clock.now() >= until);
    }

    #[test]
    fn time_has_whole_microseconds() {
        for clock in [Clock::system(), "2026-03-06T08:00:00Z@7".parse().unwrap()] {
            assert_eq!(clock.now().subsec_nanosecond() % 1000, 0);
        }
    }

    #[test]
    fn a_description_gives_another_process_the_same_clock() {
        let clock: Clock = "2026-03-06T08:00:00Z@600".parse().unwrap();
        let other: Clock = clock.description().unwrap().parse().unwrap();
        assert_eq!(other.description(), clock.description());
        assert_eq!(Clock::system().description(), None);
    }

    #[test]
    fn a_simulated_clock_is_described_in_words() {
        let clock: Clock = "2026-03-06T08:00:00Z@600".parse().unwrap();
        assert!(clock.is_simulated() && clock.now().to_string().starts_with("2026-03-06T08:"));
        for bad in ["2026-03-06@600", "2026-03-06T08:00:00Z", "2026-03-06T08:00:00Z@0", "x@1", "2026-03-06T08:00:00Z@x"]
        {
            assert!(bad.parse::<Clock>().is_err(), "{bad}");
        }
    }

    #[test]
    fn processes_with_one_anchor_agree() {
        let text = format!("2026-03-06T08:00:00Z@600+{}", system_us() / 1000 - 1000);
        let clock: Clock = text.parse().unwrap();
        assert!(clock.now() >= "2026-03-06T08:10:00Z".parse().unwrap());
    }
}
