//! Care plans: a course of treatment as a list of sessions. Pure.
//!
//! A plan template's phases become the sessions of one patient's plan, each with its gap to the session before.
//! Nothing here knows of calendars or patients.

use domain::{
    directory::{GapDays, Phase, PlanTemplate},
    id::ServiceId,
};

/// One session of a plan that is still to be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its place in the plan, from 1.
    pub ordinal: u32,
    /// The phase that it belongs to, from 1.
    pub phase: u32,
    /// What is given.
    pub service: ServiceId,
    /// Days to the session before; none for the first one.
    pub gap_days: Option<GapDays>,
    /// Whether a review follows it.
    pub review_after: bool,
}

/// Why a template does not make a plan of this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the template allows {least} to {most} sessions")]
pub struct OutOfRange {
    /// The fewest sessions.
    pub least: u32,
    /// The most sessions.
    pub most: u32,
}

/// The sessions of a plan made from a template, `count` in all, or the fewest that the template allows.
///
/// Phases are filled in their order: each gets its least, and what is left goes to the first ones that have room.
///
/// # Errors
/// Where the template does not allow so many or so few.
pub fn sessions(template: &PlanTemplate, count: Option<u32>) -> Result<Vec<Session>, OutOfRange> {
    let total = |of: fn(&Phase) -> u32| template.phases.iter().map(of).sum::<u32>();
    let (least, most) = (total(|phase| phase.sessions.least), total(|phase| phase.sessions.most));
    let count = count.unwrap_or(least);
    if !(least..=most).contains(&count) {
        return Err(OutOfRange { least, most });
    }
    let mut spare = count - least;
    let mut sessions: Vec<Session> = Vec::new();
    for (number, phase) in (1..).zip(&template.phases) {
        let extra = spare.min(phase.sessions.most - phase.sessions.least);
        spare -= extra;
        for within in 1..=phase.sessions.least + extra {
            sessions.push(Session {
                ordinal: u32::try_from(sessions.len()).unwrap_or(0) + 1,
                phase: number,
                service: phase.service_id,
                gap_days: (!sessions.is_empty()).then_some(phase.gap_days),
                review_after: phase.review_every.is_some_and(|every| within % every == 0),
            });
        }
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use domain::directory::{Course, SessionRange};

    use super::*;

    fn template() -> PlanTemplate {
        let phase = |id: u128, least, most, review_every| Phase {
            service_id: ServiceId::new(uuid::Uuid::from_u128(id)),
            sessions: SessionRange { least, most },
            gap_days: GapDays { least: 3, ideal: 5, most: 7 },
            review_every,
            paired: false,
        };
        PlanTemplate {
            code: "acute".into(),
            name: "Acute".into(),
            course: Course::Acute,
            phases: vec![phase(1, 1, 1, None), phase(2, 1, 3, Some(2))],
        }
    }

    #[test]
    fn phases_get_their_least_and_then_what_is_left() {
        let plan = sessions(&template(), Some(3)).unwrap();
        assert_eq!(plan.iter().map(|session| session.phase).collect::<Vec<_>>(), [1, 2, 2]);
        assert_eq!(plan[0].gap_days, None);
        assert!(plan[2].review_after && !plan[1].review_after);
    }

    #[test]
    fn a_count_outside_the_template_is_refused_with_its_range() {
        assert_eq!(sessions(&template(), Some(5)), Err(OutOfRange { least: 2, most: 4 }));
        assert_eq!(sessions(&template(), None).map(|plan| plan.len()), Ok(2));
    }
}
