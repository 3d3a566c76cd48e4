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

pub(super) struct Calendars {
    span: Span,
    dense: HashMap<Resource, Taken<Uuid>>,
    sparse: HashMap<Resource, Vec<(Span, Uuid)>>,
    nothing: Bits,
}

fn has_bits(kind: Kind) -> bool {
    matches!(kind, Kind::Practitioner | Kind::Room | Kind::Equipment)
}

impl Calendars {
    pub(super) fn new(span: Span) -> Self {
        Self { span, dense: HashMap::new(), sparse: HashMap::new(), nothing: Bits::new(Span::new(0, 0)) }
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    pub(super) fn take(&mut self, claim: &Claim, owner: Uuid) {
        let (resource, span) = ((claim.kind, claim.resource, claim.unit), Span::touching(claim.interval));
        if has_bits(claim.kind) {
            self.dense.entry(resource).or_insert_with(|| Taken::new(self.span)).insert(span, owner);
        } else {
            let claims = self.sparse.entry(resource).or_default();
            let at = claims.partition_point(|(claim, _)| claim.start <= span.start);
            claims.insert(at, (span, owner));
        }
    }

    pub(super) fn free(&mut self, claim: &Claim, owner: Uuid) {
        let (resource, span) = ((claim.kind, claim.resource, claim.unit), Span::touching(claim.interval));
        if let Some(taken) = self.dense.get_mut(&resource) {
            taken.remove(span, &owner);
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

    pub(super) fn claims(&self, kind: Kind, resource: Uuid, unit: i16) -> &[(Span, Uuid)] {
        let resource = (kind, resource, unit);
        let dense = self.dense.get(&resource).map(Taken::claims);
        dense.or_else(|| self.sparse.get(&resource).map(Vec::as_slice)).unwrap_or(&[])
    }

    pub(super) fn is_free(&self, kind: Kind, resource: Uuid, unit: i16, span: Span, ignored: &[Uuid]) -> bool {
        let resource = (kind, resource, unit);
        if let Some(taken) = self.dense.get(&resource) {
            return taken.is_free(span, |owner| ignored.contains(owner));
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
