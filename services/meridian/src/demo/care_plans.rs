//! The demo's care plans. They begin in the weeks before the present, and their appointments are completed, missed or
//! cancelled day by day, so that the present shows patients in the middle of acute and chronic plans.

use anyhow::{Context as _, Result, bail};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use rpc::{Code, Fault};
use runtime::{Clock, Shutdown};
use tonic::Response;
use wire::{
    booking::{
        Activity, Appointment, BookPlanRequest, CreatePatientRequest, CreatePlanRequest, ListAppointmentsRequest,
        ProposePlanRequest, Review, ReviewPlanRequest, Transition, TransitionAppointmentRequest,
        booking_client::BookingClient, plans_client::PlansClient,
    },
    common::{BookingChannel, Page},
};

use super::{
    appointments::{PATIENTS, details},
    load::{Loader, context, progress_bar},
};
use crate::roles::Peers;

/// The days before the present on which the first plan begins.
pub(crate) const DAYS: i64 = 35;
/// Every eleventh appointment is missed.
const MISSED_EVERY: usize = 11;

/// The plans: template, condition, and the days since the start.
const PLANS: [(&str, &str, i64); 12] = [
    ("chronic-needling", "low-back-pain", 34),
    ("rehab-combined", "post-surgical-rehab", 31),
    ("acupuncture-course", "headache-migraine", 33),
    ("chronic-needling", "shoulder-pain", 26),
    ("rehab-combined", "osteoarthritis", 24),
    ("acupuncture-course", "fibromyalgia", 20),
    ("acute-needling", "tennis-elbow", 14),
    ("acute-needling", "muscle-strain", 10),
    ("acute-needling", "neck-pain", 9),
    ("acute-needling", "plantar-fasciitis", 7),
    ("acute-needling", "sprain", 5),
    ("acute-needling", "sciatica", 3),
];
/// The plan whose patient cancelled all upcoming appointments, so that it is at risk.
const AT_RISK: usize = 6;
/// The plan with a review.
const REVIEWED: usize = 0;

struct PlanLoader<'a> {
    clock: &'a Clock,
    booking: BookingClient<rpc::Channel>,
    plans: PlansClient<rpc::Channel>,
    loader: &'a Loader,
    /// The revision of the last write, which the next read must reach.
    revision: String,
    /// The index in `PLANS` and the id of each plan that has begun.
    begun: Vec<(usize, String)>,
    past_appointments: usize,
}

/// Plays the weeks before the present. Afterwards the clock shows the present.
pub(crate) async fn load(clock: &Clock, peers: &Peers, loader: &mut Loader, shutdown: &Shutdown) -> Result<()> {
    let start = clock.now();
    let mut plans = PlanLoader {
        clock,
        booking: BookingClient::new(peers.booking.clone()),
        plans: PlansClient::new(peers.booking.clone()),
        loader,
        revision: loader.revision.clone(),
        begun: vec![],
        past_appointments: 0,
    };
    let bar = progress_bar(DAYS.unsigned_abs(), "care plans");
    for day in 0..DAYS {
        if shutdown.has_begun() {
            return Ok(());
        }
        let today = start.checked_add(SignedDuration::from_hours(24 * day))?;
        clock.catch_up(today);
        for (number, plan) in PLANS.iter().enumerate() {
            if plan.2 == DAYS - day {
                plans.begin(number).await?;
            }
        }
        plans.day(today).await?;
        bar.inc(1);
    }
    clock.catch_up(Timestamp::MAX);
    plans.cancel_and_review().await?;
    bar.finish();
    let revision = plans.revision;
    loader.revision = format!("{},{revision}", loader.revision);
    Ok(())
}

