//! The reservation of slots, as a value: the claims to commit, and after a conflict the next candidates.
//!
//! Nothing is reserved until a batch commits. A use case turns a [`Reservation`] into a batch, commits it, and where the
//! commit is refused goes on with [`Reservation::after`].

use domain::claim::Kind;
use rpc::{Code, Context, Fault};
use service::db_error;
use uuid::Uuid;

use super::{
    check::{self, CheckedSlot},
    claims::{Choice, JoinedSession, SlotClaims, claims_for},
};
use crate::{
    Inner, commit,
    feed::change,
    store::{
        Store,
        batch::{Batch, CommitError, Hex, JoinGroup, LocationZone, claim_row},
        claims::ClaimRow,
    },
};

/// Most commits of one write. Every candidate is tried once before.
const TRIES_MAX: usize = 64;

/// For whom slots are reserved.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holder {
    /// For each slot the appointment or hold that owns its claims.
    pub(crate) owners: Vec<Uuid>,
    pub(crate) patient: Option<Uuid>,
    pub(crate) expires_at_us: Option<i64>,
    pub(crate) channel: i32,
    /// Public ids of the owners whose claims availability counted as free.
    pub(crate) ignored: Vec<String>,
    /// The hold that the write ends.
    pub(crate) hold: Option<Uuid>,
    /// Whether the caller may learn nothing of the patient: then the patient's other visits refuse no slot.
    pub(crate) stranger: bool,
}

/// A slot and the claims that are to be committed for it.
#[derive(Debug, Clone)]
pub(crate) struct ReservedSlot {
    pub(crate) slot: CheckedSlot,
    pub(crate) owner: Uuid,
    pub(crate) claims: SlotClaims,
    choice: Choice,
}

/// Slots with the claims that are to be committed for them.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    organization: Uuid,
    holder: Holder,
    slots: Vec<ReservedSlot>,
    commits: usize,
}

/// Reserves slots by the first candidate of each.
pub(crate) fn reserve(organization: Uuid, slots: Vec<CheckedSlot>, holder: Holder) -> Reservation {
    let reserved = slots.into_iter().zip(&holder.owners).map(|(slot, owner)| {
        let choice = Choice::first(&slot);
        let claims = claims_for(organization, &slot, choice, holder.patient);
        ReservedSlot { slot, owner: *owner, claims, choice }
    });
    let slots = reserved.collect();
    Reservation { organization, holder, slots, commits: 1 }
}

impl Reservation {
    pub(crate) fn organization(&self) -> Uuid {
        self.organization
    }

    /// The slots, in the order in which they were given.
    pub(crate) fn slots(&self) -> &[ReservedSlot] {
        &self.slots
    }

    /// The claims of one owner, sorted.
    pub(crate) fn claims_of(&self, owner: Uuid) -> Vec<ClaimRow> {
        let slots = self.slots.iter().filter(|slot| slot.owner == owner);
        let claims = slots.flat_map(|slot| &slot.claims.own);
        let mut rows: Vec<ClaimRow> = claims.map(|claim| claim_row(claim, owner, self.holder.expires_at_us)).collect();
        sort(&mut rows);
        rows
    }

    /// A batch that commits the claims and nothing else.
    pub(crate) fn batch(&self, now_us: i64) -> Batch {
        let expires_at_us = self.holder.expires_at_us;
        let rows = self
            .slots
            .iter()
            .flat_map(|slot| slot.claims.own.iter().map(move |claim| claim_row(claim, slot.owner, expires_at_us)));
        let mut claims: Vec<ClaimRow> = rows.collect();
        sort(&mut claims);
        // Who joins a session adds no claim to its practitioner.
        let limited = self.slots.iter().filter(|slot| slot.choice.joined.is_none());
        let mut zones: Vec<LocationZone> = Vec::new();
        for ReservedSlot { slot, .. } in &self.slots {
            let location_id = slot.slot.location.uuid();
            let zone = LocationZone { location_id, time_zone: slot.time_zone.clone() };
            zones.extend(Some(zone).filter(|zone| !zones.contains(zone)));
        }
        Batch {
            organization_id: self.organization,
            now_us,
            claims,
            limits: limited.flat_map(|slot| slot.slot.limits.iter().cloned()).collect(),
            join_group: self.slots.iter().find_map(ReservedSlot::join_group),
            zones,
            ..Batch::default()
        }
    }

