//! What providers report of a text, signed as they sign.

use wire::reminder::{ReceiveRequest, receive_request::Field};

use super::{Running, TOKEN, World, organization};

/// Hands a service Twilio's report on the text that the provider was given in this place.
pub async fn arrives(world: &World, service: &Running, place: usize, status: &str, error_code: &str) {
    let url = world.provider.received()[place].form["StatusCallback"].clone();
    let report = Running::context(organization(1)).request(twilio(&url, status, error_code, TOKEN));
    service.client.clone().receive_status(report).await.unwrap();
}

/// Twilio's report on the message that this URL names.
pub fn twilio(url: &str, status: &str, error_code: &str, token: &str) -> ReceiveRequest {
    let form = [("MessageStatus", status), ("MessageSid", "SM1"), ("ErrorCode", error_code), ("To", "+15005550009")];
    let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let signature = reminder::twilio_signature(token, url, &form);
    let form = form.into_iter().map(|(name, value)| Field { name, value }).collect();
    ReceiveRequest { provider: "twilio".into(), url: url.to_owned(), form, signature, ..Default::default() }
}

/// A signed call of an `http` provider at an instant.
pub fn http(url: &str, body: &str, at_us: i64, secret: &str) -> ReceiveRequest {
    let seconds = at_us / 1_000_000;
    let signature = secret.parse::<signing::Secret>().unwrap().sign("evt_1", seconds, body.as_bytes());
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("webhook-id", "evt_1".to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,AAAA {signature}")),
    ];
    let headers = headers.map(|(name, value)| Field { name: name.to_owned(), value }).to_vec();
    let (url, body) = (url.to_owned(), body.as_bytes().to_vec());
    ReceiveRequest { provider: "http".into(), url, body, headers, ..Default::default() }
}
