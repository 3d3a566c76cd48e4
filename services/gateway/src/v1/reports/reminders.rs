//! The report on messages and attendance.

use axum::http::Method;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::reminder::{self, ReportRemindersRequest};

use super::{
    super::{table::Form, time},
    group_by, report_params,
};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Content, Operation, handler},
    reply::Reply,
};

/// The attendance of appointments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attendance {
    completed: u64,
    no_shows: u64,
    /// The share of no-shows, 0 to 1.
    no_show_rate: Option<f64>,
}

/// A row of the report on reminders.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReminderRow {
    /// An id, a date, or the Monday of a week.
    key: String,
    /// Appointments that were not cancelled. Messages and replies about cancelled ones count, too.
    visits: u64,
    /// Messages that a provider has accepted, whatever their status is now.
    sent: u64,
    delivered: u64,
    /// Messages that failed or were not delivered.
    failed: u64,
    /// Messages of which it is unknown whether they were sent.
    unknown: u64,
    suppressed: u64,
    /// SMS segments of the sent messages, as carriers count and charge them.
    segments: u64,
    /// Appointments that their patients confirmed.
    confirmed: u64,
    /// Appointments about which their patients wrote in the last 400 days.
    replied: u64,
    /// Appointments for whose time and place a `before_start` message was sent.
    with_reminder: Attendance,
    /// The other appointments.
    without_reminder: Attendance,
}

/// Messages and attendance of the appointments that start in a period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReminderReport {
    data: Vec<ReminderRow>,
    /// Appointments that ended before this instant may be missing: at first the instant of the last snapshot of the
    /// bookings, and 400 days earlier once the appointments before it are read.
    #[schema(format = DateTime)]
    visits_known_from: String,
    /// The instant since which messages are known, when the organisation was first seen. Appointments before it count as
    /// `without_reminder`. None: the organisation was never seen.
    #[schema(format = DateTime)]
    messages_known_from: Option<String>,
}

pub(super) fn operation() -> Operation {
    let params = report_params(
        "The first day, in the time of each appointment's location",
        "The last day, at most 400 days after the first",
    );
    let read = Access::Scopes(&[Scope::ReportsRead]);
    let summary = "Reports messages, replies and attendance for the appointments that start in a period";
    let (id, path) = ("report_reminders", "/v1/reports/reminders");
    let operation = Operation::new(id, Method::GET, path, "reports", summary, read, handler!(reminders));
    operation.params(&params).content(Content::JsonOrCsv("ReminderReport"))
}

async fn reminders(call: Call) -> Result<Reply, Fault> {
    let request = ReportRemindersRequest {
        from: call.params.text_or_empty("from"),
        to: call.params.text_or_empty("to"),
        group_by: group_by(&call).as_str().to_owned(),
    };
    let answer = call.inner.reminder.clone().report_reminders(call.context().request(request)).await?.into_inner();
    let data: Vec<ReminderRow> = answer.rows.into_iter().map(to_json).collect();
    if Form::of(&call) == Form::Csv {
        return Ok(Reply::csv(to_csv(&data)).rows(data.len()));
    }
    let visits_known_from = time::utc(answer.visits_known_from_us);
    let messages_known_from_us = answer.messages_known_from_us;
    let messages_known_from = (messages_known_from_us != 0).then(|| time::utc(messages_known_from_us));
    let rows = data.len();
    Ok(Reply::json(200, &ReminderReport { data, visits_known_from, messages_known_from })?.rows(rows))
}

fn to_json(row: reminder::ReminderReportRow) -> ReminderRow {
    ReminderRow {
        key: row.key,
        visits: row.visits,
        sent: row.sent,
        delivered: row.delivered,
        failed: row.failed,
        unknown: row.unknown,
        suppressed: row.suppressed,
        segments: row.segments,
        confirmed: row.confirmed,
        replied: row.replied,
        with_reminder: attendance_to_json(row.with_reminder.unwrap_or_default()),
        without_reminder: attendance_to_json(row.without_reminder.unwrap_or_default()),
    }
}

fn attendance_to_json(attendance: reminder::ReminderAttendance) -> Attendance {
    Attendance { completed: attendance.completed, no_shows: attendance.no_shows, no_show_rate: attendance.no_show_rate }
}

/// CSV (RFC 4180). Keys are ids and dates, so no cell needs quotes.
fn to_csv(rows: &[ReminderRow]) -> String {
    let mut text = String::from(
        "key,visits,sent,delivered,failed,unknown,suppressed,segments,confirmed,replied,with_reminder_completed,\
         with_reminder_no_shows,with_reminder_no_show_rate,without_reminder_completed,without_reminder_no_shows,\
         without_reminder_no_show_rate\r\n",
    );
    for row in rows {
        let counts = [
            row.visits,
            row.sent,
            row.delivered,
            row.failed,
            row.unknown,
            row.suppressed,
            row.segments,
            row.confirmed,
            row.replied,
        ];
        let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
        let attendance = [&row.with_reminder, &row.without_reminder].map(|attendance| {
            let rate = attendance.no_show_rate.map(|rate| format!("{rate:.4}")).unwrap_or_default();
            format!("{},{},{rate}", attendance.completed, attendance.no_shows)
        });
        text.push_str(&format!("{},{},{}\r\n", row.key, counts.join(","), attendance.join(",")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_cell_for_each_column() {
        let with_reminder = Attendance { completed: 2, no_shows: 1, no_show_rate: Some(1.0 / 3.0) };
        let without_reminder = Attendance { completed: 0, no_shows: 0, no_show_rate: None };
        let row = ReminderRow {
            key: "2026-03-08".into(),
            visits: 1,
            sent: 2,
            delivered: 3,
            failed: 4,
            unknown: 5,
            suppressed: 6,
            segments: 7,
            confirmed: 8,
            replied: 9,
            with_reminder,
            without_reminder,
        };
        let text = to_csv(&[row]);
        let lines: Vec<&str> = text.split("\r\n").collect();
        let cells = "2026-03-08,1,2,3,4,5,6,7,8,9,2,1,0.3333,0,0,";
        assert_eq!(lines[1..], [cells, ""]);
        assert_eq!(lines[0].split(',').count(), cells.split(',').count());
    }
}
