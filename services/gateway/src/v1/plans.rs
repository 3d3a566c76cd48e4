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
    common::Page,
    convert,
};

pub(crate) use self::{
    ledger::Ledger,
    proposals::{AskProposals, BookPlan, Proposal, ProposalPage},
    types::{NewPlan, NewReview, Plan, PlanPage, ReviewedPlan},
};
use self::{
    proposals::ChosenSession,
    types::{Activity, shown},
};
use super::{CURSOR, LIMIT, next_cursor};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

pub(crate) fn operations() -> Vec<Operation> {
    let read = Access::Scopes(&[Scope::PatientsRead]);
    let write = Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]);
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "care plans", summary, access, handler)
    };
    let list = [
        Param::new("patient_id", Type::Id("pat"), "Only of this patient"),
        Param::new("status", Type::Word(Status::WORDS), "Only in this status").repeats(),
        LIMIT,
        CURSOR,
    ];
    let propose = operation(
        "propose_plan",
        Method::POST,
        "/v1/plans/{id}/proposals",
        "The best series for what is still to be booked, and others that differ from it in every session",
        write,
        handler!(propose),
    );
    let repair = operation(
        "repair_plan",
        Method::POST,
        "/v1/plans/{id}/repair",
        "The best repairs of what was cancelled, missed or displaced, with the fewest moves",
        write,
        handler!(repair),
    );
    vec![
        operation("create_plan", Method::POST, "/v1/plans", "Makes a plan from a template", write, handler!(create))
            .body("NewPlan")
            .answer(201, "Plan"),
        operation("list_plans", Method::GET, "/v1/plans", "Plans, newest first", read, handler!(self::list))
            .params(&list)
            .answer(200, "PlanPage"),
        operation("get_plan", Method::GET, "/v1/plans/{id}", "One plan", read, handler!(get)).answer(200, "Plan"),
        operation("get_ledger", Method::GET, "/v1/plans/{id}/ledger", "A plan's ledger", read, handler!(ledger::get))
            .answer(200, "Ledger"),
        Operation { body_optional: true, ..propose.body("AskProposals").answer(200, "ProposalPage").keeps() },
        Operation { body_optional: true, ..repair.body("AskProposals").answer(200, "ProposalPage").keeps() },
        operation(
            "book_plan",
            Method::POST,
            "/v1/plans/{id}/book",
            "Books a series, all or none",
            write,
            handler!(book),
        )
        .body("BookPlan")
        .answer(200, "Plan"),
        operation(
            "review_plan",
            Method::POST,
            "/v1/plans/{id}/reviews",
            "Records a review; the remaining sessions follow its decision",
            write,
            handler!(review),
        )
        .body("NewReview")
        .answer(201, "ReviewedPlan"),
    ]
}

fn reply(status: u16, response: &tonic::Response<booking::Plan>) -> Result<Reply, Fault> {
    Ok(about(Reply::json(status, &shown(response.get_ref()))?, response))
}

fn about(reply: Reply, response: &tonic::Response<booking::Plan>) -> Reply {
    let it = response.get_ref();
    reply.version(it.version).target(&it.id).patient(&it.patient_id).after(response)
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let new: NewPlan = call.read()?;
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
    let request = GetPlanRequest { id: call.part("id") };
    reply(200, &call.inner.plans.clone().get_plan(call.context().request(request)).await?)
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListPlansRequest {
        patient_id: params.text_or_empty("patient_id"),
        statuses: params.all("status"),
        page: Some(Page { limit: params.number("limit"), cursor: params.text_or_empty("cursor") }),
    };
    let answer = call.inner.plans.clone().list_plans(call.context().request(request)).await?.into_inner();
    let page =
        PlanPage { data: answer.plans.iter().map(shown).collect(), next_cursor: next_cursor(answer.next_cursor) };
    let reply = Reply::json(200, &page)?;
    Ok(match params.text("patient_id") {
        Some(patient) => reply.patient(patient),
        None => reply,
    })
}

async fn propose(call: Call) -> Result<Reply, Fault> {
    let request = asked(&call)?;
    found(call.inner.plans.clone().propose_plan(call.context().request(request)).await?.into_inner())
}

async fn repair(call: Call) -> Result<Reply, Fault> {
    let request = asked(&call)?;
    found(call.inner.plans.clone().repair_plan(call.context().request(request)).await?.into_inner())
}

fn asked(call: &Call) -> Result<ProposePlanRequest, Fault> {
    let asked: AskProposals = if call.body.is_null() { AskProposals::default() } else { call.read()? };
    Ok(ProposePlanRequest {
        id: call.part("id"),
        limit: asked.limit.unwrap_or(0),
        channel: call.channel(None),
        stretch_days: asked.stretch_days.unwrap_or(0),
        prefer: convert::preference_to_wire(asked.prefer).into(),
    })
}

fn found(answer: ProposePlanResponse) -> Result<Reply, Fault> {
    Reply::json(200, &ProposalPage { data: answer.proposals.iter().map(Proposal::from).collect() })
}

async fn review(call: Call) -> Result<Reply, Fault> {
    let new: NewReview = call.read()?;
    let activity = |it: Activity| booking::Activity { activity: it.activity, score: it.score };
    let review = booking::Review {
        at_us: 0,
        nprs: new.nprs,
        psfs: new.psfs.into_iter().map(activity).collect(),
        decision: new.decision.as_str().to_owned(),
        sessions: new.sessions.unwrap_or(0),
        service_id: new.service_id.unwrap_or_default(),
        note: new.note.unwrap_or_default(),
    };
    let request = ReviewPlanRequest { id: call.part("id"), review: Some(review), if_version: call.if_version()? };
    let response = call.inner.plans.clone().review_plan(call.context().forward(request)).await?;
    let proposals = response.get_ref().proposals.iter().map(Proposal::from).collect();
    let reviewed = ReviewedPlan { plan: shown(response.get_ref()), proposals };
    Ok(about(Reply::json(201, &reviewed)?, &response))
}

async fn book(call: Call) -> Result<Reply, Fault> {
    let body: BookPlan = call.read()?;
    if body.proposal_id.is_some() == body.sessions.is_some() {
        return Err(Fault::violation("/proposal_id", "missing", "give either proposal_id or sessions"));
    }
    let choice = |it: ChosenSession| Choice {
        plan_session_id: it.plan_session_id,
        slot_id: it.slot_id,
        appointment_id: it.appointment_id.unwrap_or_default(),
    };
    let request = BookPlanRequest {
        id: call.part("id"),
        sessions: body.sessions.unwrap_or_default().into_iter().map(choice).collect(),
        channel: call.channel(None),
        proposal_id: body.proposal_id.unwrap_or_default(),
        hold_id: body.hold_id.unwrap_or_default(),
    };
    reply(200, &call.inner.plans.clone().book_plan(call.context().forward(request)).await?)
}
