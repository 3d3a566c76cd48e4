//! Organisations cannot see each other's plans: every call that the descriptor lists answers a foreign id as an unknown one.

use booking::Config;
use domain::id::OrganizationId;
use prost::Message;
use rpc::{Channel, Context};
use scenarios::context;
use testkit::database::Database;
use tonic::{Response, Status};
use uuid::Uuid;
use wire::booking::{
    self as proto, book_displaced_request::Choice, book_plan_request, displaced_client::DisplacedClient,
    plans_client::PlansClient,
};

use super::fixture::{Fixture, appointment_of};

testkit::engines!(a_foreign_plan_is_answered_as_an_unknown_one_by_every_call);

fn seen<T: Message>(answer: Result<Response<T>, Status>) -> String {
    match answer {
        Ok(answer) => format!("{:?}", answer.into_inner().encode_to_vec()),
        Err(status) => format!("{:?} {} {:?}", status.code(), status.message(), status.details()),
    }
}

struct Ids {
    plan: String,
    session: String,
    proposal: String,
    patient: String,
    template: String,
    location: String,
    appointment: String,
    slot: String,
}

/// Makes a call with these ids; `None` for one that takes none.
async fn call(booking: &Channel, ctx: &Context, method: &str, ids: &Ids) -> Option<String> {
    if method.ends_with("Displaced") {
        return call_displaced(booking, ctx, method, ids).await;
    }
    let mut plans = PlansClient::new(booking.clone());
    let id = ids.plan.clone();
    let one = || proto::GetPlanRequest { id: ids.plan.clone() };
    let ask = || proto::ProposePlanRequest { id: ids.plan.clone(), ..Default::default() };
    Some(match method {
        "CreatePlan" => {
            let request = proto::CreatePlanRequest {
                patient_id: ids.patient.clone(),
                plan_template_id: ids.template.clone(),
                condition_code: "neck-pain".into(),
                location_ids: vec![ids.location.clone()],
                start_on: "2026-03-03".into(),
                ..Default::default()
            };
            seen(plans.create_plan(ctx.request(request)).await)
        }
        "GetPlan" => seen(plans.get_plan(ctx.request(one())).await),
        "GetLedger" => seen(plans.get_ledger(ctx.request(one())).await),
        "ListPlans" => {
            let request = proto::ListPlansRequest { patient_id: ids.patient.clone(), ..Default::default() };
            seen(plans.list_plans(ctx.request(request)).await)
        }
        "ProposePlan" => seen(plans.propose_plan(ctx.request(ask())).await),
        "RepairPlan" => seen(plans.repair_plan(ctx.request(ask())).await),
        "BookPlan" => {
            let choice = book_plan_request::Choice {
                plan_session_id: ids.session.clone(),
                slot_id: ids.slot.clone(),
                appointment_id: ids.appointment.clone(),
            };
            let by_session = proto::BookPlanRequest { id: id.clone(), sessions: vec![choice], ..Default::default() };
            let by_proposal = proto::BookPlanRequest { id, proposal_id: ids.proposal.clone(), ..Default::default() };
            let first = seen(plans.book_plan(ctx.request(by_session)).await);
            first + &seen(plans.book_plan(ctx.request(by_proposal)).await)
        }
        "RecordCheckIn" => {
            let appointment_id = id.replace("plan_", "appt_");
            let request = proto::RecordCheckInRequest { appointment_id, score: 3 };
            seen(plans.record_check_in(ctx.request(request)).await)
        }
        "ReviewPlan" => {
            let activity = proto::Activity { activity: "walk".into(), score: 5 };
            let review = proto::Review { psfs: vec![activity], decision: "discharge".into(), ..Default::default() };
            let request = proto::ReviewPlanRequest { id, review: Some(review), if_version: 0 };
            seen(plans.review_plan(ctx.request(request)).await)
        }
        // It takes no id; what it counts is the caller's own.
        "ReportPlans" => {
            let request = proto::ReportPlansRequest {
                from: "2026-01-01".into(),
                to: "2026-12-31".into(),
                group_by: "day".into(),
            };
            let report = plans.report_plans(ctx.request(request)).await.unwrap().into_inner();
            assert!(report.rows.is_empty() && report.at_risk_plan_ids.is_empty());
            return None;
        }
        other => panic!("{other} is new: say here what it is called with"),
    })
}

