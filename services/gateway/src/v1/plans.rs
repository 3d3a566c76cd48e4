//! Care plans.

mod ledger;
mod proposals;
mod types;

use axum::http::Method;
use domain::plan::Status;
use rpc::Fault;
use wire::{
    booking::{
        self, BookPlanRequest, CreatePlanRequest, GetPlanRequest, ListPlansRequest, PlanPreferences,
        ProposePlanRequest, ProposePlanResponse, ReviewPlanRequest, book_plan_request::Choice,
    },
    convert,
};

pub(crate) use self::{
    ledger::Ledger,
    proposals::{BookPlan, Proposal, ProposalOptions, ProposalPage},
    types::{NewPlan, NewReview, Plan, PlanPage, ReviewedPlan},
};
use self::{
    proposals::ChosenSession,
    types::{Activity, to_json},
};
use super::{CURSOR, LIMIT, next_cursor};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

pub(super) fn operations() -> Vec<Operation> {
    let read = Access::Scopes(&[Scope::PatientsRead]);
    let write = Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]);
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "care plans", summary, access, handler)
    };
    let filters = [
        Param::new("patient_id", Type::Id("pat"), "Of this patient"),
        Param::new("status", Type::Word(Status::WORDS), "In this status").repeated(),
        LIMIT,
        CURSOR,
    ];
    let propose = operation(
        "propose_plan",
        Method::POST,
        "/v1/plans/{id}/proposals",
        "Proposes the best series for the sessions to book, and alternatives that differ from it in every session",
        write,
        handler!(propose),
    );
    let repair = operation(
        "repair_plan",
        Method::POST,
        "/v1/plans/{id}/repair",
        "Proposes repairs for cancelled, missed and displaced sessions with the fewest moves",
        write,
        handler!(repair),
    );
    vec![
        operation("create_plan", Method::POST, "/v1/plans", "Creates a plan from a template", write, handler!(create))
            .json_body("NewPlan")
            .answer(201, "Plan"),
        operation("list_plans", Method::GET, "/v1/plans", "Lists plans, newest first", read, handler!(list))
            .params(&filters)
            .answer(200, "PlanPage"),
        operation("get_plan", Method::GET, "/v1/plans/{id}", "Returns one plan", read, handler!(get))
            .answer(200, "Plan"),
        operation(
            "get_ledger",
            Method::GET,
            "/v1/plans/{id}/ledger",
            "Returns a plan's ledger",
            read,
            handler!(ledger::get),
        )
        .answer(200, "Ledger"),
        propose.json_body("ProposalOptions").optional_body().answer(200, "ProposalPage").replayed_by_gateway(),
        repair.json_body("ProposalOptions").optional_body().answer(200, "ProposalPage").replayed_by_gateway(),
        operation(
            "book_plan",
            Method::POST,
            "/v1/plans/{id}/book",
            "Books a series, all or none",
            write,
            handler!(book),
        )
        .json_body("BookPlan")
        .answer(200, "Plan"),
        operation(
            "review_plan",
            Method::POST,
            "/v1/plans/{id}/reviews",
            "Records a review; the remaining sessions follow its decision",
            write,
            handler!(review),
        )
        .json_body("NewReview")
        .answer(201, "ReviewedPlan"),
    ]
}

fn reply(status: u16, response: &tonic::Response<booking::Plan>) -> Result<Reply, Fault> {
    Ok(with_plan(Reply::json(status, &to_json(response.get_ref()))?, response))
}

