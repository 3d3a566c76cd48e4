//! The report on reminders: the messages about the appointments of a period, the patients' replies and the attendance.
//! This file computes and does no I/O.
//!
//! An appointment belongs to the day on which it starts by its location's clock. A cancelled or erroneous one is no visit;
//! its messages and replies count all the same.

pub(crate) mod reminders;

use std::collections::BTreeMap;

pub(crate) use domain::report::GroupBy;
use domain::{
    appointment::Status,
    id::{LocationId, PractitionerId, ServiceId},
};
use jiff::{Span, civil::Date};
use uuid::Uuid;

use crate::template_context;

/// Most days of a period.
pub(crate) const DAYS_MAX: i32 = 400;
/// How far back appointments are read from booking, in microseconds: the longest period.
pub(crate) const HISTORY_US: i64 = DAYS_MAX as i64 * 86_400_000_000;

/// The number of messages by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MessageCounts {
    /// Accepted by a provider, whatever their status is now.
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    /// Refused, given up or not delivered.
    pub(crate) failed: u64,
    pub(crate) unknown: u64,
    pub(crate) suppressed: u64,
    /// Segments of sent messages, as carriers count and charge them.
    pub(crate) segments: u64,
}

/// An appointment or offer and the counts of its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppointmentCounts {
    /// `None` for an offer, which is no visit.
    pub(crate) status: Option<Status>,
    pub(crate) service: Uuid,
    pub(crate) practitioner: Uuid,
    pub(crate) location: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) time_zone: String,
    pub(crate) confirmed: bool,
    /// Whether the patient wrote about it.
    pub(crate) replied: bool,
    /// Whether a reminder of its present time and location has left.
    pub(crate) reminded: bool,
    pub(crate) messages: MessageCounts,
}

/// The attendance of appointments that are over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attendance {
    pub(crate) completed: u64,
    pub(crate) no_shows: u64,
}

impl Attendance {
    /// The share of no-shows, from 0 to 1; `None` without an appointment that is over.
    pub(crate) fn no_show_rate(self) -> Option<f64> {
        let over = self.completed + self.no_shows;
        (over > 0).then(|| self.no_shows as f64 / over as f64)
    }
}

/// A row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) visits: u64,
    pub(crate) messages: MessageCounts,
    /// Appointments that their patients confirmed.
    pub(crate) confirmed: u64,
    /// Appointments about which their patients wrote, also cancelled ones.
    pub(crate) replied: u64,
    pub(crate) with_reminder: Attendance,
    pub(crate) without_reminder: Attendance,
}

/// The report, appointment by appointment.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    group_by: GroupBy,
    from: Date,
    to: Date,
    /// By key: an id or a date.
    pub(crate) rows: BTreeMap<String, Row>,
}

impl Report {
    /// An empty report on the days from `from` to `to`.
    pub(crate) fn new(group_by: GroupBy, from: Date, to: Date) -> Self {
        Self { group_by, from, to, rows: BTreeMap::new() }
    }

    /// Adds an appointment that starts within the period.
    pub(crate) fn add(&mut self, counts: &AppointmentCounts) {
        let Some(day) = template_context::local_time(counts.starts_at_us, &counts.time_zone).map(|start| start.date())
        else {
            return;
        };
        if !(self.from..=self.to).contains(&day) {
            return;
        }
        let row = self.rows.entry(key(self.group_by, counts, day)).or_default();
        let (sum, more) = (&mut row.messages, counts.messages);
        sum.sent += more.sent;
        sum.delivered += more.delivered;
        sum.failed += more.failed;
        sum.unknown += more.unknown;
        sum.suppressed += more.suppressed;
        sum.segments += more.segments;
        row.replied += u64::from(counts.replied);
        let Some(status) = counts.status.filter(|status| !matches!(status, Status::Cancelled | Status::EnteredInError))
        else {
            return;
        };
        row.visits += 1;
        row.confirmed += u64::from(counts.confirmed);
        let attendance = if counts.reminded { &mut row.with_reminder } else { &mut row.without_reminder };
        match status {
            Status::Fulfilled => attendance.completed += 1,
            Status::Noshow => attendance.no_shows += 1,
            _ => {}
        }
    }
}

