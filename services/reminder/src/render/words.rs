//! Dates and times in the words of a language.

use jiff::Zoned;

/// A language with shipped texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lang {
    /// English: `Monday, March 9`, `2:30 PM`.
    En,
    /// French: `lundi 9 mars`, `14 h 30`.
    Fr,
    /// Spanish: `lunes 9 de marzo`, `14:30`.
    Es,
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

impl Lang {
    /// Every language with shipped texts.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 3] = [Self::En, Self::Fr, Self::Es];

    /// The language of a BCP 47 tag, where texts are shipped for it: `fr-CA` is French.
    pub(crate) fn of(tag: &str) -> Option<Self> {
        match primary(tag).as_str() {
            "en" => Some(Self::En),
            "fr" => Some(Self::Fr),
            "es" => Some(Self::Es),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
            Self::Es => "es",
        }
    }

    /// A day in words, without the year: messages are about the next weeks.
    pub(crate) fn date(self, at: &Zoned, length: Length) -> String {
        let weekday = usize::from(at.weekday().to_monday_zero_offset().unsigned_abs());
        let month = usize::from(at.month().unsigned_abs()) - 1;
        let day = at.day();
        match (self, length) {
            (Self::En, Length::Long) => format!("{}, {} {day}", EN_DAYS[weekday], EN_MONTHS[month]),
            (Self::En, Length::Short) => format!("{}, {} {day}", &EN_DAYS[weekday][..3], &EN_MONTHS[month][..3]),
            (Self::Es, Length::Long) => format!("{} {day} de {}", ES_DAYS[weekday], ES_MONTHS[month]),
            (Self::Es, Length::Short) => format!("{} {day} {}.", ES_DAYS_SHORT[weekday], &ES_MONTHS[month][..3]),
            (Self::Fr, length) => {
                let ordinal = if day == 1 { "1er".to_owned() } else { day.to_string() };
                match length {
                    Length::Long => format!("{} {ordinal} {}", FR_DAYS[weekday], FR_MONTHS[month]),
                    Length::Short => format!("{}. {ordinal} {}", &FR_DAYS[weekday][..3], FR_MONTHS_SHORT[month]),
                }
            }
        }
    }

    /// A time of day in words.
    pub(crate) fn time(self, at: &Zoned) -> String {
        let (hour, minute) = (at.hour(), at.minute());
        match self {
            Self::En => {
                let half = if hour < 12 { "AM" } else { "PM" };
                format!("{}:{minute:02} {half}", (hour + 11) % 12 + 1)
            }
            Self::Es => format!("{hour}:{minute:02}"),
            Self::Fr if minute == 0 => format!("{hour} h"),
            Self::Fr => format!("{hour} h {minute:02}"),
        }
    }
}

/// The first part of a BCP 47 tag, in lower case.
pub(crate) fn primary(tag: &str) -> String {
    tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}

/// The language of a message: the patient's, else the organisation's, else English; the first that texts are shipped
/// for.
pub(crate) fn choose(patient: &str, organization: &str) -> Lang {
    [patient, organization].into_iter().find_map(Lang::of).unwrap_or(Lang::En)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    #[test]
    fn days_and_hours_read_as_people_say_them() {
        let cases = [
            ("2026-03-09T09:05[America/Edmonton]", "Monday, March 9", "9:05 AM", "lundi 9 mars", "9 h 05"),
            ("2026-08-01T00:00[Europe/London]", "Saturday, August 1", "12:00 AM", "samedi 1er aout", "0 h"),
            ("2026-12-13T12:00[Australia/Sydney]", "Sunday, December 13", "12:00 PM", "dimanche 13 décembre", "12 h"),
            (
                "2026-02-18T23:55[America/St_Johns]",
                "Wednesday, February 18",
                "11:55 PM",
                "mercredi 18 février",
                "23 h 55",
            ),
        ];
        for (instant, en_date, en_time, fr_date, fr_time) in cases {
            let at = at(instant);
            assert_eq!((Lang::En.date(&at, Length::Long), Lang::En.time(&at)), (en_date.into(), en_time.into()));
            assert_eq!((Lang::Fr.date(&at, Length::Long), Lang::Fr.time(&at)), (fr_date.into(), fr_time.into()));
        }
        let at = at("2026-02-18T23:55[America/St_Johns]");
        assert_eq!(Lang::En.date(&at, Length::Short), "Wed, Feb 18");
        assert_eq!(Lang::Fr.date(&at, Length::Short), "mer. 18 févr.");
        assert_eq!(Lang::Es.date(&at, Length::Short), "mié. 18 feb.");
        assert_eq!(Lang::Es.date(&at, Length::Long), "miércoles 18 de febrero");
        assert_eq!(Lang::Es.time(&at), "23:55");
    }

    #[test]
    fn the_patients_language_comes_first_then_the_organisations_then_english() {
        for (patient, organization, expected) in [
            ("fr-CA", "en", Lang::Fr),
            ("", "fr", Lang::Fr),
            ("de", "fr-CA", Lang::Fr),
            ("de", "", Lang::En),
            ("", "", Lang::En),
            ("en-GB", "fr", Lang::En),
            ("es-MX", "en", Lang::Es),
        ] {
            assert_eq!(choose(patient, organization), expected, "{patient} {organization}");
        }
    }
}
