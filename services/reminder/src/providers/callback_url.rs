//! The URL at which a provider reports on an attempt, and the reference that names the attempt.

use domain::id::{MessageId, OrganizationId};

/// An attempt, as its callback URL names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallbackUrl {
    pub(crate) organization: OrganizationId,
    pub(crate) message: MessageId,
    pub(crate) attempt: i32,
}

impl CallbackUrl {
    /// The URL for a provider, below `public_url`.
    pub(crate) fn format(&self, public_url: &str, provider: &str) -> String {
        let Self { organization, message, attempt } = self;
        format!("{public_url}/v1/providers/{provider}/status?message_id={message}&attempt={attempt}&org={organization}")
    }

    /// `None` where the URL names no attempt.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let url = reqwest::Url::parse(url).ok()?;
        let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        Some(Self {
            organization: value("org")?.parse().ok()?,
            message: value("message_id")?.parse().ok()?,
            attempt: value("attempt")?.parse().ok()?,
        })
    }
}

/// The reference of an attempt; no other attempt has the same.
pub(crate) fn reference(message: MessageId, attempt: i32) -> String {
    format!("{message}-{attempt}")
}

/// The attempt of a reference; `None` where it belongs to another message.
pub(super) fn attempt_of(reference: &str, message: MessageId) -> Option<i32> {
    reference.strip_prefix(&message.to_string())?.strip_prefix('-')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_url_names_its_attempt_or_none() {
        let (organization, message) = (OrganizationId::new(Uuid::from_u128(1)), MessageId::new(Uuid::from_u128(2)));
        let named = CallbackUrl { organization, message, attempt: 3 };
        let url = named.format("https://a.example", "twilio");
        assert_eq!(
            url,
            format!("https://a.example/v1/providers/twilio/status?message_id={message}&attempt=3&org={organization}")
        );
        assert_eq!(CallbackUrl::parse(&url), Some(named));
        for bad in
            ["", "nowhere", "https://a.example/x", &url.replace("attempt=3", "attempt=x"), &url.replace("msg_", "")]
        {
            assert_eq!(CallbackUrl::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_reference_names_an_attempt_of_its_message() {
        let [message, other] = [2, 3].map(|number| MessageId::new(Uuid::from_u128(number)));
        assert_eq!(attempt_of(&reference(message, 12), message), Some(12));
        assert_eq!([attempt_of(&reference(other, 12), message), attempt_of(&message.to_string(), message)], [None; 2]);
    }
}
