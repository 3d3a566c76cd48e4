//! The conflicts that keep appointments from moving to the same time of day in another zone.

use std::collections::{HashMap, HashSet};

use rpc::{Code, Fault};
use service::db_error;
use uuid::Uuid;

use super::{Moves, Upcoming, ZoneChange, appointments_ahead};
use crate::{
    Inner,
    store::{appointments::AppointmentRow, claims::ClaimRow},
};

/// Checks that no appointment would lie in the past, or overlap someone else's claims. Answers `false` where the only
/// conflict is with an appointment that was booked since the others were read, and moves too: then they must be read again.
///
/// # Errors
/// `appointments_clash`, which names the appointments and those that they overlap.
pub(super) async fn check(
    inner: &Inner,
    change: &ZoneChange,
    upcoming: &[Upcoming],
    moves: &Moves,
) -> Result<bool, Fault> {
    let now_us = inner.clock.now_us();
    let past: Vec<Uuid> = upcoming.iter().filter(|it| it.start_us <= now_us).map(|it| it.old.id).collect();
    if !past.is_empty() {
        let detail = "`appointment_ids` would have begun already in the new zone; nothing is moved: settle these with their \
             patients, or send `appointments=keep_instant`";
        return Err(Fault::new(Code::AppointmentsClash, detail).with_extra(&appointments_ahead(past.len(), &past)));
    }
    let (mut ours, mut theirs) = (owners_in_conflict(moves), HashSet::new());
    let found = conflicting_claims(inner, change, upcoming, moves).await?;
    for claim in moves.wanted() {
        for other in found.iter().filter(|other| overlaps(claim, other)) {
            ours.insert(claim.owner);
            theirs.insert(other.owner);
        }
    }
    if ours.is_empty() {
        return Ok(true);
    }
    let theirs: Vec<Uuid> = theirs.into_iter().collect();
    let others = inner.store.appointments_by_id(change.organization, &theirs).await.map_err(db_error::fault)?;
    let groups = inner.store.groups_at_location(change.organization, change.location, now_us).await;
    let groups = groups.map_err(db_error::fault)?;
    let moves_too = |row: &AppointmentRow| row.location_id == change.location && row.time_zone != change.time_zone;
    if others.iter().any(moves_too) || groups.iter().any(|group| theirs.contains(&group.id)) {
        return Ok(false);
    }
    let ours = appointments_of(upcoming, moves, &ours);
    let mut ids = ours.clone();
    ids.extend(others.iter().map(|row| row.id).filter(|id| !ours.contains(id)));
    let detail = format!(
        "{} appointments would take time that another one has, of the same practitioner, room or patient; `appointment_ids` \
         names both, and nothing is moved: move one of each first, or send `appointments=keep_instant`",
        ours.len()
    );
    Err(Fault::new(Code::AppointmentsClash, detail).with_extra(&appointments_ahead(ours.len(), &ids)))
}

/// The live claims of others that overlap the claims after the move. Claims that move along or end are no conflict.
async fn conflicting_claims(
    inner: &Inner,
    change: &ZoneChange,
    upcoming: &[Upcoming],
    moves: &Moves,
) -> Result<Vec<ClaimRow>, Fault> {
    let (organization, now_us) = (change.organization, inner.clock.now_us());
    let held = inner.store.holds_at_location(organization, change.location, now_us).await.map_err(db_error::fault)?;
    let gone: HashSet<Uuid> =
        upcoming.iter().map(|it| it.old.id).chain(moves.groups.keys().copied()).chain(held).collect();
    let wanted: Vec<ClaimRow> = moves.wanted().cloned().collect();
    let mut found = inner.store.overlapping_claims(organization, &wanted, now_us).await.map_err(db_error::fault)?;
    found.retain(|claim| !gone.contains(&claim.owner));
    Ok(found)
}

/// The owners whose claims would overlap each other after the move: an hour that one zone's clock shows twice, or skips,
/// comes once in the other.
fn owners_in_conflict(moves: &Moves) -> HashSet<Uuid> {
    let mut claims: Vec<&ClaimRow> = moves.wanted().collect();
    claims.sort_by_key(|claim| (claim.kind, claim.resource, claim.unit, claim.starts_at_us));
    let pairs = claims.windows(2).filter(|pair| overlaps(pair[0], pair[1]));
    pairs.flat_map(|pair| [pair[0].owner, pair[1].owner]).collect()
}

fn overlaps(a: &ClaimRow, b: &ClaimRow) -> bool {
    (a.kind, a.resource, a.unit) == (b.kind, b.resource, b.unit)
        && a.starts_at_us < b.ends_at_us
        && b.starts_at_us < a.ends_at_us
}

/// The appointments that own these claims, or are members of the group sessions that do, in their order.
fn appointments_of(upcoming: &[Upcoming], moves: &Moves, owners: &HashSet<Uuid>) -> Vec<Uuid> {
    let new_ids: HashMap<Uuid, Uuid> = moves.groups.iter().map(|(from, group)| (*from, group.row.id)).collect();
    let owns = |it: &&Upcoming| {
        let group = it.old.group_id.and_then(|id| new_ids.get(&id));
        owners.contains(&it.old.id) || group.is_some_and(|id| owners.contains(id))
    };
    upcoming.iter().filter(owns).map(|it| it.old.id).collect()
}
