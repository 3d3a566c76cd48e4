//! The language of messages, and the formats of dates and times.

use crate::common::{Running, World, organization, patient, us};
use testkit::database::Database;
use wire::{
    booking::PatientDetails,
    reminder::{Message, PreviewMessageRequest, Template},
};

const NOW: &str = "2026-03-04T11:00:00Z";
/// 09:00 in Edmonton, on the day on which its clocks go forward.
const START: &str = "2026-03-08T15:00:00Z";

fn speaking(language: &str) -> PatientDetails {
    PatientDetails { language: language.into(), ..patient() }
}

/// The text message, and the subject and text of the e-mail, for a patient with this language.
async fn booked(world: &World, service: &Running, language: &str) -> [String; 3] {
    let visit = world.book_for(organization(1), us(START), speaking(language));
    let message = async |channel: &str| -> Message { service.becomes(&visit, "booked", channel, "delivered").await };
    let (sms, email) = (message("sms").await, message("email").await);
    [sms.text, email.subject, email.text]
}

async fn a_message_has_one_language_and_the_formats_of_its_region(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    for (language, sms, subject, mail) in [
        (
            "en-GB",
            "you are booked on Sun 8 Mar at 09:00.",
            "Your visit on Sunday 8 March",
            "on Sunday 8 March at 09:00.",
        ),
        ("en-AU", "you are booked on Sun 8 Mar at 9:00 am.", "Your visit on Sunday 8 March", "8 March at 9:00 am."),
        ("de", "gebucht: So. 8. März um 9:00 Uhr.", "Ihr Termin am Sonntag, 8. März", "Sonntag, 8. März um 9:00 Uhr."),
        ("es-MX", "tiene cita el dom. 8 mar. a las 9:00 a.m.", "Su cita del domingo 8 de marzo", "a las 9:00 a.m."),
        ("fr-CA", "RDV prévu le dim. 8 mars à 9 h.", "Votre rendez-vous du dimanche 8 mars", "dimanche 8 mars à 9 h."),
        // No templates in Italian: all parts in the organisation's English, in its country's formats.
        ("it-IT", "you are booked on Sun, Mar 8 at 9:00 AM.", "Your visit on Sunday, March 8", "March 8 at 9:00 AM."),
    ] {
        let [text, about, body] = booked(&world, &service, language).await;
        assert!(text.contains(sms), "{language}: {text}");
        assert_eq!(about, subject, "{language}");
        assert!(body.contains(mail), "{language}: {body}");
    }
    service.stop().await;
}

async fn times_are_on_the_locations_clock(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visit = world.book_as(organization(1), us(START), patient(), |visit| visit.time_zone = "Europe/London".into());
    let text = service.becomes(&visit, "booked", "sms", "delivered").await.text;
    assert!(text.contains("Sun 8 Mar at 15:00."), "{text}");
    service.stop().await;
}

async fn an_own_template_has_dates_in_its_own_language(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let own = |rule: &mut wire::reminder::RuleBody| {
        let sms = "{{ clinic }}: see you on {{ date }}, {{ time }}".to_owned();
        rule.template = Some(Template { sms, ..Template::default() });
    };
    service.change_rule("booked", own).await;
    let [text, subject, mail] = booked(&world, &service, "fr").await;
    assert_eq!(text, "Northside Physio: see you on Sun, Mar 8, 9:00 AM");
    // Without an own template, the whole e-mail is the shipped one in French.
    assert_eq!(subject, "Votre rendez-vous du dimanche 8 mars");
    assert!(mail.starts_with("Bonjour,") && mail.contains("dimanche 8 mars à 9 h."), "{mail}");
    // With an own subject, the rest of the e-mail has its language.
    let own = |rule: &mut wire::reminder::RuleBody| {
        rule.template = Some(Template { email_subject: "See you on {{ date }}".into(), ..Template::default() });
    };
    service.change_rule("booked", own).await;
    let [text, subject, mail] = booked(&world, &service, "fr").await;
    assert!(text.contains("RDV prévu le dim. 8 mars"), "{text}");
    assert_eq!(subject, "See you on Sunday, March 8");
    assert!(mail.starts_with("Hello,") && mail.contains("Sunday, March 8 at 9:00 AM."), "{mail}");
    service.stop().await;
}

async fn a_preview_renders_as_for_the_patient(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let preview = async |language: &str, default_language: &str| {
        let request = PreviewMessageRequest {
            trigger: "waitlist_offer".into(),
            language: language.into(),
            default_language: default_language.into(),
            country: "CA".into(),
            ..PreviewMessageRequest::default()
        };
        let shown = service.client.clone().preview_message(Running::context(organization(1)).request(request)).await;
        let shown = shown.unwrap().into_inner();
        [shown.sms, shown.email_subject]
    };
    assert_eq!(preview("en-GB", "en").await[1], "A time is free on Monday 9 March");
    assert_eq!(preview("de-AT", "en").await[1], "Eine Zeit ist frei am Montag, 9. März");
    let [sms, subject] = preview("it", "fr-CA").await;
    assert_eq!(subject, "Une place est libre le lundi 9 mars");
    assert!(sms.starts_with("Exemple Physio : une place libre le lun. 9 mars à 14 h 30, gardée jusqu'à 9 h."), "{sms}");
    service.stop().await;
}

testkit::engines!(
    a_message_has_one_language_and_the_formats_of_its_region,
    times_are_on_the_locations_clock,
    an_own_template_has_dates_in_its_own_language,
    a_preview_renders_as_for_the_patient,
);
