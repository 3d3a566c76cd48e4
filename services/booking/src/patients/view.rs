//! Patients for the wire.

use domain::{id::PatientId, patient::ProposedChange};
use rpc::Fault;
use wire::{
    booking::{self, Patient, PatientDetails},
    common::BookingChannel,
    convert::patient as convert,
};

use super::document::Document;
use crate::store::patients::PatientRow;

/// A patient with the changes that await a decision.
pub(crate) fn to_wire(row: &PatientRow) -> Result<Patient, Fault> {
    let document = Document::read(&row.details)?;
    Ok(Patient { version: row.version, ..next_version(row, &document, row.updated_at_us) })
}

/// A patient as messages need them: with the number and the address that messages go to, and without what is for staff alone.
pub(crate) fn contact(row: &PatientRow) -> Result<Patient, Fault> {
    let record = Document::read(&row.details)?.record;
    let (phone, email) = record.reach();
    let reached = |address: Option<&str>| address.unwrap_or_default().to_owned();
    let details = PatientDetails { phone: reached(phone), email: reached(email), ..convert::to_wire(&record.details) };
    Ok(Patient { details: Some(details), staff: None, proposed_changes: vec![], ..to_wire(row)? })
}

/// A patient after a change that is about to be committed.
pub(super) fn next_version(old: &PatientRow, document: &Document, now_us: i64) -> Patient {
    Patient {
        id: PatientId::new(old.id).to_string(),
        version: old.version + 1,
        details: Some(convert::to_wire(&document.record.details)),
        staff: Some(convert::staff_to_wire(&document.record.staff)),
        created_at_us: old.created_at_us,
        updated_at_us: now_us,
        proposed_changes: document.proposed.iter().map(proposed_change).collect(),
        ..Patient::default()
    }
}

fn proposed_change(change: &ProposedChange) -> booking::ProposedChange {
    let channel = if change.by_staff { BookingChannel::Staff } else { BookingChannel::Online };
    booking::ProposedChange {
        id: change.id.to_string(),
        field: change.field.as_str().to_owned(),
        value: change.value.clone(),
        proposed_at_us: change.at_us,
        channel: channel as i32,
    }
}
