//! Dates and times as the people of a region read them, in the languages in which the product speaks to patients. Pure.
//!
//! Source of the formats: Unicode CLDR 47 (`en_GB` is `Mon 9 Mar` and `14:30`, `en_AU` `2:30 pm`, `en_US` `Mon, Mar 9` and
//! `2:30 PM`, `es_MX` `2:30 p.m.`).

#![warn(clippy::unwrap_used)]

mod language;

use std::borrow::Cow;

use jiff::{Zoned, civil::Date};

pub use crate::language::{DateLength, Language, primary_subtag};

/// A more distant day gets its year.
const YEAR_AFTER_DAYS: i32 = 300;

/// Regions where English puts the month first and the clock has twelve hours, `2:30 PM`.
const EN_MONTH_FIRST: &[&str] = &["AS", "CA", "GU", "MH", "MP", "PH", "PR", "UM", "US", "VI", ""];
/// Regions where English puts the day first and the clock has twelve hours, `2:30 pm`.
const EN_TWELVE_HOURS: &[&str] = &[
    "AE", "AG", "AU", "BB", "BM", "BS", "CY", "DM", "ER", "FJ", "FM", "GD", "GH", "GM", "GY", "HK", "IN", "JM", "KI",
    "KN", "KY", "LC", "LR", "LS", "MO", "MW", "MY", "NA", "NZ", "PG", "PK", "PW", "SB", "SD", "SG", "SL", "SS", "SZ",
    "TC", "TO", "TT", "VC", "VU", "WS",
];
/// Regions where the clock of Spanish has twelve hours, `2:30 p.m.`.
const ES_TWELVE_HOURS: &[&str] =
    &["419", "BO", "CO", "CR", "CU", "DO", "EC", "GT", "HN", "MX", "NI", "PA", "PE", "PH", "PR", "SV", "US", "VE"];

/// The sources of the region of a text. Tags follow BCP 47; each may be empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Regions<'a> {
    /// The tag of the text's language, which comes first.
    pub tag: &'a str,
    /// The location's IANA zone, which comes next.
    pub time_zone: &'a str,
    /// The organisation's tag.
    pub organization: &'a str,
    /// The organisation's country, ISO 3166-1.
    pub country: &'a str,
}

/// The region subtag in upper case: `GB` of `en-GB`, `419` of `es-419`.
fn region(tag: &str) -> Option<String> {
    let is_region = |part: &&str| match part.len() {
        2 => part.bytes().all(|b| b.is_ascii_alphabetic()),
        3 => part.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    };
    tag.split(['-', '_']).skip(1).find(is_region).map(str::to_ascii_uppercase)
}

/// The region whose formats a zone outside North America uses; a location has no country of its own.
fn region_of_zone(zone: &str) -> Option<&'static str> {
    Some(match zone {
        "Europe/Dublin" => "IE",
        "Pacific/Auckland" | "Pacific/Chatham" => "NZ",
        zone if zone.starts_with("Australia/") => "AU",
        zone if zone.starts_with("Europe/") => "GB",
        _ => return None,
    })
}

/// The order of day and month, and the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    MonthFirst,
    TwelveHours,
    TwentyFourHours,
}

/// A language in the format of a region. Without a language, dates are `2026-03-09` and times `14:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locale {
    lang: Option<Language>,
    form: Form,
}

impl Locale {
    /// The locale of a language in the first region that is named. Without a language, dates and times are digits.
    pub fn new(lang: Option<Language>, regions: Regions<'_>) -> Self {
        let country = Some(regions.country.to_ascii_uppercase()).filter(|country| !country.is_empty());
        let location = region_of_zone(regions.time_zone).map(str::to_owned);
        let region = region(regions.tag).or(location).or_else(|| region(regions.organization)).or(country);
        let region = region.unwrap_or_default();
        let form = match lang {
            Some(Language::En) if EN_MONTH_FIRST.contains(&region.as_str()) => Form::MonthFirst,
            Some(Language::En) if EN_TWELVE_HOURS.contains(&region.as_str()) => Form::TwelveHours,
            Some(Language::Es) if ES_TWELVE_HOURS.contains(&region.as_str()) => Form::TwelveHours,
            _ => Form::TwentyFourHours,
        };
        Self { lang, form }
    }

    /// The language; English where there is none.
    pub fn language(self) -> Language {
        self.lang.unwrap_or(Language::En)
    }

    /// A date for a text that is read on `today`; a distant one has its year.
    pub fn date(self, date: Date, length: DateLength, today: Date) -> String {
        let Some(lang) = self.lang else { return date.to_string() };
        let (weekday, month, day) = (lang.weekday(date, length), lang.month(date, length), date.day());
        let is_distant = date.duration_since(today).as_hours().abs() / 24 > i64::from(YEAR_AFTER_DAYS);
        let year = |before: &str| if is_distant { format!("{before}{}", date.year()) } else { String::new() };
        match (lang, self.form, length) {
            (Language::En, Form::MonthFirst, _) => format!("{weekday}, {month} {day}{}", year(", ")),
            (Language::En, ..) => format!("{weekday} {day} {month}{}", year(" ")),
            (Language::Es, _, DateLength::Long) => format!("{weekday} {day} de {month}{}", year(" de ")),
            (Language::Fr, ..) => {
                let day = if day == 1 { Cow::from("1er") } else { day.to_string().into() };
                format!("{weekday} {day} {month}{}", year(" "))
            }
            (Language::De, _, DateLength::Long) => format!("{weekday}, {day}. {month}{}", year(" ")),
            (Language::De, ..) => format!("{weekday} {day}. {month}{}", year(" ")),
            (Language::Es, ..) => format!("{weekday} {day} {month}{}", year(" ")),
        }
    }

    /// A time of day.
    pub fn time(self, at: &Zoned) -> String {
        let (hour, minute) = (at.hour(), at.minute());
        let twelve = (hour + 11) % 12 + 1;
        let half_of_day = |[morning, afternoon]: [&'static str; 2]| if hour < 12 { morning } else { afternoon };
        match (self.lang, self.form) {
            (Some(Language::En), Form::MonthFirst) => format!("{twelve}:{minute:02} {}", half_of_day(["AM", "PM"])),
            (Some(Language::En), Form::TwelveHours) => format!("{twelve}:{minute:02} {}", half_of_day(["am", "pm"])),
            (Some(Language::Es), Form::TwelveHours) => {
                format!("{twelve}:{minute:02} {}", half_of_day(["a.m.", "p.m."]))
            }
            (Some(Language::Es), _) => format!("{hour}:{minute:02}"),
            (Some(Language::Fr), _) if minute == 0 => format!("{hour} h"),
            (Some(Language::Fr), _) => format!("{hour} h {minute:02}"),
            (Some(Language::De), _) => format!("{hour}:{minute:02} Uhr"),
            (Some(Language::En) | None, _) => format!("{hour:02}:{minute:02}"),
        }
    }

    /// A time of expiry, for a text that is read on `today` about a visit on `visit`; with its date where the three days
    /// differ.
    pub fn until(self, at: &Zoned, visit: Date, length: DateLength, today: Date) -> String {
        let (date, time) = (at.date(), self.time(at));
        if date == today && date == visit {
            return time;
        }
        let date = self.date(date, length, today);
        match self.lang {
            Some(Language::En) => format!("{time} on {date}"),
            Some(Language::Fr) => format!("{time} le {date}"),
            Some(Language::Es) => format!("{time} del {date}"),
            Some(Language::De) => format!("{time} am {date}"),
            None => format!("{date} {time}"),
        }
    }
}
