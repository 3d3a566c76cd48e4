//! The demo's courses of treatment: plans that began in the weeks before, their visits given, missed or called off as the
//! days went by, so that the present finds patients in the middle of acute and chronic plans.

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
    load::{Filling, bar, context},
};
use crate::roles::Ways;

/// Days before the present on which the first course begins.
pub(crate) const DAYS: i64 = 35;
/// Every so many visits the patient does not come.
const MISSED_EVERY: usize = 11;

/// A course: its template, its complaint, and how many days ago it began.
const COURSES: [(&str, &str, i64); 12] = [
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
/// The course whose patient called off all that was ahead: a plan at risk.
const LEFT: usize = 6;
/// The course that has been reviewed.
const REVIEWED: usize = 0;

struct Courses<'a> {
    clock: &'a Clock,
    booking: BookingClient<rpc::Channel>,
    plans: PlansClient<rpc::Channel>,
    filling: &'a Filling,
    /// The revision of the last booking: the next proposal is at least that fresh.
    revision: String,
    /// The plans that have begun, by their place among the courses.
    begun: Vec<(usize, String)>,
    given: usize,
}

/// Lets the weeks before the present go by; afterwards the clock shows the present.
pub(crate) async fn load(clock: &Clock, ways: &Ways, filling: &mut Filling, shutdown: &Shutdown) -> Result<()> {
    let start = clock.now();
    let mut courses = Courses {
        clock,
        booking: BookingClient::new(ways.booking.clone()),
        plans: PlansClient::new(ways.booking.clone()),
        filling,
        revision: filling.revision.clone(),
        begun: vec![],
        given: 0,
    };
    let bar = bar(DAYS.unsigned_abs(), "courses");
    for day in 0..DAYS {
        if shutdown.has_begun() {
            return Ok(());
        }
        let today = start.checked_add(SignedDuration::from_hours(24 * day))?;
        clock.catch_up(today);
        for (number, course) in COURSES.iter().enumerate() {
            if course.2 == DAYS - day {
                courses.begin(number).await?;
            }
        }
        courses.day(today).await?;
        bar.inc(1);
    }
    clock.catch_up(Timestamp::MAX);
    courses.afterwards().await?;
    bar.finish();
    let revision = courses.revision;
    filling.revision = format!("{},{revision}", filling.revision);
    Ok(())
}

impl Courses<'_> {
    fn fresh(&self) -> rpc::Context {
        rpc::Context { revision: Some(self.revision.clone()), ..context() }
    }

    fn note<T>(&mut self, response: &Response<T>) {
        if let Some(revision) = response.metadata().get("meridian-revision").and_then(|text| text.to_str().ok()) {
            self.revision = revision.to_owned();
        }
    }

    /// A patient's plan is made, proposed and booked.
    async fn begin(&mut self, number: usize) -> Result<()> {
        let (template, condition, _) = COURSES[number];
        let clinic = number % self.filling.locations.len();
        let request = CreatePatientRequest { details: Some(details(PATIENTS + number, clinic)) };
        let patient = self.booking.create_patient(context().request(request)).await.map_err(Fault::from)?;
        let start_on: Date = self.clock.now().to_zoned(TimeZone::UTC).date();
        let template = self.filling.templates.get(template).cloned().context("the catalogue lacks a template")?;
        let request = CreatePlanRequest {
            patient_id: patient.into_inner().id,
            plan_template_id: template,
            condition_code: condition.to_owned(),
            sessions: if number >= LEFT { 4 } else { 0 },
            location_ids: vec![self.filling.locations[clinic].clone()],
            start_on: start_on.to_string(),
            ..CreatePlanRequest::default()
        };
        let plan = self.plans.create_plan(self.fresh().request(request)).await.map_err(Fault::from)?.into_inner();
        let channel = BookingChannel::Staff as i32;
        let ask = ProposePlanRequest { id: plan.id.clone(), limit: 1, channel, ..Default::default() };
        let proposals = match self.plans.propose_plan(self.fresh().request(ask)).await.map_err(Fault::from) {
            Ok(proposals) => proposals.into_inner().proposals,
            // Nobody at this clinic gives the treatment often enough: the plan stays a draft.
            Err(fault) if fault.code == Code::NoSeries => return Ok(()),
            Err(fault) => bail!("a demo plan cannot be proposed: {}: {fault}", fault.code.as_str()),
        };
        let proposal = proposals.into_iter().next().context("a plan without a proposal")?;
        let request =
            BookPlanRequest { id: plan.id.clone(), proposal_id: proposal.id, channel, ..BookPlanRequest::default() };
        let booked = self.plans.book_plan(self.fresh().request(request)).await.map_err(Fault::from)?;
        self.note(&booked);
        self.begun.push((number, plan.id));
        Ok(())
    }

    /// The visits of one day, in the order of their time.
    async fn day(&mut self, today: Timestamp) -> Result<()> {
        let tomorrow = today.checked_add(SignedDuration::from_hours(24))?;
        for visit in self.booked(today, tomorrow).await? {
            self.clock.catch_up(Timestamp::from_microsecond(visit.starts_at_us)?);
            self.given += 1;
            if self.given.is_multiple_of(MISSED_EVERY) {
                self.transition(&visit.id, Transition::NoShow).await?;
                continue;
            }
            for transition in [Transition::Arrive, Transition::Start, Transition::Complete] {
                self.transition(&visit.id, transition).await?;
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
        let done = self.booking.transition_appointment(context().request(request)).await.map_err(Fault::from)?;
        self.note(&done);
        Ok(())
    }

    /// One patient calls off all that is ahead; one course has been reviewed.
    async fn afterwards(&mut self) -> Result<()> {
        let plan = |number: usize| self.begun.iter().find(|(begun, _)| *begun == number).map(|(_, id)| id.clone());
        let (left, reviewed) = (plan(LEFT), plan(REVIEWED));
        if let Some(id) = left {
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
            let done = self.plans.review_plan(context().request(request)).await.map_err(Fault::from)?;
            self.note(&done);
        }
        Ok(())
    }
}
