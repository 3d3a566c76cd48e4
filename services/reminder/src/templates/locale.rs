//! How days and times are written: in which language, and in the order and on the clock of which place.
//!
//! What a place writes is that of the Unicode CLDR 47 (`en_GB` is `Mon 9 Mar` and `14:30`, `en_AU` `2:30 pm`, `en_US`
//! `Mon, Mar 9` and `2:30 PM`, `es_MX` `2:30 p.m.`). A message is in one language as a whole: text, subject and days.

use std::borrow::Cow;

use domain::patient::Channel;
use jiff::{Zoned, civil::Date};

use super::language::{Lang, Length};
use crate::rules::Template;

/// A day further off than this is named with its year, in days.
const YEAR_AFTER_DAYS: i32 = 300;

/// Where English puts the month first and the clock has twelve hours, `2:30 PM`.
const EN_MONTH_FIRST: &[&str] = &["AS", "CA", "GU", "MH", "MP", "PH", "PR", "UM", "US", "VI", ""];
/// Where English puts the day first and the clock has twelve hours, `2:30 pm`.
const EN_TWELVE_HOURS: &[&str] = &[
    "AE", "AG", "AU", "BB", "BM", "BS", "CY", "DM", "ER", "FJ", "FM", "GD", "GH", "GM", "GY", "HK", "IN", "JM", "KI",
    "KN", "KY", "LC", "LR", "LS", "MO", "MW", "MY", "NA", "NZ", "PG", "PK", "PW", "SB", "SD", "SG", "SL", "SS", "SZ",
    "TC", "TO", "TT", "VC", "VU", "WS",
];
/// Where Spanish is written with a clock of twelve hours, `2:30 p.m.`.
const ES_TWELVE_HOURS: &[&str] =
    &["419", "BO", "CO", "CR", "CU", "DO", "EC", "GT", "HN", "MX", "NI", "PA", "PE", "PH", "PR", "SV", "US", "VE"];

/// What decides how a message is written; tags are of BCP 47, and each may be empty.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Languages<'a> {
    /// The patient's tag.
    pub(crate) patient: &'a str,
    /// The organisation's tag.
    pub(crate) organization: &'a str,
    /// The organisation's country, ISO 3166-1.
    pub(crate) country: &'a str,
    /// The location's zone, IANA; set where a text is made, from its own times.
    pub(crate) time_zone: &'a str,
    /// The tag of the rule whose own text it is.
    pub(crate) rule: &'a str,
}

impl Languages<'_> {
    /// The language of a shipped text: the patient's, else the organisation's, else English; the first that texts are
    /// shipped for.
    pub(crate) fn shipped(&self) -> Lang {
        Lang::of(self.patient).or(Lang::of(self.organization)).unwrap_or(Lang::En)
    }

    /// How an example of a text is written.
    pub(super) fn example(&self) -> Locale {
        self.locale(Some(self.shipped()), self.patient)
    }

    /// How a message with a clinic's own template is written, and whether its own texts are used. They are in the rule's
    /// language, else in the organisation's. What a template leaves out is shipped in that language, so a template that
    /// leaves out a part in a language without shipped texts gives none.
    pub(super) fn of(&self, template: &Template, channel: Channel) -> (Locale, bool) {
        let parts = match channel {
            Channel::Sms => vec![&template.sms],
            Channel::Email => vec![&template.email_subject, &template.email_text],
        };
        let own = parts.iter().filter(|part| !part.is_empty()).count();
        let tag = if self.rule.is_empty() { self.organization } else { self.rule };
        match Lang::of(tag) {
            _ if own == 0 => {}
            Some(lang) => return (self.locale(Some(lang), tag), true),
            None if tag.is_empty() => return (self.locale(Some(Lang::En), ""), true),
            None if own == parts.len() => return (self.locale(None, tag), true),
            None => {}
        }
        let lang = self.shipped();
        let tag = if Lang::of(self.patient).is_some() { self.patient } else { self.organization };
        (self.locale(Some(lang), tag), false)
    }

    /// A language in the region that its tag names, else that of the location, else that of the organisation.
    fn locale(&self, lang: Option<Lang>, tag: &str) -> Locale {
        let country = Some(self.country.to_ascii_uppercase()).filter(|country| !country.is_empty());
        let place = region_of_zone(self.time_zone).map(str::to_owned);
        let region = region(tag).or(place).or_else(|| region(self.organization)).or(country).unwrap_or_default();
        let form = match lang {
            Some(Lang::En) if EN_MONTH_FIRST.contains(&region.as_str()) => Form::MonthFirst,
            Some(Lang::En) if EN_TWELVE_HOURS.contains(&region.as_str()) => Form::TwelveHours,
            Some(Lang::Es) if ES_TWELVE_HOURS.contains(&region.as_str()) => Form::TwelveHours,
            _ => Form::TwentyFourHours,
        };
        Locale { lang, form }
    }
}

