use super::{
    gsm7::{Encoding, segments},
    *,
};

fn texts() -> Texts {
    Texts::new().unwrap()
}

/// Long but normal names, and the longest dates of all languages.
fn long(lang: Lang) -> Words {
    Words {
        clinic: "Northside Physio Red Deer".into(),
        phone: "+14035550123".into(),
        manage_url: "https://book.example-physio.ca/v1/manage/AbCdEfGhIjKlMnOpQrStUv".into(),
        until: "2026-09-30T23:55[America/Edmonton]".parse().ok(),
        about: "2026-09-30T22:55[America/Edmonton]".parse().unwrap(),
        ..example(lang)
    }
}

#[test]
fn each_shipped_text_message_is_one_plain_segment() {
    for lang in Lang::ALL {
        for trigger in Trigger::ALL {
            let sms =
                texts().render(&Template::default(), trigger.as_str(), Channel::Sms, lang, &long(lang)).unwrap().text;
            assert_eq!(segments(&sms), (Encoding::Gsm7, 1), "{} characters: {sms}", sms.chars().count());
        }
    }
}

#[test]
fn every_other_shipped_text_message_is_plain_too() {
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
    for lang in Lang::ALL {
        let words = long(lang);
        let words = Words { count: 12, visits: vec![words.about.clone(); 3], replies: true, ..words };
        for name in names.into_iter().chain(["before_start", "waitlist_offer"]) {
            let sms = texts().render(&Template::default(), name, Channel::Sms, lang, &words).unwrap().text;
            let (encoding, count) = segments(&sms);
            assert!(encoding == Encoding::Gsm7 && count <= 2, "{count} of {encoding:?}: {sms}");
            assert!(sms.contains(&words.clinic));
            for word in ["CANCEL", "STOP", "YES", "START", &words.service] {
                assert!(!sms.contains(word), "{sms}");
            }
        }
    }
}

#[test]
fn a_moved_visits_texts_name_what_has_changed() {
    let none = Changed::default();
    for lang in Lang::ALL {
        for (changed, named, other) in [
            (Changed { practitioner: true, ..none }, "Sam Example", "1 Example Street"),
            (Changed { time: true, practitioner: true, ..none }, "Sam Example", "1 Example Street"),
            (Changed { location: true, ..none }, "1 Example Street", "Sam Example"),
            (Changed { time: true, location: true, practitioner: true, service: true }, "1 Example Street", "Initial"),
        ] {
            let words = Words { changed, ..long(lang) };
            for channel in [Channel::Sms, Channel::Email] {
                let found = texts().render(&Template::default(), "rescheduled", channel, lang, &words).unwrap();
                assert!(found.text.contains(named) && !found.text.contains(other), "{}", found.text);
                assert!(!found.text.contains(&words.service), "no treatment: {}", found.text);
                let (encoding, count) = segments(&found.text);
                assert!(channel == Channel::Email || (encoding == Encoding::Gsm7 && count <= 2), "{}", found.text);
            }
        }
    }
    let with = Words { changed: Changed { practitioner: true, ..none }, ..example(Lang::En) };
    let said = texts().render(&Template::default(), "rescheduled", Channel::Sms, Lang::En, &with).unwrap().text;
    assert!(said.starts_with("Example Physiotherapy: your visit on Mon, Mar 9 at 2:30 PM is now with Sam Example."));
    let email = texts().render(&Template::default(), "rescheduled", Channel::Email, Lang::En, &with).unwrap();
    assert_eq!(email.subject, "Your visit on Monday, March 9 has changed");
    assert!(email.text.contains("has changed.\nIt is now with Sam Example.\n\nTo change"), "{}", email.text);
}