fn key(group_by: GroupBy, counts: &AppointmentCounts, day: Date) -> String {
    match group_by {
        GroupBy::Location => LocationId::new(counts.location).to_string(),
        GroupBy::Practitioner => PractitionerId::new(counts.practitioner).to_string(),
        GroupBy::Service => ServiceId::new(counts.service).to_string(),
        GroupBy::Day => day.to_string(),
        GroupBy::Week => {
            let past = day.weekday().to_monday_zero_offset();
            day.saturating_sub(Span::new().days(i64::from(past))).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil::date};

    use super::*;

    fn counted(starts_at: &str, status: Status) -> AppointmentCounts {
        AppointmentCounts {
            status: Some(status),
            service: Uuid::from_u128(1),
            practitioner: Uuid::from_u128(2),
            location: Uuid::from_u128(3),
            starts_at_us: starts_at.parse::<Timestamp>().unwrap().as_microsecond(),
            time_zone: "America/Edmonton".into(),
            confirmed: false,
            replied: false,
            reminded: false,
            messages: MessageCounts { sent: 2, delivered: 1, failed: 1, segments: 3, ..MessageCounts::default() },
        }
    }

    fn report(group_by: &str, all: &[AppointmentCounts]) -> Report {
        let mut report = Report::new(group_by.parse().unwrap(), date(2026, 3, 2), date(2026, 3, 8));
        all.iter().for_each(|counts| report.add(counts));
        report
    }

    fn keys(report: &Report) -> Vec<&str> {
        report.rows.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_visit_belongs_to_the_day_on_its_own_location_s_clock() {
        // 23:30 on Sunday in Edmonton is Monday morning in UTC, and in Auckland.
        let late = counted("2026-03-09T05:30:00Z", Status::Booked);
        let elsewhere = AppointmentCounts { time_zone: "Pacific/Auckland".into(), ..late.clone() };
        let unknown = AppointmentCounts { time_zone: "Mars/Base".into(), ..late.clone() };
        let all = [late, elsewhere, unknown, counted("2026-03-02T06:59:00Z", Status::Booked)];
        assert_eq!(keys(&report("day", &all)), ["2026-03-08"], "the others are outside the week");
        // Sunday ends a week that Monday began.
        assert_eq!(keys(&report("week", &all)), ["2026-03-02"]);
    }

    #[test]
    fn rows_have_the_requested_key() {
        let one = [counted("2026-03-03T16:00:00Z", Status::Booked)];
        let key = |group_by: &str| keys(&report(group_by, &one))[0].to_owned();
        assert_eq!(key("location"), LocationId::new(Uuid::from_u128(3)).to_string());
        assert_eq!(key("practitioner"), PractitionerId::new(Uuid::from_u128(2)).to_string());
        assert_eq!(key("service"), ServiceId::new(Uuid::from_u128(1)).to_string());
        assert!("month".parse::<GroupBy>().is_err());
    }

    #[test]
    fn attendance_is_split_by_whether_a_reminder_had_left() {
        let with = |status| AppointmentCounts { reminded: true, ..counted("2026-03-03T16:00:00Z", status) };
        let without = |status| counted("2026-03-03T16:00:00Z", status);
        let all = [
            with(Status::Fulfilled),
            with(Status::Fulfilled),
            with(Status::Fulfilled),
            with(Status::Noshow),
            with(Status::Booked),
            without(Status::Noshow),
        ];
        let row = report("day", &all).rows["2026-03-03"];
        assert_eq!(row.visits, 6);
        assert_eq!((row.with_reminder.completed, row.with_reminder.no_show_rate()), (3, Some(0.25)));
        assert_eq!((row.without_reminder.no_shows, row.without_reminder.no_show_rate()), (1, Some(1.0)));
        let ahead = report("day", &all[4..5]).rows["2026-03-03"];
        assert_eq!(ahead.with_reminder.no_show_rate(), None, "nothing is over yet");
    }

    #[test]
    fn a_cancelled_appointment_is_no_visit_and_its_messages_count() {
        let replied =
            |status| AppointmentCounts { confirmed: true, replied: true, ..counted("2026-03-03T16:00:00Z", status) };
        let all = [replied(Status::Cancelled), replied(Status::EnteredInError), replied(Status::Booked)];
        let row = report("day", &all).rows["2026-03-03"];
        assert_eq!((row.visits, row.confirmed, row.replied), (1, 1, 3));
        assert_eq!((row.messages.sent, row.messages.delivered, row.messages.segments), (6, 3, 9));
    }
}
