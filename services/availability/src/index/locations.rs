//! The locations of an index: zone, closures, rooms and equipment.

use std::sync::Arc;

use calendar::{Span, Zone};
use domain::{
    directory::{self as body, Body, Closure, Kind},
    id::LocationId,
};
use uuid::Uuid;

use super::{
    Children, Index, SourceVersions,
    directory::{Directory, Entry},
};

/// A location in use.
pub(crate) struct Location {
    pub(crate) id: Uuid,
    /// The id in its public form, `loc_…`.
    pub(crate) public_id: String,
    pub(crate) body: body::Location,
    pub(crate) zone: Zone,
    pub(crate) closures: Vec<Closure>,
    /// Rooms in use with their types.
    pub(crate) rooms: Vec<(Uuid, String)>,
    /// Units of equipment in use: pool, unit, type.
    pub(crate) units: Vec<(Uuid, i16, String)>,
    sources: SourceVersions,
    /// The part of `sources` that working hours depend on.
    pub(super) hours_sources: SourceVersions,
}

/// The locations in use; unchanged ones are shared with `previous`.
pub(super) fn build(
    directory: &Directory,
    children: &Children<'_>,
    span: Span,
    previous: Option<&Index>,
) -> Vec<Arc<Location>> {
    let mut locations = Vec::new();
    for entry in directory.live(Kind::Location) {
        let children = children.of(entry.id);
        let own = std::iter::once((entry.id, entry.version));
        let sources: SourceVersions = own.chain(children.iter().map(|child| (child.id, child.version))).collect();
        let unchanged = previous.and_then(|previous| {
            let number = *previous.location_numbers.get(&entry.id)?;
            Some(&previous.locations[number as usize]).filter(|location| location.sources == sources)
        });
        locations.extend(unchanged.cloned().or_else(|| location(entry, children, sources, span).map(Arc::new)));
    }
    locations
}

fn location(entry: &Entry, children: &[&Entry], sources: SourceVersions, span: Span) -> Option<Location> {
    let Body::Location(body) = &entry.body else { return None };
    let zone = domain::time::zone(&body.time_zone)?;
    let mut location = Location {
        id: entry.id,
        public_id: LocationId::new(entry.id).to_string(),
        body: body.clone(),
        zone: Zone::new(zone, span),
        closures: vec![],
        rooms: vec![],
        units: vec![],
        sources,
        hours_sources: vec![(entry.id, entry.version)],
    };
    for child in children {
        match &child.body {
            Body::Room(room) => location.rooms.push((child.id, room.room_type.clone())),
            Body::Equipment(pool) => {
                let units = 0..i16::try_from(pool.units).unwrap_or(0);
                location.units.extend(units.map(|unit| (child.id, unit, pool.equipment_type.clone())));
            }
            Body::Closure(closure) => {
                location.closures.push(closure.clone());
                location.hours_sources.push((child.id, child.version));
            }
            _ => {}
        }
    }
    Some(location)
}