#[test]
fn each_shipped_text_names_clinic_day_and_time_and_no_treatment() {
    for lang in Lang::ALL {
        let words = long(lang);
        for trigger in Trigger::ALL {
            for channel in [Channel::Sms, Channel::Email] {
                let message = texts().render(&Template::default(), trigger.as_str(), channel, lang, &words).unwrap();
                let length = if channel == Channel::Sms { words::Length::Short } else { words::Length::Long };
                let time = lang.time(&words.about);
                // The last day for booking has none.
                let time = if trigger == Trigger::PlanSessionUnbooked { &words.clinic } else { &time };
                // A link leaves no room for the telephone beside how long an offer lasts.
                let short = trigger == Trigger::WaitlistOffer && channel == Channel::Sms;
                let phone = if short { &words.clinic } else { &words.phone };
                for word in [&words.clinic, &lang.date(&words.about, length), time, phone] {
                    assert!(message.text.contains(word.as_str()), "{word} is missing in {}", message.text);
                }
                let linked = message.text.contains(&words.manage_url);
                assert_eq!(linked, trigger != Trigger::Cancelled && !trigger.is_after_visit(), "{}", message.text);
                for word in [&words.service, &words.patient_given_name, &words.practitioner] {
                    assert!(!message.text.contains(word.as_str()) && !message.subject.contains(word.as_str()));
                }
                assert_eq!(message.subject.is_empty(), channel == Channel::Sms);
                // A word that carriers read as an opt-out or opt-in is never asked for.
                for word in ["CANCEL", "STOP", "YES", "START"] {
                    assert!(!message.text.contains(word));
                }
            }
        }
    }
}

#[test]
fn a_clinic_without_telephone_and_without_link_still_has_a_whole_text() {
    for lang in Lang::ALL {
        let words = Words { phone: String::new(), manage_url: String::new(), ..long(lang) };
        for trigger in Trigger::ALL {
            let sms = texts().render(&Template::default(), trigger.as_str(), Channel::Sms, lang, &words).unwrap().text;
            assert!(sms.ends_with('.') || sms.ends_with("PM") || sms.ends_with("55"), "{sms}");
            assert!(!sms.contains("  "), "{sms}");
        }
    }
}

#[test]
fn a_reminder_reads_well_in_each_language() {
    let read = |lang| {
        let mut words = example(lang);
        words.about = "2026-03-10T14:30[America/Edmonton]".parse().unwrap();
        texts().render(&Template::default(), "before_start", Channel::Sms, lang, &words).unwrap().text
    };
    assert_eq!(
        read(Lang::En),
        "Example Physiotherapy: your visit is on Tue, Mar 10 at 2:30 PM. Change: \
         https://book.example.org/v1/manage/AAAAAAAAAAAAAAAAAAAAAA Tel +17805550100"
    );
    assert_eq!(
        read(Lang::Fr),
        "Exemple Physio : votre RDV le mar. 10 mars à 14 h 30. Modifier : \
         https://book.example.org/v1/manage/AAAAAAAAAAAAAAAAAAAAAA Tél. +17805550100"
    );
    assert_eq!(
        read(Lang::Es),
        "Fisioterapia Ejemplo: su cita es el mar. 10 mar. a las 14:30. Cambiar: \
         https://book.example.org/v1/manage/AAAAAAAAAAAAAAAAAAAAAA Tel. +17805550100"
    );
}

#[test]
fn a_clinics_own_text_is_checked_word_by_word() {
    let check = |sms: &str, email_subject: &str| {
        let mut faults = Faults::new();
        let template = Template { sms: sms.into(), email_subject: email_subject.into(), email_text: String::new() };
        texts().check(&mut faults, &template, Lang::En);
        faults.into_vec().into_iter().map(|one| (one.pointer, one.code, one.detail)).collect::<Vec<_>>()
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
fn an_example_has_a_value_for_every_word() {
    for lang in Lang::ALL {
        for trigger in Trigger::ALL {
            for channel in [Channel::Sms, Channel::Email] {
                let text =
                    texts().render(&Template::default(), trigger.as_str(), channel, lang, &example(lang)).unwrap();
                let gap = text.text.contains(" .") || text.text.contains(" ,") || text.text.contains("  ");
                assert!(!gap, "{}", text.text);
            }
        }
    }
}

#[test]
fn a_subject_is_one_line() {
    let template = Template { email_subject: "Visit\nBcc: x@example.org".into(), ..Template::default() };
    let words = example(Lang::En);
    let message = texts().render(&template, "booked", Channel::Email, Lang::En, &words).unwrap();
    assert_eq!(message.subject, "Visit Bcc: x@example.org");
}
