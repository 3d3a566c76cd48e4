use super::{
    gsm7::{Encoding, segments},
    *,
};

fn texts() -> Texts {
    Texts::new().unwrap()
}

/// Of a patient with this language.
fn languages(lang: Lang) -> Languages<'static> {
    Languages { patient: lang.as_str(), ..Languages::default() }
}

/// A shipped text.
fn shipped(name: &str, channel: Channel, lang: Lang, words: &Words) -> Rendered {
    texts().render(&Template::default(), name, channel, &languages(lang), words).unwrap()
}

/// Long but normal names, and the longest dates of all languages.
fn long(lang: Lang) -> Words {
    Words {
        clinic: "Northside Physio Red Deer".into(),
        phone: "+14035550123".into(),
        manage_url: "https://book.example-physio.ca/v1/manage/AbCdEfGhIjKlMnOpQrStUv".into(),
        until: "2026-09-30T23:55[America/Edmonton]".parse().ok(),
        about: "2026-09-30T22:55[America/Edmonton]".parse().unwrap(),
        today: jiff::civil::date(2026, 9, 30),
        ..example(lang)
    }
}

#[test]
fn each_shipped_text_message_is_one_plain_segment() {
    for lang in Lang::ALL {
        for trigger in Trigger::ALL {
            let sms = shipped(trigger.as_str(), Channel::Sms, lang, &long(lang)).text;
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
            let sms = shipped(name, Channel::Sms, lang, &words).text;
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
                let found = shipped("rescheduled", channel, lang, &words);
                assert!(found.text.contains(named) && !found.text.contains(other), "{}", found.text);
                assert!(!found.text.contains(&words.service), "no treatment: {}", found.text);
                let (encoding, count) = segments(&found.text);
                assert!(channel == Channel::Email || (encoding == Encoding::Gsm7 && count <= 2), "{}", found.text);
            }
        }
    }
    let with = Words { changed: Changed { practitioner: true, ..none }, ..example(Lang::En) };
    let said = shipped("rescheduled", Channel::Sms, Lang::En, &with).text;
    assert!(said.starts_with("Example Physiotherapy: your visit on Mon, Mar 9 at 2:30 PM is now with Sam Example."));
    let email = shipped("rescheduled", Channel::Email, Lang::En, &with);
    assert_eq!(email.subject, "Your visit on Monday, March 9 has changed");
    assert!(email.text.contains("has changed.\nIt is now with Sam Example.\n\nTo change"), "{}", email.text);
}

#[test]
fn each_shipped_text_names_clinic_day_and_time_and_no_treatment() {
    for lang in Lang::ALL {
        let words = long(lang);
        for trigger in Trigger::ALL {
            for channel in [Channel::Sms, Channel::Email] {
                let message = shipped(trigger.as_str(), channel, lang, &words);
                let length = if channel == Channel::Sms { language::Length::Short } else { language::Length::Long };
                let locale = languages(lang).example();
                let time = locale.time(&words.about);
                let date = locale.date(words.about.date(), length, words.today);
                // The last day for booking has none.
                let time = if trigger == Trigger::PlanSessionUnbooked { &words.clinic } else { &time };
                // A link leaves no room for the telephone beside how long an offer lasts.
                let short = trigger == Trigger::WaitlistOffer && channel == Channel::Sms;
                let phone = if short { &words.clinic } else { &words.phone };
                for word in [&words.clinic, &date, time, phone] {
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
            let sms = shipped(trigger.as_str(), Channel::Sms, lang, &words).text;
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
        shipped("before_start", Channel::Sms, lang, &words).text
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
    assert_eq!(
        read(Lang::De),
        "Beispiel-Physio: Ihr Termin am Di. 10. März um 14:30 Uhr. Ändern: \
         https://book.example.org/v1/manage/AAAAAAAAAAAAAAAAAAAAAA Tel. +17805550100"
    );
}

#[test]
fn an_offer_that_ends_on_another_day_says_on_which() {
    let read = |lang| {
        let words = Words {
            until: "2026-09-29T11:33[America/Edmonton]".parse().ok(),
            today: jiff::civil::date(2026, 9, 29),
            ..long(lang)
        };
        let channels = [Channel::Sms, Channel::Email];
        let [sms, email] = channels.map(|channel| shipped("waitlist_offer", channel, lang, &words).text);
        let (encoding, count) = segments(&sms);
        assert!(encoding == Encoding::Gsm7 && count <= 2, "{sms}");
        sms + &email
    };
    for (lang, short, long) in [
        (Lang::En, "kept until 11:33 AM on Tue, Sep 29. ", "until 11:33 AM on Tuesday, September 29."),
        (Lang::Fr, "jusqu'à 11 h 33 le mar. 29 sept. ", "jusqu'à 11 h 33 le mardi 29 septembre."),
        (Lang::Es, "hasta las 11:33 del mar. 29 sep. ", "hasta las 11:33 del martes 29 de septiembre."),
        (Lang::De, "bis 11:33 Uhr am Di. 29. Sept. ", "bis 11:33 Uhr am Dienstag, 29. September."),
    ] {
        let said = read(lang);
        assert!(said.contains(short) && said.contains(long), "{said}");
    }
}

#[test]
fn a_clinics_own_text_is_checked_word_by_word() {
    let check = |sms: &str, email_subject: &str| {
        let mut faults = Faults::new();
        let template = Template { sms: sms.into(), email_subject: email_subject.into(), email_text: String::new() };
        texts().check(&mut faults, &template, &languages(Lang::En));
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
                let text = shipped(trigger.as_str(), channel, lang, &example(lang));
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
    let message = texts().render(&template, "booked", Channel::Email, &languages(Lang::En), &words).unwrap();
    assert_eq!(message.subject, "Visit Bcc: x@example.org");
}
