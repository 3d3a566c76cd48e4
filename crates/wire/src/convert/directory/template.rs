use domain::{
    directory::{Course, GapDays, Phase, PlanTemplate, SessionRange},
    fault::Faults,
};

use crate::{availability as wire, convert::id};

pub(super) fn to_wire(template: &PlanTemplate) -> wire::PlanTemplate {
    let course = match template.course {
        Course::Acute => "acute",
        Course::Chronic => "chronic",
    };
    wire::PlanTemplate {
        code: template.code.clone(),
        name: template.name.clone(),
        course: course.to_owned(),
        phases: template.phases.iter().map(phase_to_wire).collect(),
    }
}

fn phase_to_wire(phase: &Phase) -> wire::PlanPhase {
    wire::PlanPhase {
        service_id: phase.service_id.to_string(),
        sessions_least: phase.sessions.least,
        sessions_most: phase.sessions.most,
        gap_least: phase.gap_days.least,
        gap_ideal: phase.gap_days.ideal,
        gap_most: phase.gap_days.most,
        review_every: phase.review_every.unwrap_or(0),
        paired: phase.paired,
    }
}

pub(super) fn from_wire(faults: &mut Faults, template: &wire::PlanTemplate) -> Option<PlanTemplate> {
    let course = match template.course.as_str() {
        "acute" => Some(Course::Acute),
        "chronic" => Some(Course::Chronic),
        _ => {
            faults.push("/course", "invalid_value", "expected acute or chronic");
            None
        }
    };
    let phases = template
        .phases
        .iter()
        .enumerate()
        .filter_map(|(at, phase)| {
            Some(Phase {
                service_id: id(faults, &format!("/phases/{at}/service_id"), &phase.service_id)?,
                sessions: SessionRange { least: phase.sessions_least, most: phase.sessions_most },
                gap_days: GapDays { least: phase.gap_least, ideal: phase.gap_ideal, most: phase.gap_most },
                review_every: (phase.review_every != 0).then_some(phase.review_every),
                paired: phase.paired,
            })
        })
        .collect();
    Some(PlanTemplate { code: template.code.clone(), name: template.name.clone(), course: course?, phases })
}
