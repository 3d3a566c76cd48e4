//! A text rendered with example words.

use ::wire::reminder::{PreviewMessageRequest, PreviewMessageResponse};
use domain::{fault::Faults, patient::Channel};
use rpc::Fault;

use crate::{
    Inner,
    rules::wire,
    templates::{self, LanguagePreferences, gsm7},
};

pub(crate) fn preview(inner: &Inner, request: PreviewMessageRequest) -> Result<PreviewMessageResponse, Fault> {
    let mut faults = Faults::new();
    let trigger = wire::trigger(&mut faults, &request.trigger);
    let language = wire::language(&mut faults, &request.language);
    let language = language.unwrap_or_default();
    // As a rule for this language renders it for a patient who speaks it.
    let languages = LanguagePreferences {
        patient: &language,
        organization: &request.default_language,
        country: &request.country,
        rule: &language,
        ..LanguagePreferences::default()
    };
    let template = wire::template(request.template.unwrap_or_default());
    inner.templates.check(&mut faults, &template, &languages);
    faults.result()?;
    let trigger = trigger.ok_or_else(|| Fault::internal("a trigger without a fault is missing"))?;
    let words = templates::example_context(languages.shipped());
    let text = |channel| {
        let rendered = inner.templates.render(&template, trigger.as_str(), channel, &languages, &words);
        rendered.map_err(|error| Fault::violation("/template", "invalid_template", &error.to_string()))
    };
    let (sms, email) = (text(Channel::Sms)?, text(Channel::Email)?);
    let (encoding, segments) = gsm7::segments(&sms.text);
    Ok(PreviewMessageResponse {
        sms: sms.text,
        email_subject: email.subject,
        email_text: email.text,
        sms_encoding: encoding.as_str().to_owned(),
        sms_segments: segments,
    })
}
