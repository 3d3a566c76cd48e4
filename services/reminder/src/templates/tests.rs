use super::{
    gsm7::{Encoding, segments},
    *,
};
use crate::rules::Trigger;

fn templates() -> Templates {
    Templates::new().unwrap()
}

/// The preferences of a patient with this language.
fn languages(lang: Language) -> LanguagePreferences<'static> {
    LanguagePreferences { patient: lang.as_str(), ..LanguagePreferences::default() }
}

/// Renders a shipped template.
fn shipped(name: &str, channel: Channel, lang: Language, context: &TemplateContext) -> Rendered {
    templates().render(&Template::default(), name, channel, &languages(lang), context).unwrap()
}

/// Long but realistic names, and the longest dates of all languages.
fn long_context(lang: Language) -> TemplateContext {
    TemplateContext {
        clinic: "Northside Physio Red Deer".into(),
        phone: "+14035550123".into(),
        manage_url: "https://book.example-physio.ca/m/AbCdEfGhIjKlMnOpQrStUv".into(),
        expires_at: "2026-09-30T23:55[America/Edmonton]".parse().ok(),
        date: "2026-09-30T22:55[America/Edmonton]".parse().unwrap(),
        today: jiff::civil::date(2026, 9, 30),
        ..example_context(lang)
    }
}

#[test]
fn each_shipped_sms_of_a_trigger_is_one_gsm7_segment() {
    for lang in Language::ALL {
        for trigger in Trigger::ALL {
            let sms = shipped(trigger.as_str(), Channel::Sms, lang, &long_context(lang)).text;
            assert_eq!(segments(&sms), (Encoding::Gsm7, 1), "{} characters: {sms}", sms.chars().count());
        }
    }
}

#[test]
fn a_code_is_one_gsm7_segment_in_each_language_and_an_email() {
    let templates = Templates::new().unwrap();
    for lang in Language::ALL {
        let sms = templates.render_code(lang, Channel::Sms, "Prairie Physiotherapy Group", "012345").unwrap();
        assert_eq!(segments(&sms.text), (Encoding::Gsm7, 1), "{}", sms.text);
        assert!(sms.text.contains("012345") && sms.subject.is_empty());
        let email = templates.render_code(lang, Channel::Email, "Prairie\nPhysio", "012345").unwrap();
        assert!(email.text.contains("012345") && !email.subject.contains(['\n', '0']), "{}", email.subject);
    }
}

#[test]
fn all_other_shipped_sms_are_at_most_two_gsm7_segments() {
    let names = [
        "check_in",
        "series",
        "reply_confirmed",
        "reply_move",
        "reply_help",
        "reply_which",
        "reply_outdated",
        "reply_score",
        "reply_pain",
        "reply_offer_gone",
        "reply_offer_declined",
    ];
    for lang in Language::ALL {
        let context = long_context(lang);
        let context =
            TemplateContext { count: 12, visits: vec![context.date.clone(); 3], accepts_replies: true, ..context };
        for name in names.into_iter().chain(["before_start", "waitlist_offer"]) {
            let sms = shipped(name, Channel::Sms, lang, &context).text;
            let (encoding, count) = segments(&sms);
            assert!(encoding == Encoding::Gsm7 && count <= 2, "{count} of {encoding:?}: {sms}");
            assert!(sms.contains(&context.clinic));
            for word in ["CANCEL", "STOP", "YES", "START", &context.service] {
                assert!(!sms.contains(word), "{sms}");
            }
        }
    }
}