/// The region that a tag names, in capitals: `GB` of `en-GB`, `419` of `es-419`.
fn region(tag: &str) -> Option<String> {
    let is_region = |part: &&str| match part.len() {
        2 => part.bytes().all(|b| b.is_ascii_alphabetic()),
        3 => part.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    };
    tag.split(['-', '_']).skip(1).find(is_region).map(str::to_ascii_uppercase)
}

/// The region of a zone whose clocks are not those of North America, as far as the shipped languages are spoken there.
fn region_of_zone(zone: &str) -> Option<&'static str> {
    Some(match zone {
        "Europe/Dublin" => "IE",
        "Pacific/Auckland" | "Pacific/Chatham" => "NZ",
        zone if zone.starts_with("Australia/") => "AU",
        zone if zone.starts_with("Europe/") => "GB",
        _ => return None,
    })
}

/// The order and the clock of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    MonthFirst,
    TwelveHours,
    TwentyFourHours,
}

/// A language as a place writes it; without a language, digits alone: `2026-03-09` and `14:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Locale {
    lang: Option<Lang>,
    form: Form,
}

impl Locale {
    /// The language of shipped texts beside it.
    pub(super) fn shipped(self) -> Lang {
        self.lang.unwrap_or(Lang::En)
    }

    /// A day in words, for a message that is read on `today`: with its year where that is not plain.
    pub(super) fn date(self, date: Date, length: Length, today: Date) -> String {
        let Some(lang) = self.lang else { return date.to_string() };
        let (weekday, month, day) = (lang.weekday(date, length), lang.month(date, length), date.day());
        let far = date.duration_since(today).as_hours().abs() / 24 > i64::from(YEAR_AFTER_DAYS);
        let year = |before: &str| if far { format!("{before}{}", date.year()) } else { String::new() };
        match (lang, self.form, length) {
            (Lang::En, Form::MonthFirst, _) => format!("{weekday}, {month} {day}{}", year(", ")),
            (Lang::En, ..) => format!("{weekday} {day} {month}{}", year(" ")),
            (Lang::Es, _, Length::Long) => format!("{weekday} {day} de {month}{}", year(" de ")),
            (Lang::Fr, ..) => {
                let day = if day == 1 { Cow::from("1er") } else { day.to_string().into() };
                format!("{weekday} {day} {month}{}", year(" "))
            }
            (Lang::De, _, Length::Long) => format!("{weekday}, {day}. {month}{}", year(" ")),
            (Lang::De, ..) => format!("{weekday} {day}. {month}{}", year(" ")),
            (Lang::Es, ..) => format!("{weekday} {day} {month}{}", year(" ")),
        }
    }

