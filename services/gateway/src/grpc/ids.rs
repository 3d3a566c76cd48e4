//! The ids of an encoded message, for the audit log.

use bytes::Buf;
use domain::id::PatientId;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Longest id of a resource.
const BYTES_MAX: usize = 64;

/// The ids at the top level of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    /// The text of field 1, which is a resource's own id in every contract.
    pub(super) target: Option<String>,
    /// The first id of a patient.
    pub(super) patient: Option<String>,
}

/// Reads the fields of a message up to the first fault, without its schema.
pub(super) fn find(mut message: &[u8]) -> Ids {
    let mut ids = Ids::default();
    while message.has_remaining() && read_field(&mut message, &mut ids).is_some() {}
    ids
}

fn read_field(message: &mut &[u8], ids: &mut Ids) -> Option<()> {
    let (field, wire_type) = decode_key(message).ok()?;
    if wire_type != WireType::LengthDelimited {
        return skip_field(wire_type, field, message, DecodeContext::default()).ok();
    }
    let length = usize::try_from(decode_varint(message).ok()?).ok()?;
    let (value, after) = message.split_at_checked(length)?;
    *message = after;
    let is_id = value.len() <= BYTES_MAX && value.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let text = std::str::from_utf8(value).ok().filter(|text| is_id && text.contains('_'));
    if let Some(text) = text {
        if field == 1 {
            ids.target = Some(text.to_owned());
        }
        if ids.patient.is_none() && text.parse::<PatientId>().is_ok() {
            ids.patient = Some(text.to_owned());
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use wire::booking::{Appointment, Patient};

    use super::*;

    #[test]
    fn the_ids_of_a_resource_are_found_and_nothing_else() {
        let patient = "pat_00000000000000000000000001".to_owned();
        let appointment = Appointment {
            id: "appt_00000000000000000000000002".into(),
            patient_id: patient.clone(),
            starts_at_us: 5,
            note: "pat_not_an_id".into(),
            ..Appointment::default()
        };
        let found = find(&appointment.encode_to_vec());
        assert_eq!(found, Ids { target: Some(appointment.id.clone()), patient: Some(patient.clone()) });
        let found = find(&Patient { id: patient.clone(), version: 3, ..Patient::default() }.encode_to_vec());
        assert_eq!(found, Ids { target: Some(patient.clone()), patient: Some(patient) });
        let text = Appointment { id: "Ada Moreau, +1 403 555 0100".into(), ..Appointment::default() };
        assert_eq!(find(&text.encode_to_vec()), Ids::default());
        for broken in [&[0xff, 0xff][..], &[0x0a, 0x7f, b'a'], &[]] {
            assert_eq!(find(broken), Ids::default());
        }
    }
}