#[test]
fn a_rescheduled_message_names_the_changes() {
    let none = Changed::default();
    for lang in Language::ALL {
        for (changed, named, unnamed) in [
            (Changed { practitioner: true, ..none }, "Sam Example", "1 Example Street"),
            (Changed { time: true, practitioner: true, ..none }, "Sam Example", "1 Example Street"),
            (Changed { location: true, ..none }, "1 Example Street", "Sam Example"),
            (Changed { time: true, location: true, practitioner: true, service: true }, "1 Example Street", "Initial"),
        ] {
            let context = TemplateContext { changed, ..long_context(lang) };
            for channel in [Channel::Sms, Channel::Email] {
                let found = shipped("rescheduled", channel, lang, &context);
                assert!(found.text.contains(named) && !found.text.contains(unnamed), "{}", found.text);
                assert!(!found.text.contains(&context.service), "no treatment: {}", found.text);
                let (encoding, count) = segments(&found.text);
                assert!(channel == Channel::Email || (encoding == Encoding::Gsm7 && count <= 2), "{}", found.text);
            }
        }
    }
    let context = TemplateContext { changed: Changed { practitioner: true, ..none }, ..example_context(Language::En) };
    let sms = shipped("rescheduled", Channel::Sms, Language::En, &context).text;
    assert!(sms.starts_with("Example Physiotherapy: your visit on Mon, Mar 9 at 2:30 PM is now with Sam Example."));
    let email = shipped("rescheduled", Channel::Email, Language::En, &context);
    assert_eq!(email.subject, "Your visit on Monday, March 9 has changed");
    assert!(email.text.contains("has changed.\nIt is now with Sam Example.\n\nTo change"), "{}", email.text);
}

#[test]
fn each_shipped_message_names_clinic_day_and_time_and_no_treatment() {
    for lang in Language::ALL {
        let context = long_context(lang);
        for trigger in Trigger::ALL {
            for channel in [Channel::Sms, Channel::Email] {
                let message = shipped(trigger.as_str(), channel, lang, &context);
                let length = if channel == Channel::Sms { DateLength::Short } else { DateLength::Long };
                let locale = languages(lang).example();
                let time = locale.time(&context.date);
                let date = locale.date(context.date.date(), length, context.today);
                // The last day for booking has no time.
                let time = if trigger == Trigger::PlanSessionUnbooked { &context.clinic } else { &time };
                // An offer's link leaves no room for the phone number.
                let short = trigger == Trigger::WaitlistOffer && channel == Channel::Sms;
                let phone = if short { &context.clinic } else { &context.phone };
                for word in [&context.clinic, &date, time, phone] {
                    assert!(message.text.contains(word.as_str()), "{word} is missing in {}", message.text);
                }
                let linked = message.text.contains(&context.manage_url);
                assert_eq!(linked, trigger != Trigger::Cancelled && !trigger.is_after_visit(), "{}", message.text);
                for word in [&context.service, &context.patient_given_name, &context.practitioner] {
                    assert!(!message.text.contains(word.as_str()) && !message.subject.contains(word.as_str()));
                }
                assert_eq!(message.subject.is_empty(), channel == Channel::Sms);
                // No message asks for a word that carriers interpret as opt-out or opt-in.
                for word in ["CANCEL", "STOP", "YES", "START"] {
                    assert!(!message.text.contains(word));
                }
            }
        }
    }
}

#[test]
fn a_clinic_without_phone_and_link_has_complete_sentences() {
    for lang in Language::ALL {
        let context = TemplateContext { phone: String::new(), manage_url: String::new(), ..long_context(lang) };
        for trigger in Trigger::ALL {
            let sms = shipped(trigger.as_str(), Channel::Sms, lang, &context).text;
            assert!(sms.ends_with('.') || sms.ends_with("PM") || sms.ends_with("55"), "{sms}");
            assert!(!sms.contains("  "), "{sms}");
        }
    }
}

#[test]
fn a_reminder_reads_well_in_each_language() {
    let render = |lang| {
        let mut context = example_context(lang);
        context.date = "2026-03-10T14:30[America/Edmonton]".parse().unwrap();
        shipped("before_start", Channel::Sms, lang, &context).text
    };
    assert_eq!(
        render(Language::En),
        "Example Physiotherapy: your visit is on Tue, Mar 10 at 2:30 PM. Change: \
         https://book.example.org/m/AAAAAAAAAAAAAAAAAAAAAA Tel +17805550100"
    );
    assert_eq!(
        render(Language::Fr),
        "Exemple Physio : votre RDV le mar. 10 mars à 14 h 30. Modifier : \
         https://book.example.org/m/AAAAAAAAAAAAAAAAAAAAAA Tél. +17805550100"
    );
    assert_eq!(
        render(Language::Es),
        "Fisioterapia Ejemplo: su cita es el mar. 10 mar. a las 14:30. Cambiar: \
         https://book.example.org/m/AAAAAAAAAAAAAAAAAAAAAA Tel. +17805550100"
    );
    assert_eq!(
        render(Language::De),
        "Beispiel-Physio: Ihr Termin am Di. 10. März um 14:30 Uhr. Ändern: \
         https://book.example.org/m/AAAAAAAAAAAAAAAAAAAAAA Tel. +17805550100"
    );
}

