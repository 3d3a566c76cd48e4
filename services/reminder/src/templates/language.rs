//! Dates and times in the words of a language. How a place orders them is in `locale.rs`.

use jiff::civil::Date;

/// A language with shipped texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lang {
    /// English: `Monday, March 9` or `Monday 9 March`.
    En,
    /// French: `lundi 9 mars`.
    Fr,
    /// Spanish: `lunes 9 de marzo`.
    Es,
    /// German: `Montag, 9. März`.
    De,
}

/// Whether a date is written out or short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// For e-mail.
    Long,
    /// For text messages.
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
// `aout` without its accent, as the spelling of 1990 has it: `û` is not in the alphabet of SMS.
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
// `sab.` without its accent: `á` is not in the alphabet of SMS.
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

impl Lang {
    /// Every language with shipped texts.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 4] = [Self::En, Self::Fr, Self::Es, Self::De];

    /// The language of a BCP 47 tag, where texts are shipped for it: `fr-CA` is French.
    pub(crate) fn of(tag: &str) -> Option<Self> {
        match primary(tag).as_str() {
            "en" => Some(Self::En),
            "fr" => Some(Self::Fr),
            "es" => Some(Self::Es),
            "de" => Some(Self::De),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::De => "de",
        }
    }

    /// A weekday, written out or short.
    pub(super) fn weekday(self, date: Date, length: Length) -> String {
        let at = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
        match (self, length) {
            (Self::En, Length::Long) => EN_DAYS[at].to_owned(),
            (Self::En, Length::Short) => EN_DAYS[at][..3].to_owned(),
            (Self::Fr, Length::Long) => FR_DAYS[at].to_owned(),
            (Self::Fr, Length::Short) => format!("{}.", &FR_DAYS[at][..3]),
            (Self::Es, Length::Long) => ES_DAYS[at].to_owned(),
            (Self::Es, Length::Short) => ES_DAYS_SHORT[at].to_owned(),
            (Self::De, Length::Long) => DE_DAYS[at].to_owned(),
            (Self::De, Length::Short) => format!("{}.", &DE_DAYS[at][..2]),
        }
    }

    /// A month, written out or short.
    pub(super) fn month(self, date: Date, length: Length) -> String {
        let at = usize::from(date.month().unsigned_abs()) - 1;
        match (self, length) {
            (Self::En, Length::Long) => EN_MONTHS[at].to_owned(),
            (Self::En, Length::Short) => EN_MONTHS[at][..3].to_owned(),
            (Self::Fr, Length::Long) => FR_MONTHS[at].to_owned(),
            (Self::Fr, Length::Short) => FR_MONTHS_SHORT[at].to_owned(),
            (Self::Es, Length::Long) => ES_MONTHS[at].to_owned(),
            (Self::Es, Length::Short) => format!("{}.", &ES_MONTHS[at][..3]),
            (Self::De, Length::Long) => DE_MONTHS[at].to_owned(),
            (Self::De, Length::Short) => DE_MONTHS_SHORT[at].to_owned(),
        }
    }
}

/// The first part of a BCP 47 tag, in lower case.
pub(crate) fn primary(tag: &str) -> String {
    tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}