    /// A time of day in words.
    pub(super) fn time(self, at: &Zoned) -> String {
        let (hour, minute) = (at.hour(), at.minute());
        let twelve = (hour + 11) % 12 + 1;
        let half = |[morning, afternoon]: [&'static str; 2]| if hour < 12 { morning } else { afternoon };
        match (self.lang, self.form) {
            (Some(Lang::En), Form::MonthFirst) => format!("{twelve}:{minute:02} {}", half(["AM", "PM"])),
            (Some(Lang::En), Form::TwelveHours) => format!("{twelve}:{minute:02} {}", half(["am", "pm"])),
            (Some(Lang::Es), Form::TwelveHours) => format!("{twelve}:{minute:02} {}", half(["a.m.", "p.m."])),
            (Some(Lang::Es), _) => format!("{hour}:{minute:02}"),
            (Some(Lang::Fr), _) if minute == 0 => format!("{hour} h"),
            (Some(Lang::Fr), _) => format!("{hour} h {minute:02}"),
            (Some(Lang::De), _) => format!("{hour}:{minute:02} Uhr"),
            (Some(Lang::En) | None, _) => format!("{hour:02}:{minute:02}"),
        }
    }

    /// A time until which something holds, for a message that is read on `today` and tells of a visit on another day
    /// perhaps: where all three are not of one day, its day is named.
    pub(super) fn until(self, at: &Zoned, visit: Date, length: Length, today: Date) -> String {
        let (date, time) = (at.date(), self.time(at));
        if date == today && date == visit {
            return time;
        }
        let date = self.date(date, length, today);
        match self.lang {
            Some(Lang::En) => format!("{time} on {date}"),
            Some(Lang::Fr) => format!("{time} le {date}"),
            Some(Lang::Es) => format!("{time} del {date}"),
            Some(Lang::De) => format!("{time} am {date}"),
            None => format!("{date} {time}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    /// Of a patient with this tag, in an organisation with this tag and country and a location in this zone.
    fn locale(patient: &str, organization: &str, country: &str, time_zone: &str) -> Locale {
        Languages { patient, organization, country, time_zone, rule: "" }.of(&Template::default(), Channel::Sms).0
    }

    fn day_and_time(locale: Locale, length: Length, at: &Zoned) -> [String; 2] {
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
            assert_eq!(day_and_time(en, Length::Long, &at(instant)), english);
            assert_eq!(day_and_time(fr, Length::Long, &at(instant)), french);
        }
        let late = at("2026-02-18T23:55[America/St_Johns]");
        assert_eq!(day_and_time(en, Length::Short, &late), ["Wed, Feb 18", "11:55 PM"]);
        assert_eq!(day_and_time(fr, Length::Short, &late), ["mer. 18 févr.", "23 h 55"]);
        let es = locale("es", "", "", "");
        assert_eq!(day_and_time(es, Length::Short, &late), ["mié. 18 feb.", "23:55"]);
        assert_eq!(day_and_time(es, Length::Long, &late), ["miércoles 18 de febrero", "23:55"]);
        let de = locale("de", "", "", "");
        assert_eq!(day_and_time(de, Length::Short, &late), ["Mi. 18. Feb.", "23:55 Uhr"]);
        assert_eq!(day_and_time(de, Length::Long, &late), ["Mittwoch, 18. Februar", "23:55 Uhr"]);
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
            assert_eq!(day_and_time(locale, Length::Short, &afternoon), expected, "{tags:?}");
        }
    }

    #[test]
    fn a_language_without_texts_falls_back_whole() {
        for (tags, lang, expected) in [
            (["it-IT", "fr-CA", "CA", ""], Lang::Fr, ["lundi 9 mars", "14 h 30"]),
            (["it-IT", "en", "CA", ""], Lang::En, ["Monday, March 9", "2:30 PM"]),
            // Nor has the organisation's any: English, on the clock of its country.
            (["nl", "nl-NL", "NL", ""], Lang::En, ["Monday 9 March", "14:30"]),
            (["", "", "", ""], Lang::En, ["Monday, March 9", "2:30 PM"]),
        ] {
            let [patient, organization, country, zone] = tags;
            let locale = locale(patient, organization, country, zone);
            assert_eq!(locale.shipped(), lang, "{tags:?}");
            assert_eq!(day_and_time(locale, Length::Long, &at("2026-03-09T14:30[UTC]")), expected, "{tags:?}");
        }
    }

    #[test]
    fn a_clinic_s_own_text_is_in_its_rule_s_language_or_in_the_organisation_s() {
        let languages = Languages { patient: "fr", organization: "en", country: "US", ..Languages::default() };
        let sms = Template { sms: "x".into(), ..Template::default() };
        let written = |languages: Languages<'_>, template: &Template, channel| {
            let (locale, own) = languages.of(template, channel);
            (locale.time(&at("2026-03-09T14:30[UTC]")), own)
        };
        assert_eq!(written(languages, &sms, Channel::Sms), ("2:30 PM".to_owned(), true));
        assert_eq!(written(languages, &sms, Channel::Email), ("14 h 30".to_owned(), false), "that is shipped");
        let german = Languages { rule: "de-AT", ..languages };
        assert_eq!(written(german, &sms, Channel::Sms), ("14:30 Uhr".to_owned(), true));
        // A language without shipped words has digits; half a mail of it is none.
        let dutch = Languages { rule: "nl", ..languages };
        let subject = Template { email_subject: "x".into(), ..Template::default() };
        assert_eq!(written(dutch, &sms, Channel::Sms), ("14:30".to_owned(), true));
        assert_eq!(written(dutch, &subject, Channel::Email), ("14 h 30".to_owned(), false));
    }

    #[test]
    fn an_end_on_another_day_names_its_day_and_a_far_day_its_year() {
        let (gb, day) = (locale("en-GB", "", "", ""), |text: &str| text.parse::<Date>().unwrap());
        let until = |visit, today| gb.until(&at("2026-03-04T10:00[UTC]"), day(visit), Length::Short, day(today));
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
            assert_eq!([dated(Length::Short), dated(Length::Long)], [short, long]);
        }
    }
}