impl PlanLoader<'_> {
    fn context(&self) -> rpc::Context {
        rpc::Context { revision: Some(self.revision.clone()), ..context() }
    }

    fn keep_revision<T>(&mut self, response: &Response<T>) {
        if let Some(revision) = response.metadata().get("meridian-revision").and_then(|text| text.to_str().ok()) {
            self.revision = revision.to_owned();
        }
    }

    /// Creates a patient with a plan, and books the best proposal.
    async fn begin(&mut self, number: usize) -> Result<()> {
        let (template, condition, _) = PLANS[number];
        let clinic = number % self.loader.locations.len();
        let request = CreatePatientRequest { details: Some(details(PATIENTS + number, clinic)), staff: None };
        let patient = self.booking.create_patient(context().request(request)).await.map_err(Fault::from)?;
        let start_on: Date = self.clock.now().to_zoned(TimeZone::UTC).date();
        let template = self.loader.templates.get(template).cloned().context("the catalogue lacks a template")?;
        let request = CreatePlanRequest {
            patient_id: patient.into_inner().id,
            plan_template_id: template,
            condition_code: condition.to_owned(),
            sessions: if number >= AT_RISK { 4 } else { 0 },
            location_ids: vec![self.loader.locations[clinic].clone()],
            start_on: start_on.to_string(),
            ..CreatePlanRequest::default()
        };
        let plan = self.plans.create_plan(self.context().request(request)).await.map_err(Fault::from)?.into_inner();
        let channel = BookingChannel::Staff as i32;
        let request = ProposePlanRequest { id: plan.id.clone(), limit: 1, channel, ..Default::default() };
        let proposals = match self.plans.propose_plan(self.context().request(request)).await.map_err(Fault::from) {
            Ok(proposals) => proposals.into_inner().proposals,
            // The clinic offers the treatment too rarely: the plan stays a draft.
            Err(fault) if fault.code == Code::NoSeries => return Ok(()),
            Err(fault) => bail!("a demo plan cannot be proposed: {}: {fault}", fault.code.as_str()),
        };
        let proposal = proposals.into_iter().next().context("a plan without a proposal")?;
        let request =
            BookPlanRequest { id: plan.id.clone(), proposal_id: proposal.id, channel, ..BookPlanRequest::default() };
        let booked = self.plans.book_plan(self.context().request(request)).await.map_err(Fault::from)?;
        self.keep_revision(&booked);
        self.begun.push((number, plan.id));
        Ok(())
    }

    /// Completes or misses the appointments of one day, by their start.
    async fn day(&mut self, today: Timestamp) -> Result<()> {
        let tomorrow = today.checked_add(SignedDuration::from_hours(24))?;
        for appointment in self.booked(today, tomorrow).await? {
            self.clock.catch_up(Timestamp::from_microsecond(appointment.starts_at_us)?);
            self.past_appointments += 1;
            if self.past_appointments.is_multiple_of(MISSED_EVERY) {
                self.transition(&appointment.id, Transition::NoShow).await?;
                continue;
            }
            for transition in [Transition::Arrive, Transition::Start, Transition::Complete] {
                self.transition(&appointment.id, transition).await?;
            }
        }
        Ok(())
    }

    async fn booked(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Appointment>> {
        let request = ListAppointmentsRequest {
            statuses: vec!["booked".to_owned()],
            from_us: from.as_microsecond(),
            to_us: to.as_microsecond(),
            page: Some(Page { limit: 200, cursor: String::new() }),
            ..ListAppointmentsRequest::default()
        };
        let mut booking = self.booking.clone();
        let answer = booking.list_appointments(context().request(request)).await.map_err(Fault::from)?;
        Ok(answer.into_inner().appointments)
    }

    async fn transition(&mut self, id: &str, transition: Transition) -> Result<()> {
        let request = TransitionAppointmentRequest {
            id: id.to_owned(),
            transition: transition as i32,
            reason_code: "patient_away".to_owned(),
            by: "staff".to_owned(),
            ..TransitionAppointmentRequest::default()
        };
        let response = self.booking.transition_appointment(context().request(request)).await.map_err(Fault::from)?;
        self.keep_revision(&response);
        Ok(())
    }

    /// Cancels the upcoming appointments of one plan, and reviews another.
    async fn cancel_and_review(&mut self) -> Result<()> {
        let plan = |number: usize| self.begun.iter().find(|(begun, _)| *begun == number).map(|(_, id)| id.clone());
        let (at_risk, reviewed) = (plan(AT_RISK), plan(REVIEWED));
        if let Some(id) = at_risk {
            let request = wire::booking::GetPlanRequest { id };
            let plan = self.plans.get_plan(context().request(request)).await.map_err(Fault::from)?.into_inner();
            for session in plan.sessions.iter().filter(|session| session.status == "booked") {
                self.transition(&session.appointment_id, Transition::Cancel).await?;
            }
        }
        if let Some(id) = reviewed {
            let review = Review {
                nprs: 4,
                psfs: vec![Activity { activity: "tie shoes".to_owned(), score: 6 }],
                decision: "continue".to_owned(),
                ..Review::default()
            };
            let request = ReviewPlanRequest { id, review: Some(review), if_version: 0 };
            let response = self.plans.review_plan(context().request(request)).await.map_err(Fault::from)?;
            self.keep_revision(&response);
        }
        Ok(())
    }
}
