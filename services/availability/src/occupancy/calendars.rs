//! The calendars of all resources of one organisation.
//!
//! Practitioners, rooms and equipment, which every search reads, have bitsets of 14 KB for the whole horizon. Patients
//! and group sessions are many, have few claims each and are read one at a time: each has a sorted list.

use std::collections::HashMap;

use calendar::{Bits, Span};
use domain::claim::{Claim, Kind};
use uuid::Uuid;

/// The resource of a claim: kind, id, unit.
type Resource = (Kind, Uuid, i16);

/// The owner of a claim on a resource with bits and, for a practitioner, the location and whether it is needling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClaimTag {
    pub(crate) owner: Uuid,
    /// The number of the location; `None` where the claim names none.
    pub(crate) location: Option<u16>,
    pub(crate) needling: bool,
}

pub(super) struct Calendars {
    span: Span,
    dense: HashMap<Resource, calendar::Occupancy<ClaimTag>>,
    sparse: HashMap<Resource, Vec<(Span, Uuid)>>,
    empty: Bits,
    /// Locations by their numbers, and the reverse: a number is small and compares without a look-up.
    locations: Vec<Uuid>,
    location_numbers: HashMap<Uuid, u16>,
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
            empty: Bits::new(Span::new(0, 0)),
            locations: vec![],
            location_numbers: HashMap::new(),
        }
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    pub(super) fn insert(&mut self, claim: &Claim, owner: Uuid) {
        let (resource, span) = ((claim.kind, claim.resource, claim.unit), Span::touching(claim.interval));
        if has_bits(claim.kind) {
            let tag = self.tag(claim, owner);
            self.dense.entry(resource).or_insert_with(|| calendar::Occupancy::new(self.span)).insert(span, tag);
        } else {
            let claims = self.sparse.entry(resource).or_default();
            let at = claims.partition_point(|(claim, _)| claim.start <= span.start);
            claims.insert(at, (span, owner));
        }
    }

    pub(super) fn remove(&mut self, claim: &Claim, owner: Uuid) {
        let (resource, span) = ((claim.kind, claim.resource, claim.unit), Span::touching(claim.interval));
        if has_bits(claim.kind) {
            let tag = self.tag(claim, owner);
            if let Some(occupancy) = self.dense.get_mut(&resource) {
                occupancy.remove(span, &tag);
            }
        }
        if let Some(claims) = self.sparse.get_mut(&resource) {
            claims.retain(|claim| *claim != (span, owner));
            if claims.is_empty() {
                self.sparse.remove(&resource);
            }
        }
    }

    #[inline]
    pub(super) fn bits(&self, kind: Kind, resource: Uuid, unit: i16) -> &Bits {
        self.dense.get(&(kind, resource, unit)).map_or(&self.empty, calendar::Occupancy::bits)
    }

    /// The occupied ticks of a resource with bits, without the claims of some owners.
    pub(super) fn without(&self, kind: Kind, resource: Uuid, unit: i16, owners: &[Uuid]) -> Option<Bits> {
        let occupancy = self.dense.get(&(kind, resource, unit))?;
        Some(occupancy.without(|tag| owners.contains(&tag.owner)))
    }

    fn tag(&mut self, claim: &Claim, owner: Uuid) -> ClaimTag {
        let location = claim.location.and_then(|id| {
            if let Some(number) = self.location_numbers.get(&id) {
                return Some(*number);
            }
            let number = u16::try_from(self.locations.len()).ok()?;
            self.locations.push(id);
            self.location_numbers.insert(id, number);
            Some(number)
        });
        ClaimTag { owner, location, needling: claim.needling }
    }

    /// The locations, by the numbers in claim tags.
    pub(super) fn locations(&self) -> &[Uuid] {
        &self.locations
    }

    /// The claims on a practitioner, sorted by start.
    pub(super) fn of_practitioner(&self, practitioner: Uuid) -> &[(Span, ClaimTag)] {
        self.dense.get(&(Kind::Practitioner, practitioner, 0)).map_or(&[], calendar::Occupancy::claims)
    }

    /// The claims on a resource without bits, sorted by start.
    pub(super) fn sparse(&self, kind: Kind, resource: Uuid) -> &[(Span, Uuid)] {
        self.sparse.get(&(kind, resource, 0)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_free(&self, kind: Kind, resource: Uuid, unit: i16, span: Span, ignored: &[Uuid]) -> bool {
        let resource = (kind, resource, unit);
        if let Some(occupancy) = self.dense.get(&resource) {
            return occupancy.is_free(span, |tag| ignored.contains(&tag.owner));
        }
        let meets = |(claim, owner): &(Span, Uuid)| !claim.and(span).is_empty() && !ignored.contains(owner);
        !self.sparse.get(&resource).is_some_and(|claims| claims.iter().any(meets))
    }

    pub(super) fn rebase(&mut self, span: Span) {
        self.span = span;
        for occupancy in self.dense.values_mut() {
            occupancy.rebase(span, span.start);
        }
        self.dense.retain(|_, occupancy| !occupancy.is_empty());
        self.sparse.retain(|_, claims| {
            claims.retain(|(claim, _)| claim.end > span.start);
            !claims.is_empty()
        });
    }
}
