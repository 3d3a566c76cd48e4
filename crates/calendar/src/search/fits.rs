//! One start, checked rule by rule over the same bits as the search.

use super::{Candidate, Location, Query, within};
use crate::{
    bits::Bits,
    tick::{Span, Tick},
};

/// The rule that hides a start: the first that does, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HiddenBy {
    /// The start is before the window: past, or within the notice.
    TooEarly,
    /// The start is after the window: beyond the horizon.
    TooLate,
    /// The start is not at a multiple of the alignment after the local hour.
    Alignment,
    /// The query leaves this weekday out.
    Weekday,
    /// The visit begins too early or ends too late in the day.
    PartOfDay,
    /// The practitioner does not work at the location for the whole claim.
    OutsideRoster,
    /// The candidate's `allowed` spans leave the start out: an invalid certificate, a cap that is reached.
    NotAllowed,
    /// Another claim occupies the practitioner during this one.
    PractitionerBusy,
    /// No room is free for the whole claim.
    NoRoom,
    /// No unit of equipment is free for the whole claim.
    NoEquipment,
}

/// Whether a visit fits at this start; the query's cursor and limit play no part.
///
/// # Errors
/// The first rule that hides the start.
pub fn fits(query: &Query, location: &Location<'_>, candidate: &Candidate<'_>, start: Tick) -> Result<(), HiddenBy> {
    let rule = |passed: bool, hidden_by: HiddenBy| if passed { Ok(()) } else { Err(hidden_by) };
    rule(query.window.start <= start, HiddenBy::TooEarly)?;
    rule(start < query.window.end, HiddenBy::TooLate)?;
    query.on_clock(location.zone, start)?;
    let claim = query.claim(start);
    rule(candidate.roster.all(claim), HiddenBy::OutsideRoster)?;
    rule(candidate.allowed.is_none_or(|spans| within(spans, start)), HiddenBy::NotAllowed)?;
    rule(candidate.occupied.none(claim), HiddenBy::PractitionerBusy)?;
    let any_free = |pool: Option<&[&Bits]>| pool.is_none_or(|pool| free(pool, claim).next().is_some());
    rule(any_free(location.rooms), HiddenBy::NoRoom)?;
    rule(any_free(location.units), HiddenBy::NoEquipment)
}

/// The indices of the rooms or units in a pool that are free for a whole claim.
pub fn free(pool: &[&Bits], claim: Span) -> impl Iterator<Item = usize> {
    pool.iter().enumerate().filter(move |(_, occupied)| occupied.none(claim)).map(|(at, _)| at)
}
