//! From a plan template to the sessions of one patient's plan.

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
    /// Days to the session that it is measured from; none for the first one.
    pub gap_days: Option<GapDays>,
    /// Which session that is: 1 for the one before, 2 for the one before that, where a paired one lies between.
    pub back: u32,
    /// Whether it is in the week of the session before, on another day.
    pub paired: bool,
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

/// How many sessions a template allows.
pub fn range(template: &PlanTemplate) -> OutOfRange {
    let total = |of: fn(&Phase) -> u32| template.phases.iter().map(of).sum::<u32>();
    OutOfRange { least: total(|phase| phase.sessions.least), most: total(|phase| phase.sessions.most) }
}

/// The sessions of a plan made from a template, `count` in all, or the fewest that the template allows.
///
/// Phases are filled in their order: each gets its least, and what is left goes to the first ones that have room. A
/// paired phase runs beside the one before it: first of one, first of the other, second of one, and so on.
///
/// # Errors
/// Where the template does not allow so many or so few.
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
        // A phase, and those that are paired with it.
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
    // Measured from its own kind, past a paired one between.
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
    fn phases_get_their_least_and_then_what_is_left() {
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
