//! Which of our messages a reply answers. Pure.
//!
//! The conversation decides: what a number was told last, and what of it can still be answered. Where two visits could be
//! meant and nothing says which, nobody guesses.

use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use super::parse::{Meaning, Said};

/// A number answers how it is within so long of being asked.
const SCORE_WITHIN_US: i64 = 4 * 86_400_000_000;
/// A message that was sent so long before the newest one is another conversation.
const TOGETHER_US: i64 = 12 * 3_600_000_000;

/// A message that was sent to a number, and how its visit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) message: Uuid,
    pub(crate) rule: Uuid,
    pub(crate) appointment: Uuid,
    pub(crate) patient: Uuid,
    pub(crate) trigger: String,
    /// It asks how the patient is.
    pub(crate) asks_score: bool,
    pub(crate) sent_at_us: i64,
    /// What it told.
    pub(crate) starts_at_us: i64,
    pub(crate) time_zone: String,
    /// The visit is still to come.
    pub(crate) ahead: bool,
    /// And it is when and where the message said.
    pub(crate) stands: bool,
}

impl Told {
    fn day(&self) -> Option<i8> {
        let zone = domain::time::zone(&self.time_zone).unwrap_or(TimeZone::UTC);
        Some(Timestamp::from_microsecond(self.starts_at_us).ok()?.to_zoned(zone).day())
    }

    /// It is about a visit for which the patient is awaited.
    fn invites(&self) -> bool {
        matches!(self.trigger.as_str(), "booked" | "before_start" | "rescheduled")
    }
}

