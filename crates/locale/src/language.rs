//! The languages of texts for patients, with the names of days and months. `lib.rs` orders them as a region does.

use jiff::civil::Date;

/// A language in which the product speaks to patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English: `Monday, March 9` or `Monday 9 March`.
    En,
    /// French: `lundi 9 mars`.
    Fr,
    /// Spanish: `lunes 9 de marzo`.
    Es,
    /// German: `Montag, 9. März`.
    De,
}

/// The length of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateLength {
    /// Written out, for e-mail.
    Long,
    /// Abbreviated, for text messages.
    Short,
}

const EN_DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const EN_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const FR_DAYS: [&str; 7] = ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"];
// `aout` as in the French spelling of 1990: `û` is not in the GSM alphabet.
const FR_MONTHS: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "aout",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];
const FR_MONTHS_SHORT: [&str; 12] =
    ["janv.", "févr.", "mars", "avril", "mai", "juin", "juill.", "aout", "sept.", "oct.", "nov.", "déc."];

const ES_DAYS: [&str; 7] = ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"];
// `sab.` without its accent: `á` is not in the GSM alphabet.
const ES_DAYS_SHORT: [&str; 7] = ["lun.", "mar.", "mié.", "jue.", "vie.", "sab.", "dom."];
const ES_MONTHS: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
];

const DE_DAYS: [&str; 7] = ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"];
const DE_MONTHS: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];
const DE_MONTHS_SHORT: [&str; 12] =
    ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."];

impl Language {
    /// All languages.
    pub const ALL: [Self; 4] = [Self::En, Self::Fr, Self::Es, Self::De];

    /// The language of a BCP 47 tag such as `fr-CA`; `None` for another language.
    pub fn of(tag: &str) -> Option<Self> {
        match primary_subtag(tag).as_str() {
            "en" => Some(Self::En),
            "fr" => Some(Self::Fr),
            "es" => Some(Self::Es),
            "de" => Some(Self::De),
            _ => None,
        }
    }

    /// Its BCP 47 tag.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::De => "de",
        }
    }

    /// The name of the weekday.
    pub fn weekday(self, date: Date, length: DateLength) -> String {
        let at = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
        match (self, length) {
            (Self::En, DateLength::Long) => EN_DAYS[at].to_owned(),
            (Self::En, DateLength::Short) => EN_DAYS[at][..3].to_owned(),
            (Self::Fr, DateLength::Long) => FR_DAYS[at].to_owned(),
            (Self::Fr, DateLength::Short) => format!("{}.", &FR_DAYS[at][..3]),
            (Self::Es, DateLength::Long) => ES_DAYS[at].to_owned(),
            (Self::Es, DateLength::Short) => ES_DAYS_SHORT[at].to_owned(),
            (Self::De, DateLength::Long) => DE_DAYS[at].to_owned(),
            (Self::De, DateLength::Short) => format!("{}.", &DE_DAYS[at][..2]),
        }
    }

    /// The name of the month.
    pub fn month(self, date: Date, length: DateLength) -> String {
        let at = usize::from(date.month().unsigned_abs()) - 1;
        match (self, length) {
            (Self::En, DateLength::Long) => EN_MONTHS[at].to_owned(),
            (Self::En, DateLength::Short) => EN_MONTHS[at][..3].to_owned(),
            (Self::Fr, DateLength::Long) => FR_MONTHS[at].to_owned(),
            (Self::Fr, DateLength::Short) => FR_MONTHS_SHORT[at].to_owned(),
            (Self::Es, DateLength::Long) => ES_MONTHS[at].to_owned(),
            (Self::Es, DateLength::Short) => format!("{}.", &ES_MONTHS[at][..3]),
            (Self::De, DateLength::Long) => DE_MONTHS[at].to_owned(),
            (Self::De, DateLength::Short) => DE_MONTHS_SHORT[at].to_owned(),
        }
    }
}

/// The primary language subtag of a BCP 47 tag, in lower case.
pub fn primary_subtag(tag: &str) -> String {
    tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}
