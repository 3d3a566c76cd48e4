//! The bodies and answers of the waitlist.

use domain::{
    time::Day,
    waitlist::{EntryStatus, OfferStatus},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::v1::slots::Slot;

/// The hours in the locations' wall-clock time.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hours {
    /// The earliest start, `HH:MM`.
    #[serde(default)]
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub(super) not_before: Option<String>,
    /// The latest end, `HH:MM`.
    #[serde(default)]
    #[schema(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
    pub(super) not_after: Option<String>,
}

/// A waitlist entry to create: the slots that the patient would accept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWaitlistEntry {
    #[schema(max_length = 64)]
    pub(super) patient_id: String,
    /// The service; without it, that of `slot_id`.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(super) service_id: Option<String>,
    /// This slot, which is taken; stands for its service, location, practitioner and time.
    #[serde(default)]
    #[schema(max_length = 200, nullable = false)]
    pub(super) slot_id: Option<String>,
    /// At these locations only; none: at all.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub(super) location_ids: Vec<String>,
    /// With this practitioner only.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(super) practitioner_id: Option<String>,
    /// The earliest start; without it, the present.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub(super) from: Option<Timestamp>,
    /// The start is before this.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub(super) to: Option<Timestamp>,
    /// On these days only; none: every day.
    #[serde(default)]
    #[schema(max_items = 7)]
    pub(super) days: Vec<Day>,
    #[serde(default)]
    pub(super) hours: Hours,
    /// The session of a care plan.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(super) plan_session_id: Option<String>,
    /// The patient's later appointment, which the accepted slot replaces.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    pub(super) appointment_id: Option<String>,
}

/// An offer of a free slot to a patient.
#[derive(Serialize, ToSchema)]
pub(crate) struct Offer {
    pub(super) id: String,
    pub(super) version: i64,
    pub(super) waitlist_id: String,
    pub(super) patient_id: String,
    #[schema(value_type = OfferStatus)]
    pub(super) status: String,
    pub(super) slot: Slot,
    #[schema(format = DateTime)]
    pub(super) expires_at: String,
    #[schema(format = DateTime)]
    pub(super) created_at: String,
    #[schema(format = DateTime)]
    pub(super) decided_at: Option<String>,
}

/// A waitlist entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaitlistEntry {
    pub(super) id: String,
    pub(super) version: i64,
    #[schema(value_type = EntryStatus)]
    pub(super) status: String,
    pub(super) patient_id: String,
    pub(super) service_id: String,
    pub(super) location_ids: Vec<String>,
    pub(super) practitioner_id: Option<String>,
    #[schema(format = DateTime)]
    pub(super) from: String,
    #[schema(format = DateTime)]
    pub(super) to: String,
    pub(super) days: Vec<String>,
    pub(super) hours: Hours,
    pub(super) plan_session_id: Option<String>,
    pub(super) appointment_id: Option<String>,
    /// The newest first.
    pub(super) offers: Vec<Offer>,
    #[schema(format = DateTime)]
    pub(super) created_at: String,
    #[schema(format = DateTime)]
    pub(super) updated_at: String,
}

/// A page of the waitlist, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaitlistPage {
    pub(super) data: Vec<WaitlistEntry>,
    pub(super) next_cursor: Option<String>,
}
