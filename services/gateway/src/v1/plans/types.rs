//! The types of requests and answers about care plans.

use domain::{
    directory::{Course, GapDays},
    plan::{ReviewDecision, SessionStatus, Status},
    time::Day,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{booking, convert};

use super::{super::time, proposals::Proposal};

/// The days and hours at which the patient can come, in the locations' wall-clock time.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preferences {
    /// These days only; none: every day.
    #[serde(default)]
    #[schema(max_items = 7)]
    pub(crate) days: Vec<Day>,
    /// The earliest start, `HH:MM`.
    #[serde(default)]
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub(crate) not_before: Option<String>,
    /// The latest end, `HH:MM`.
    #[serde(default)]
    #[schema(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
    pub(crate) not_after: Option<String>,
}

/// A plan to create from a template.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPlan {
    #[schema(max_length = 64)]
    pub(crate) patient_id: String,
    #[schema(max_length = 64)]
    pub(crate) plan_template_id: String,
    /// The chain's own code of the complaint, such as `low-back-pain`.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) condition_code: String,
    /// The number of sessions, within the template's range; without it the smallest number.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000, nullable = false)]
    pub(crate) sessions: Option<u32>,
    /// Only this practitioner.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) practitioner_id: Option<String>,
    /// The locations to which the patient can come.
    #[schema(min_items = 1, max_items = 50)]
    pub(crate) location_ids: Vec<String>,
    #[serde(default)]
    pub(crate) preferences: Preferences,
    /// The first day.
    #[schema(format = Date)]
    pub(crate) start_on: String,
}

/// A session of a plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanSession {
    pub(crate) id: String,
    pub(crate) ordinal: u32,
    /// The template's phase, from 1.
    pub(crate) phase: u32,
    pub(crate) service_id: String,
    /// Days to the previous session, or to the previous one of its phase if a paired one lies between; none for the first.
    pub(crate) gap_days: Option<GapDays>,
    /// Whether a review follows it.
    pub(crate) review_after: bool,
    #[schema(value_type = SessionStatus)]
    pub(crate) status: String,
    pub(crate) appointment_id: Option<String>,
    /// Missed or cancelled late, and used up.
    pub(crate) forfeited: bool,
    /// The missed session that it replaces.
    pub(crate) instead_of: Option<String>,
}

/// A problem of an upcoming session, which `POST /v1/plans/{id}/repair` solves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attention {
    pub(crate) plan_session_id: String,
    /// `displaced`, `gap_too_long`, `gap_too_short`, `other_week` or `overdue`.
    pub(crate) code: String,
    pub(crate) detail: String,
}

/// An activity that the condition makes difficult.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Activity {
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) activity: String,
    /// Patient-Specific Functional Scale: 0, unable, to 10, as before.
    #[schema(minimum = 0, maximum = 10)]
    pub(crate) score: u32,
}

/// A patient's answer to a check-in after a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckIn {
    pub(crate) appointment_id: String,
    /// 0 (no pain) to 10.
    pub(crate) score: u32,
    #[schema(format = DateTime)]
    pub(crate) at: String,
}

/// A review to record: the findings and the decision.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReview {
    /// Pain now on the numeric rating scale, 0 to 10.
    #[schema(minimum = 0, maximum = 10)]
    pub(crate) nprs: u32,
    /// One to three activities.
    #[schema(min_items = 1, max_items = 3)]
    pub(crate) psfs: Vec<Activity>,
    pub(crate) decision: ReviewDecision,
    /// For `extend`: the number of further sessions.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 50, nullable = false)]
    pub(crate) sessions: Option<u32>,
    /// For `change_service`: the new service.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) service_id: Option<String>,
    /// For the clinic's staff.
    #[serde(default)]
    #[schema(max_length = 4000, nullable = false)]
    pub(crate) note: Option<String>,
}

/// A recorded review.
#[derive(Serialize, ToSchema)]
pub(crate) struct Review {
    #[schema(format = DateTime)]
    pub(crate) at: String,
    pub(crate) nprs: u32,
    pub(crate) psfs: Vec<Activity>,
    #[schema(value_type = ReviewDecision)]
    pub(crate) decision: String,
    pub(crate) sessions: Option<u32>,
    pub(crate) service_id: Option<String>,
    pub(crate) note: Option<String>,
}

/// The numbers of sessions by status.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Adherence {
    pub(crate) planned: usize,
    pub(crate) booked: usize,
    pub(crate) done: usize,
    pub(crate) missed: usize,
}