/// Adds the plan's version, its ids for the audit log, and the metadata of the write.
fn with_plan(reply: Reply, response: &tonic::Response<booking::Plan>) -> Reply {
    let plan = response.get_ref();
    reply.version(plan.version).target(&plan.id).patient(&plan.patient_id).write_metadata(response.metadata())
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let new: NewPlan = call.parse_body()?;
    let request = CreatePlanRequest {
        patient_id: new.patient_id,
        plan_template_id: new.plan_template_id,
        condition_code: new.condition_code,
        sessions: new.sessions.unwrap_or(0),
        practitioner_id: new.practitioner_id.unwrap_or_default(),
        location_ids: new.location_ids,
        preferences: Some(PlanPreferences {
            days: new.preferences.days.iter().map(|day| day.as_str().to_owned()).collect(),
            not_before: new.preferences.not_before.unwrap_or_default(),
            not_after: new.preferences.not_after.unwrap_or_default(),
        }),
        start_on: new.start_on,
    };
    let response = call.inner.plans.clone().create_plan(call.context().forward(request)).await?;
    let path = format!("/v1/plans/{}", response.get_ref().id);
    Ok(reply(201, &response)?.location(path))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetPlanRequest { id: call.path_param("id") };
    reply(200, &call.inner.plans.clone().get_plan(call.context().request(request)).await?)
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListPlansRequest {
        patient_id: params.text_or_empty("patient_id"),
        statuses: params.all("status"),
        page: call.page(),
    };
    let answer = call.inner.plans.clone().list_plans(call.context().request(request)).await?.into_inner();
    let page =
        PlanPage { data: answer.plans.iter().map(to_json).collect(), next_cursor: next_cursor(answer.next_cursor) };
    Ok(Reply::json(200, &page)?.rows(page.data.len()))
}

async fn propose(call: Call) -> Result<Reply, Fault> {
    let request = propose_request(&call)?;
    proposals_reply(call.inner.plans.clone().propose_plan(call.context().request(request)).await?.into_inner())
}

async fn repair(call: Call) -> Result<Reply, Fault> {
    let request = propose_request(&call)?;
    proposals_reply(call.inner.plans.clone().repair_plan(call.context().request(request)).await?.into_inner())
}

fn propose_request(call: &Call) -> Result<ProposePlanRequest, Fault> {
    let body: ProposalOptions = if call.body.is_null() { ProposalOptions::default() } else { call.parse_body()? };
    Ok(ProposePlanRequest {
        id: call.path_param("id"),
        limit: body.limit.unwrap_or(0),
        channel: call.booking_channel(None),
        stretch_days: body.stretch_days.unwrap_or(0),
        prefer: convert::preference_to_wire(body.prefer).into(),
    })
}

fn proposals_reply(answer: ProposePlanResponse) -> Result<Reply, Fault> {
    Reply::json(200, &ProposalPage { data: answer.proposals.iter().map(Proposal::from).collect() })
}

async fn review(call: Call) -> Result<Reply, Fault> {
    let new: NewReview = call.parse_body()?;
    let activity = |entry: Activity| booking::Activity { activity: entry.activity, score: entry.score };
    let review = booking::Review {
        at_us: 0,
        nprs: new.nprs,
        psfs: new.psfs.into_iter().map(activity).collect(),
        decision: new.decision.as_str().to_owned(),
        sessions: new.sessions.unwrap_or(0),
        service_id: new.service_id.unwrap_or_default(),
        note: new.note.unwrap_or_default(),
    };
    let request = ReviewPlanRequest { id: call.path_param("id"), review: Some(review), if_version: call.if_match()? };
    let response = call.inner.plans.clone().review_plan(call.context().forward(request)).await?;
    let proposals = response.get_ref().proposals.iter().map(Proposal::from).collect();
    let reviewed = ReviewedPlan { plan: to_json(response.get_ref()), proposals };
    Ok(with_plan(Reply::json(201, &reviewed)?, &response))
}

async fn book(call: Call) -> Result<Reply, Fault> {
    let body: BookPlan = call.parse_body()?;
    if body.proposal_id.is_some() == body.sessions.is_some() {
        return Err(Fault::violation("/proposal_id", "missing", "give either proposal_id or sessions"));
    }
    let choice = |chosen: ChosenSession| Choice {
        plan_session_id: chosen.plan_session_id,
        slot_id: chosen.slot_id,
        appointment_id: chosen.appointment_id.unwrap_or_default(),
    };
    let request = BookPlanRequest {
        id: call.path_param("id"),
        sessions: body.sessions.unwrap_or_default().into_iter().map(choice).collect(),
        channel: call.booking_channel(None),
        proposal_id: body.proposal_id.unwrap_or_default(),
        hold_id: body.hold_id.unwrap_or_default(),
    };
    reply(200, &call.inner.plans.clone().book_plan(call.context().forward(request)).await?)
}
