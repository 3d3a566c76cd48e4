//! The report on reminders.

use axum::http::Method;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::reminder::{self, ReportRemindersRequest};

use super::{super::time, group_by, period, wants_csv};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, handler},
};

/// How many came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attendance {
    completed: u64,
    no_shows: u64,
    /// The share of no-shows in both, from 0 to 1.
    no_show_rate: Option<f64>,
}

/// One row of the report on reminders.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReminderRow {
    /// An id, a date, or the Monday of a week.
    key: String,
    /// Visits that were not called off. Messages and replies about the others count all the same.
    visits: u64,
    /// Messages that a provider has taken, whatever became of them then.
    sent: u64,
    delivered: u64,
    /// Failed and undelivered.
    failed: u64,
    /// Nobody can say whether they were sent.
    unknown: u64,
    suppressed: u64,
    /// Of the messages that were sent, as carriers count and charge them.
    segments: u64,
    /// Visits that their patients confirmed.
    confirmed: u64,
    /// Appointments about which their patients wrote, as long as that is kept: 400 days.
    replied: u64,
    /// Visits of whose time and place a `before_start` message has left.
    with_reminder: Attendance,
    /// The other visits.
    without_reminder: Attendance,
}

/// How reminders go, over the visits that start within a period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReminderReport {
    data: Vec<ReminderRow>,
    /// Visits that ended before this instant may be missing: at first the last snapshot of the bookings, and 400 days
    /// earlier once all that had ended by then is read.
    #[schema(format = DateTime)]
    visits_known_from: String,
    /// Nothing is known of messages from before this instant, when the organisation was first seen: visits before it had
    /// their reminders elsewhere, if any, and count as `without_reminder`. None: it was never seen.
    #[schema(format = DateTime)]
    messages_known_from: Option<String>,
}

pub(super) fn operation() -> Operation {
    let params =
        period("The first day, on the clock of each visit's location", "The last day; at most 400 days in all");
    let read = Access::Scopes(&[Scope::ReportsRead]);
    let summary = "What was sent about the visits that start within a period, what was answered, and who came";
    let (id, path) = ("report_reminders", "/v1/reports/reminders");
    let operation = Operation::new(id, Method::GET, path, "reports", summary, read, handler!(reminders));
    Operation { csv: true, ..operation.params(&params).answer(200, "ReminderReport") }
}

async fn reminders(call: Call) -> Result<Reply, Fault> {
    let request = ReportRemindersRequest {
        from: call.params.text_or_empty("from"),
        to: call.params.text_or_empty("to"),
        group_by: group_by(&call).as_str().to_owned(),
    };
    let answer = call.inner.reminder.clone().report_reminders(call.context().request(request)).await?.into_inner();
    let data: Vec<ReminderRow> = answer.rows.into_iter().map(row).collect();
    if wants_csv(&call) {
        return Ok(Reply::csv(table(&data)));
    }
    let visits_known_from = time::utc(answer.visits_known_from_us);
    let messages_known_from_us = answer.messages_known_from_us;
    let messages_known_from = (messages_known_from_us != 0).then(|| time::utc(messages_known_from_us));
    Reply::json(200, &ReminderReport { data, visits_known_from, messages_known_from })
}

fn row(it: reminder::ReminderReportRow) -> ReminderRow {
    ReminderRow {
        key: it.key,
        visits: it.visits,
        sent: it.sent,
        delivered: it.delivered,
        failed: it.failed,
        unknown: it.unknown,
        suppressed: it.suppressed,
        segments: it.segments,
        confirmed: it.confirmed,
        replied: it.replied,
        with_reminder: attendance(it.with_reminder.unwrap_or_default()),
        without_reminder: attendance(it.without_reminder.unwrap_or_default()),
    }
}

fn attendance(it: reminder::ReminderAttendance) -> Attendance {
    Attendance { completed: it.completed, no_shows: it.no_shows, no_show_rate: it.no_show_rate }
}

/// RFC 4180. No cell needs quotes: keys are ids and dates.
fn table(rows: &[ReminderRow]) -> String {
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
        let came = [&row.with_reminder, &row.without_reminder].map(|it| {
            let rate = it.no_show_rate.map(|rate| format!("{rate:.4}")).unwrap_or_default();
            format!("{},{},{rate}", it.completed, it.no_shows)
        });
        text.push_str(&format!("{},{},{}\r\n", row.key, counts.join(","), came.join(",")));
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
        let text = table(&[row]);
        let lines: Vec<&str> = text.split("\r\n").collect();
        let cells = "2026-03-08,1,2,3,4,5,6,7,8,9,2,1,0.3333,0,0,";
        assert_eq!(lines[1..], [cells, ""]);
        assert_eq!(lines[0].split(',').count(), cells.split(',').count());
    }
}
