//! Which of our messages a reply answers. Pure.
//!
//! The conversation decides: the messages that a number got, newest first, and which of them can still be answered. Where a
//! reply could mean two visits, it matches neither.

use domain::{appointment::Status, message::Trigger};
use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use super::parse::{Meaning, ParsedReply};
use crate::store::inbound::SentMessageRow;

/// How long after its question a number counts as a score.
const SCORE_WITHIN_US: i64 = 4 * 86_400_000_000;
/// A message that is older than the newest one by more belongs to another conversation.
const CONVERSATION_GAP_US: i64 = 12 * 3_600_000_000;

/// A message that a number got, and the present state of its visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentMessage {
    pub(crate) message: Uuid,
    pub(crate) rule: Uuid,
    pub(crate) appointment: Uuid,
    pub(crate) patient: Uuid,
    pub(crate) trigger: String,
    /// The message asks for a score.
    pub(crate) asks_score: bool,
    pub(crate) sent_at_us: i64,
    /// The start that the message named.
    pub(crate) starts_at_us: i64,
    pub(crate) time_zone: String,
    /// The visit is booked and has not begun.
    pub(crate) is_upcoming: bool,
    /// The visit has the time and the place that the message named.
    pub(crate) is_current: bool,
}

impl SentMessage {
    pub(crate) fn new(row: SentMessageRow, asks_score: bool, now_us: i64) -> Self {
        let is_open = row.status.is_some_and(|status| status.parse().is_ok_and(Status::is_upcoming));
        let same_place = row.location_id == row.current_location_id;
        Self {
            message: row.id,
            rule: row.rule_id,
            appointment: row.appointment_id,
            patient: row.patient_id,
            trigger: row.trigger,
            asks_score,
            sent_at_us: row.sent_at_us,
            starts_at_us: row.starts_at_us,
            time_zone: row.time_zone,
            is_upcoming: is_open && row.current_starts_at_us > now_us,
            is_current: same_place && row.starts_at_us == row.current_starts_at_us,
        }
    }

    fn day(&self) -> Option<i8> {
        let zone = domain::time::zone(&self.time_zone).unwrap_or(TimeZone::UTC);
        Some(Timestamp::from_microsecond(self.starts_at_us).ok()?.to_zoned(zone).day())
    }

    /// The message states the time of a visit that the patient is to attend.
    fn announces_visit(&self) -> bool {
        self.trigger.parse().is_ok_and(Trigger::tells_time)
    }
}