/// What a reply is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Match<'a> {
    /// This visit: the newest message about it.
    Visit(Meaning, &'a Told),
    /// How the patient is.
    Score(u8, &'a Told),
    /// Any of these visits, the earliest first.
    Several(Meaning, Vec<&'a Told>),
    /// The visit is over, off or moved since.
    Outdated(Meaning, &'a Told),
    /// Nothing that was asked.
    Nothing,
}

/// What a reply is about, by what its number was told, the newest first.
pub(crate) fn find(told: &[Told], said: Said, now_us: i64) -> Match<'_> {
    let meaning = match said.meaning {
        Meaning::Number(score) => {
            let asked = told.first().filter(|last| last.asks_score && now_us - last.sent_at_us <= SCORE_WITHIN_US);
            match (asked, score) {
                (Some(asked), score) => return Match::Score(score, asked),
                (None, 1) => Meaning::Confirm,
                (None, 2) => Meaning::Cancel,
                (None, 3) => Meaning::Move,
                _ => return Match::Nothing,
            }
        }
        other => other,
    };
    if !matches!(meaning, Meaning::Confirm | Meaning::Cancel | Meaning::Move) {
        return Match::Nothing;
    }
    let mut newest: Vec<&Told> = Vec::new();
    for one in told.iter().filter(|one| one.invites()) {
        if !newest.iter().any(|known| known.appointment == one.appointment) {
            newest.push(one);
        }
    }
    let dated = |one: &&Told| said.day.is_none_or(|day| one.day() == Some(day));
    let mut open: Vec<&Told> = newest.iter().copied().filter(|one| one.ahead && one.stands).filter(dated).collect();
    if open.is_empty() {
        return newest.into_iter().find(dated).map_or(Match::Nothing, |one| Match::Outdated(meaning, one));
    }
    // A reminder asks; that a visit was booked only tells. Of what was asked, the last conversation counts.
    if said.day.is_none() && open.iter().any(|one| one.trigger == "before_start") {
        open.retain(|one| one.trigger == "before_start");
    }
    let last = open.iter().map(|one| one.sent_at_us).max().unwrap_or(0);
    open.retain(|one| said.day.is_some() || last - one.sent_at_us <= TOGETHER_US);
    if let [one] = open[..] {
        return Match::Visit(meaning, one);
    }
    open.sort_by_key(|one| (one.starts_at_us, one.appointment));
    Match::Several(meaning, open)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;
    const NOW: i64 = 1_000 * HOUR;

    /// A message of so many hours ago about a visit in so many hours.
    fn told(appointment: u128, trigger: &str, ago: i64, ahead: i64) -> Told {
        Told {
            message: Uuid::from_u128(appointment * 100 + ago.unsigned_abs() as u128),
            rule: Uuid::nil(),
            appointment: Uuid::from_u128(appointment),
            patient: Uuid::nil(),
            trigger: trigger.into(),
            asks_score: false,
            sent_at_us: NOW - ago * HOUR,
            starts_at_us: NOW + ahead * HOUR,
            time_zone: "UTC".into(),
            ahead: ahead > 0,
            stands: true,
        }
    }

    fn said(text: &str) -> Said {
        super::super::parse::read(text)
    }

    #[test]
    fn a_reminder_is_answered_rather_than_a_booking() {
        let all = [told(1, "booked", 1, 500), told(2, "before_start", 3, 20), told(2, "booked", 400, 20)];
        assert_eq!(find(&all, said("c"), NOW), Match::Visit(Meaning::Confirm, &all[1]));
        assert_eq!(find(&all[..1], said("2"), NOW), Match::Visit(Meaning::Cancel, &all[0]));
        assert_eq!(find(&[], said("c"), NOW), Match::Nothing);
        assert_eq!(find(&all, said("h"), NOW), Match::Nothing);
    }

    #[test]
    fn two_visits_of_one_conversation_need_a_day() {
        let all = [told(1, "before_start", 1, 20), told(2, "before_start", 2, 44)];
        assert_eq!(find(&all, said("x"), NOW), Match::Several(Meaning::Cancel, vec![&all[0], &all[1]]));
        let day = |one: &Told| one.day().unwrap();
        let text = format!("X {}", day(&all[1]));
        assert_eq!(find(&all, said(&text), NOW), Match::Visit(Meaning::Cancel, &all[1]));
        // Another conversation, long ago.
        let all = [told(1, "before_start", 1, 20), told(2, "before_start", 14, 44)];
        assert_eq!(find(&all, said("x"), NOW), Match::Visit(Meaning::Cancel, &all[0]));
    }

    #[test]
    fn what_has_moved_or_begun_since_is_outdated() {
        let moved = [Told { stands: false, ..told(1, "before_start", 1, 20) }];
        assert_eq!(find(&moved, said("x"), NOW), Match::Outdated(Meaning::Cancel, &moved[0]));
        let begun = [told(1, "before_start", 3, -1)];
        assert_eq!(find(&begun, said("c"), NOW), Match::Outdated(Meaning::Confirm, &begun[0]));
        // The correction that followed is what is answered.
        let corrected = [told(1, "rescheduled", 1, 30), Told { stands: false, ..told(1, "before_start", 2, 20) }];
        assert_eq!(find(&corrected, said("x"), NOW), Match::Visit(Meaning::Cancel, &corrected[0]));
    }

    #[test]
    fn a_number_says_how_it_is_where_that_was_asked_last() {
        let asked = |ago| Told { asks_score: true, ..told(1, "after_completed", ago, -30) };
        let all = [asked(2), told(2, "before_start", 3, 20)];
        assert_eq!(find(&all, said("2"), NOW), Match::Score(2, &all[0]));
        assert_eq!(find(&all, said("X"), NOW), Match::Visit(Meaning::Cancel, &all[1]), "a letter is no score");
        let all = [told(2, "before_start", 3, 20), asked(5)];
        assert_eq!(find(&all, said("2"), NOW), Match::Visit(Meaning::Cancel, &all[0]));
        assert_eq!(find(&all, said("7"), NOW), Match::Nothing);
        assert_eq!(find(&[asked(97)], said("7"), NOW), Match::Nothing, "nobody remembers the question");
    }
}
