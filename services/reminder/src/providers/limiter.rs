//! What stands before a provider: how fast it may be given messages, and a breaker that leaves it alone while it does not
//! answer. Pure: the clock's reading comes in, an instant goes out.

use std::sync::{Mutex, PoisonError};

use super::Outcome;

/// How long a provider that does not answer is left alone, doubled each time that it still does not.
const CLOSED_FIRST_US: i64 = 15_000_000;
const CLOSED_LAST_US: i64 = 300_000_000;
/// The longest that the one may take which finds out.
const PROBE_WITHIN_US: i64 = 120_000_000;
/// Our own codes where no answer came.
const SILENCE: [&str; 2] = ["not_connected", "no_answer"];

/// What a message may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It goes at once.
    Now,
    /// It goes in its turn, at this instant.
    At(i64),
    /// Nothing goes before this instant.
    Closed(i64),
}

/// The way to one provider, for the messages of this process.
pub(crate) struct Gate {
    /// From one message, or segment of a text, to the next; 0: as fast as can be.
    interval_us: i64,
    /// So many in a row without an answer close it; 0: it never closes.
    failures_max: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the next turn begins.
    free_at_us: i64,
    failures: u32,
    closed_until_us: i64,
    closed_for_us: i64,
    /// Until then one message finds out whether it answers again.
    probing_until_us: i64,
}

impl Gate {
    pub(crate) fn new(per_second: u32, failures_max: u32) -> Self {
        let interval_us = if per_second == 0 { 0 } else { 1_000_000 / i64::from(per_second) };
        Self { interval_us, failures_max, state: Mutex::default() }
    }

    /// Takes a turn for one message of one segment.
    pub(crate) fn turn(&self, now_us: i64) -> Turn {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed_until_us > now_us {
            return Turn::Closed(state.closed_until_us);
        }
        if state.closed_for_us > 0 {
            if state.probing_until_us > now_us {
                return Turn::Closed(now_us + CLOSED_FIRST_US);
            }
            state.probing_until_us = now_us + PROBE_WITHIN_US;
        }
        let at_us = state.free_at_us.max(now_us);
        state.free_at_us = at_us + self.interval_us;
        if at_us > now_us { Turn::At(at_us) } else { Turn::Now }
    }

    /// Whether a message would get a turn now; takes none.
    pub(crate) fn is_open(&self, now_us: i64) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed_until_us <= now_us && (state.closed_for_us == 0 || state.probing_until_us <= now_us)
    }

    /// A turn that was taken and not used: the next message has it.
    pub(crate) fn give_back(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.free_at_us -= self.interval_us;
        state.probing_until_us = 0;
    }

    /// What became of a message of so many segments.
    pub(crate) fn note(&self, outcome: &Outcome, segments: i32, now_us: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // The first one was paid for with the turn.
        state.free_at_us += self.interval_us * i64::from(segments.saturating_sub(1).max(0));
        let silent = match outcome {
            Outcome::Unknown { .. } => true,
            // One that says when to come back is there.
            Outcome::Busy { after, code, .. } => after.is_none() && SILENCE.contains(&code.as_str()),
            _ => false,
        };
        if !silent {
            (state.failures, state.closed_for_us, state.probing_until_us) = (0, 0, 0);
            return;
        }
        state.failures = state.failures.saturating_add(1);
        let still = state.probing_until_us > 0;
        if self.failures_max > 0 && (still || state.failures >= self.failures_max) {
            state.closed_for_us = (state.closed_for_us * 2).clamp(CLOSED_FIRST_US, CLOSED_LAST_US);
            state.closed_until_us = now_us + state.closed_for_us;
            (state.failures, state.probing_until_us) = (0, 0);
            tracing::warn!(seconds = state.closed_for_us / 1_000_000, "a provider does not answer; it is left alone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn lost() -> Outcome {
        Outcome::Unknown { detail: "" }
    }

    #[test]
    fn each_segment_has_its_turn() {
        let gate = Gate::new(2, 0);
        assert_eq!([gate.turn(0), gate.turn(0), gate.turn(0)], [Turn::Now, Turn::At(SECOND / 2), Turn::At(SECOND)]);
        gate.note(&Outcome::sent("a"), 3, 0);
        assert_eq!(gate.turn(0), Turn::At(5 * SECOND / 2), "two more segments were sent");
        gate.give_back();
        assert_eq!(gate.turn(0), Turn::At(5 * SECOND / 2));
        // A pause is not saved up.
        assert_eq!(
            [gate.turn(100 * SECOND), gate.turn(100 * SECOND)],
            [Turn::Now, Turn::At(100 * SECOND + SECOND / 2)]
        );
        let open = Gate::new(0, 0);
        assert_eq!([open.turn(0), open.turn(0)], [Turn::Now; 2]);
    }

    #[test]
    fn a_provider_that_does_not_answer_is_left_alone_and_asked_by_one() {
        let gate = Gate::new(0, 3);
        for _ in 0..2 {
            gate.note(&lost(), 1, 0);
        }
        gate.note(&Outcome::refused("21211"), 1, 0);
        for _ in 0..2 {
            gate.note(&lost(), 1, 0);
            assert_eq!(gate.turn(0), Turn::Now, "a refusal is an answer: the row begins anew");
        }
        gate.note(&lost(), 1, 0);
        assert_eq!(gate.turn(0), Turn::Closed(15 * SECOND));
        assert_eq!([0, 15].map(|at| gate.is_open(at * SECOND)), [false, true], "to look takes no turn");
        assert_eq!(gate.turn(15 * SECOND), Turn::Now, "one finds out");
        assert!(!gate.is_open(15 * SECOND));
        assert_eq!(gate.turn(15 * SECOND), Turn::Closed(30 * SECOND), "and one only");
        gate.note(&Outcome::busy("not_connected"), 1, 16 * SECOND);
        assert_eq!(gate.turn(20 * SECOND), Turn::Closed(46 * SECOND), "twice as long");
        assert_eq!(gate.turn(46 * SECOND), Turn::Now);
        gate.note(&Outcome::may_hold("no_answer"), 1, 46 * SECOND);
        assert_eq!(gate.turn(46 * SECOND), Turn::Closed(106 * SECOND), "a silence, though it may be given again");
        assert_eq!(gate.turn(106 * SECOND), Turn::Now);
        gate.note(&Outcome::busy("20429"), 1, 106 * SECOND);
        assert_eq!([gate.turn(106 * SECOND), gate.turn(106 * SECOND)], [Turn::Now; 2], "who says later is there");
    }
}