/// What a reply is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Match<'a> {
    /// One visit: the newest message about it.
    Visit(Meaning, &'a SentMessage),
    /// A score in answer to this message.
    Score(u8, &'a SentMessage),
    /// Several visits, the earliest first.
    Ambiguous(Vec<&'a SentMessage>),
    /// A visit that has begun, was cancelled or has moved since.
    Outdated(&'a SentMessage),
    /// No message of ours.
    Nothing,
}

/// Matches a reply to the messages that its sender got, the newest first.
pub(crate) fn match_reply(sent: &[SentMessage], reply: ParsedReply, now_us: i64) -> Match<'_> {
    let meaning = match reply.meaning {
        Meaning::Number(number) => {
            let asks = |last: &&SentMessage| last.asks_score && now_us - last.sent_at_us <= SCORE_WITHIN_US;
            match (sent.first().filter(asks), number) {
                (Some(question), score) => return Match::Score(score, question),
                (None, 1) => Meaning::Confirm,
                (None, 2) => Meaning::Cancel,
                (None, 3) => Meaning::Move,
                _ => return Match::Nothing,
            }
        }
        meaning => meaning,
    };
    if !matches!(meaning, Meaning::Confirm | Meaning::Cancel | Meaning::Move) {
        return Match::Nothing;
    }
    let mut newest: Vec<&SentMessage> = Vec::new();
    for message in sent.iter().filter(|message| message.announces_visit()) {
        if !newest.iter().any(|newer| newer.appointment == message.appointment) {
            newest.push(message);
        }
    }
    let on_day = |message: &&SentMessage| reply.day.is_none_or(|day| message.day() == Some(day));
    let is_open = |message: &&SentMessage| message.is_upcoming && message.is_current;
    let mut open: Vec<&SentMessage> = newest.iter().copied().filter(is_open).filter(on_day).collect();
    if open.is_empty() {
        return newest.into_iter().find(on_day).map_or(Match::Nothing, Match::Outdated);
    }
    // A reminder asks for an answer, a booking does not; and a day narrows the choice by itself.
    let is_reminder = |message: &&SentMessage| message.trigger == Trigger::BeforeStart.as_str();
    if reply.day.is_none() && open.iter().any(is_reminder) {
        open.retain(is_reminder);
    }
    let last_us = open.iter().map(|message| message.sent_at_us).max().unwrap_or(0);
    open.retain(|message| reply.day.is_some() || last_us - message.sent_at_us <= CONVERSATION_GAP_US);
    if let [message] = open[..] {
        return Match::Visit(meaning, message);
    }
    open.sort_by_key(|message| (message.starts_at_us, message.appointment));
    Match::Ambiguous(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;
    const NOW: i64 = 1_000 * HOUR;

    /// A message sent `ago` hours ago about a visit in `ahead` hours.
    fn sent(appointment: u128, trigger: &str, ago: i64, ahead: i64) -> SentMessage {
        SentMessage {
            message: Uuid::from_u128(appointment * 100 + ago.unsigned_abs() as u128),
            rule: Uuid::nil(),
            appointment: Uuid::from_u128(appointment),
            patient: Uuid::nil(),
            trigger: trigger.into(),
            asks_score: false,
            sent_at_us: NOW - ago * HOUR,
            starts_at_us: NOW + ahead * HOUR,
            time_zone: "UTC".into(),
            is_upcoming: ahead > 0,
            is_current: true,
        }
    }

    fn reply(text: &str) -> ParsedReply {
        crate::replies::parse::parse(text)
    }

    #[test]
    fn a_reminder_takes_precedence_over_a_booking() {
        let all = [sent(1, "booked", 1, 500), sent(2, "before_start", 3, 20), sent(2, "booked", 400, 20)];
        assert_eq!(match_reply(&all, reply("c"), NOW), Match::Visit(Meaning::Confirm, &all[1]));
        assert_eq!(match_reply(&all[..1], reply("2"), NOW), Match::Visit(Meaning::Cancel, &all[0]));
        assert_eq!(match_reply(&[], reply("c"), NOW), Match::Nothing);
        assert_eq!(match_reply(&all, reply("h"), NOW), Match::Nothing);
    }

    #[test]
    fn two_visits_of_one_conversation_are_ambiguous_without_a_day() {
        let all = [sent(1, "before_start", 1, 20), sent(2, "before_start", 2, 44)];
        assert_eq!(match_reply(&all, reply("x"), NOW), Match::Ambiguous(vec![&all[0], &all[1]]));
        let day = |message: &SentMessage| message.day().unwrap();
        let text = format!("X {}", day(&all[1]));
        assert_eq!(match_reply(&all, reply(&text), NOW), Match::Visit(Meaning::Cancel, &all[1]));
        // An older message belongs to another conversation.
        let all = [sent(1, "before_start", 1, 20), sent(2, "before_start", 14, 44)];
        assert_eq!(match_reply(&all, reply("x"), NOW), Match::Visit(Meaning::Cancel, &all[0]));
    }

    #[test]
    fn a_moved_or_begun_visit_is_outdated() {
        let moved = [SentMessage { is_current: false, ..sent(1, "before_start", 1, 20) }];
        assert_eq!(match_reply(&moved, reply("x"), NOW), Match::Outdated(&moved[0]));
        let begun = [sent(1, "before_start", 3, -1)];
        assert_eq!(match_reply(&begun, reply("c"), NOW), Match::Outdated(&begun[0]));
        // The reply answers the correction.
        let corrected =
            [sent(1, "rescheduled", 1, 30), SentMessage { is_current: false, ..sent(1, "before_start", 2, 20) }];
        assert_eq!(match_reply(&corrected, reply("x"), NOW), Match::Visit(Meaning::Cancel, &corrected[0]));
    }

    #[test]
    fn a_number_is_a_score_where_the_last_message_asked_for_one() {
        let asked = |ago| SentMessage { asks_score: true, ..sent(1, "after_completed", ago, -30) };
        let all = [asked(2), sent(2, "before_start", 3, 20)];
        assert_eq!(match_reply(&all, reply("2"), NOW), Match::Score(2, &all[0]));
        assert_eq!(match_reply(&all, reply("X"), NOW), Match::Visit(Meaning::Cancel, &all[1]), "a letter is no score");
        let all = [sent(2, "before_start", 3, 20), asked(5)];
        assert_eq!(match_reply(&all, reply("2"), NOW), Match::Visit(Meaning::Cancel, &all[0]));
        assert_eq!(match_reply(&all, reply("7"), NOW), Match::Nothing);
        assert_eq!(match_reply(&[asked(97)], reply("7"), NOW), Match::Nothing, "the question is too old");
    }
}
