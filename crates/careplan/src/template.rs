//! The sessions of a plan, from its template.

use domain::{
    directory::{GapDays, Phase, PlanTemplate},
    id::ServiceId,
};

/// A session to book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The position in the plan, from 1.
    pub ordinal: u32,
    /// The phase of the template, from 1.
    pub phase: u32,
    /// The service.
    pub service: ServiceId,
    /// The gap in days to the session that it is measured from; `None` for the first.
    pub gap_days: Option<GapDays>,
    /// The distance to that session: 1, or 2 where a paired session lies between.
    pub back: u32,
    /// Whether it must be in the week of the previous session, on another day.
    pub paired: bool,
    /// Whether a review follows it.
    pub review_after: bool,
}

/// The template does not allow this number of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the template allows {least} to {most} sessions")]
pub struct OutOfRange {
    /// The fewest sessions.
    pub least: u32,
    /// The most sessions.
    pub most: u32,
}

/// The numbers of sessions that a template allows.
pub fn range(template: &PlanTemplate) -> OutOfRange {
    let total = |of: fn(&Phase) -> u32| template.phases.iter().map(of).sum::<u32>();
    OutOfRange { least: total(|phase| phase.sessions.least), most: total(|phase| phase.sessions.most) }
}

/// The sessions of a template: `count`, or the fewest that it allows.
///
/// Each phase gets its least number; the others go to the first phases with room. A paired phase alternates with the
/// previous one: its first session follows the first of the other, its second the second, and so on.
///
/// # Errors
/// When the template does not allow this number.
pub fn sessions(template: &PlanTemplate, count: Option<u32>) -> Result<Vec<Session>, OutOfRange> {
    let range = range(template);
    let count = count.unwrap_or(range.least);
    if !(range.least..=range.most).contains(&count) {
        return Err(range);
    }
    let mut spare = count - range.least;
    let sizes: Vec<u32> = template
        .phases
        .iter()
        .map(|phase| {
            let extra = spare.min(phase.sessions.most - phase.sessions.least);
            spare -= extra;
            phase.sessions.least + extra
        })
        .collect();
    let mut sessions: Vec<Session> = Vec::new();
    let mut at = 0;
    while at < template.phases.len() {
        // A phase, and the phases paired with it.
        let beside = template.phases[at + 1..].iter().take_while(|phase| phase.paired).count();
        let longest = sizes[at..=at + beside].iter().copied().max().unwrap_or(0);
        for within in 1..=longest {
            for own in (at..=at + beside).filter(|own| within <= sizes[*own]) {
                push(&mut sessions, template, own, within);
            }
        }
        at += 1 + beside;
    }
    Ok(sessions)
}

fn push(sessions: &mut Vec<Session>, template: &PlanTemplate, at: usize, within: u32) {
    let phase = &template.phases[at];
    let number = at as u32 + 1;
    let paired = phase.paired && sessions.last().is_some_and(|last| last.phase + 1 == number);
    // The gap is measured from the same phase, across a paired session.
    let past = !paired
        && sessions.iter().rev().nth(1).is_some_and(|earlier| earlier.phase == number)
        && sessions.last().is_some_and(|last| last.phase > number);
    sessions.push(Session {
        ordinal: sessions.len() as u32 + 1,
        phase: number,
        service: phase.service_id,
        gap_days: (!sessions.is_empty()).then_some(phase.gap_days),
        back: if past { 2 } else { 1 },
        paired,
        review_after: phase.review_every.is_some_and(|every| within.is_multiple_of(every)),
    });
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
    fn phases_get_their_minimum_first_and_then_the_rest() {
        let plan = sessions(&template(), Some(3)).unwrap();
        assert_eq!(plan.iter().map(|session| session.phase).collect::<Vec<_>>(), [1, 2, 2]);
        assert_eq!(plan[0].gap_days, None);
        assert!(plan[2].review_after && !plan[1].review_after);
    }

    #[test]
    fn a_paired_phase_runs_beside_the_one_before_it() {
        let mut template = template();
        template.phases[1].sessions = SessionRange { least: 3, most: 3 };
        let paired =
            Phase { service_id: ServiceId::new(uuid::Uuid::from_u128(3)), paired: true, ..template.phases[1].clone() };
        template.phases.push(paired);
        let plan = sessions(&template, None).unwrap();
        let shape: Vec<_> = plan.iter().map(|session| (session.phase, session.back, session.paired)).collect();
        let beside = [(2, 1, false), (3, 1, true), (2, 2, false), (3, 1, true), (2, 2, false), (3, 1, true)];
        assert_eq!(shape, [&[(1, 1, false)], beside.as_slice()].concat());
    }

    #[test]
    fn a_count_outside_the_template_is_refused_with_its_range() {
        assert_eq!(sessions(&template(), Some(5)), Err(OutOfRange { least: 2, most: 4 }));
        assert_eq!(sessions(&template(), None).map(|plan| plan.len()), Ok(2));
    }
}
