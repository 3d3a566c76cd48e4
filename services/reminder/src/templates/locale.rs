//! The locale of a message. A message has one language: text, subject and dates.

use domain::patient::Channel;
use locale::{Language, Locale, Regions};

use super::Template;

/// What selects the language and the locale of a message. Tags follow BCP 47; each may be empty.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LanguagePreferences<'a> {
    /// The patient's tag.
    pub(crate) patient: &'a str,
    /// The organisation's tag.
    pub(crate) organization: &'a str,
    /// The organisation's country, ISO 3166-1.
    pub(crate) country: &'a str,
    /// The location's IANA zone; rendering sets it from the date of the context.
    pub(crate) time_zone: &'a str,
    /// The tag of the rule with the own template.
    pub(crate) rule: &'a str,
}

impl LanguagePreferences<'_> {
    /// The language of a shipped template: the patient's, else the organisation's, else English.
    pub(crate) fn shipped(&self) -> Language {
        Language::of(self.patient).or(Language::of(self.organization)).unwrap_or(Language::En)
    }

    /// The locale of an example.
    pub(super) fn example(&self) -> Locale {
        self.locale(Some(self.shipped()), self.patient)
    }

    /// The locale of a message, and whether it uses the clinic's own template. That is in the rule's language, else in the
    /// organisation's. The parts that it leaves empty are shipped in that language; in a language without shipped templates,
    /// an incomplete own template is not used.
    pub(super) fn locale_for(&self, template: &Template, channel: Channel) -> (Locale, bool) {
        let parts = match channel {
            Channel::Sms => vec![&template.sms],
            Channel::Email => vec![&template.email_subject, &template.email_text],
        };
        let own = parts.iter().filter(|part| !part.is_empty()).count();
        let tag = if self.rule.is_empty() { self.organization } else { self.rule };
        match Language::of(tag) {
            _ if own == 0 => {}
            Some(lang) => return (self.locale(Some(lang), tag), true),
            None if tag.is_empty() => return (self.locale(Some(Language::En), ""), true),
            None if own == parts.len() => return (self.locale(None, tag), true),
            None => {}
        }
        let lang = self.shipped();
        let tag = if Language::of(self.patient).is_some() { self.patient } else { self.organization };
        (self.locale(Some(lang), tag), false)
    }

    /// The locale of a language in the region of its tag, else of the location, else of the organisation.
    fn locale(&self, lang: Option<Language>, tag: &str) -> Locale {
        let Self { organization, country, time_zone, .. } = *self;
        Locale::new(lang, Regions { tag, time_zone, organization, country })
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Zoned, civil::Date};
    use locale::DateLength;

    use super::*;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    /// Of a patient with this tag, in an organisation with this tag and country and a location in this zone.
    fn locale(patient: &str, organization: &str, country: &str, time_zone: &str) -> Locale {
        LanguagePreferences { patient, organization, country, time_zone, rule: "" }
            .locale_for(&Template::default(), Channel::Sms)
            .0
    }

    fn day_and_time(locale: Locale, length: DateLength, at: &Zoned) -> [String; 2] {
        [locale.date(at.date(), length, at.date()), locale.time(at)]
    }

    #[test]
    fn days_and_hours_read_as_people_say_them() {
        let (en, fr) = (locale("en", "", "", ""), locale("fr", "", "", ""));
        let cases = [
            ("2026-03-09T09:05[America/Edmonton]", ["Monday, March 9", "9:05 AM"], ["lundi 9 mars", "9 h 05"]),
            ("2026-08-01T00:00[Europe/London]", ["Saturday, August 1", "12:00 AM"], ["samedi 1er aout", "0 h"]),
            ("2026-12-13T12:00[UTC]", ["Sunday, December 13", "12:00 PM"], ["dimanche 13 décembre", "12 h"]),
            ("2026-02-18T23:55[UTC]", ["Wednesday, February 18", "11:55 PM"], ["mercredi 18 février", "23 h 55"]),
        ];
        for (instant, english, french) in cases {
            assert_eq!(day_and_time(en, DateLength::Long, &at(instant)), english);
            assert_eq!(day_and_time(fr, DateLength::Long, &at(instant)), french);
        }
        let late = at("2026-02-18T23:55[America/St_Johns]");
        assert_eq!(day_and_time(en, DateLength::Short, &late), ["Wed, Feb 18", "11:55 PM"]);
        assert_eq!(day_and_time(fr, DateLength::Short, &late), ["mer. 18 févr.", "23 h 55"]);
        let es = locale("es", "", "", "");
        assert_eq!(day_and_time(es, DateLength::Short, &late), ["mié. 18 feb.", "23:55"]);
        assert_eq!(day_and_time(es, DateLength::Long, &late), ["miércoles 18 de febrero", "23:55"]);
        let de = locale("de", "", "", "");
        assert_eq!(day_and_time(de, DateLength::Short, &late), ["Mi. 18. Feb.", "23:55 Uhr"]);
        assert_eq!(day_and_time(de, DateLength::Long, &late), ["Mittwoch, 18. Februar", "23:55 Uhr"]);
    }

    #[test]
    fn each_place_has_its_own_order_and_clock() {
        let afternoon = at("2026-03-09T14:30[UTC]");
        for (tags, expected) in [
            // The patient's own region, whatever the place.
            (["en-GB", "en", "US", "America/Denver"], ["Mon 9 Mar", "14:30"]),
            (["en_au", "", "", ""], ["Mon 9 Mar", "2:30 pm"]),
            (["en-Latn-NZ", "", "", ""], ["Mon 9 Mar", "2:30 pm"]),
            (["en-US", "en-GB", "GB", "Europe/London"], ["Mon, Mar 9", "2:30 PM"]),
            // Else the location's, else the organisation's.
            (["en", "en", "CA", "Europe/London"], ["Mon 9 Mar", "14:30"]),
            (["en", "en", "CA", "Australia/Sydney"], ["Mon 9 Mar", "2:30 pm"]),
            (["en", "en-GB", "US", ""], ["Mon 9 Mar", "14:30"]),
            (["", "en", "ZA", ""], ["Mon 9 Mar", "14:30"]),
            (["", "en", "CA", "America/Edmonton"], ["Mon, Mar 9", "2:30 PM"]),
            (["es", "en", "US", ""], ["lun. 9 mar.", "2:30 p.m."]),
            (["es-MX", "en", "US", ""], ["lun. 9 mar.", "2:30 p.m."]),
            (["es", "es", "ES", ""], ["lun. 9 mar.", "14:30"]),
            (["de-CH", "en", "US", ""], ["Mo. 9. März", "14:30 Uhr"]),
            (["fr-CA", "en", "CA", ""], ["lun. 9 mars", "14 h 30"]),
        ] {
            let [patient, organization, country, zone] = tags;
            let locale = locale(patient, organization, country, zone);
            assert_eq!(day_and_time(locale, DateLength::Short, &afternoon), expected, "{tags:?}");
        }
    }

    #[test]
    fn a_language_without_texts_falls_back_whole() {
        for (tags, lang, expected) in [
            (["it-IT", "fr-CA", "CA", ""], Language::Fr, ["lundi 9 mars", "14 h 30"]),
            (["it-IT", "en", "CA", ""], Language::En, ["Monday, March 9", "2:30 PM"]),
            // Nor has the organisation's any: English, on the clock of its country.
            (["nl", "nl-NL", "NL", ""], Language::En, ["Monday 9 March", "14:30"]),
            (["", "", "", ""], Language::En, ["Monday, March 9", "2:30 PM"]),
        ] {
            let [patient, organization, country, zone] = tags;
            let locale = locale(patient, organization, country, zone);
            assert_eq!(locale.language(), lang, "{tags:?}");
            assert_eq!(day_and_time(locale, DateLength::Long, &at("2026-03-09T14:30[UTC]")), expected, "{tags:?}");
        }
    }

    #[test]
    fn a_clinic_s_own_text_is_in_its_rule_s_language_or_in_the_organisation_s() {
        let languages =
            LanguagePreferences { patient: "fr", organization: "en", country: "US", ..LanguagePreferences::default() };
        let sms = Template { sms: "x".into(), ..Template::default() };
        let written = |languages: LanguagePreferences<'_>, template: &Template, channel| {
            let (locale, own) = languages.locale_for(template, channel);
            (locale.time(&at("2026-03-09T14:30[UTC]")), own)
        };
        assert_eq!(written(languages, &sms, Channel::Sms), ("2:30 PM".to_owned(), true));
        assert_eq!(written(languages, &sms, Channel::Email), ("14 h 30".to_owned(), false), "that is shipped");
        let german = LanguagePreferences { rule: "de-AT", ..languages };
        assert_eq!(written(german, &sms, Channel::Sms), ("14:30 Uhr".to_owned(), true));
        // A language without shipped words has digits; half a mail of it is none.
        let dutch = LanguagePreferences { rule: "nl", ..languages };
        let subject = Template { email_subject: "x".into(), ..Template::default() };
        assert_eq!(written(dutch, &sms, Channel::Sms), ("14:30".to_owned(), true));
        assert_eq!(written(dutch, &subject, Channel::Email), ("14 h 30".to_owned(), false));
    }

    #[test]
    fn an_end_on_another_day_names_its_day_and_a_far_day_its_year() {
        let (gb, day) = (locale("en-GB", "", "", ""), |text: &str| text.parse::<Date>().unwrap());
        let until = |visit, today| gb.until(&at("2026-03-04T10:00[UTC]"), day(visit), DateLength::Short, day(today));
        assert_eq!(until("2026-03-04", "2026-03-04"), "10:00");
        assert_eq!(until("2026-03-06", "2026-03-04"), "10:00 on Wed 4 Mar");
        assert_eq!(until("2026-03-04", "2026-03-03"), "10:00 on Wed 4 Mar");
        for (tag, short, long) in [
            ("en", "Mon, Mar 8, 2027", "Monday, March 8, 2027"),
            ("en-GB", "Mon 8 Mar 2027", "Monday 8 March 2027"),
            ("fr", "lun. 8 mars 2027", "lundi 8 mars 2027"),
            ("es", "lun. 8 mar. 2027", "lunes 8 de marzo de 2027"),
            ("de", "Mo. 8. März 2027", "Montag, 8. März 2027"),
        ] {
            let dated = |length| locale(tag, "", "", "").date(day("2027-03-08"), length, day("2026-03-09"));
            assert_eq!([dated(DateLength::Short), dated(DateLength::Long)], [short, long]);
        }
    }
}