    /// The same reservation by the next candidates, after a commit was refused.
    ///
    /// # Errors
    /// The fault that the refusal is to the caller, where no other candidate can mend it.
    pub(crate) async fn after(mut self, error: CommitError, inner: &Inner, ctx: &Context) -> Result<Self, Fault> {
        if self.commits == TRIES_MAX {
            return Err(commit::refused(CommitError::GroupChanged));
        }
        self.commits += 1;
        match error {
            CommitError::GroupChanged => self.refresh_groups(inner, ctx).await?,
            CommitError::ClaimsConflict(conflicts) => self.choose_next(inner, ctx, &conflicts).await?,
            // The slots were found by the clock that the location had before.
            CommitError::ZoneChanged => {
                let slots: Vec<_> = self.slots.iter().map(|slot| slot.slot.request.clone()).collect();
                return Err(check::unavailable(inner, ctx, Code::SlotChanged, &slots, self.holder.channel).await);
            }
            other => return Err(commit::refused(other)),
        }
        for slot in &mut self.slots {
            slot.claims = claims_for(self.organization, &slot.slot, slot.choice, self.holder.patient);
        }
        Ok(self)
    }

    /// Moves each slot whose claims met others' to its next candidate.
    async fn choose_next(&mut self, inner: &Inner, ctx: &Context, conflicts: &[(Kind, Uuid)]) -> Result<(), Fault> {
        if let Some(fault) = patient_conflict(conflicts) {
            if !self.holder.stranger {
                return Err(fault);
            }
            // The appointment goes without claims on its patient: a refusal would show a stranger the patient's diary.
            self.holder.patient = None;
        }
        let conflicts: Vec<_> = conflicts.iter().copied().filter(|(kind, _)| !is_patients(*kind)).collect();
        if conflicts.is_empty() {
            return Ok(());
        }
        // Claims that this write frees are no conflict.
        let ours: Vec<Uuid> = self.holder.owners.iter().copied().chain(self.holder.hold).collect();
        let claims: Vec<&SlotClaims> = self.slots.iter().map(|slot| &slot.claims).collect();
        let now_us = inner.clock.now_us();
        let by_slot = conflicts_by_slot(&inner.store, now_us, self.organization, &claims, &conflicts, &ours).await?;
        let mut taken = Vec::new();
        for (slot, kinds) in self.slots.iter_mut().zip(by_slot).filter(|(_, kinds)| !kinds.is_empty()) {
            match slot.choice.next(&slot.slot, &kinds) {
                Some(next) => slot.choice = next,
                None => taken.push(slot.slot.request.clone()),
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        Err(check::unavailable(inner, ctx, Code::SlotTaken, &taken, self.holder.channel).await)
    }

    /// Reads each group session again after the commit found it otherwise than believed.
    async fn refresh_groups(&mut self, inner: &Inner, ctx: &Context) -> Result<(), Fault> {
        for slot in &mut self.slots {
            refresh_group(inner, ctx, self.organization, &self.holder, slot).await?;
        }
        Ok(())
    }
}

impl ReservedSlot {
    fn join_group(&self) -> Option<JoinGroup> {
        let (row, claims) = self.claims.group.clone()?;
        let made = Hex(change::group_created(&row, &claims));
        // A place that a hold keeps is claimed already, however few places the service has by now.
        let most = self.slot.held_place().is_none().then(|| i64::from(self.slot.capacity));
        Some(JoinGroup { row, exists: self.choice.joined.is_some(), most, claims, made })
    }
}

fn sort(claims: &mut [ClaimRow]) {
    claims.sort_by_key(|claim| (claim.kind, claim.resource, claim.unit, claim.starts_at_us));
}

/// Reads whether the group session of a slot exists, and takes the room that it has. A session keeps its length, so where
/// it ends at another time than the slot, the slot has changed.
async fn refresh_group(
    inner: &Inner,
    ctx: &Context,
    organization: Uuid,
    holder: &Holder,
    reserved: &mut ReservedSlot,
) -> Result<(), Fault> {
    let Some((row, _)) = &reserved.claims.group else { return Ok(()) };
    match inner.store.live_group(organization, row.id).await.map_err(db_error::fault)? {
        Some(group) if group.ends_at_us != row.ends_at_us => {
            let changed = std::slice::from_ref(&reserved.slot.request);
            return Err(check::unavailable(inner, ctx, Code::SlotChanged, changed, holder.channel).await);
        }
        Some(group) => reserved.choice.joined = Some(JoinedSession { room: group.room_id }),
        None if reserved.slot.group_id.is_empty() => reserved.choice.joined = None,
        None => {
            // Availability does not know yet that the session has ended: its answer was about that session.
            let ignored = holder.ignored.iter().chain([&reserved.slot.group_id]).cloned().collect();
            let request = reserved.slot.request.clone();
            reserved.slot = check::check_one(inner, ctx, request, holder.channel, ignored).await?;
            reserved.choice = Choice::first(&reserved.slot);
        }
    }
    Ok(())
}

/// For each slot the kinds of its claims that met others'. A commit names the resources, not the times: where several
/// slots claim one resource, the claims that are stored now tell which slot it was.
async fn conflicts_by_slot(
    store: &Store,
    now_us: i64,
    organization: Uuid,
    slots: &[&SlotClaims],
    conflicts: &[(Kind, Uuid)],
    ours: &[Uuid],
) -> Result<Vec<Vec<Kind>>, Fault> {
    let by_resource: Vec<Vec<Kind>> = slots.iter().map(|claims| conflicts_by_resource(claims, conflicts)).collect();
    if by_resource.iter().filter(|kinds| !kinds.is_empty()).count() < 2 {
        return Ok(by_resource);
    }
    let mut by_time = Vec::with_capacity(slots.len());
    for claims in slots {
        let group = claims.group.iter().flat_map(|(_, claims)| claims.iter().cloned());
        let own = claims.own.iter().map(|claim| claim_row(claim, Uuid::nil(), None));
        let mut kinds = Vec::new();
        for claim in own.chain(group) {
            let kind = Kind::from_number(claim.kind);
            let Some(kind) = kind.filter(|kind| conflicts.contains(&(*kind, claim.resource))) else { continue };
            let owners = store.conflicting_owners(organization, &claim, now_us).await.map_err(db_error::fault)?;
            if owners.iter().any(|owner| !ours.contains(owner) && *owner != claim.owner) {
                kinds.push(kind);
            }
        }
        by_time.push(kinds);
    }
    // The other owners are gone by now, or the slots meet each other: then the resource decides.
    Ok(if by_time.iter().all(Vec::is_empty) { by_resource } else { by_time })
}

/// The kinds of a slot's claims on resources that are in conflict.
fn conflicts_by_resource(claims: &SlotClaims, conflicts: &[(Kind, Uuid)]) -> Vec<Kind> {
    let group = claims.group.iter().flat_map(|(_, claims)| claims).map(|claim| (claim.kind, claim.resource));
    let own = claims.own.iter().map(|claim| (claim.kind.number(), claim.resource));
    let resources: Vec<_> = own.chain(group).collect();
    conflicts.iter().filter(|(kind, id)| resources.contains(&(kind.number(), *id))).map(|(kind, _)| *kind).collect()
}

/// Whether claims of this kind are on the patient's time.
fn is_patients(kind: Kind) -> bool {
    matches!(kind, Kind::Patient | Kind::Needling)
}

/// The fault where claims on the patient's own time met others.
pub(super) fn patient_conflict(conflicts: &[(Kind, Uuid)]) -> Option<Fault> {
    if conflicts.iter().any(|(kind, _)| *kind == Kind::Patient) {
        let detail = "the patient has another appointment that overlaps; cancel or move that one first";
        return Some(Fault::new(Code::PatientBusy, detail));
    }
    conflicts.iter().any(|(kind, _)| *kind == Kind::Needling).then(|| {
        let detail = "two needling sessions of a patient are at least 48 hours apart; choose a later slot";
        Fault::new(Code::TooSoonAfterNeedling, detail)
    })
}

#[cfg(test)]
mod tests {
    use domain::{claim::Claim, time::Interval};
    use sql::Target;
    use testkit::database::Database;

    use super::*;

    const ORGANIZATION: Uuid = Uuid::from_u128(1);
    const PRACTITIONER: Uuid = Uuid::from_u128(2);

    /// A claim on the practitioner, in minutes since the Unix epoch.
    fn claim(from: i64, to: i64) -> Claim {
        let at = |minutes: i64| domain::time::from_micros(minutes * 60_000_000).unwrap();
        Claim::new(Kind::Practitioner, PRACTITIONER, 0, Interval::new(at(from), at(to)).unwrap())
    }

    fn claims(from: i64, to: i64) -> SlotClaims {
        SlotClaims { own: vec![claim(from, to)], group: None, room: None }
    }

    /// Two appointments of a plan move: one to the present time of the other, which the same write frees, and one to a
    /// time that someone else has. Only the second is in conflict.
    #[tokio::test]
    async fn claims_that_the_write_frees_are_no_conflict() {
        let (ours, others) = (Uuid::from_u128(11), Uuid::from_u128(12));
        for database in [Database::sqlite().unwrap(), Database::postgres().await.unwrap()] {
            let store = Store::open(&Target::from_url(&database.for_service("booking")).unwrap()).await.unwrap();
            store.migrate().await.unwrap();
            let rows = vec![claim_row(&claim(600, 630), ours, None), claim_row(&claim(720, 750), others, None)];
            let batch = Batch { organization_id: ORGANIZATION, claims: rows, ..Batch::default() };
            store.commit(&batch).await.unwrap();
            let (first, second) = (claims(615, 645), claims(720, 750));
            let slots = [&first, &second];
            let conflicts = [(Kind::Practitioner, PRACTITIONER)];
            let found = conflicts_by_slot(&store, 0, ORGANIZATION, &slots, &conflicts, &[ours]).await.unwrap();
            assert_eq!(found, [vec![], vec![Kind::Practitioner]]);
        }
    }
}
