//! The texts of an encoded message, checked as those of a body of REST are. The contracts' descriptors say where they are.

use std::{collections::HashMap, sync::LazyLock};

use bytes::Buf;
use domain::fault::Faults;
use prost::{
    Message,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use prost_types::{
    DescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use rpc::{Code, Fault};

use crate::characters;

/// Deepest nesting of messages that is read, as in `prost`.
const DEPTH_MAX: u32 = 100;

/// A field that is a text or holds some.
struct Field {
    name: String,
    repeated: bool,
    /// The type of a nested message; `None` for a text.
    message: Option<String>,
}

/// The contracts, as far as texts need them. Types are written as in descriptors: `.meridian.booking.v1.Appointment`.
#[derive(Default)]
struct Contracts {
    messages: HashMap<String, HashMap<u32, Field>>,
    /// The request of each method.
    requests: HashMap<String, String>,
}

static CONTRACTS: LazyLock<Contracts> = LazyLock::new(|| {
    let mut contracts = Contracts::default();
    for file in FileDescriptorSet::decode(wire::DESCRIPTORS).unwrap_or_default().file {
        let package = file.package().to_owned();
        for message in &file.message_type {
            contracts.add(&format!(".{package}"), message);
        }
        for service in &file.service {
            for method in &service.method {
                let name = format!("{package}.{}/{}", service.name(), method.name());
                contracts.requests.insert(name, method.input_type().to_owned());
            }
        }
    }
    contracts
});

impl Contracts {
    fn add(&mut self, outer: &str, message: &DescriptorProto) {
        let name = format!("{outer}.{}", message.name());
        let fields = message.field.iter().filter_map(|field| {
            let message = match field.r#type() {
                Type::String => None,
                Type::Message => Some(field.type_name().to_owned()),
                _ => return None,
            };
            let repeated = field.label() == Label::Repeated;
            let number = u32::try_from(field.number()).ok()?;
            Some((number, Field { name: field.name().to_owned(), repeated, message }))
        });
        self.messages.insert(name.clone(), fields.collect());
        message.nested_type.iter().for_each(|nested| self.add(&name, nested));
    }

    fn check(&self, faults: &mut Faults, at: &str, message: &str, mut bytes: &[u8], depth: u32) -> Option<()> {
        let fields = self.messages.get(message).filter(|_| depth < DEPTH_MAX)?;
        let mut counts: HashMap<u32, usize> = HashMap::new();
        while bytes.has_remaining() {
            let (number, wire_type) = decode_key(&mut bytes).ok()?;
            let field = fields.get(&number).filter(|_| wire_type == WireType::LengthDelimited);
            let Some(field) = field else {
                skip_field(wire_type, number, &mut bytes, DecodeContext::default()).ok()?;
                continue;
            };
            let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
            let (value, after) = bytes.split_at_checked(length)?;
            bytes = after;
            let count = counts.entry(number).or_default();
            let at =
                if field.repeated { format!("{at}/{}/{count}", field.name) } else { format!("{at}/{}", field.name) };
            *count += 1;
            match &field.message {
                Some(message) => self.check(faults, &at, message, value, depth + 1)?,
                None => characters::check(faults, &at, std::str::from_utf8(value).ok()?),
            }
        }
        Some(())
    }
}

/// Checks every text of a method's request.
///
/// # Errors
/// `malformed_request` for bytes that are no such request, `validation_failed` with the fields that hold U+0000.
pub(super) fn check(method: &str, request: &[u8]) -> Result<(), Fault> {
    let malformed = || Fault::new(Code::MalformedRequest, "the message is not one of this method");
    let message = CONTRACTS.requests.get(method).ok_or_else(malformed)?;
    let mut faults = Faults::new();
    CONTRACTS.check(&mut faults, "", message, request, 0).ok_or_else(malformed)?;
    Ok(faults.result()?)
}

#[cfg(test)]
mod tests {
    use wire::booking::{BookAppointmentRequest, PatientDetails, book_appointment_request::Who};

    use super::*;

    const BOOK: &str = "meridian.booking.v1.Booking/BookAppointment";

    #[test]
    fn a_text_with_u0000_is_refused_with_its_field() {
        let details = PatientDetails { given_name: "A\0da".into(), ..PatientDetails::default() };
        let request = BookAppointmentRequest {
            who: Some(Who::Patient(details)),
            note: "\0".into(),
            ..BookAppointmentRequest::default()
        };
        let fault = check(BOOK, &request.encode_to_vec()).unwrap_err();
        let pointers: Vec<&str> = fault.violations.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!((fault.code, pointers), (Code::ValidationFailed, vec!["/patient/given_name", "/note"]));
        let list = wire::booking::ListAppointmentsRequest {
            location_ids: vec!["loc".into(), "\0".into()],
            ..wire::booking::ListAppointmentsRequest::default()
        };
        let fault = check("meridian.booking.v1.Booking/ListAppointments", &list.encode_to_vec()).unwrap_err();
        assert_eq!(fault.violations[0].pointer, "/location_ids/1");
        assert_eq!(check(BOOK, &BookAppointmentRequest::default().encode_to_vec()), Ok(()));
    }

    #[test]
    fn bytes_that_are_no_request_are_refused() {
        for bytes in [&[0x0a, 0x7f, b'a'][..], &[0x0a, 0x01, 0xff], &[0xff]] {
            assert_eq!(check(BOOK, bytes).unwrap_err().code, Code::MalformedRequest, "{bytes:?}");
        }
    }
}
