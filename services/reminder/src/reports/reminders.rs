//! The report on reminders, over the visits that start within a period.

use domain::fault::Faults;
use jiff::civil::Date;
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::{
    convert,
    reminder::{ReminderAttendance, ReminderReport, ReminderReportRow, ReportRemindersRequest},
};

use super::{Attendance, DAYS_MAX, GroupBy, Report, Row};
use crate::{Inner, jobs::history, write};

/// Visits that are read at a time.
const PAGE: i64 = 500;
const DAY_US: i64 = 86_400_000_000;

pub(crate) async fn report(
    inner: &Inner,
    ctx: &Context,
    request: &ReportRemindersRequest,
) -> Result<ReminderReport, Fault> {
    let (group_by, from, to) = asked(request)?;
    inner.fresh(ctx).await?;
    let organization = ctx.organization.uuid();
    // On some clock it is that day a day earlier or later than in UTC; each visit's own clock decides.
    let (mut after, until_us) = ((midnight_us(from) - DAY_US, Uuid::nil()), midnight_us(to) + 2 * DAY_US);
    // Asked first: what is read meanwhile is then among the rows, and not promised too early.
    let visits_known_from_us = history::known_from_us(inner).await?;
    let messages_known_from_us = inner.store.first_seen(organization).await.map_err(write::failure)?;
    let mut report = Report::new(group_by, from, to);
    loop {
        let rows = inner.store.seen(organization, after, until_us, PAGE).await.map_err(write::failure)?;
        let last = rows.last().map(|row| (row.starts_at_us, row.id));
        let full = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
        for row in rows {
            report.add(&row.read().map_err(|error| write::failure(error.into()))?);
        }
        match last {
            Some(last) if full => after = last,
            _ => break,
        }
    }
    Ok(ReminderReport {
        rows: report.rows.iter().map(shown).collect(),
        visits_known_from_us,
        messages_known_from_us: messages_known_from_us.unwrap_or(0),
    })
}

/// What is asked: rows, first and last day.
fn asked(request: &ReportRemindersRequest) -> Result<(GroupBy, Date, Date), Fault> {
    let mut faults = Faults::new();
    let from = convert::date(&mut faults, "from", &request.from);
    let to = convert::date(&mut faults, "to", &request.to);
    if let Some((from, to)) = from.zip(to) {
        faults.check(from <= to, "to", "ends_before_start", "must not be earlier than `from`");
        let short = days(to) - days(from) < i64::from(DAYS_MAX);
        faults.check(short, "to", "too_long", format!("at most {DAYS_MAX} days, `from` and `to` among them"));
    }
    let group_by = request.group_by.parse::<GroupBy>();
    if let Err(expected) = group_by {
        faults.push("group_by", "invalid_value", expected);
    }
    faults.result()?;
    match (group_by, from, to) {
        (Ok(group_by), Some(from), Some(to)) => Ok((group_by, from, to)),
        _ => Err(Fault::internal("a question without faults lacks a part")),
    }
}

/// Days since the Unix epoch.
fn days(date: Date) -> i64 {
    date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24
}

/// When a day begins in UTC.
fn midnight_us(date: Date) -> i64 {
    days(date) * DAY_US
}

fn shown((key, row): (&String, &Row)) -> ReminderReportRow {
    ReminderReportRow {
        key: key.clone(),
        visits: row.visits,
        sent: row.messages.sent,
        delivered: row.messages.delivered,
        failed: row.messages.failed,
        unknown: row.messages.unknown,
        suppressed: row.messages.suppressed,
        segments: row.messages.segments,
        confirmed: row.confirmed,
        replied: row.replied,
        with_reminder: Some(attendance(row.with_reminder)),
        without_reminder: Some(attendance(row.without_reminder)),
    }
}

fn attendance(it: Attendance) -> ReminderAttendance {
    ReminderAttendance { completed: it.completed, no_shows: it.no_shows, no_show_rate: it.no_show_rate() }
}
