//! Reports as JSON or CSV: the report on care plans, and the parameters that all reports share.

pub(crate) mod reminders;

use axum::http::Method;
use domain::report::GroupBy;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::booking::{self, ReportPlansRequest};

use super::table::Form;
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Content, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

/// A row of the report on care plans.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanRow {
    /// An id, a date, or the Monday of a week; empty for sessions without one.
    key: String,
    /// The plans with a session in this row.
    plans: u32,
    planned: u32,
    to_book: u32,
    booked: u32,
    done: u32,
    /// Missed, and replaced by a new session.
    missed: u32,
    /// Missed or cancelled late, and used up.
    forfeited: u32,
    /// The mean deviation of the gaps from their ideal, in days.
    gap_deviation_days: Option<f64>,
}

/// The plans that ended after a number of sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DropOff {
    /// The number of sessions that were given.
    after_session: u32,
    plans: u32,
}

/// The progress of the plans that start in a period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanReport {
    data: Vec<PlanRow>,
    /// Plans that ended with sessions left: given up, or past the last day for the next session without a booking.
    drop_off: Vec<DropOff>,
    /// Plans with a session left, none booked, and the last day for it near or past; at most 200.
    at_risk_plan_ids: Vec<String>,
}

pub(super) fn operations() -> Vec<Operation> {
    let params = report_params("The first day", "The last day");
    let read = Access::Scopes(&[Scope::ReportsRead]);
    let summary = "Reports the progress of the plans that start in a period";
    let plans =
        Operation::new("report_plans", Method::GET, "/v1/reports/plans", "reports", summary, read, handler!(plans));
    vec![plans.params(&params).content(Content::JsonOrCsv("PlanReport")), reminders::operation()]
}

/// The parameters of every report: its first and last day and its dimension.
fn report_params(from: &'static str, to: &'static str) -> [Param; 3] {
    [
        Param::new("from", Type::Date, from).required(),
        Param::new("to", Type::Date, to).required(),
        Param::new("group_by", Type::Word(GroupBy::WORDS), "The dimension of the rows; `location` without it"),
    ]
}

async fn plans(call: Call) -> Result<Reply, Fault> {
    let request = ReportPlansRequest {
        from: call.params.text_or_empty("from"),
        to: call.params.text_or_empty("to"),
        group_by: group_by(&call).as_str().to_owned(),
    };
    let answer = call.inner.plans.clone().report_plans(call.context().request(request)).await?.into_inner();
    let rows: Vec<PlanRow> = answer.rows.into_iter().map(to_json).collect();
    if Form::of(&call) == Form::Csv {
        return Ok(Reply::csv(to_csv(&rows)).rows(rows.len()));
    }
    let drop_off = |group: booking::DropOff| DropOff { after_session: group.after_session, plans: group.plans };
    let report = PlanReport {
        data: rows,
        drop_off: answer.drop_off.into_iter().map(drop_off).collect(),
        at_risk_plan_ids: answer.at_risk_plan_ids,
    };
    Ok(Reply::json(200, &report)?.rows(report.data.len()))
}

fn group_by(call: &Call) -> GroupBy {
    call.params.word("group_by").unwrap_or(GroupBy::Location)
}

fn to_json(row: booking::PlanReportRow) -> PlanRow {
    PlanRow {
        key: row.key,
        plans: row.plans,
        planned: row.planned,
        to_book: row.to_book,
        booked: row.booked,
        done: row.done,
        missed: row.missed,
        forfeited: row.forfeited,
        gap_deviation_days: row.gap_deviation_days,
    }
}

/// CSV (RFC 4180). Keys are ids and dates, so no cell needs quotes.
fn to_csv(rows: &[PlanRow]) -> String {
    let mut text = String::from("key,plans,planned,to_book,booked,done,missed,forfeited,gap_deviation_days\r\n");
    for row in rows {
        let counts = [row.plans, row.planned, row.to_book, row.booked, row.done, row.missed, row.forfeited];
        let counts: Vec<String> = counts.iter().map(u32::to_string).collect();
        let deviation = row.gap_deviation_days.map(|days| format!("{days:.2}")).unwrap_or_default();
        text.push_str(&format!("{},{},{deviation}\r\n", row.key, counts.join(",")));
    }
    text
}
