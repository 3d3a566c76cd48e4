//! What keeps visits from moving to the same time of day in another zone.

use std::collections::{HashMap, HashSet};

use rpc::{Code, Fault};
use uuid::Uuid;

use super::{Ask, Moves, Visit, named};
use crate::{
    Inner, commit,
    store::rows::{AppointmentRow, ClaimRow},
};

/// Refuses where a visit would lie in the past, or on what somebody else has; names those that would, and what is there.
/// Answers whether the way is clear: it is not where a visit is in it that was booked since they were read, and moves too.
///
/// # Errors
/// `appointments_clash`.
pub(super) async fn check(inner: &Inner, ask: &Ask, visits: &[Visit], moves: &Moves) -> Result<bool, Fault> {
    let now_us = inner.clock.now_us();
    let past: Vec<Uuid> = visits.iter().filter(|visit| visit.start_us <= now_us).map(|visit| visit.old.id).collect();
    if !past.is_empty() {
        let detail = "`appointment_ids` would have begun already in the new zone; nothing is moved: settle these with their \
             patients, or send `appointments=keep_instant`";
        return Err(Fault::new(Code::AppointmentsClash, detail).with_extra(&named(past.len(), &past)));
    }
    let (mut ours, mut theirs) = (among_themselves(moves), HashSet::new());
    let found = in_the_way(inner, ask, visits, moves).await?;
    for claim in moves.wanted() {
        for other in found.iter().filter(|other| meet(claim, other)) {
            ours.insert(claim.owner);
            theirs.insert(other.owner);
        }
    }
    if ours.is_empty() {
        return Ok(true);
    }
    let theirs: Vec<Uuid> = theirs.into_iter().collect();
    let others = inner.store.appointments_of(ask.organization, &theirs).await.map_err(commit::failure)?;
    let groups = inner.store.groups_at(ask.organization, ask.location, now_us).await.map_err(commit::failure)?;
    let moves_too = |row: &AppointmentRow| row.location_id == ask.location && row.time_zone != ask.time_zone;
    if others.iter().any(moves_too) || groups.iter().any(|group| theirs.contains(&group.id)) {
        return Ok(false);
    }
    let ours = visits_of(visits, moves, &ours);
    let mut ids = ours.clone();
    ids.extend(others.iter().map(|row| row.id).filter(|id| !ours.contains(id)));
    let detail = format!(
        "{} appointments would take time that another one has, of the same practitioner, room or patient; `appointment_ids` \
         names both, and nothing is moved: move one of each first, or send `appointments=keep_instant`",
        ours.len()
    );
    Err(Fault::new(Code::AppointmentsClash, detail).with_extra(&named(ours.len(), &ids)))
}

/// The live claims of others that meet those that are to be; what moves along or is let go is in nobody's way.
async fn in_the_way(inner: &Inner, ask: &Ask, visits: &[Visit], moves: &Moves) -> Result<Vec<ClaimRow>, Fault> {
    let now_us = inner.clock.now_us();
    let held = inner.store.holds_at(ask.organization, ask.location, now_us).await.map_err(commit::failure)?;
    let gone: HashSet<Uuid> =
        visits.iter().map(|visit| visit.old.id).chain(moves.groups.keys().copied()).chain(held).collect();
    let wanted: Vec<ClaimRow> = moves.wanted().cloned().collect();
    let mut found = inner.store.claims_meeting(ask.organization, &wanted, now_us).await.map_err(commit::failure)?;
    found.retain(|claim| !gone.contains(&claim.owner));
    Ok(found)
}

/// Two visits that had an hour of their own and would share one: of an hour that the clock of one zone shows twice, or
/// leaves out.
fn among_themselves(moves: &Moves) -> HashSet<Uuid> {
    let mut claims: Vec<&ClaimRow> = moves.wanted().collect();
    claims.sort_by_key(|claim| (claim.kind, claim.resource, claim.unit, claim.starts_at_us));
    let pairs = claims.windows(2).filter(|pair| meet(pair[0], pair[1]));
    pairs.flat_map(|pair| [pair[0].owner, pair[1].owner]).collect()
}

fn meet(one: &ClaimRow, other: &ClaimRow) -> bool {
    (one.kind, one.resource, one.unit) == (other.kind, other.resource, other.unit)
        && one.starts_at_us < other.ends_at_us
        && other.starts_at_us < one.ends_at_us
}

/// The visits that own these claims, or are in the group sessions that do, in their order.
fn visits_of(visits: &[Visit], moves: &Moves, owners: &HashSet<Uuid>) -> Vec<Uuid> {
    let became: HashMap<Uuid, Uuid> = moves.groups.iter().map(|(from, group)| (*from, group.row.id)).collect();
    let owns = |visit: &&Visit| {
        let group = visit.old.group_id.and_then(|id| became.get(&id));
        owners.contains(&visit.old.id) || group.is_some_and(|id| owners.contains(id))
    };
    visits.iter().filter(owns).map(|visit| visit.old.id).collect()
}
