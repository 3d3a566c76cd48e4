//! Taking slots: lay claims, commit, and where a room, a unit or a place was another's, try the next candidate.

use std::sync::Arc;

use domain::claim::Kind;
use rpc::{Code, Context, Fault};
use sql::feed::Position;
use uuid::Uuid;

use crate::{
    Inner, commit,
    feed::change,
    slots::check::{self, Ground},
    slots::claims::{Choice, Laid, Session, lay},
    store::{
        Store,
        batch::{Batch, Hex, JoinGroup, LocationZone, Refusal, claim_row},
        rows::ClaimRow,
    },
};

/// Most tries at one write; every candidate is tried once before.
const TRIES_MAX: usize = 64;

/// For whom slots are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taker<'a> {
    /// For each slot the appointment or hold that owns its claims.
    pub(crate) owners: &'a [Uuid],
    pub(crate) patient: Option<Uuid>,
    pub(crate) expires_at_us: Option<i64>,
    pub(crate) channel: i32,
    /// Owners whose claims counted as free when the slots were checked.
    pub(crate) ignored: &'a [String],
}

/// What became of a write.
pub(crate) enum Taken {
    Done(Position),
    /// Another request with the same idempotency key was faster.
    Replay,
}

/// Takes slots and commits them in the batch that `fill` completes; `fill` gets what was laid, slot by slot, and
/// all claims of the taker. Nothing is committed where it fails.
pub(crate) async fn take(
    inner: &Arc<Inner>,
    ctx: &Context,
    grounds: &mut [Ground],
    taker: Taker<'_>,
    mut fill: impl FnMut(&mut Batch, &[(Ground, Laid)], &[ClaimRow]) -> Result<(), Fault>,
) -> Result<Taken, Fault> {
    let organization = ctx.organization.uuid();
    let mut choices: Vec<Choice> = grounds.iter().map(Choice::first).collect();
    for _ in 0..TRIES_MAX {
        let laid: Vec<Laid> = grounds
            .iter()
            .zip(&choices)
            .map(|(ground, choice)| lay(organization, ground, *choice, taker.patient))
            .collect();
        let mut batch = batch(inner, organization, grounds, &laid, &choices, taker);
        let own = batch.claims.clone();
        let pairs: Vec<(Ground, Laid)> = grounds.iter().cloned().zip(laid.iter().cloned()).collect();
        fill(&mut batch, &pairs, &own)?;
        // What goes with this very write is in nobody's way.
        let ours: Vec<Uuid> = taker.owners.iter().chain(&batch.release).copied().collect();
        let kinds = match commit::commit(inner, batch).await {
            Ok(position) => return Ok(Taken::Done(position)),
            Err(Refusal::Replay) => return Ok(Taken::Replay),
            Err(Refusal::GroupChanged) => {
                look_again(inner, ctx, grounds, taker, &laid, &mut choices).await?;
                continue;
            }
            Err(Refusal::Taken(taken)) => taken,
            Err(Refusal::Zone) => {
                // They were shown by the location's clock of before.
                let all: Vec<_> = grounds.iter().map(|ground| ground.wanted.clone()).collect();
                return Err(check::lost(inner, ctx, Code::SlotChanged, &all, taker.channel).await);
            }
            Err(other) => return Err(commit::refused(other)),
        };
        if let Some(fault) = of_patient(&kinds) {
            return Err(fault);
        }
        let mut gone = Vec::new();
        let concerned = concerned(&inner.store, inner.clock.now_us(), organization, &laid, &kinds, &ours).await?;
        for ((ground, choice), kinds) in grounds.iter().zip(&mut choices).zip(concerned) {
            if kinds.is_empty() {
                continue;
            }
            match choice.next(ground, &kinds) {
                Some(next) => *choice = next,
                None => gone.push(ground.wanted.clone()),
            }
        }
        if !gone.is_empty() {
            return Err(check::lost(inner, ctx, Code::SlotTaken, &gone, taker.channel).await);
        }
    }
    Err(commit::refused(Refusal::GroupChanged))
}

