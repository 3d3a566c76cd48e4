//! Reports, as JSON or CSV by `Accept`: the one on plans, and what all of them ask.

pub(crate) mod reminders;

use axum::http::{Method, header};
use domain::report::GroupBy;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::booking::{self, ReportPlansRequest};

use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

/// One row of the report on plans.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanRow {
    /// An id, a date, or the Monday of a week; empty for sessions that have none.
    key: String,
    /// Plans that have a session in this row.
    plans: u32,
    planned: u32,
    to_book: u32,
    booked: u32,
    done: u32,
    /// Missed, and given back.
    missed: u32,
    /// Missed or called off late, and used up.
    forfeited: u32,
    /// The mean of the days between a gap and its ideal.
    gap_deviation_days: Option<f64>,
}

/// How many plans ended early.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DropOff {
    /// After so many sessions given.
    after_session: u32,
    plans: u32,
}

/// How the plans go that start within a period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanReport {
    data: Vec<PlanRow>,
    /// Plans that ended with sessions left: given up, or the last day for the next session has passed unbooked.
    drop_off: Vec<DropOff>,
    /// Plans with a session left, none booked, and the last day for it near or past; at most 200.
    at_risk_plan_ids: Vec<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let params = period("The first day", "The last day");
    let read = Access::Scopes(&[Scope::ReportsRead]);
    let summary = "How the plans go that start within a period";
    let plans =
        Operation::new("report_plans", Method::GET, "/v1/reports/plans", "reports", summary, read, handler!(plans));
    vec![Operation { csv: true, ..plans.params(&params).answer(200, "PlanReport") }, reminders::operation()]
}

/// What every report is asked: from when to when, and by what.
fn period(from: &'static str, to: &'static str) -> [Param; 3] {
    [
        Param::new("from", Type::Date, from).required(),
        Param::new("to", Type::Date, to).required(),
        Param::new("group_by", Type::Word(GroupBy::WORDS), "What a row is; a location without it"),
    ]
}

async fn plans(call: Call) -> Result<Reply, Fault> {
    let request = ReportPlansRequest {
        from: call.params.text_or_empty("from"),
        to: call.params.text_or_empty("to"),
        group_by: group_by(&call).as_str().to_owned(),
    };
    let answer = call.inner.plans.clone().report_plans(call.context().request(request)).await?.into_inner();
    let rows: Vec<PlanRow> = answer.rows.into_iter().map(row).collect();
    if wants_csv(&call) {
        return Ok(Reply::csv(table(&rows)));
    }
    let drop_off = |it: booking::DropOff| DropOff { after_session: it.after_session, plans: it.plans };
    let report = PlanReport {
        data: rows,
        drop_off: answer.drop_off.into_iter().map(drop_off).collect(),
        at_risk_plan_ids: answer.at_risk_plan_ids,
    };
    Reply::json(200, &report)
}

fn group_by(call: &Call) -> GroupBy {
    call.params.word("group_by").unwrap_or(GroupBy::Location)
}

/// Whether the caller prefers CSV.
fn wants_csv(call: &Call) -> bool {
    let accept = call.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').next().is_some_and(|first| first.trim().to_ascii_lowercase().starts_with("text/csv"))
}

fn row(it: booking::PlanReportRow) -> PlanRow {
    PlanRow {
        key: it.key,
        plans: it.plans,
        planned: it.planned,
        to_book: it.to_book,
        booked: it.booked,
        done: it.done,
        missed: it.missed,
        forfeited: it.forfeited,
        gap_deviation_days: it.gap_deviation_days,
    }
}

/// RFC 4180. No cell needs quotes: keys are ids and dates.
fn table(rows: &[PlanRow]) -> String {
    let mut text = String::from("key,plans,planned,to_book,booked,done,missed,forfeited,gap_deviation_days\r\n");
    for row in rows {
        let counts = [row.plans, row.planned, row.to_book, row.booked, row.done, row.missed, row.forfeited];
        let counts: Vec<String> = counts.iter().map(u32::to_string).collect();
        let deviation = row.gap_deviation_days.map(|days| format!("{days:.2}")).unwrap_or_default();
        text.push_str(&format!("{},{},{deviation}\r\n", row.key, counts.join(",")));
    }
    text
}