#[test]
fn an_offer_that_expires_on_another_day_names_the_day() {
    let render = |lang| {
        let context = TemplateContext {
            expires_at: "2026-09-29T11:33[America/Edmonton]".parse().ok(),
            today: jiff::civil::date(2026, 9, 29),
            ..long_context(lang)
        };
        let channels = [Channel::Sms, Channel::Email];
        let [sms, email] = channels.map(|channel| shipped("waitlist_offer", channel, lang, &context).text);
        let (encoding, count) = segments(&sms);
        assert!(encoding == Encoding::Gsm7 && count <= 2, "{sms}");
        sms + &email
    };
    for (lang, short, long) in [
        (Language::En, "kept until 11:33 AM on Tue, Sep 29. ", "until 11:33 AM on Tuesday, September 29."),
        (Language::Fr, "jusqu'à 11 h 33 le mar. 29 sept. ", "jusqu'à 11 h 33 le mardi 29 septembre."),
        (Language::Es, "hasta las 11:33 del mar. 29 sep. ", "hasta las 11:33 del martes 29 de septiembre."),
        (Language::De, "bis 11:33 Uhr am Di. 29. Sept. ", "bis 11:33 Uhr am Dienstag, 29. September."),
    ] {
        let text = render(lang);
        assert!(text.contains(short) && text.contains(long), "{text}");
    }
}

#[test]
fn an_own_template_is_checked_for_each_fault() {
    let check = |sms: &str, email_subject: &str| {
        let mut faults = Faults::new();
        let template = Template { sms: sms.into(), email_subject: email_subject.into(), email_text: String::new() };
        templates().check(&mut faults, &template, &languages(Language::En));
        faults.into_vec().into_iter().map(|fault| (fault.pointer, fault.code, fault.detail)).collect::<Vec<_>>()
    };
    assert_eq!(check("{{ clinic|upper }} {% if phone %}{{ phone }}{% endif %}", ""), []);
    let found = check("Hello\n{{ condition }} {{ diagnosis }}", "{{ date");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].2.starts_with("line 2: unknown word `condition`"), "{}", found[0].2);
    assert_eq!((found[2].0.as_str(), found[2].1.as_str()), ("/template/email_subject", "invalid_template"));
    for bad in ["{{ clinic|shout }}", "{% if %}", "{{ clinic", "{% if clinic %}", "{{ clinic clinic }}", "   "] {
        assert_eq!(check(bad, "").len(), 1, "{bad}");
    }
    assert_eq!(check(&"x".repeat(1001), "")[0].1, "too_long");
}

#[test]
fn the_example_has_a_value_for_each_variable() {
    for lang in Language::ALL {
        for trigger in Trigger::ALL {
            for channel in [Channel::Sms, Channel::Email] {
                let text = shipped(trigger.as_str(), channel, lang, &example_context(lang));
                let gap = text.text.contains(" .") || text.text.contains(" ,") || text.text.contains("  ");
                assert!(!gap, "{}", text.text);
            }
        }
    }
}

#[test]
fn a_subject_is_one_line() {
    let template = Template { email_subject: "Visit\nBcc: x@example.org".into(), ..Template::default() };
    let context = example_context(Language::En);
    let message = templates().render(&template, "booked", Channel::Email, &languages(Language::En), &context).unwrap();
    assert_eq!(message.subject, "Visit Bcc: x@example.org");
}