/// A care plan.
#[derive(Serialize, ToSchema)]
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) version: i64,
    #[schema(value_type = Status)]
    pub(crate) status: String,
    pub(crate) course: Course,
    pub(crate) patient_id: String,
    pub(crate) plan_template_id: String,
    pub(crate) condition_code: String,
    pub(crate) practitioner_id: Option<String>,
    pub(crate) location_ids: Vec<String>,
    pub(crate) preferences: Preferences,
    #[schema(format = Date)]
    pub(crate) start_on: String,
    pub(crate) sessions: Vec<PlanSession>,
    pub(crate) reviews: Vec<Review>,
    /// The oldest first.
    pub(crate) check_ins: Vec<CheckIn>,
    /// Whether a session with a review after it is done and no review has been recorded since.
    pub(crate) review_due: bool,
    pub(crate) attention: Vec<Attention>,
    /// The last day on which the next session keeps its gap, if a session is left and none is booked.
    #[schema(format = Date)]
    pub(crate) book_by: Option<String>,
    /// Whether that day is near or past.
    pub(crate) at_risk: bool,
    pub(crate) adherence: Adherence,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) updated_at: String,
}

/// A plan after a review, and proposals for its sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReviewedPlan {
    #[serde(flatten)]
    pub(crate) plan: Plan,
    /// Series for the sessions that are left to book, best first; none when all are booked or no series fits.
    pub(crate) proposals: Vec<Proposal>,
}

/// A page of plans, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanPage {
    pub(crate) data: Vec<Plan>,
    pub(crate) next_cursor: Option<String>,
}

/// A plan of booking for an answer.
pub(super) fn to_json(plan: &booking::Plan) -> Plan {
    let preferences = plan.preferences.clone().unwrap_or_default();
    let count = |status: &str| plan.sessions.iter().filter(|session| session.status == status).count();
    Plan {
        id: plan.id.clone(),
        version: plan.version,
        status: plan.status.clone(),
        course: plan.course.parse().unwrap_or(Course::Chronic),
        patient_id: plan.patient_id.clone(),
        plan_template_id: plan.plan_template_id.clone(),
        condition_code: plan.condition_code.clone(),
        practitioner_id: convert::optional_text(&plan.practitioner_id),
        location_ids: plan.location_ids.clone(),
        preferences: Preferences {
            days: preferences.days.iter().filter_map(|day| day.parse().ok()).collect(),
            not_before: convert::optional_text(&preferences.not_before),
            not_after: convert::optional_text(&preferences.not_after),
        },
        start_on: plan.start_on.clone(),
        adherence: Adherence {
            // A replacement does not count: the missed session that plan replaces does.
            planned: plan
                .sessions
                .iter()
                .filter(|session| session.instead_of.is_empty())
                .count()
                .saturating_sub(count("skipped")),
            booked: count("booked"),
            done: count("done"),
            missed: count("missed"),
        },
        sessions: plan
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
                forfeited: session.forfeited,
                instead_of: convert::optional_text(&session.instead_of),
            })
            .collect(),
        reviews: plan.reviews.iter().map(review_to_json).collect(),
        check_ins: plan
            .check_ins
            .iter()
            .map(|check_in| CheckIn {
                appointment_id: check_in.appointment_id.clone(),
                score: check_in.score,
                at: time::utc(check_in.at_us),
            })
            .collect(),
        review_due: plan.review_due,
        attention: plan
            .attention
            .iter()
            .map(|attention| Attention {
                plan_session_id: attention.plan_session_id.clone(),
                code: attention.code.clone(),
                detail: attention.detail.clone(),
            })
            .collect(),
        book_by: convert::optional_text(&plan.book_by),
        at_risk: plan.at_risk,
        created_at: time::utc(plan.created_at_us),
        updated_at: time::utc(plan.updated_at_us),
    }
}

fn review_to_json(review: &booking::Review) -> Review {
    let activity = |entry: &booking::Activity| Activity { activity: entry.activity.clone(), score: entry.score };
    Review {
        at: time::utc(review.at_us),
        nprs: review.nprs,
        psfs: review.psfs.iter().map(activity).collect(),
        decision: review.decision.clone(),
        sessions: (review.sessions > 0).then_some(review.sessions),
        service_id: convert::optional_text(&review.service_id),
        note: convert::optional_text(&review.note),
    }
}
