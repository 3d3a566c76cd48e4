//! A batch: everything that one write does, committed as a whole or not at all.
//!
//! On PostgreSQL it travels as one JSON document to `commit_batch`, in one round trip; on SQLite it is applied step by step
//! in one immediate transaction. The steps have the same order.

use domain::claim::{Claim, Kind};
use rpc::Code;
use serde::{Serialize, Serializer};
use sql::Failure;
use uuid::Uuid;

use super::{
    appointments::AppointmentRow,
    changes::ChangeRow,
    claims::ClaimRow,
    groups::GroupRow,
    visitors::{HoldLimit, MessageCount, VisitorHold},
};

/// Everything that one write does. PostgreSQL is sent the fields that have work alone.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Batch {
    pub(crate) organization_id: Uuid,
    pub(crate) now_us: i64,
    /// Refuses the batch as a replay where the key is stored already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency: Option<IdempotencyRecord>,
    /// Refuses the batch unless this hold is live, and ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) consume_hold: Option<Uuid>,
    /// Holds that end. Refuses the batch where one is gone already, so that its end is published once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) drop_holds: Vec<Uuid>,
    /// The slots of a visitor's new hold. Refuses the batch where the visitor, or the key, holds as much as it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) visitor_hold: Option<VisitorHold>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) patients: Vec<NewPatient>,
    /// Changed ones must follow on the version that is stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) change_patients: Vec<ChangedPatient>,
    /// New ones have version 1; changed ones must follow on the version that is stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) appointments: Vec<AppointmentRow>,
    /// New ones have version 1; changed ones must follow on the version that is stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) plans: Vec<PlanChange>,
    /// A new one has version 1; a changed one must follow on the version that is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason_code: Option<ReasonChange>,
    /// Owners whose claims are deleted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) release: Vec<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leave_group: Option<LeaveGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) join_group: Option<JoinGroup>,
    /// Group sessions that move with all of their members; their places are released before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) move_groups: Vec<MoveGroup>,
    /// The time zones by which the slots were checked. Refuses the batch where a location has been given another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) zones: Vec<LocationZone>,
    /// The zone that a location is given. Refuses the batch where a hold, or an appointment of another zone, is ahead there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) set_zone: Option<LocationZone>,
    /// Claims that are inserted, all or none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) claims: Vec<ClaimRow>,
    /// Limits on the practitioners' claims after the batch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) limits: Vec<Limit>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) holds: Vec<NewHold>,
    /// Counts of today that rise by one. Refuses the batch where one exceeds its most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) message_counts: Vec<MessageCount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<NewLink>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<NewChange>,
}

impl Batch {
    /// A batch that does nothing.
    pub(crate) fn new(organization_id: Uuid, now_us: i64) -> Self {
        Self { organization_id, now_us, ..Self::default() }
    }

    /// The payloads of all changes that the batch may publish.
    pub(crate) fn payloads_mut(&mut self) -> impl Iterator<Item = &mut Hex> {
        let moved = self.move_groups.iter_mut().flat_map(|group| [&mut group.freed, &mut group.made]);
        let left = self.leave_group.iter_mut().map(|leave| &mut leave.freed);
        let joined = self.join_group.iter_mut().map(|join| &mut join.made);
        let own = self.changes.iter_mut().map(|change| &mut change.payload);
        moved.chain(left).chain(joined).chain(own)
    }

    /// The changes as the feed publishes them, from the sequence numbers and versions that were stored for them; `None` where
    /// those do not fit, since a change from memory must equal the stored one. The order is that of the steps: group sessions
    /// that move are freed and then made, then one that was left is freed, one that is joined is made, and the batch's own
    /// changes come last.
    pub(super) fn published(&self, xid: i64, stored: &[(i64, i64)]) -> Option<Vec<ChangeRow>> {
        let made = self.join_group.as_ref().filter(|join| !join.exists).map(|join| &join.made);
        // Only the database knows whether a group was left empty: then it has stored one change more.
        let moving = &self.move_groups;
        let known = self.changes.len() + usize::from(made.is_some()) + 2 * moving.len();
        let freed = match stored.len().checked_sub(known)? {
            0 => None,
            1 => Some(&self.leave_group.as_ref()?.freed),
            _ => return None,
        };
        let moved = moving.iter().map(|group| &group.freed).chain(moving.iter().map(|group| &group.made));
        let groups = moved.chain(freed).chain(made).map(|payload| (None, payload));
        let own = self.changes.iter().map(|change| (Some(change.version), &change.payload));
        let rows = groups.chain(own).zip(stored).map(|((expected, payload), (seq, version))| {
            expected.is_none_or(|expected| expected == *version).then(|| ChangeRow {
                seq: *seq,
                xid,
                organization_id: self.organization_id,
                version: *version,
                changed_at_us: self.now_us,
                payload: payload.0.clone(),
            })
        });
        rows.collect()
    }
}

/// The answer to store for an idempotency key.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IdempotencyRecord {
    pub(crate) caller: String,
    pub(crate) route: String,
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    pub(crate) response: Hex,
}

#[derive(Clone, Serialize)]
pub(crate) struct NewPatient {
    pub(crate) id: Uuid,
    pub(crate) match_key: String,
    /// The number of proposed changes.
    pub(crate) open_changes: i32,
    pub(crate) details: String,
    /// The words by which the patient is found.
    pub(crate) words: Vec<String>,
}

impl std::fmt::Debug for NewPatient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewPatient({})", self.id)
    }
}

