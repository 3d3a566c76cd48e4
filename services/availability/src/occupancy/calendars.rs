//! The calendars of all resources of one organisation.
//!
//! What search passes over (practitioners, rooms, equipment) has bits, 14 KB each for the whole horizon. Patients
//! and places are many, have few claims each and are asked one at a time: a sorted list serves them.

use std::collections::HashMap;

use calendar::{Bits, Span, Taken};
use domain::claim::{Claim, Kind};
use uuid::Uuid;

/// What a claim takes: kind, resource, unit.
type Resource = (Kind, Uuid, i16);

/// A claim of what search passes over: whose it is, and of a practitioner where they are and whether it is needling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mark {
    pub(crate) owner: Uuid,
    /// The number of the location; those without one have none.
    pub(crate) location: Option<u16>,
    pub(crate) needling: bool,
}

pub(super) struct Calendars {
    span: Span,
    dense: HashMap<Resource, Taken<Mark>>,
    sparse: HashMap<Resource, Vec<(Span, Uuid)>>,
    nothing: Bits,
    /// Locations by their numbers, and the other way round: a number is small, and needs no look-up to be compared.
    locations: Vec<Uuid>,
    numbers: HashMap<Uuid, u16>,
}

fn has_bits(kind: Kind) -> bool {
    matches!(kind, Kind::Practitioner | Kind::Room | Kind::Equipment)
}

impl Calendars {
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            dense: HashMap::new(),
            sparse: HashMap::new(),
            nothing: Bits::new(Span::new(0, 0)),
            locations: vec![],
            numbers: HashMap::new(),
        }
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    pub(super) fn take(&mut self, claim: &Claim, owner: Uuid) {
        let (resource, span) = ((claim.kind, claim.resource, claim.unit), Span::touching(claim.interval));
        if has_bits(claim.kind) {
            let mark = self.mark(claim, owner);
            self.dense.entry(resource).or_insert_with(|| Taken::new(self.span)).insert(span, mark);
        } else {
            let claims = self.sparse.entry(resource).or_default();
            let at = claims.partition_point(|(claim, _)| claim.start <= span.start);
            claims.insert(at, (span, owner));
        }
    }

    pub(super) fn free(&mut self, claim: &Claim, owner: Uuid) {
        let (resource, span) = ((claim.kind, claim.resource, claim.unit), Span::touching(claim.interval));
        if has_bits(claim.kind) {
            let mark = self.mark(claim, owner);
            if let Some(taken) = self.dense.get_mut(&resource) {
                taken.remove(span, &mark);
            }
        }
        if let Some(claims) = self.sparse.get_mut(&resource) {
            claims.retain(|claim| *claim != (span, owner));
            if claims.is_empty() {
                self.sparse.remove(&resource);
            }
        }
    }

    pub(super) fn bits(&self, kind: Kind, resource: Uuid, unit: i16) -> &Bits {
        self.dense.get(&(kind, resource, unit)).map_or(&self.nothing, Taken::bits)
    }

    /// What is taken of a resource that has bits, the claims of some owners left out.
    pub(super) fn without(&self, kind: Kind, resource: Uuid, unit: i16, owners: &[Uuid]) -> Option<Bits> {
        let taken = self.dense.get(&(kind, resource, unit))?;
        Some(taken.without(|mark| owners.contains(&mark.owner)))
    }

    fn mark(&mut self, claim: &Claim, owner: Uuid) -> Mark {
        let location = claim.location.and_then(|id| {
            if let Some(number) = self.numbers.get(&id) {
                return Some(*number);
            }
            let number = u16::try_from(self.locations.len()).ok()?;
            self.locations.push(id);
            self.numbers.insert(id, number);
            Some(number)
        });
        Mark { owner, location, needling: claim.needling }
    }

    /// The locations by the numbers that marks hold.
    pub(super) fn locations(&self) -> &[Uuid] {
        &self.locations
    }

    /// The claims on a practitioner, by their start.
    pub(super) fn of_practitioner(&self, practitioner: Uuid) -> &[(Span, Mark)] {
        self.dense.get(&(Kind::Practitioner, practitioner, 0)).map_or(&[], Taken::claims)
    }

    /// The claims on what has no bits, by their start.
    pub(super) fn sparse(&self, kind: Kind, resource: Uuid) -> &[(Span, Uuid)] {
        self.sparse.get(&(kind, resource, 0)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_free(&self, kind: Kind, resource: Uuid, unit: i16, span: Span, ignored: &[Uuid]) -> bool {
        let resource = (kind, resource, unit);
        if let Some(taken) = self.dense.get(&resource) {
            return taken.is_free(span, |mark| ignored.contains(&mark.owner));
        }
        let meets = |(claim, owner): &(Span, Uuid)| !claim.and(span).is_empty() && !ignored.contains(owner);
        !self.sparse.get(&resource).is_some_and(|claims| claims.iter().any(meets))
    }

    pub(super) fn rebase(&mut self, span: Span) {
        self.span = span;
        for taken in self.dense.values_mut() {
            taken.rebase(span, span.start);
        }
        self.dense.retain(|_, taken| !taken.is_empty());
        self.sparse.retain(|_, claims| {
            claims.retain(|(claim, _)| claim.end > span.start);
            !claims.is_empty()
        });
    }
}
