//! Care plans.

use axum::http::Method;
use domain::{
    directory::{Course, GapDays},
    time::Day,
};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{
    booking::{
        self, BookPlanRequest, CreatePlanRequest, GetPlanRequest, ListPlansRequest, PlanPreferences,
        ProposePlanRequest, book_plan_request::Choice,
    },
    common::Page,
    convert,
};

use super::{CURSOR, LIMIT, next_cursor, slots::Slot, time};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

const STATUSES: [&str; 5] = ["draft", "active", "on-hold", "completed", "revoked"];

/// When the patient can come, on the locations' own clocks.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preferences {
    /// On these days only; none: every day.
    #[serde(default)]
    #[schema(max_items = 7)]
    days: Vec<Day>,
    /// No earlier than this, `HH:MM`.
    #[serde(default)]
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    not_before: Option<String>,
    /// Over by this, `HH:MM`.
    #[serde(default)]
    #[schema(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
    not_after: Option<String>,
}

/// A plan to make from a template.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPlan {
    #[schema(max_length = 64)]
    patient_id: String,
    #[schema(max_length = 64)]
    plan_template_id: String,
    /// The chain's own code of the complaint, such as `low-back-pain`.
    #[schema(min_length = 1, max_length = 64)]
    condition_code: String,
    /// How many sessions, within the template's range; without it the fewest.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000, nullable = false)]
    sessions: Option<u32>,
    /// Only this practitioner.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    practitioner_id: Option<String>,
    /// Where the patient can come to.
    #[schema(min_items = 1, max_items = 50)]
    location_ids: Vec<String>,
    #[serde(default)]
    preferences: Preferences,
    /// The first day.
    #[schema(format = Date)]
    start_on: String,
}

/// A session of a plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanSession {
    id: String,
    ordinal: u32,
    /// The template's phase, from 1.
    phase: u32,
    service_id: String,
    /// Days to the session before (of its own phase, where a paired one lies between); none for the first.
    gap_days: Option<GapDays>,
    /// Whether a review follows it.
    review_after: bool,
    /// `to_book`, `booked`, `done`, `missed` or `skipped`.
    status: String,
    appointment_id: Option<String>,
}

/// How a plan goes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Adherence {
    planned: usize,
    booked: usize,
    done: usize,
    missed: usize,
}

/// A care plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plan {
    id: String,
    version: i64,
    /// FHIR CarePlan status: `draft`, `active`, `on-hold`, `completed` or `revoked`.
    status: String,
    course: Course,
    patient_id: String,
    plan_template_id: String,
    condition_code: String,
    practitioner_id: Option<String>,
    location_ids: Vec<String>,
    preferences: Preferences,
    #[schema(format = Date)]
    start_on: String,
    sessions: Vec<PlanSession>,
    adherence: Adherence,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A page of plans, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanPage {
    data: Vec<Plan>,
    next_cursor: Option<String>,
}

/// How many proposals are wanted.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskProposals {
    /// 3 without it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10, nullable = false)]
    limit: Option<u32>,
}

/// What a series costs, in points, term by term; less is better.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostTerms {
    /// Gaps that are not ideal.
    gaps: u64,
    /// Changes of practitioner.
    practitioner: u64,
    /// Changes of location.
    location: u64,
    /// Hours and days that are not wished.
    hours: u64,
    /// Days after the earliest.
    lateness: u64,
    /// The chain's most wanted hours.
    demand: u64,
}

/// A session and the slot that is proposed for it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProposedSession {
    plan_session_id: String,
    #[serde(flatten)]
    slot: Slot,
}

/// A whole series.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Proposal {
    /// Remembered for a day; it keeps nobody else from the slots: a hold does.
    id: String,
    cost: u64,
    cost_terms: CostTerms,
    /// One sentence.
    explanation: String,
    sessions: Vec<ProposedSession>,
}

/// Proposals, best first; none where every session is booked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProposalPage {
    data: Vec<Proposal>,
}

/// A session and the slot to book for it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChosenSession {
    #[schema(max_length = 64)]
    plan_session_id: String,
    #[schema(max_length = 200)]
    slot_id: String,
}