fn batch(
    inner: &Inner,
    organization: Uuid,
    grounds: &[Ground],
    laid: &[Laid],
    choices: &[Choice],
    taker: Taker<'_>,
) -> Batch {
    let owned =
        laid.iter().zip(taker.owners).flat_map(|(laid, owner)| laid.own.iter().map(move |claim| (claim, *owner)));
    let mut claims: Vec<ClaimRow> = owned.map(|(claim, owner)| claim_row(claim, owner, taker.expires_at_us)).collect();
    claims.sort_by_key(|claim| (claim.kind, claim.resource, claim.unit, claim.starts_at_us));
    let join_group = grounds.iter().zip(laid).zip(choices).find_map(|((ground, laid), choice)| {
        let (row, claims) = laid.group.clone()?;
        let made = Hex(change::group_created(&row, &claims));
        // What a hold keeps is there already, however few places the service has by now.
        let most = ground.kept_place().is_none().then(|| i64::from(ground.capacity));
        Some(JoinGroup { row, exists: choice.session.is_some(), most, claims, made })
    });
    // Who joins a session lays no claim on its practitioner.
    let limited = grounds.iter().zip(choices).filter(|(_, choice)| choice.session.is_none());
    let limits = limited.flat_map(|(ground, _)| ground.limits.iter().cloned()).collect();
    let zone = |ground: &Ground| LocationZone {
        location_id: ground.slot.location.uuid(),
        time_zone: ground.time_zone.clone(),
    };
    let mut zones: Vec<LocationZone> = Vec::new();
    for ground in grounds {
        zones.extend(Some(zone(ground)).filter(|zone| !zones.contains(zone)));
    }
    let now_us = inner.clock.now_us();
    Batch { organization_id: organization, now_us, claims, limits, join_group, zones, ..Batch::default() }
}

/// The belief about a group session was wrong: look whether it exists, and take the room that it has. It keeps its
/// length, so where it is another than the slot's, the slot is not what it was.
async fn look_again(
    inner: &Inner,
    ctx: &Context,
    grounds: &mut [Ground],
    taker: Taker<'_>,
    laid: &[Laid],
    choices: &mut [Choice],
) -> Result<(), Fault> {
    for ((ground, choice), laid) in grounds.iter_mut().zip(choices).zip(laid) {
        let Some((row, _)) = &laid.group else { continue };
        let found = inner.store.group(ctx.organization.uuid(), row.id).await.map_err(commit::failure)?;
        match found {
            Some(group) if group.ends_at_us != row.ends_at_us => {
                let changed = std::slice::from_ref(&ground.wanted);
                return Err(check::lost(inner, ctx, Code::SlotChanged, changed, taker.channel).await);
            }
            Some(group) => choice.session = Some(Session { room: group.room_id }),
            None if ground.joins.is_empty() => choice.session = None,
            None => {
                // Availability does not know yet that it has ended: what it said was of that session.
                let ignored = taker.ignored.iter().chain([&ground.joins]).cloned().collect();
                let wanted = vec![ground.wanted.clone()];
                let found = check::check(inner, ctx, wanted, "/slot_id", taker.channel, ignored).await?;
                if let Some(found) = found.into_iter().next() {
                    *choice = Choice::first(&found);
                    *ground = found;
                }
            }
        }
    }
    Ok(())
}

