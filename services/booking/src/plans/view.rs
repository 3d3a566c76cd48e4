//! Plans for the wire.

use careplan::{
    chain::Attention,
    plan::{CheckIn, Plan, PlanSession},
    review::{Activity, Decision, Review},
};
use domain::directory::{self, Course};
use jiff::{civil::Date, tz::TimeZone};
use wire::{
    availability::GapDays,
    booking::{self as wire_booking, PlanPreferences},
};

use super::stored::StoredPlan;
use crate::Inner;

/// A plan with its sessions, reviews and check-ins.
pub(crate) fn to_wire(inner: &Inner, stored: &StoredPlan) -> wire_booking::Plan {
    let now = inner.clock.now();
    let today = today(inner);
    let Plan { id, course, status, order, sessions, reviews, check_ins } = &stored.plan;
    let wall = |time: Option<domain::time::WallTime>| time.map(|time| time.to_string()).unwrap_or_default();
    wire_booking::Plan {
        id: id.to_string(),
        version: stored.version,
        status: status.as_str().to_owned(),
        patient_id: order.patient.to_string(),
        plan_template_id: order.template.to_string(),
        condition_code: order.condition_code.clone(),
        course: course_word(*course).to_owned(),
        practitioner_id: order.practitioner.map(|id| id.to_string()).unwrap_or_default(),
        location_ids: order.locations.iter().map(ToString::to_string).collect(),
        preferences: Some(PlanPreferences {
            days: order.preferences.days.iter().map(|day| day.as_str().to_owned()).collect(),
            not_before: wall(order.preferences.not_before),
            not_after: wall(order.preferences.not_after),
        }),
        start_on: order.start_on.to_string(),
        sessions: sessions.iter().map(session_to_wire).collect(),
        created_at_us: stored.created_at_us,
        updated_at_us: stored.updated_at_us,
        reviews: reviews.iter().map(review_to_wire).collect(),
        review_due: stored.plan.review_due(),
        attention: stored.plan.attention(now, today).iter().map(attention_to_wire).collect(),
        book_by: stored.plan.book_by(now).map(|date| date.to_string()).unwrap_or_default(),
        at_risk: stored.plan.at_risk(now, today, inner.config.at_risk_days),
        proposals: vec![],
        check_ins: check_ins.iter().map(check_in_to_wire).collect(),
    }
}

/// The public word of a course.
pub(crate) fn course_word(course: Course) -> &'static str {
    match course {
        Course::Acute => "acute",
        Course::Chronic => "chronic",
    }
}

/// Whether a plan is at risk now, and the last day for its next session.
pub(crate) fn summary(inner: &Inner, stored: &StoredPlan) -> wire_booking::PlanNow {
    let (now, today) = (inner.clock.now(), today(inner));
    wire_booking::PlanNow {
        at_risk: stored.plan.at_risk(now, today, inner.config.at_risk_days),
        book_by: stored.plan.book_by(now).map(|date| date.to_string()).unwrap_or_default(),
    }
}

fn session_to_wire(session: &PlanSession) -> wire_booking::PlanSession {
    wire_booking::PlanSession {
        id: session.id.to_string(),
        ordinal: session.ordinal,
        phase: session.phase,
        service_id: session.service.to_string(),
        gap: session.gap_days.map(gap_to_wire),
        back: session.back,
        paired: session.paired,
        review_after: session.review_after,
        status: session.status.as_str().to_owned(),
        appointment_id: session.visit.map(|visit| visit.appointment.to_string()).unwrap_or_default(),
        forfeited: session.forfeited,
        instead_of: session.instead_of.map(|id| id.to_string()).unwrap_or_default(),
    }
}

pub(crate) fn gap_to_wire(gap: directory::GapDays) -> GapDays {
    GapDays { least: gap.least, ideal: gap.ideal, most: gap.most }
}

fn attention_to_wire(attention: &Attention) -> wire_booking::Attention {
    wire_booking::Attention {
        plan_session_id: attention.session.to_string(),
        code: attention.trouble.code().to_owned(),
        detail: attention.trouble.to_string(),
    }
}

fn review_to_wire(review: &Review) -> wire_booking::Review {
    let (sessions, service_id) = match review.decision {
        Decision::Extend(count) => (count, String::new()),
        Decision::ChangeService(service) => (0, service.to_string()),
        _ => (0, String::new()),
    };
    let activity = |it: &Activity| wire_booking::Activity { activity: it.activity.clone(), score: u32::from(it.score) };
    wire_booking::Review {
        at_us: review.at.as_microsecond(),
        nprs: u32::from(review.nprs),
        psfs: review.psfs.iter().map(activity).collect(),
        decision: review.decision.as_str().to_owned(),
        sessions,
        service_id,
        note: review.note.clone(),
    }
}

fn check_in_to_wire(check_in: &CheckIn) -> wire_booking::CheckIn {
    wire_booking::CheckIn {
        appointment_id: check_in.appointment.to_string(),
        score: u32::from(check_in.score),
        at_us: check_in.at.as_microsecond(),
    }
}

/// The present date in UTC: exact enough for gaps, which are counted in days.
pub(crate) fn today(inner: &Inner) -> Date {
    inner.clock.now().to_zoned(TimeZone::UTC).date()
}
