//! Twilio's signature of a callback: `X-Twilio-Signature` is base64(HMAC-SHA1(auth token, URL and form fields)). Source:
//! <https://www.twilio.com/docs/usage/security#validating-requests>.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq;

use super::sha1;

/// Whether the signature is valid for this URL and form. Twilio signs the URL with or without a default port, so both forms
/// are tried.
pub(crate) fn is_valid(token: &str, url: &str, form: &[(String, String)], signature: &str) -> bool {
    let Ok(code) = STANDARD.decode(signature) else { return false };
    let fields = concatenate(form);
    let matches = |url: &String| {
        let expected = sha1::hmac(token.as_bytes(), format!("{url}{fields}").as_bytes());
        bool::from(expected.as_slice().ct_eq(&code))
    };
    url_forms(url).iter().any(matches)
}

/// The header `X-Twilio-Signature` for a callback to this URL with these form fields.
pub fn twilio_signature(auth_token: &str, url: &str, form: &[(String, String)]) -> String {
    STANDARD.encode(sha1::hmac(auth_token.as_bytes(), format!("{url}{}", concatenate(form)).as_bytes()))
}

/// Names and values without separators, sorted by name; each value of a repeated name once, sorted.
fn concatenate(form: &[(String, String)]) -> String {
    let mut sorted = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (name, value) in form {
        sorted.entry(name).or_default().insert(value);
    }
    sorted.into_iter().flat_map(|(name, values)| values.into_iter().flat_map(move |value| [name, value])).collect()
}

/// The URL as it is, and with its port removed or the default port added. Works on the text, because parsing would change
/// the signed characters.
fn url_forms(url: &str) -> Vec<String> {
    let mut found = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return found };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let port = authority[host_at..].rfind(':').map(|at| at + host_at).filter(|at| !authority[*at..].contains(']'));
    match port {
        Some(at) => found.push(format!("{scheme}://{}{path}", &authority[..at])),
        None => {
            let port = if scheme == "https" { 443 } else { 80 };
            found.push(format!("{scheme}://{authority}:{port}{path}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://reminders.example.test/v1/providers/twilio/status";
    const SIGNATURE: &str = "yAwAVNKB6vh+EH8KObLdZCl5gQ0=";

    fn form() -> Vec<(String, String)> {
        let account = format!("AC{}", "0".repeat(32));
        let message = format!("SM{}", "1".repeat(32));
        [
            ("MessageStatus", "delivered"),
            ("AccountSid", &account),
            ("ApiVersion", "2010-04-01"),
            ("From", "+15005550006"),
            ("To", "+15005550009"),
            ("MessageSid", &message),
            ("SmsSid", &message),
            ("SmsStatus", "delivered"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    #[test]
    fn the_known_vector_verifies_and_any_difference_does_not() {
        assert!(is_valid("12345", URL, &form(), SIGNATURE));
        assert_eq!(twilio_signature("12345", URL, &form()), SIGNATURE);
        assert!(!is_valid("12346", URL, &form(), SIGNATURE));
        assert!(!is_valid("12345", &format!("{URL}?a=1"), &form(), SIGNATURE));
        assert!(!is_valid("12345", URL, &form()[1..], SIGNATURE));
        for bad in ["", "nonsense", "AAAA"] {
            assert!(!is_valid("12345", URL, &form(), bad));
        }
        // A repeated field counts once.
        let twice = [form(), form()].concat();
        assert!(is_valid("12345", URL, &twice, SIGNATURE));
    }

    #[test]
    fn a_default_port_may_be_present_or_absent() {
        assert!(is_valid("12345", &URL.replace(".test/", ".test:443/"), &form(), SIGNATURE));
        let with_port = URL.replace(".test/", ".test:443/");
        let signed = twilio_signature("12345", &with_port, &form());
        assert!(is_valid("12345", URL, &form(), &signed));
        assert!(!is_valid("12345", &URL.replace(".test/", ".evil/"), &form(), &signed));
    }

    #[test]
    fn a_port_is_found_only_where_it_stands() {
        assert_eq!(url_forms("http://[::1]/a:1")[1], "http://[::1]:80/a:1");
        assert_eq!(url_forms("http://[::1]:8080/a")[1], "http://[::1]/a");
        assert_eq!(url_forms("https://u:p@h/a?b=c:1")[1], "https://u:p@h:443/a?b=c:1");
    }
}
