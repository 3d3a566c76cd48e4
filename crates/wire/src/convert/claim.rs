//! Claims.

use domain::{
    claim::{Claim, Kind},
    time::{Interval, from_micros},
};
use uuid::Uuid;

use crate::common;

/// A claim for the wire.
pub fn to_wire(claim: &Claim) -> common::Claim {
    common::Claim {
        kind: i32::from(claim.kind.number()),
        resource: claim.resource.as_bytes().to_vec(),
        unit: i32::from(claim.unit),
        starts_at_us: claim.interval.start().as_microsecond(),
        ends_at_us: claim.interval.end().as_microsecond(),
        location: claim.location.map(|location| location.as_bytes().to_vec()).unwrap_or_default(),
        needling: claim.needling,
    }
}

/// A claim from the wire; `None` for a malformed one.
pub fn from_wire(claim: &common::Claim) -> Option<Claim> {
    Some(Claim {
        kind: Kind::from_number(i16::try_from(claim.kind).ok()?)?,
        resource: Uuid::from_slice(&claim.resource).ok()?,
        unit: i16::try_from(claim.unit).ok()?,
        interval: interval_from_wire(claim.starts_at_us, claim.ends_at_us)?,
        location: (!claim.location.is_empty()).then(|| Uuid::from_slice(&claim.location)).transpose().ok()?,
        needling: claim.needling,
    })
}

/// An interval for the wire.
pub fn interval_to_wire(interval: Interval) -> common::Interval {
    common::Interval { starts_at_us: interval.start().as_microsecond(), ends_at_us: interval.end().as_microsecond() }
}

/// An interval from the wire; `None` for an empty one or one out of range.
pub fn interval_from_wire(starts_at_us: i64, ends_at_us: i64) -> Option<Interval> {
    Interval::new(from_micros(starts_at_us)?, from_micros(ends_at_us)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_of_the_contract_have_the_numbers_of_the_domain() {
        for kind in Kind::ALL {
            let number = i32::from(kind.number());
            let wire = common::ClaimKind::try_from(number).unwrap();
            assert_eq!(wire.as_str_name(), format!("CLAIM_KIND_{}", format!("{kind:?}").to_uppercase()));
        }
    }
}
