//! What care plans look like in the public interface.

use domain::{
    directory::{Course, GapDays},
    plan::{ReviewDecision, SessionStatus, Status},
    time::Day,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{booking, convert};

use super::{super::time, proposals::Proposal};

/// When the patient can come, on the locations' own clocks.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preferences {
    /// On these days only; none: every day.
    #[serde(default)]
    #[schema(max_items = 7)]
    pub(crate) days: Vec<Day>,
    /// No earlier than this, `HH:MM`.
    #[serde(default)]
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub(crate) not_before: Option<String>,
    /// Over by this, `HH:MM`.
    #[serde(default)]
    #[schema(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
    pub(crate) not_after: Option<String>,
}

/// A plan to make from a template.
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
    /// How many sessions, within the template's range; without it the fewest.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000, nullable = false)]
    pub(crate) sessions: Option<u32>,
    /// Only this practitioner.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) practitioner_id: Option<String>,
    /// Where the patient can come to.
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
    /// Days to the session before (of its own phase, where a paired one lies between); none for the first.
    pub(crate) gap_days: Option<GapDays>,
    /// Whether a review follows it.
    pub(crate) review_after: bool,
    #[schema(value_type = SessionStatus)]
    pub(crate) status: String,
    pub(crate) appointment_id: Option<String>,
    /// Missed or called off late, and used up all the same.
    pub(crate) forfeited: bool,
    /// The missed session that it was given back for.
    pub(crate) instead_of: Option<String>,
}

/// What is wrong with a session that is ahead; `POST /v1/plans/{id}/repair` mends it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attention {
    pub(crate) plan_session_id: String,
    /// `displaced`, `gap_too_long`, `gap_too_short`, `other_week` or `overdue`.
    pub(crate) code: String,
    pub(crate) detail: String,
}

/// An activity that the complaint makes difficult.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Activity {
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) activity: String,
    /// Patient-Specific Functional Scale: 0, unable, to 10, as before.
    #[schema(minimum = 0, maximum = 10)]
    pub(crate) score: u32,
}

/// What the patient answered, some time after a session, to how it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckIn {
    pub(crate) appointment_id: String,
    /// 0 (no pain) to 10.
    pub(crate) score: u32,
    #[schema(format = DateTime)]
    pub(crate) at: String,
}

/// What the practitioner found, and what follows.
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
    /// For `extend`: how many more.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 50, nullable = false)]
    pub(crate) sessions: Option<u32>,
    /// For `change_service`: to which.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(crate) service_id: Option<String>,
    /// For the clinic's staff.
    #[serde(default)]
    #[schema(max_length = 4000, nullable = false)]
    pub(crate) note: Option<String>,
}

/// A review as it was recorded.
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

/// How a plan goes.
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
    /// The first one first.
    pub(crate) check_ins: Vec<CheckIn>,
    /// A session that a review follows is done, and none has been recorded since.
    pub(crate) review_due: bool,
    pub(crate) attention: Vec<Attention>,
    /// The last day on which the next session keeps its gap, where one is left and none is booked.
    #[schema(format = Date)]
    pub(crate) book_by: Option<String>,
    /// That day is near or past.
    pub(crate) at_risk: bool,
    pub(crate) adherence: Adherence,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) updated_at: String,
}

/// A plan after a review, and what can be booked now.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReviewedPlan {
    #[serde(flatten)]
    pub(crate) plan: Plan,
    /// The best series for the sessions that are left to book, best first; none where all are booked or no series fits.
    pub(crate) proposals: Vec<Proposal>,
}

/// A page of plans, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanPage {
    pub(crate) data: Vec<Plan>,
    pub(crate) next_cursor: Option<String>,
}

/// A plan as answers show it.
pub(super) fn shown(it: &booking::Plan) -> Plan {
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
            // One that was given back stands for the missed one, which counts already.
            planned: it.sessions.iter().filter(|it| it.instead_of.is_empty()).count().saturating_sub(count("skipped")),
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
                forfeited: session.forfeited,
                instead_of: convert::optional_text(&session.instead_of),
            })
            .collect(),
        reviews: it.reviews.iter().map(review_shown).collect(),
        check_ins: it
            .check_ins
            .iter()
            .map(|it| CheckIn { appointment_id: it.appointment_id.clone(), score: it.score, at: time::utc(it.at_us) })
            .collect(),
        review_due: it.review_due,
        attention: it
            .attention
            .iter()
            .map(|it| Attention {
                plan_session_id: it.plan_session_id.clone(),
                code: it.code.clone(),
                detail: it.detail.clone(),
            })
            .collect(),
        book_by: convert::optional_text(&it.book_by),
        at_risk: it.at_risk,
        created_at: time::utc(it.created_at_us),
        updated_at: time::utc(it.updated_at_us),
    }
}

fn review_shown(it: &booking::Review) -> Review {
    let activity = |it: &booking::Activity| Activity { activity: it.activity.clone(), score: it.score };
    Review {
        at: time::utc(it.at_us),
        nprs: it.nprs,
        psfs: it.psfs.iter().map(activity).collect(),
        decision: it.decision.clone(),
        sessions: (it.sessions > 0).then_some(it.sessions),
        service_id: convert::optional_text(&it.service_id),
        note: convert::optional_text(&it.note),
    }
}
