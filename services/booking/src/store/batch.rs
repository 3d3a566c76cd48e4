//! A batch: all that one write does, committed together or not at all.
//!
//! On PostgreSQL it travels as one JSON document to `commit_batch`, in one round trip; on SQLite it is applied
//! step by step in one immediate transaction. The order of the steps is the same.

use domain::claim::{Claim, Kind};
use rpc::Code;
use serde::{Serialize, Serializer};
use sql::Failure;
use uuid::Uuid;

use super::rows::{AppointmentRow, ChangeRow, ClaimRow, GroupRow};

/// All that one write does.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Batch {
    pub(crate) organization_id: Uuid,
    pub(crate) now_us: i64,
    /// Refuses the batch as a replay where the key is known.
    pub(crate) idempotency: Option<Remember>,
    /// Refuses the batch unless this hold is live, and ends it.
    pub(crate) consume_hold: Option<Uuid>,
    /// Holds that end. Refuses the batch where one is gone already, so that of all who end it only one tells of it.
    pub(crate) drop_holds: Vec<Uuid>,
    pub(crate) patients: Vec<NewPatient>,
    /// Changed ones must follow on the version that is stored.
    pub(crate) change_patients: Vec<ChangedPatient>,
    /// New ones have version 1; changed ones must follow on the version that is stored.
    pub(crate) appointments: Vec<AppointmentRow>,
    /// As appointments.
    pub(crate) plans: Vec<PlanChange>,
    /// As appointments.
    pub(crate) reason_code: Option<ReasonChange>,
    /// Owners whose claims go.
    pub(crate) release: Vec<Uuid>,
    pub(crate) leave_group: Option<LeaveGroup>,
    pub(crate) join_group: Option<JoinGroup>,
    /// Group sessions that move with all that are in them; whose places are released before.
    pub(crate) move_groups: Vec<MoveGroup>,
    /// The time zones that what is booked was checked by. Refuses the batch where a location is to have another.
    pub(crate) zones: Vec<LocationZone>,
    /// The zone that a location is to have from now on. Refuses the batch where a hold, or a visit of another zone, is ahead
    /// there.
    pub(crate) set_zone: Option<LocationZone>,
    /// Claims that are laid, all or none.
    pub(crate) claims: Vec<ClaimRow>,
    /// What must hold of the practitioners' claims after the batch.
    pub(crate) limits: Vec<Limit>,
    pub(crate) holds: Vec<NewHold>,
    pub(crate) links: Vec<NewLink>,
    pub(crate) changes: Vec<NewChange>,
}

impl Batch {
    /// The changes as the feed tells them, from the numbers and versions that were stored for them; `None` where those do
    /// not fit, since what is told from memory must be what is stored. The order is that of the steps: a group that is
    /// freed, one that is made, then the batch's own; of those that move all are freed and then all made.
    pub(crate) fn told(&self, xid: i64, stored: &[(i64, i64)]) -> Option<Vec<ChangeRow>> {
        let made = self.join_group.as_ref().filter(|join| !join.exists).map(|join| &join.made);
        // Whether a group was left empty only the database knows: it has then told one change more.
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

/// The answer to keep for an idempotency key.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Remember {
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
    /// How many changes are proposed.
    pub(crate) open_changes: i32,
    pub(crate) details: String,
    /// By which the patient is found.
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

/// A plan as it is after the batch.
#[derive(Clone, Serialize)]
pub(crate) struct PlanChange {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) patient_id: Uuid,
    pub(crate) status: String,
    pub(crate) document: String,
    /// Its sessions' ids; those that are known stay as they are.
    pub(crate) sessions: Vec<Uuid>,
    /// When it begins to be at risk; none for never, as it is.
    pub(crate) risk_at_us: Option<i64>,
    pub(crate) at_risk: bool,
    /// JSON of the ledger's entries; none where no session has changed.
    pub(crate) entries: Option<String>,
}

impl std::fmt::Debug for PlanChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlanChange({}, version {})", self.id, self.version)
    }
}

/// A reason code as it is after the batch.
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
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct NewLink {
    pub(crate) token_hash: Hex,
    pub(crate) appointment_id: Uuid,
    pub(crate) expires_at_us: i64,
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
    /// The change that is told when it is freed.
    pub(crate) freed: Hex,
}

/// Joins a group session, or makes it with its claims.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JoinGroup {
    pub(crate) row: GroupRow,
    /// Whether the writer believes that it exists; refused where that is wrong, or it ends at another time.
    pub(crate) exists: bool,
    /// How many places it may have taken after the batch; none where a hold keeps the place already.
    pub(crate) most: Option<i64>,
    pub(crate) claims: Vec<ClaimRow>,
    /// The change that is told when it is made.
    pub(crate) made: Hex,
}

/// Moves a group session: what it was is freed, and what it becomes is made with its claims.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MoveGroup {
    pub(crate) from: Uuid,
    pub(crate) row: GroupRow,
    pub(crate) claims: Vec<ClaimRow>,
    /// The changes that are told of either.
    pub(crate) freed: Hex,
    pub(crate) made: Hex,
}

/// The time zone of a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LocationZone {
    pub(crate) location_id: Uuid,
    pub(crate) time_zone: String,
}

/// How many live claims a practitioner may have. Batches that name the same practitioner take turns.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Limit {
    /// What the batch is refused with.
    pub(crate) code: &'static str,
    pub(crate) practitioner: Uuid,
    /// Where it is given, claims there that meet the time count, and otherwise those that begin in it.
    pub(crate) location_id: Option<Uuid>,
    /// Only needling counts.
    pub(crate) needling: bool,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    pub(crate) most: i64,
}

/// Bytes that travel as hexadecimal. Its `Debug` shows their number only: an answer that is kept holds a patient's note.
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

/// A claim as it is stored.
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

/// Why a batch was refused. Nothing of it has happened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The idempotency key is known: answer what was kept.
    #[error("the key has been used")]
    Replay,
    /// The hold is gone or has expired.
    #[error("the hold is gone")]
    HoldGone,
    /// An appointment or a patient has changed since it was read.
    #[error("it has changed since it was read")]
    Stale,
    /// The group session is there, or is not, against the writer's belief.
    #[error("the group session has changed")]
    GroupChanged,
    /// Some claims are another's.
    #[error("something is taken")]
    Taken(Vec<(Kind, Uuid)>),
    /// A location is to have another time zone than it was checked by.
    #[error("a location has another time zone")]
    Zone,
    /// A practitioner has reached a limit: its code.
    #[error("a practitioner has reached a limit")]
    Limit(Code),
    /// The database failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Failure(error.into())
    }
}
