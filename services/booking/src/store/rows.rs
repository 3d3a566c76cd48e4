//! The rows, as both engines store them.

use serde::Serialize;
use uuid::Uuid;

/// An appointment. Its `Debug` shows no note and no reason: they are about a patient.
#[derive(Clone, PartialEq, Serialize, sqlx::FromRow)]
pub(crate) struct AppointmentRow {
    #[serde(skip)]
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) status: String,
    pub(crate) service_id: Uuid,
    pub(crate) practitioner_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) room_id: Option<Uuid>,
    pub(crate) group_id: Option<Uuid>,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) time_zone: String,
    pub(crate) starts_local: String,
    pub(crate) patient_id: Uuid,
    pub(crate) plan_session_id: Option<Uuid>,
    pub(crate) displaced: bool,
    pub(crate) confirmed_at_us: Option<i64>,
    pub(crate) cancel_reason_code: Option<String>,
    pub(crate) cancel_reason: Option<String>,
    pub(crate) cancel_by: Option<String>,
    pub(crate) cancel_late: Option<bool>,
    pub(crate) rescheduled_late: bool,
    pub(crate) note: String,
    pub(crate) previous_starts_at_us: Option<i64>,
    pub(crate) link_generation: i32,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
}

impl std::fmt::Debug for AppointmentRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AppointmentRow({}, version {}, {})", self.id, self.version, self.status)
    }
}

/// What an organisation has written of a reason code; `meaning` is the JSON of `reasons::Meaning`.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct ReasonRow {
    pub(crate) code: String,
    pub(crate) version: i64,
    pub(crate) meaning: String,
    pub(crate) archived: bool,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
}

/// A plan; `document` is the JSON of `careplan::plan::Plan`.
#[derive(Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct PlanRow {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) document: String,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    pub(crate) at_risk: bool,
}

/// A plan of a snapshot, with its organisation.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct OwnedPlanRow {
    pub(crate) organization_id: Uuid,
    #[sqlx(flatten)]
    pub(crate) plan: PlanRow,
}

/// A patient; `details` is the JSON of `domain::patient::Details`.
#[derive(Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct PatientRow {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) details: String,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
}

/// A hold; `slots` is the JSON of the kept slots.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct HoldRow {
    pub(crate) expires_at_us: i64,
    pub(crate) slots: String,
}

/// A group session.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub(crate) struct GroupRow {
    pub(crate) id: Uuid,
    pub(crate) service_id: Uuid,
    pub(crate) practitioner_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) room_id: Option<Uuid>,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) capacity: i32,
}

/// One resource taken.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub(crate) struct ClaimRow {
    pub(crate) kind: i16,
    pub(crate) resource: Uuid,
    pub(crate) unit: i16,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) owner: Uuid,
    pub(crate) expires_at_us: Option<i64>,
    pub(crate) location_id: Option<Uuid>,
    pub(crate) needling: bool,
}

/// A claim of a snapshot, with its organisation.
#[derive(Debug, Clone)]
pub(crate) struct OwnedClaimRow {
    pub(crate) organization_id: Uuid,
    pub(crate) claim: ClaimRow,
}

/// Its columns in their order: a million of them are read by number, not looked up by name.
pub(crate) type ClaimColumns = (Uuid, i16, Uuid, i16, i64, i64, Uuid, Option<i64>, Option<Uuid>, bool);

impl From<ClaimColumns> for OwnedClaimRow {
    fn from(columns: ClaimColumns) -> Self {
        let (
            organization_id,
            kind,
            resource,
            unit,
            starts_at_us,
            ends_at_us,
            owner,
            expires_at_us,
            location_id,
            needling,
        ) = columns;
        let claim =
            ClaimRow { kind, resource, unit, starts_at_us, ends_at_us, owner, expires_at_us, location_id, needling };
        Self { organization_id, claim }
    }
}

/// A change of the feed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ChangeRow {
    pub(crate) seq: i64,
    pub(crate) xid: i64,
    pub(crate) organization_id: Uuid,
    pub(crate) version: i64,
    pub(crate) changed_at_us: i64,
    pub(crate) payload: Vec<u8>,
}

/// What a manage link leads to.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct LinkRow {
    pub(crate) organization_id: Uuid,
    pub(crate) appointment_id: Uuid,
    pub(crate) expires_at_us: i64,
}

/// The time zone that bookings at a location are to be made by.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ZoneRow {
    pub(crate) organization_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) time_zone: String,
    pub(crate) changed_at_us: i64,
}

/// An entry of the waitlist; `wish` is the JSON of `waitlist::Wish`.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct EntryRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) status: String,
    pub(crate) patient_id: Uuid,
    pub(crate) service_id: Uuid,
    pub(crate) wish: String,
    pub(crate) wish_key: String,
    pub(crate) place: i16,
    pub(crate) ends_at_us: i64,
    pub(crate) rests_until_us: i64,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
}

/// An offer of a free slot.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct OfferRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) waitlist_id: Uuid,
    pub(crate) patient_id: Uuid,
    pub(crate) hold_id: Uuid,
    pub(crate) status: String,
    pub(crate) slot_id: String,
    pub(crate) slot: String,
    pub(crate) token_hash: Vec<u8>,
    pub(crate) appointment_id: Option<Uuid>,
    pub(crate) expires_at_us: i64,
    pub(crate) created_at_us: i64,
    pub(crate) decided_at_us: Option<i64>,
}

/// The answer kept for an idempotency key.
#[derive(Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct ReplayRow {
    pub(crate) fingerprint: String,
    pub(crate) response: Vec<u8>,
    pub(crate) revision: String,
}

/// A group session of a snapshot.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct LiveGroupRow {
    pub(crate) organization_id: Uuid,
    pub(crate) version: i64,
    #[sqlx(flatten)]
    pub(crate) group: GroupRow,
}
