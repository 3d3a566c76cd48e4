//! The provider's messages.

use std::collections::HashMap;

use jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};
use serde_json::{Value, json};

use super::{ACCOUNT_SID, Shared};

/// A message that the fake accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `SM` and 32 hexadecimal digits.
    pub sid: String,
    /// `queued` at first.
    pub status: String,
    /// Set by [`super::FakeProvider::set_status`].
    pub error_code: Option<u32>,
    /// The recipient's number.
    pub to: String,
    /// The sender's number, or the sid of the messaging service.
    pub from: String,
    /// The text.
    pub body: String,
    /// The URL of status callbacks.
    pub status_callback: Option<String>,
    /// The instant of its acceptance.
    pub created_at: Timestamp,
}

impl Message {
    /// Accepts the message that a form describes.
    pub(super) fn accept(shared: &Shared, form: &HashMap<String, String>) -> Self {
        let mut state = shared.lock();
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let from = form.get("From").or_else(|| form.get("MessagingServiceSid")).cloned().unwrap_or_default();
        let message = Self {
            sid: format!("SM{:032x}", state.messages.len() + 1),
            status: "queued".to_owned(),
            error_code: None,
            to: field("To"),
            from,
            body: field("Body"),
            status_callback: form.get("StatusCallback").cloned(),
            created_at: shared.clock.now(),
        };
        state.messages.push(message.clone());
        message
    }

    pub(super) fn json(&self) -> Value {
        let date = rfc2822::to_string(&self.created_at.to_zoned(TimeZone::UTC)).unwrap_or_default();
        let service = self.from.starts_with("MG");
        json!({
            "account_sid": ACCOUNT_SID,
            "api_version": "2010-04-01",
            "body": self.body,
            "date_created": date,
            "date_sent": null,
            "date_updated": date,
            "direction": "outbound-api",
            "error_code": self.error_code,
            "error_message": null,
            "from": if service { Value::Null } else { json!(self.from) },
            "messaging_service_sid": if service { json!(self.from) } else { Value::Null },
            "num_media": "0",
            "num_segments": "1",
            "price": null,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {},
            "to": self.to,
            "uri": format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{}.json", self.sid),
        })
    }
}
