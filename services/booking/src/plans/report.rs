//! The report over the plans that start within a period.

use careplan::adherence::{GroupBy, Question, Report, Row};
use domain::fault::Faults;
use rpc::{Context, Fault};
use service::db_error;
use wire::{
    booking::{DropOff, PlanReport, PlanReportRow, ReportPlansRequest},
    convert,
};

use super::{stored::StoredPlan, view::today};
use crate::Inner;

/// Plans that are read at a time.
const PAGE: i64 = 500;

pub(crate) async fn report(inner: &Inner, ctx: &Context, request: &ReportPlansRequest) -> Result<PlanReport, Fault> {
    let mut faults = Faults::new();
    let from = convert::date(&mut faults, "from", &request.from);
    let to = convert::date(&mut faults, "to", &request.to);
    let in_order = from.zip(to).is_none_or(|(from, to)| from <= to);
    faults.check(in_order, "to", "ends_before_start", "must not be earlier than `from`");
    let group_by = request.group_by.parse::<GroupBy>();
    if let Err(expected) = group_by {
        faults.push("group_by", "invalid_value", expected);
    }
    faults.result()?;
    let (Some((from, to)), Ok(group_by)) = (from.zip(to), group_by) else {
        return Err(Fault::internal("a question without faults lacks a part"));
    };
    let question =
        Question { group_by, now: inner.clock.now(), today: today(inner), at_risk_days: inner.config.at_risk_days };
    let (mut report, mut before) = (Report::new(question), None);
    loop {
        let rows =
            inner.store.list_plans(ctx.organization.uuid(), None, &[], before, PAGE).await.map_err(db_error::fault)?;
        let last = rows.last().map(|row| row.id);
        let full = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
        for row in rows {
            let plan = StoredPlan::from_row(row)?.plan;
            if (from..=to).contains(&plan.order.start_on) {
                report.add(&plan);
            }
        }
        if !full {
            return Ok(to_wire(&report));
        }
        before = last;
    }
}

fn to_wire(report: &Report) -> PlanReport {
    let drop_off = |(after, plans): (&usize, &usize)| DropOff { after_session: number(*after), plans: number(*plans) };
    PlanReport {
        rows: report.rows.iter().map(|(key, row)| row_to_wire(key, row)).collect(),
        drop_off: report.drop_off.iter().map(drop_off).collect(),
        at_risk_plan_ids: report.at_risk.iter().map(ToString::to_string).collect(),
    }
}

fn row_to_wire(key: &str, row: &Row) -> PlanReportRow {
    PlanReportRow {
        key: key.to_owned(),
        plans: number(row.plans),
        planned: number(row.planned),
        to_book: number(row.to_book),
        booked: number(row.booked),
        done: number(row.done),
        missed: number(row.missed),
        forfeited: number(row.forfeited),
        gap_deviation_days: row.gap_deviation_days(),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