/// For each slot the kinds of its claims that were another's. A commit says which resources were taken, not when: where
/// several slots claim one of them, the claims that are there now tell which slot it was.
async fn concerned(
    store: &Store,
    now_us: i64,
    organization: Uuid,
    laid: &[Laid],
    taken: &[(Kind, Uuid)],
    ours: &[Uuid],
) -> Result<Vec<Vec<Kind>>, Fault> {
    let by_resource: Vec<Vec<Kind>> = laid.iter().map(|laid| concerning(laid, taken)).collect();
    if by_resource.iter().filter(|kinds| !kinds.is_empty()).count() < 2 {
        return Ok(by_resource);
    }
    let mut by_time = Vec::with_capacity(laid.len());
    for laid in laid {
        let group = laid.group.iter().flat_map(|(_, claims)| claims.iter().cloned());
        let own = laid.own.iter().map(|claim| claim_row(claim, Uuid::nil(), None));
        let mut kinds = Vec::new();
        for claim in own.chain(group) {
            let Some(kind) = Kind::from_number(claim.kind).filter(|kind| taken.contains(&(*kind, claim.resource)))
            else {
                continue;
            };
            let owners = store.in_the_way(organization, &claim, now_us).await.map_err(commit::failure)?;
            if owners.iter().any(|owner| !ours.contains(owner) && *owner != claim.owner) {
                kinds.push(kind);
            }
        }
        by_time.push(kinds);
    }
    // Nobody is in the way any more, or the slots are in each other's: then the resource has to do.
    Ok(if by_time.iter().all(Vec::is_empty) { by_resource } else { by_time })
}

/// The kinds of this slot's claims on resources that were another's.
fn concerning(laid: &Laid, taken: &[(Kind, Uuid)]) -> Vec<Kind> {
    let group = laid.group.iter().flat_map(|(_, claims)| claims).map(|claim| (claim.kind, claim.resource));
    let own = laid.own.iter().map(|claim| (claim.kind.number(), claim.resource));
    let mine: Vec<_> = own.chain(group).collect();
    taken.iter().filter(|(kind, id)| mine.contains(&(kind.number(), *id))).map(|(kind, _)| *kind).collect()
}

fn of_patient(taken: &[(Kind, Uuid)]) -> Option<Fault> {
    if taken.iter().any(|(kind, _)| *kind == Kind::Patient) {
        let detail = "the patient has another appointment that overlaps; cancel or move that one first";
        return Some(Fault::new(Code::PatientBusy, detail));
    }
    taken.iter().any(|(kind, _)| *kind == Kind::Needling).then(|| {
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

    const ORG: Uuid = Uuid::from_u128(1);
    const PERSON: Uuid = Uuid::from_u128(2);

    /// A claim on the practitioner, in minutes of a day long ago.
    fn claim(from: i64, to: i64) -> Claim {
        let at = |minutes: i64| domain::time::from_micros(minutes * 60_000_000).unwrap();
        Claim::new(Kind::Practitioner, PERSON, 0, Interval::new(at(from), at(to)).unwrap())
    }

    fn slot(from: i64, to: i64) -> Laid {
        Laid { own: vec![claim(from, to)], group: None, room: None }
    }

    /// Two visits of a plan move: one to where the other is now, which goes with the same write, and one to a time that
    /// someone else has. Only the second is lost.
    #[tokio::test]
    async fn what_goes_with_the_write_is_in_nobodys_way() {
        let (ours, others) = (Uuid::from_u128(11), Uuid::from_u128(12));
        for database in [Database::sqlite().unwrap(), Database::postgres().await.unwrap()] {
            let store = Store::open(&Target::from_url(&database.for_service("booking")).unwrap()).await.unwrap();
            store.migrate().await.unwrap();
            let claims = vec![claim_row(&claim(600, 630), ours, None), claim_row(&claim(720, 750), others, None)];
            store.commit(&Batch { organization_id: ORG, claims, ..Batch::default() }).await.unwrap();
            let laid = [slot(615, 645), slot(720, 750)];
            let taken = [(Kind::Practitioner, PERSON)];
            let found = concerned(&store, 0, ORG, &laid, &taken, &[ours]).await.unwrap();
            assert_eq!(found, [vec![], vec![Kind::Practitioner]]);
        }
    }
}
