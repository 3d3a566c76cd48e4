//! The claims that a cancelled or missed appointment had. A revert takes the same ones again, under the guard of the database.
//!
//! They are kept and not computed: the service, its buffers and the roster may be others by now, and an undone cancellation
//! puts back what was there. Limits of the practitioner's day are not asked again, since they kept the appointment once.

use domain::claim::Kind;
use rpc::{Code, Context, Fault};
use serde::{Deserialize, Serialize};
use service::db_error;
use uuid::Uuid;

use super::{
    check::{self, SlotRequest},
    reserve::patient_conflict,
};
use crate::{
    Inner, commit,
    feed::change,
    store::{
        appointments::AppointmentRow,
        batch::{Batch, CommitError, Hex, JoinGroup, LocationZone},
        claims::ClaimRow,
        groups::GroupRow,
    },
};

/// Most commits of one revert: every place of a group session once, and its being freed or made meanwhile.
const TRIES_MAX: usize = 64;

/// The claims of an appointment before it gave its time up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FreedClaims {
    /// The appointment's own.
    own: Vec<ClaimRow>,
    /// The group session with its claims, which go with its last member.
    group: Option<(GroupRow, Vec<ClaimRow>)>,
}

impl FreedClaims {
    /// The claims of an appointment that is about to free them, as text for its row.
    pub(crate) async fn record(inner: &Inner, row: &AppointmentRow, own: Vec<ClaimRow>) -> Result<String, Fault> {
        let mut freed = Self { own, group: None };
        if let Some(id) = row.group_id
            && let Some(group) = live_group(inner, row.organization_id, id).await?
        {
            let claims = inner.store.claims_of(row.organization_id, id).await.map_err(db_error::fault)?;
            freed.group = Some((group, claims));
        }
        serde_json::to_string(&freed).map_err(Fault::internal)
    }
}

/// Freed claims that are to be committed again.
pub(crate) struct Reclaim {
    freed: FreedClaims,
    /// The group session as it is stored, where it has members.
    joined: Option<GroupRow>,
    slot_id: String,
    /// The zone of its location, by which the hour was promised; `None` once it has passed.
    zone: Option<LocationZone>,
    commits: usize,
}

impl Reclaim {
    /// The claims that an appointment gave up. `slot_id` is the slot that it had.
    ///
    /// # Errors
    /// `invalid_transition` where they were not kept: a release that kept none has freed them.
    pub(crate) async fn of(inner: &Inner, row: &AppointmentRow, slot_id: String) -> Result<Self, Fault> {
        let Some(text) = &row.freed_claims else {
            let detail = "its time was freed by an earlier release, which did not keep it; book the appointment anew";
            return Err(Fault::new(Code::InvalidTransition, detail));
        };
        let freed: FreedClaims =
            serde_json::from_str(text).map_err(|_| Fault::internal("freed claims are unreadable"))?;
        let zone = LocationZone { location_id: row.location_id, time_zone: row.time_zone.clone() };
        let zone = Some(zone).filter(|_| row.starts_at_us > inner.clock.now_us());
        let mut reclaim = Self { freed, joined: None, slot_id, zone, commits: 1 };
        reclaim.read_group(inner, row.organization_id).await?;
        Ok(reclaim)
    }

    /// The appointment's own claims.
    pub(crate) fn own(&self) -> &[ClaimRow] {
        &self.freed.own
    }

    /// The room of the group session as it is now; `None` for an individual appointment.
    pub(crate) fn group_room(&self) -> Option<Option<Uuid>> {
        let (made, _) = self.freed.group.as_ref()?;
        Some(self.joined.as_ref().unwrap_or(made).room_id)
    }

    /// Adds the claims to a batch.
    pub(crate) fn put(&self, batch: &mut Batch) {
        batch.zones.extend(self.zone.clone());
        batch.claims.extend(self.freed.own.iter().cloned());
        let Some((made, claims)) = &self.freed.group else { return };
        let row = self.joined.as_ref().unwrap_or(made).clone();
        batch.join_group = Some(JoinGroup {
            exists: self.joined.is_some(),
            most: Some(i64::from(row.capacity)),
            made: Hex(change::group_created(&row, claims)),
            claims: claims.clone(),
            row,
        });
    }

    /// The same claims after a commit was refused: in the next place of a group session, or with the session as it is now.
    ///
    /// # Errors
    /// `slot_taken` with the nearest open slots where someone else has the time, `patient_busy` and
    /// `too_soon_after_needling` where the patient has another visit, `slot_changed` where the location has another zone.
    pub(crate) async fn after(mut self, error: CommitError, inner: &Inner, ctx: &Context) -> Result<Self, Fault> {
        if self.commits == TRIES_MAX {
            return Err(commit::refused(CommitError::GroupChanged));
        }
        self.commits += 1;
        let code = match error {
            CommitError::GroupChanged => {
                self.read_group(inner, ctx.organization.uuid()).await?;
                return Ok(self);
            }
            CommitError::ClaimsConflict(conflicts) => {
                if let Some(fault) = patient_conflict(&conflicts) {
                    return Err(fault);
                }
                if conflicts.iter().all(|(kind, _)| *kind == Kind::Place) && self.take_next_place() {
                    return Ok(self);
                }
                Code::SlotTaken
            }
            // Its hour was one of the clock that the location had before.
            CommitError::ZoneChanged => Code::SlotChanged,
            other => return Err(commit::refused(other)),
        };
        let channel = wire::common::BookingChannel::Staff.into();
        Err(check::unavailable(inner, ctx, code, &[SlotRequest::new(&self.slot_id)], channel).await)
    }

    async fn read_group(&mut self, inner: &Inner, organization: Uuid) -> Result<(), Fault> {
        if let Some((made, _)) = &self.freed.group {
            self.joined = live_group(inner, organization, made.id).await?;
        }
        Ok(())
    }

    /// Moves the claim on a place to the next one; false once each place was tried.
    fn take_next_place(&mut self) -> bool {
        let Some((made, _)) = &self.freed.group else { return false };
        let capacity = self.joined.as_ref().unwrap_or(made).capacity;
        let places = i16::try_from(capacity).unwrap_or(i16::MAX).max(1);
        let place = Kind::Place.number();
        for claim in self.freed.own.iter_mut().filter(|claim| claim.kind == place) {
            claim.unit = (claim.unit + 1) % places;
        }
        self.commits <= usize::from(places.unsigned_abs())
    }
}

async fn live_group(inner: &Inner, organization: Uuid, id: Uuid) -> Result<Option<GroupRow>, Fault> {
    inner.store.live_group(organization, id).await.map_err(db_error::fault)
}
