//! Outbound and inbound text messages through a fake provider with Twilio's interface.

use anyhow::{Result, ensure};
use testkit::sms::{ACCOUNT_SID, AUTH_TOKEN, FakeProvider};

use crate::Product;

/// The settings of an installation that sends its text messages through this provider.
pub fn settings(provider: &FakeProvider) -> Vec<String> {
    let settings = [
        "sms_provider=twilio".to_owned(),
        format!("providers.twilio.base_url={}", provider.url()),
        format!("providers.twilio.account_sid={ACCOUNT_SID}"),
        format!("providers.twilio.auth_token={AUTH_TOKEN}"),
        "providers.twilio.from=+15005550006".to_owned(),
    ];
    settings.into_iter().flat_map(|setting| ["--set".to_owned(), format!("reminder.{setting}")]).collect()
}

/// The form in which Twilio posts a patient's message.
pub fn form(from: &str, text: &str, number: u32) -> Vec<(String, String)> {
    let sid = format!("SM{number:032x}");
    [("MessageSid", sid.as_str()), ("From", from), ("To", "+15005550006"), ("Body", text), ("NumMedia", "0")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// Posts a patient's message as the provider does; `number` makes its id.
///
/// # Errors
/// When it is refused.
pub async fn write(product: &Product, from: &str, text: &str, number: u32) -> Result<()> {
    let url = format!("{}/v1/providers/twilio/inbound", product.url);
    let form = form(from, text, number);
    let signature = reminder::twilio_signature(AUTH_TOKEN, &url, &form);
    let answer = testkit::http::client().post(&url).header("x-twilio-signature", signature).form(&form).send().await?;
    ensure!(answer.status().is_success(), "refused: {}", answer.text().await?);
    Ok(())
}
