//! Appointments whose last transition was taken back, so that they stand again or take place a second time.
//!
//! Only a revert leads from a status of the past to an upcoming one, so the statuses say it, also in a snapshot.

use domain::{appointment::Status, patient::Channel};
use uuid::Uuid;

use super::{Change, MessagePlan, PlannedMessage, Revival, StoredAppointment, after_event, before_start, rescheduled};
use crate::rules::{Rule, Trigger};

/// A message about an appointment's present start that has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftMessage {
    pub(crate) rule: Uuid,
    pub(crate) trigger: Trigger,
    pub(crate) channel: Channel,
    pub(crate) version: i64,
}

/// Whether an appointment is upcoming again. One that was only absent from a snapshot is another matter.
pub(super) fn stands_again(known: &StoredAppointment, change: &Change) -> bool {
    let before = known.appointment.status;
    !before.is_upcoming() && before != Status::EnteredInError && change.appointment.status.is_upcoming()
}

/// Whether the plan for a change depends on the messages that have left.
pub(super) fn needs_left(known: Option<&StoredAppointment>, change: &Change) -> bool {
    let follows_visit = matches!(change.appointment.status, Status::Fulfilled | Status::Noshow);
    known.is_some_and(|known| {
        stands_again(known, change) || (follows_visit && known.appointment.status != change.appointment.status)
    })
}

/// Whether the patient was told that the appointment is cancelled, by a message about its last arrangement.
pub(super) fn is_told(known: &StoredAppointment, left: &[LeftMessage]) -> bool {
    let cancelled = |one: &&LeftMessage| one.trigger == Trigger::Cancelled && one.version >= known.visit_version;
    known.appointment.status == Status::Cancelled && left.iter().any(|one| cancelled(&one))
}

/// The messages of these that have not left before: what follows a visit is said once.
pub(super) fn without_left(mut planned: Vec<PlannedMessage>, left: &[LeftMessage]) -> Vec<PlannedMessage> {
    planned.retain(|one| {
        let is_same =
            |other: &LeftMessage| (other.rule, other.trigger, other.channel) == (one.rule, one.trigger, one.channel);
        !left.iter().any(is_same)
    });
    planned
}

/// Completes the plan of an appointment that stands again. Whatever is still to come is planned anew. Where the patient
/// knows another arrangement, or was told that the appointment is cancelled, a message says what holds now.
pub(super) fn plan(
    rules: &[Rule],
    known: &StoredAppointment,
    change: &Change,
    (since_us, settle_us): (i64, i64),
    is_told: bool,
    plan: &mut MessagePlan,
) {
    let (next, version, settled_us) = (&change.appointment, plan.stored.visit_version, since_us + settle_us);
    plan.suppress = Some("superseded");
    plan.add = before_start(rules, next, version, since_us, settled_us);
    let after = next.arrangement();
    if is_told {
        plan.stored.announced = after;
        plan.add.extend(after_event(rules, Trigger::Booked, &next.about(), version, settled_us));
    } else if after != known.announced {
        plan.add.extend(rescheduled(rules, next, version, settled_us, &known.announced));
    } else {
        plan.revive = Some(Revival { until_us: since_us, due_at_us: settled_us });
    }
}
