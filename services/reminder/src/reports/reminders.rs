//! The report on reminders, read from the store.

use domain::fault::Faults;
use jiff::civil::Date;
use rpc::{Context, Fault};
use service::db_error;
use sql::Failure;
use uuid::Uuid;
use wire::{
    convert,
    reminder::{ReminderAttendance, ReminderReport, ReminderReportRow, ReportRemindersRequest},
};

use super::{AppointmentCounts, Attendance, DAYS_MAX, GroupBy, HISTORY_US, MessageCounts, Report, Row};
use crate::{
    Inner,
    store::{appointment_counts::AppointmentCountsRow, offers::OfferCountsRow, positions::HistoryRow},
};

/// Appointments of one read.
const PAGE: i64 = 500;
const DAY_US: i64 = 86_400_000_000;

pub(crate) async fn report(
    inner: &Inner,
    ctx: &Context,
    request: &ReportRemindersRequest,
) -> Result<ReminderReport, Fault> {
    let (group_by, from, to) = parameters(request)?;
    inner.wait_for_revision(ctx).await?;
    let organization = ctx.organization.uuid();
    // A local day may begin or end a day earlier or later than in UTC; each appointment's own clock decides.
    let (mut after, until_us) = ((midnight_us(from) - DAY_US, Uuid::nil()), midnight_us(to) + 2 * DAY_US);
    // Read first, so that the rows hold at least what it promises.
    let visits_known_from_us = known_from_us(inner).await?;
    let messages_known_from_us = inner.store.first_seen(organization).await.map_err(db_error::fault)?;
    let mut report = Report::new(group_by, from, to);
    let offers_after = after;
    loop {
        let rows = inner.store.appointment_counts(organization, after, until_us, PAGE).await;
        let rows = rows.map_err(db_error::fault)?;
        let next = rows.last().map(|row| (row.starts_at_us, row.id)).filter(|_| is_full(rows.len()));
        for row in rows {
            report.add(&AppointmentCounts::from_row(row).map_err(db_error::fault)?);
        }
        let Some(next) = next else { break };
        after = next;
    }
    let mut after = offers_after;
    loop {
        let rows = inner.store.offer_counts(organization, after, until_us, PAGE).await.map_err(db_error::fault)?;
        let next = rows.last().map(|row| (row.starts_at_us, row.id)).filter(|_| is_full(rows.len()));
        rows.into_iter().map(AppointmentCounts::of_offer).for_each(|counts| report.add(&counts));
        let Some(next) = next else { break };
        after = next;
    }
    Ok(ReminderReport {
        rows: report.rows.iter().map(to_wire).collect(),
        visits_known_from_us,
        messages_known_from_us: messages_known_from_us.unwrap_or(0),
    })
}

/// The key of the rows, the first and the last day.
fn parameters(request: &ReportRemindersRequest) -> Result<(GroupBy, Date, Date), Fault> {
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
        _ => Err(Fault::internal("a request without faults lacks a parameter")),
    }
}

/// The instant since which all appointments are known, by their ends.
async fn known_from_us(inner: &Inner) -> Result<i64, Fault> {
    Ok(match inner.store.history().await.map_err(db_error::fault)? {
        Some(HistoryRow { begun_at_us, cursor: None }) => begun_at_us - HISTORY_US,
        Some(HistoryRow { begun_at_us, .. }) => begun_at_us,
        None => inner.clock.now_us(),
    })
}

impl AppointmentCounts {
    fn from_row(row: AppointmentCountsRow) -> Result<Self, Failure> {
        Ok(Self {
            status: Some(row.status.parse().map_err(|text: &str| Failure::from(sqlx::Error::Decode(text.into())))?),
            service: row.service_id,
            practitioner: row.practitioner_id,
            location: row.location_id,
            starts_at_us: row.starts_at_us,
            time_zone: row.time_zone,
            confirmed: row.confirmed_at_us.is_some(),
            replied: row.replied,
            reminded: row.reminded > 0,
            messages: MessageCounts {
                sent: row.sent.unsigned_abs(),
                delivered: row.delivered.unsigned_abs(),
                failed: row.failed.unsigned_abs(),
                unknown: row.unknown.unsigned_abs(),
                suppressed: row.suppressed.unsigned_abs(),
                segments: row.segments.unsigned_abs(),
            },
        })
    }

    fn of_offer(row: OfferCountsRow) -> Self {
        Self {
            status: None,
            service: row.service_id,
            practitioner: row.practitioner_id,
            location: row.location_id,
            starts_at_us: row.starts_at_us,
            time_zone: row.time_zone,
            confirmed: false,
            replied: row.replied,
            reminded: false,
            messages: MessageCounts {
                sent: row.sent.unsigned_abs(),
                delivered: row.delivered.unsigned_abs(),
                failed: row.failed.unsigned_abs(),
                unknown: row.unknown.unsigned_abs(),
                suppressed: row.suppressed.unsigned_abs(),
                segments: row.segments.unsigned_abs(),
            },
        }
    }
}

/// Whether a page has as many rows as were read.
fn is_full(rows: usize) -> bool {
    i64::try_from(rows).is_ok_and(|rows| rows == PAGE)
}

/// Days since the Unix epoch.
fn days(date: Date) -> i64 {
    date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24
}

/// The beginning of a day in UTC.
fn midnight_us(date: Date) -> i64 {
    days(date) * DAY_US
}

fn to_wire((key, row): (&String, &Row)) -> ReminderReportRow {
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
