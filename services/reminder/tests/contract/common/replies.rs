//! What patients write, as their provider passes it on.

use wire::reminder::{ReceiveRequest, receive_request::Field};

use super::{PUBLIC_URL, Running, TOKEN, organization};

/// The number of a patient who is given no other.
pub const PHONE: &str = "+15005550009";

/// What Twilio passes on of a patient's message, signed.
pub fn wrote(from: &str, text: &str, number: u32) -> ReceiveRequest {
    twilio(&format!("{PUBLIC_URL}/v1/providers/twilio/inbound"), from, text, &format!("SM{number:032}"))
}

/// The same, signed for this URL and under this id.
pub fn twilio(url: &str, from: &str, text: &str, id: &str) -> ReceiveRequest {
    let fields = [("MessageSid", id), ("From", from), ("To", "+15005550006"), ("Body", text), ("NumMedia", "1")];
    let form: Vec<_> = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let signature = reminder::twilio_signature(TOKEN, url, &form);
    let form = form.into_iter().map(|(name, value)| Field { name, value }).collect();
    ReceiveRequest { provider: "twilio".into(), url: url.to_owned(), form, signature, ..ReceiveRequest::default() }
}

/// Passes a patient's message on; `number` keeps it apart from others.
pub async fn say(service: &Running, from: &str, text: &str, number: u32) {
    let request = Running::context(organization(9)).request(wrote(from, text, number));
    service.client.clone().receive_inbound(request).await.unwrap();
}