#[derive(Clone, Serialize)]
pub(crate) struct ChangedPatient {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) match_key: String,
    pub(crate) open_changes: i32,
    pub(crate) details: String,
    pub(crate) words_added: Vec<String>,
    pub(crate) words_removed: Vec<String>,
}

impl std::fmt::Debug for ChangedPatient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChangedPatient({})", self.id)
    }
}

/// A plan after the batch.
#[derive(Clone, Serialize)]
pub(crate) struct PlanChange {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) patient_id: Uuid,
    pub(crate) status: String,
    pub(crate) document: String,
    /// The ids of its sessions; those that are stored stay as they are.
    pub(crate) sessions: Vec<Uuid>,
    /// When it begins to be at risk; `None` for never.
    pub(crate) risk_at_us: Option<i64>,
    pub(crate) at_risk: bool,
    /// JSON of the new ledger entries; `None` where no session has changed.
    pub(crate) entries: Option<String>,
}

impl std::fmt::Debug for PlanChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlanChange({}, version {})", self.id, self.version)
    }
}

/// A reason code after the batch.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReasonChange {
    pub(crate) code: String,
    pub(crate) version: i64,
    pub(crate) meaning: String,
    pub(crate) archived: bool,
    pub(crate) created_at_us: i64,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct NewHold {
    pub(crate) id: Uuid,
    pub(crate) expires_at_us: i64,
    pub(crate) slots: String,
    pub(crate) caller: String,
    /// As `rpc::Visitor` writes it; empty for staff.
    pub(crate) visitor: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct NewLink {
    pub(crate) token_hash: Hex,
    pub(crate) appointment_id: Uuid,
    pub(crate) expires_at_us: i64,
    /// Whether the appointment may have an earlier link, which then ends.
    pub(crate) replaces: bool,
}

/// A change of the feed: the encoded `meridian.booking.v1.Change`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NewChange {
    pub(crate) version: i64,
    pub(crate) payload: Hex,
}

/// Frees a group session that has no members left.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LeaveGroup {
    pub(crate) id: Uuid,
    /// The change that is published when it is freed.
    pub(crate) freed: Hex,
}

/// Joins a group session, or makes it with its claims.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JoinGroup {
    pub(crate) row: GroupRow,
    /// Whether the writer believes that it exists. The batch is refused where that is wrong, or where it ends at another time.
    pub(crate) exists: bool,
    /// Most places taken after the batch; `None` where a hold keeps the place already.
    pub(crate) most: Option<i64>,
    pub(crate) claims: Vec<ClaimRow>,
    /// The change that is published when it is made.
    pub(crate) made: Hex,
}

/// Moves a group session: the old one is freed, and the new one is made with its claims.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MoveGroup {
    pub(crate) from: Uuid,
    pub(crate) row: GroupRow,
    pub(crate) claims: Vec<ClaimRow>,
    /// The changes that are published of the old and the new one.
    pub(crate) freed: Hex,
    pub(crate) made: Hex,
}

/// The time zone of a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LocationZone {
    pub(crate) location_id: Uuid,
    pub(crate) time_zone: String,
}

/// A limit on the live claims of a practitioner. Batches that name the same practitioner take turns.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Limit {
    /// The code of the refusal.
    pub(crate) code: &'static str,
    pub(crate) practitioner: Uuid,
    /// With a location, its claims that overlap the time count; without one, all claims that begin in the time.
    pub(crate) location_id: Option<Uuid>,
    /// Only needling counts.
    pub(crate) needling: bool,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    pub(crate) most: i64,
}

/// Bytes that travel as hexadecimal. `Debug` shows only their number, since an answer may hold a patient's note.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl std::fmt::Debug for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hex({} bytes)", self.0.len())
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        serializer.serialize_str(&text)
    }
}

/// The row of a claim.
pub(crate) fn claim_row(claim: &Claim, owner: Uuid, expires_at_us: Option<i64>) -> ClaimRow {
    ClaimRow {
        kind: claim.kind.number(),
        resource: claim.resource,
        unit: claim.unit,
        starts_at_us: claim.interval.start().as_microsecond(),
        ends_at_us: claim.interval.end().as_microsecond(),
        owner,
        expires_at_us,
        location_id: claim.location,
        needling: claim.needling,
    }
}

/// Why a batch was not committed. Nothing of it has happened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The idempotency key has a stored answer.
    #[error("the idempotency key has been used")]
    Replay,
    /// The hold is gone or has expired.
    #[error("the hold is gone")]
    HoldGone,
    /// An appointment, a patient, a plan or a reason code has changed since it was read.
    #[error("a record has changed since it was read")]
    VersionMismatch,
    /// The group session exists, or does not, against the writer's belief.
    #[error("the group session has changed")]
    GroupChanged,
    /// Claims on these resources overlap others' claims.
    #[error("claims overlap others' claims")]
    ClaimsConflict(Vec<(Kind, Uuid)>),
    /// A location has been given another time zone than the one that the slot was checked by.
    #[error("a location has another time zone")]
    ZoneChanged,
    /// A practitioner has reached the limit with this code.
    #[error("a practitioner has reached a limit")]
    LimitReached(Code),
    /// A visitor or a key holds as much as it may, until an instant in microseconds since the Unix epoch.
    #[error("a visitor or a key holds as much as it may")]
    HoldLimit(HoldLimit, i64),
    /// The count of this kind of bookings that cause messages is exceeded.
    #[error("enough bookings of today cause messages")]
    MessageLimit(String),
    /// The database failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failure(error.into())
    }
}
