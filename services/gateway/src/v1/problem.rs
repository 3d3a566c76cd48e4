//! Errors as RFC 9457 problems.

use domain::fault::Violation;
use rpc::{Code, Fault};
use serde::Serialize;
use utoipa::ToSchema;
use wire::booking::{AppointmentsAhead, SeriesConflict, SlotTaken};

use super::{plans::Proposal, slots::Slot};
use crate::interface::ErrorBody;

/// The beginning of a problem's type; the code follows.
const TYPE_BASE: &str = "https://meridian-scheduling.org/problems/";

/// RFC 9457 problem details.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A stable URI that ends in the code.
    #[serde(rename = "type")]
    problem_type: String,
    /// The same for every occurrence of the code.
    title: String,
    /// The HTTP status.
    status: u16,
    /// How to mend this occurrence.
    detail: String,
    /// The stable code.
    code: String,
    /// The id of the trace that the logs name.
    trace_id: String,
    /// Every fault of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemError>,
    /// For `slot_taken` and `slot_changed`: the nearest open slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    alternatives: Option<Vec<Slot>>,
    /// For `slot_taken`, `slot_changed` and `series_conflict`: the slots that are taken or have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    slot_ids: Option<Vec<String>>,
    /// For `series_conflict`, and for `slot_changed` in a series: the best series now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    proposal: Option<Proposal>,
    /// For `no_series`: the first session, from 1, that has no open slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<u32>,
    /// For `no_series`: the smallest relaxation of the plan that gives a series, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    relaxation: Option<String>,
    /// For `has_appointments` and `appointments_clash`: the number of appointments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    count: Option<u32>,
    /// For `has_appointments` and `appointments_clash`: the first appointments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    appointment_ids: Option<Vec<String>>,
    /// For `invalid_transition`: the transitions that the status and the time allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    allowed: Option<Vec<String>>,
    /// For `verification_failed`: the tries that are left for the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tries_left: Option<u32>,
}

/// One fault of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemError {
    /// JSON pointer into the body, or the name of a parameter or header.
    pointer: String,
    /// The stable code.
    code: String,
    /// How to mend it.
    detail: String,
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let code = fault.code;
        let taken = fault.extra::<SlotTaken>();
        let conflict = fault.extra::<SeriesConflict>();
        let alternatives = taken.as_ref().map(|taken| taken.alternatives.iter().map(Slot::from).collect());
        let slot_ids =
            taken.map(|taken| taken.slot_ids).or_else(|| conflict.as_ref().map(|conflict| conflict.slot_ids.clone()));
        let ahead = fault.extra::<AppointmentsAhead>();
        let metadata = |name: &str| fault.metadata.get(name).filter(|text| !text.is_empty()).cloned();
        let (session, relaxation) = (metadata("session").and_then(|text| text.parse().ok()), metadata("relaxation"));
        let tries_left = metadata("tries_left").and_then(|text| text.parse().ok());
        let words = |list: &String| list.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let allowed = fault.metadata.get("allowed").map(words);
        // A service that names no transition allows none.
        let allowed = allowed.or_else(|| (code == Code::InvalidTransition).then(Vec::new));
        Self {
            problem_type: format!("{TYPE_BASE}{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.http(),
            detail: fault.detail,
            code: code.as_str().to_owned(),
            trace_id: rpc::trace::id(),
            errors: fault
                .violations
                .into_iter()
                .map(|violation| {
                    let Violation { pointer, code, detail } = violation;
                    ProblemError { pointer, code, detail }
                })
                .collect(),
            alternatives,
            slot_ids,
            proposal: conflict.and_then(|conflict| conflict.proposal).map(|proposal| Proposal::from(&proposal)),
            session,
            relaxation,
            count: ahead.as_ref().map(|ahead| ahead.count),
            appointment_ids: ahead.map(|ahead| ahead.appointment_ids),
            allowed,
            tries_left,
        }
    }
}

/// The problem of a fault.
pub(crate) fn error_body(fault: Fault) -> ErrorBody {
    let bytes = serde_json::to_vec(&Problem::from(fault)).unwrap_or_default();
    ErrorBody { media_type: "application/problem+json", bytes }
}
