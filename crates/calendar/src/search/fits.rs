//! One start under the magnifying glass: the same bits as the search, rule by rule.

use super::{Candidate, Place, Query, within};
use crate::{
    bits::Bits,
    tick::{Span, Tick},
};

/// The rule that hides a start, the first that does in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// It is before the window: past, or too near for the notice.
    TooEarly,
    /// It is after the window: beyond the horizon.
    TooLate,
    /// It is not at a multiple of the alignment after the local hour.
    Alignment,
    /// It is on another weekday.
    Weekday,
    /// It begins too early or ends too late in the day.
    PartOfDay,
    /// The practitioner does not work there for the whole claim.
    OutsideRoster,
    /// The candidate's own spans leave it out: a certificate that is not valid, a cap that is reached.
    NotAllowed,
    /// Something else takes the practitioner during the claim.
    PractitionerBusy,
    /// No room is free for the whole claim.
    NoRoom,
    /// No unit of equipment is free for the whole claim.
    NoEquipment,
}

/// Whether a visit fits at this start; the query's cursor and limit play no part.
///
/// # Errors
/// The first rule that hides it.
pub fn fits(query: &Query, place: &Place<'_>, candidate: &Candidate<'_>, start: Tick) -> Result<(), Why> {
    let rule = |kept: bool, why: Why| if kept { Ok(()) } else { Err(why) };
    rule(query.window.start <= start, Why::TooEarly)?;
    rule(start < query.window.end, Why::TooLate)?;
    query.on_clock(place.zone, start)?;
    let claim = query.claim(start);
    rule(candidate.roster.all(claim), Why::OutsideRoster)?;
    rule(candidate.allowed.is_none_or(|spans| within(spans, start)), Why::NotAllowed)?;
    rule(candidate.taken.none(claim), Why::PractitionerBusy)?;
    let some_free = |pool: Option<&[&Bits]>| pool.is_none_or(|pool| free(pool, claim).next().is_some());
    rule(some_free(place.rooms), Why::NoRoom)?;
    rule(some_free(place.units), Why::NoEquipment)
}

/// Which rooms or units of a pool are free for a whole claim, by their place in the pool.
pub fn free(pool: &[&Bits], claim: Span) -> impl Iterator<Item = usize> {
    pool.iter().enumerate().filter(move |(_, taken)| taken.none(claim)).map(|(at, _)| at)
}