/// What to book: a proposal, or sessions with their slots.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookPlan {
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    proposal_id: Option<String>,
    #[serde(default)]
    #[schema(min_items = 1, max_items = 60, nullable = false)]
    sessions: Option<Vec<ChosenSession>>,
    /// The hold that keeps these slots; it ends with the booking.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    hold_id: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let read = Access::Scopes(&[Scope::PatientsRead]);
    let write = Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]);
    let operation = |id: &str, method, path: &str, summary: &str, access, handler| {
        Operation::new(id, method, path, "care plans", summary, access, handler)
    };
    let list = [
        Param::new("patient_id", Type::Id("pat"), "Only of this patient"),
        Param::new("status", Type::Word(&STATUSES), "Only in this status").repeats(),
        LIMIT,
        CURSOR,
    ];
    let propose = operation(
        "propose_plan",
        Method::POST,
        "/v1/plans/{id}/proposals",
        "The best series for what is still to be booked",
        write,
        handler!(propose),
    );
    vec![
        operation("create_plan", Method::POST, "/v1/plans", "Makes a plan from a template", write, handler!(create))
            .body("NewPlan")
            .answer(201, "Plan"),
        operation("list_plans", Method::GET, "/v1/plans", "Plans, newest first", read, handler!(self::list))
            .params(&list)
            .answer(200, "PlanPage"),
        operation("get_plan", Method::GET, "/v1/plans/{id}", "One plan", read, handler!(get)).answer(200, "Plan"),
        Operation { body_optional: true, ..propose.body("AskProposals").answer(200, "ProposalPage") },
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
    ]
}

fn shown(it: &booking::Plan) -> Plan {
    let wished = it.preferences.clone().unwrap_or_default();
    let count = |status: &str| it.sessions.iter().filter(|session| session.status == status).count();
    Plan {
        id: it.id.clone(),
        version: it.version,
        status: it.status.clone(),
        course: if it.course == "acute" { Course::Acute } else { Course::Chronic },
        patient_id: it.patient_id.clone(),
        plan_template_id: it.plan_template_id.clone(),
        condition_code: it.condition_code.clone(),
        practitioner_id: convert::optional_text(&it.practitioner_id),
        location_ids: it.location_ids.clone(),
        preferences: Preferences {
            days: wished.days.iter().filter_map(|day| day.parse().ok()).collect(),
            not_before: convert::optional_text(&wished.not_before),
            not_after: convert::optional_text(&wished.not_after),
        },
        start_on: it.start_on.clone(),
        adherence: Adherence {
            planned: it.sessions.len() - count("skipped"),
            booked: count("booked"),
            done: count("done"),
            missed: count("missed"),
        },
        sessions: it
            .sessions
            .iter()
            .map(|session| PlanSession {
                id: session.id.clone(),
                ordinal: session.ordinal,
                phase: session.phase,
                service_id: session.service_id.clone(),
                gap_days: session.gap.map(|gap| GapDays { least: gap.least, ideal: gap.ideal, most: gap.most }),
                review_after: session.review_after,
                status: session.status.clone(),
                appointment_id: convert::optional_text(&session.appointment_id),
            })
            .collect(),
        created_at: time::utc(it.created_at_us),
        updated_at: time::utc(it.updated_at_us),
    }
}

impl From<&booking::PlanProposal> for Proposal {
    fn from(it: &booking::PlanProposal) -> Self {
        let cost = it.cost.unwrap_or_default();
        let put = |session: &booking::ProposedSession| {
            let slot = Slot::from(session.slot.as_ref()?);
            Some(ProposedSession { plan_session_id: session.plan_session_id.clone(), slot })
        };
        Self {
            id: it.id.clone(),
            cost: cost.gaps + cost.practitioner + cost.location + cost.hours + cost.lateness + cost.demand,
            cost_terms: CostTerms {
                gaps: cost.gaps,
                practitioner: cost.practitioner,
                location: cost.location,
                hours: cost.hours,
                lateness: cost.lateness,
                demand: cost.demand,
            },
            explanation: it.explanation.clone(),
            sessions: it.sessions.iter().filter_map(put).collect(),
        }
    }
}

fn reply(status: u16, response: &tonic::Response<booking::Plan>) -> Result<Reply, Fault> {
    let it = response.get_ref();
    let reply = Reply::json(status, &shown(it))?.version(it.version).target(&it.id).patient(&it.patient_id);
    Ok(reply.after(response))
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
    let asked: AskProposals = if call.body.is_null() { AskProposals::default() } else { call.read()? };
    let request =
        ProposePlanRequest { id: call.part("id"), limit: asked.limit.unwrap_or(0), channel: call.channel(None) };
    let answer = call.inner.plans.clone().propose_plan(call.context().request(request)).await?.into_inner();
    Reply::json(200, &ProposalPage { data: answer.proposals.iter().map(Proposal::from).collect() })
}

async fn book(call: Call) -> Result<Reply, Fault> {
    let body: BookPlan = call.read()?;
    if body.proposal_id.is_some() == body.sessions.is_some() {
        return Err(Fault::violation("/proposal_id", "missing", "give either proposal_id or sessions"));
    }
    let choice = |it: ChosenSession| Choice { plan_session_id: it.plan_session_id, slot_id: it.slot_id };
    let request = BookPlanRequest {
        id: call.part("id"),
        sessions: body.sessions.unwrap_or_default().into_iter().map(choice).collect(),
        channel: call.channel(None),
        proposal_id: body.proposal_id.unwrap_or_default(),
        hold_id: body.hold_id.unwrap_or_default(),
    };
    reply(200, &call.inner.plans.clone().book_plan(call.context().forward(request)).await?)
}
