//! Ids, kinds and entries of the directory on the wire.

use domain::{
    directory::{Body, Kind},
    id,
};
use rpc::Fault;
use uuid::Uuid;
use wire::{availability as proto, convert::directory as convert};

use crate::index::directory::Entry;

/// The wire form of an entry.
pub(crate) fn entry_to_wire(entry: &Entry) -> proto::Entry {
    let kind = entry.body.kind();
    proto::Entry {
        id: public_id(kind, entry.id),
        parent_id: kind.parent().zip(entry.parent).map(|(kind, id)| public_id(kind, id)).unwrap_or_default(),
        version: entry.version,
        created_at_us: entry.created_at_us,
        updated_at_us: entry.updated_at_us,
        archived_at_us: entry.archived_at_us.unwrap_or(0),
        body: Some(convert::body_to_wire(&entry.body)),
    }
}

fn public_id(kind: Kind, id: Uuid) -> String {
    match kind {
        Kind::Location => id::LocationId::new(id).to_string(),
        Kind::Room => id::RoomId::new(id).to_string(),
        Kind::Equipment => id::EquipmentId::new(id).to_string(),
        Kind::Closure => id::ClosureId::new(id).to_string(),
        Kind::Practitioner => id::PractitionerId::new(id).to_string(),
        Kind::Certificate => id::CertificateId::new(id).to_string(),
        Kind::Roster => id::RosterId::new(id).to_string(),
        Kind::TimeOff => id::TimeOffId::new(id).to_string(),
        Kind::Service => id::ServiceId::new(id).to_string(),
        Kind::PlanTemplate => id::PlanTemplateId::new(id).to_string(),
        Kind::Busy => id::BusyId::new(id).to_string(),
    }
}

/// Reads the id of an entry of a kind.
///
/// # Errors
/// `not_found` for any other text.
pub(crate) fn read_id(kind: Kind, text: &str) -> Result<Uuid, Fault> {
    let parsed = match kind {
        Kind::Location => text.parse::<id::LocationId>().map(Into::into),
        Kind::Room => text.parse::<id::RoomId>().map(Into::into),
        Kind::Equipment => text.parse::<id::EquipmentId>().map(Into::into),
        Kind::Closure => text.parse::<id::ClosureId>().map(Into::into),
        Kind::Practitioner => text.parse::<id::PractitionerId>().map(Into::into),
        Kind::Certificate => text.parse::<id::CertificateId>().map(Into::into),
        Kind::Roster => text.parse::<id::RosterId>().map(Into::into),
        Kind::TimeOff => text.parse::<id::TimeOffId>().map(Into::into),
        Kind::Service => text.parse::<id::ServiceId>().map(Into::into),
        Kind::PlanTemplate => text.parse::<id::PlanTemplateId>().map(Into::into),
        Kind::Busy => text.parse::<id::BusyId>().map(Into::into),
    };
    parsed.map_err(|_| Fault::not_found())
}

/// Reads the id of an entry's parent; `None` for a kind without parents, whatever the text.
///
/// # Errors
/// `not_found` for a text that is no id of the parent's kind.
pub(crate) fn read_parent(kind: Kind, text: &str) -> Result<Option<Uuid>, Fault> {
    kind.parent().map(|parent| read_id(parent, text)).transpose()
}

/// The same as [`read_parent`]; `None` for an empty text.
///
/// # Errors
/// `not_found` for a text that is no id of the parent's kind.
pub(crate) fn read_optional_parent(kind: Kind, text: &str) -> Result<Option<Uuid>, Fault> {
    if text.is_empty() { Ok(None) } else { read_parent(kind, text) }
}

/// Reads a kind of entry.
///
/// # Errors
/// `validation_failed` for an unknown number.
pub(crate) fn read_kind(number: i32) -> Result<Kind, Fault> {
    convert::kind_from_wire(number).ok_or_else(|| Fault::violation("/kind", "invalid_value", "name a kind of entry"))
}

/// Reads the body of an entry.
///
/// # Errors
/// Every fault of the body.
pub(crate) fn read_body(body: Option<proto::EntryBody>) -> Result<Body, Fault> {
    Ok(convert::body_from_wire(body.unwrap_or_default())?)
}
