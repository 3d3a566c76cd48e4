//! The default catalogue: the treatments and plan templates that a physiotherapy chain starts from.
//!
//! A chain can change every value through the directory.

use domain::{
    directory::{Course, GapDays, Phase, PlanTemplate, Service, SessionRange},
    id::ServiceId,
};

/// A treatment of the default catalogue.
pub(crate) struct Treatment {
    pub(crate) service: Service,
    /// The code of the required prior treatment.
    pub(crate) after: Option<&'static str>,
    /// The relative frequency in the demo's bookings.
    pub(crate) weight: u32,
}

const TREATMENT_ROOM: &str = "treatment-room";
const EVALUATION: &str = "initial-evaluation";

/// The treatments, each after its required prior treatment.
pub(crate) fn treatments() -> Vec<Treatment> {
    let base = |code: &str, name: &str, duration: u32, prep: u32, cleanup: u32, certificate: &str| Service {
        code: code.into(),
        name: name.into(),
        duration_minutes: duration,
        prep_minutes: prep,
        cleanup_minutes: cleanup,
        capacity: 1,
        required_certificate: Some(certificate.into()),
        room_type: Some(TREATMENT_ROOM.into()),
        equipment_type: None,
        start_alignment_minutes: 15,
        min_notice_minutes: 60,
        horizon_days: 365,
        online: true,
        requires_prior: None,
        needling: false,
    };
    let plain = |service, weight| Treatment { service, after: None, weight };
    let needling = |service: Service, weight| Treatment {
        service: Service { needling: true, ..service },
        after: Some(EVALUATION),
        weight,
    };
    vec![
        plain(base(EVALUATION, "Initial evaluation (history, goals, assessment, plan)", 45, 0, 5, "physiotherapy"), 5),
        needling(base("dry-needling", "Dry needling, trigger points", 30, 5, 5, "dry-needling"), 4),
        needling(
            Service {
                equipment_type: Some("electrostimulation-unit".into()),
                ..base("dry-needling-electro", "Dry needling with electrical stimulation", 30, 5, 10, "dry-needling")
            },
            1,
        ),
        needling(
            base("perineural-needling", "Peri-neural needling (nerve entrapment)", 30, 5, 5, "dry-needling-advanced"),
            1,
        ),
        needling(base("scar-needling", "Scar and superficial tissue needling", 20, 5, 5, "dry-needling"), 1),
        needling(base("acupuncture", "Acupuncture", 30, 5, 10, "acupuncture"), 1),
        plain(base("manual-therapy", "Manual therapy / massage", 30, 0, 5, "manual-therapy"), 4),
        plain(
            Service {
                room_type: Some("gym-bay".into()),
                ..base("movement-training", "Functional movement training", 45, 0, 5, "physiotherapy")
            },
            3,
        ),
        plain(
            Service {
                room_type: Some("gym-floor".into()),
                capacity: 8,
                start_alignment_minutes: 60,
                ..base("movement-class", "Group movement class (up to 8 places)", 60, 0, 15, "physiotherapy")
            },
            1,
        ),
        plain(base("progress-review", "Progress review (re-assessment)", 20, 0, 0, "physiotherapy"), 1),
    ]
}

/// The plan templates; `service` gives the id of the treatment with a code.
pub(crate) fn templates(service: impl Fn(&str) -> Option<ServiceId>) -> Vec<PlanTemplate> {
    let phase = |code: &str, sessions: (u32, u32), gap: (u32, u32, u32), review_every: Option<u32>| {
        service(code).map(|service_id| Phase {
            service_id,
            sessions: SessionRange { least: sessions.0, most: sessions.1 },
            gap_days: GapDays { least: gap.0, ideal: gap.1, most: gap.2 },
            review_every,
            paired: false,
        })
    };
    let evaluation = || phase(EVALUATION, (1, 1), (0, 0, 0), None);
    let template = |code: &str, name: &str, course, phases: Vec<Option<Phase>>| PlanTemplate {
        code: code.into(),
        name: name.into(),
        course,
        phases: phases.into_iter().flatten().collect(),
    };
    vec![
        template(
            "acute-needling",
            "Acute needling: evaluation, then 1 to 3 sessions",
            Course::Acute,
            vec![evaluation(), phase("dry-needling", (1, 3), (3, 5, 7), None)],
        ),
        template(
            "chronic-needling",
            "Chronic needling: twice a week, weekly, every second week",
            Course::Chronic,
            vec![
                evaluation(),
                phase("dry-needling", (6, 6), (2, 3, 4), Some(4)),
                phase("dry-needling", (4, 4), (6, 7, 8), Some(4)),
                phase("dry-needling", (3, 3), (12, 14, 16), Some(4)),
            ],
        ),
        template(
            "chronic-maintenance",
            "Maintenance: one session every 3 to 5 weeks",
            Course::Chronic,
            vec![phase("dry-needling", (1, 12), (21, 28, 35), Some(1))],
        ),
        template(
            "rehab-combined",
            "Combined rehabilitation: weekly needling and movement training for 6 weeks",
            Course::Chronic,
            vec![
                evaluation(),
                phase("dry-needling", (6, 6), (6, 7, 8), Some(3)),
                phase("movement-training", (6, 6), (1, 2, 6), Some(3)).map(|phase| Phase { paired: true, ..phase }),
            ],
        ),
        template(
            "acupuncture-course",
            "Acupuncture: weekly for 6 weeks, then every second week for 6 weeks",
            Course::Chronic,
            vec![
                evaluation(),
                phase("acupuncture", (6, 6), (6, 7, 8), None),
                phase("acupuncture", (3, 3), (12, 14, 16), None),
            ],
        ),
    ]
}

/// The treatments' codes.
pub(crate) const CODES: [&str; 10] = [
    EVALUATION,
    "dry-needling",
    "dry-needling-electro",
    "perineural-needling",
    "scar-needling",
    "acupuncture",
    "manual-therapy",
    "movement-training",
    "movement-class",
    "progress-review",
];
