//! The end user of a front end, for whom limits count: the one that the header `Meridian-Visitor` names, or else the client's
//! network.
//!
//! Services get an HMAC of either, so that they store no address and no id of another system.

use std::net::IpAddr;

use axum::http::HeaderMap;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::id::PatientId;
use hmac::{Hmac, KeyInit, Mac};
use rpc::{Code, Fault, Visitor};
use sha2::Sha256;

use crate::{Inner, auth::Caller, client_address::limited_network};

const HEADER: &str = "meridian-visitor";
const CHARS_MAX: usize = 64;

/// The visitor for whom a caller makes a request; `None` for staff.
///
/// # Errors
/// `invalid_parameter` for a malformed header.
pub(crate) fn of(
    inner: &Inner,
    caller: &Caller,
    headers: &HeaderMap,
    client: IpAddr,
) -> Result<Option<Visitor>, Fault> {
    caller.is_public().then(|| visitor(&inner.visitor_key, headers, client)).transpose()
}

/// The visitor of a request. `key` signs the ids.
fn visitor(key: &[u8], headers: &HeaderMap, client: IpAddr) -> Result<Visitor, Fault> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(Visitor { id: opaque(key, "address", &limited_network(client).to_string()), named: false });
    };
    let name = value.to_str().ok().filter(|text| (1..=CHARS_MAX).contains(&text.len()));
    let name = name.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    let name = name.ok_or_else(|| {
        let fault = Fault::violation("Meridian-Visitor", "invalid_visitor", "give 1 to 64 visible ASCII characters");
        Fault { code: Code::InvalidParameter, ..fault }
    })?;
    Ok(Visitor { id: opaque(key, "visitor", name), named: true })
}

/// The id of a patient for one caller: the same for each answer, and no other caller's. A version 8 UUID (RFC 9562).
pub(crate) fn opaque_patient(key: &[u8], caller: &Caller, id: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&mac(key, "patient", &[caller.name.as_str(), "\0", id].concat())[..16]);
    PatientId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid()).to_string()
}

fn opaque(key: &[u8], kind: &str, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&mac(key, kind, text)[..16])
}

fn mac(key: &[u8], kind: &str, text: &str) -> [u8; 32] {
    // HMAC accepts a key of any length, so this never fails.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    mac.update(kind.as_bytes());
    mac.update(&[0]);
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(header: Option<&'static str>, client: &str) -> Result<Visitor, Fault> {
        let mut headers = HeaderMap::new();
        if let Some(text) = header {
            headers.insert(HEADER, HeaderValue::from_static(text));
        }
        visitor(b"key", &headers, client.parse().unwrap())
    }

    #[test]
    fn a_named_visitor_is_the_same_from_every_address_and_another_one_is_not() {
        let one = of(Some("v-1"), "203.0.113.9").unwrap();
        assert_eq!(of(Some("v-1"), "203.0.113.10").unwrap(), one);
        assert_ne!(of(Some("v-2"), "203.0.113.9").unwrap(), one);
        assert!(one.named && !one.id.contains("v-1"));
    }

    #[test]
    fn the_network_stands_for_an_unnamed_visitor() {
        let one = of(None, "2001:db8::1").unwrap();
        assert_eq!(of(None, "2001:db8::2").unwrap(), one);
        assert_ne!(of(None, "2001:db8:0:1::1").unwrap(), one);
        assert!(!one.named && one != of(Some("2001:db8::"), "2001:db8::1").unwrap());
    }

    #[test]
    fn a_malformed_header_is_refused() {
        let long: &'static str = Box::leak("x".repeat(65).into_boxed_str());
        for bad in ["", "a b", long] {
            assert_eq!(of(Some(bad), "203.0.113.9").unwrap_err().code, Code::InvalidParameter, "{bad}");
        }
    }
}