async fn call_displaced(booking: &Channel, ctx: &Context, method: &str, ids: &Ids) -> Option<String> {
    let mut displaced = DisplacedClient::new(booking.clone());
    Some(match method {
        "ProposeDisplaced" => {
            let request = proto::ProposeDisplacedRequest {
                location_id: ids.location.clone(),
                from_us: 1,
                to_us: i64::MAX / 2,
                ..Default::default()
            };
            seen(displaced.propose_displaced(ctx.request(request)).await)
        }
        "BookDisplaced" => {
            let moves = vec![Choice { appointment_id: ids.appointment.clone(), slot_id: ids.slot.clone() }];
            let by_move = proto::BookDisplacedRequest { moves, ..Default::default() };
            let by_proposal = proto::BookDisplacedRequest { proposal_id: ids.proposal.clone(), ..Default::default() };
            let first = seen(displaced.book_displaced(ctx.request(by_move)).await);
            first + &seen(displaced.book_displaced(ctx.request(by_proposal)).await)
        }
        other => panic!("{other} is new: say here what it is called with"),
    })
}

async fn a_foreign_plan_is_answered_as_an_unknown_one_by_every_call(database: Database) {
    let fixture = Fixture::of(database, Config::default(), 1).await.unwrap();
    let plan = fixture.booked_plan(1, 3).await.unwrap();
    let before = fixture.plan(&plan).await.unwrap();
    let proposal = fixture.product.post(&format!("/v1/plans/{plan}/repair"), serde_json::json!({})).await.unwrap();
    assert_eq!(proposal.body["data"], serde_json::json!([]));
    fixture.away(0, "2026-03-09T00:00:00-06:00", "2026-03-12T00:00:00-06:00").await.unwrap();
    let repairs = fixture.repairs(&plan).await.unwrap();
    let displaced = fixture.plan(&plan).await.unwrap();
    let visit = fixture.appointment(&appointment_of(&before, 0)).await.unwrap();
    let foreign = Ids {
        plan: plan.clone(),
        session: before.text("/sessions/0/id"),
        proposal: repairs.text("/data/0/id"),
        patient: before.text("/patient_id"),
        template: fixture.template.clone(),
        location: fixture.location.clone(),
        appointment: visit.text("/id"),
        slot: repairs.text("/data/0/sessions/0/slot_id"),
    };
    let other = |id: &str| format!("{}zzzz", &id[..id.len() - 4]);
    let unknown = Ids {
        plan: other(&foreign.plan),
        session: other(&foreign.session),
        proposal: other(&foreign.proposal),
        patient: other(&foreign.patient),
        template: other(&foreign.template),
        location: other(&foreign.location),
        appointment: other(&foreign.appointment),
        slot: foreign.slot.clone(),
    };
    let outsider = context(OrganizationId::new(Uuid::from_u128(0xbb)));
    let descriptors = prost_types::FileDescriptorSet::decode(wire::DESCRIPTORS).unwrap();
    let services =
        descriptors.file.iter().filter(|file| file.package() == "meridian.booking.v1").flat_map(|file| &file.service);
    let methods: Vec<&str> = services
        .filter(|service| ["Plans", "Displaced"].contains(&service.name()))
        .flat_map(|service| &service.method)
        .map(|method| method.name())
        .collect();
    assert!(methods.len() >= 11, "the list is the descriptor's own: {methods:?}");
    for method in methods {
        let booking = &fixture.product.booking;
        let (of_other, of_none) =
            (call(booking, &outsider, method, &foreign).await, call(booking, &outsider, method, &unknown).await);
        assert_eq!(of_other, of_none, "{method}");
    }
    assert_eq!(fixture.plan(&plan).await.unwrap().body, displaced.body, "nothing has changed");
}
