//! Telephone numbers: parsed as people write them, stored in E.164 form.
//!
//! Trunk prefixes and lengths differ from country to country. The numbering plans are those of Google's libphonenumber (<https://github.com/google/libphonenumber>), in the crate `phonenumber`.

use std::{collections::HashMap, sync::LazyLock};

use phonenumber::{country, metadata::DATABASE};

/// The most characters of a telephone number as people write it.
pub const CHARS_MAX: usize = 40;
/// The most digits: an international prefix, a country code, a trunk zero and the 15 digits of E.164.
const DIGITS_MAX: usize = 20;

/// Why a text is not a telephone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// It holds characters other than digits and separators, or too few or too many digits.
    NotANumber,
    /// It ends in an extension, which E.164 cannot express and text messages cannot reach.
    Extension,
    /// It has no country code, and the caller named no country.
    NoCountry,
    /// The country's numbering plan has no such number.
    UnknownNumber,
}

impl ParseError {
    /// How to mend it, for people. Never repeats the number.
    pub fn detail(self, country: Option<&str>) -> String {
        let international = "in international form, such as +17805550123";
        match (self, country) {
            (Self::Extension, _) => "leave the extension out".to_owned(),
            (Self::UnknownNumber, Some(country)) => {
                format!("{country} has no such number: write it as it is dialled there, or {international}")
            }
            (_, Some(country)) => format!("write the number as it is dialled in {country}, or {international}"),
            (_, None) => format!("write the number {international}"),
        }
    }
}

/// Parses a telephone number in international form, or as it is dialled in a country (ISO 3166-1, two letters), and
/// returns its E.164 form.
///
/// # Errors
/// [`ParseError::NoCountry`] for a national number without a country; the other variants for a text that is no number.
pub fn parse(text: &str, country: Option<&str>) -> Result<String, ParseError> {
    let (plus, digits) = scan(text)?;
    if plus {
        return international(&digits).ok_or(ParseError::UnknownNumber);
    }
    let country = country.ok_or(ParseError::NoCountry)?;
    national(&digits, country).ok_or(ParseError::UnknownNumber)
}

/// Splits an E.164 number into its country code and the national number. Source of the codes: ITU-T E.164, annexed list of
/// assigned country codes.
pub fn split_country_code(e164: &str) -> Option<(&str, &str)> {
    let digits = e164.strip_prefix('+')?;
    let two = digits.get(..2)?.parse().ok()?;
    let length = match two {
        10..=19 | 70..=79 => 1,
        20 | 27 | 30..=34 | 36 | 39..=41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86 | 90..=95 | 98 => 2,
        _ => 3,
    };
    digits.split_at_checked(length)
}

/// The country (ISO 3166-1, two letters) of an IANA time zone; `None` for a zone without a country, such as UTC.
pub fn country_of_zone(name: &str) -> Option<&'static str> {
    static COUNTRIES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
        let lines = include_str!("data/zone_countries.txt").lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once(' '));
        pairs.flat_map(|(country, zones)| zones.split(' ').map(move |zone| (zone, country))).collect()
    });
    COUNTRIES.get(name).copied()
}

/// Whether a number (E.164) belongs to one of these countries (ISO 3166-1, two letters).
///
/// Several countries may share a country code: then the country whose numbering plan has the number decides, or, for a number
/// that no plan has, any country of the code. A number of no country, such as one of a satellite network (+881) or of an
/// international premium service (+979), belongs to none.
pub fn belongs_to(e164: &str, countries: &[impl AsRef<str>]) -> bool {
    let named = |country: &str| countries.iter().any(|known| known.as_ref().eq_ignore_ascii_case(country));
    let Ok(number) = phonenumber::parse(None, e164) else { return false };
    if let Some(country) = number.country().id() {
        return named(country.as_ref());
    }
    let plans = DATABASE.by_code(&number.code().value()).into_iter().flatten();
    plans.into_iter().any(|plan| named(plan.id()))
}

/// The ASCII digit for a decimal digit of the scripts in which people write telephone numbers.
pub fn digit(c: char) -> Option<char> {
    let zeros = ['0', '\u{660}', '\u{6f0}', '\u{966}', '\u{ff10}'];
    let value = zeros.into_iter().find_map(|zero| (c as u32).checked_sub(zero as u32).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}

/// Whether a character is a separator between digits: blanks, brackets, dots, strokes, dashes, and the invisible marks of
/// direction that address books add.
pub fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '(' | ')' | '[' | ']' | '.' | '/' | '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

/// Whether the text begins with a plus, and its digits.
fn scan(text: &str) -> Result<(bool, String), ParseError> {
    if text.chars().count() > CHARS_MAX {
        return Err(ParseError::NotANumber);
    }
    let text = text.trim_start_matches("tel:");
    let (mut plus, mut digits) = (false, String::new());
    for c in text.chars() {
        match digit(c) {
            Some(digit) => digits.push(digit),
            None if is_separator(c) => {}
            None if matches!(c, '+' | '\u{ff0b}') && digits.is_empty() && !plus => plus = true,
            None if digits.len() >= 6 && matches!(c, 'x' | 'X' | 'e' | 'E' | '#' | ';' | ',') => {
                return Err(ParseError::Extension);
            }
            None => return Err(ParseError::NotANumber),
        }
    }
    if (3..=DIGITS_MAX).contains(&digits.len()) { Ok((plus, digits)) } else { Err(ParseError::NotANumber) }
}

/// The number after a `+`. A number that no numbering plan knows is accepted, because plans grow, but without a misplaced
/// trunk prefix.
fn international(digits: &str) -> Option<String> {
    let typed = format!("+{digits}");
    let (code, national) = split_country_code(&typed)?;
    // The plans are consulted only for a possible trunk prefix: their first use in a process loads them, which is slow.
    let trunk = national.starts_with('0') || matches!((code, national.get(..1)), ("7", Some("8")) | ("1", Some("1")));
    let number: u16 = code.parse().ok()?;
    if !trunk || in_plan(number, national) {
        return e164(typed);
    }
    let parsed = phonenumber::parse(None, &typed).ok().map(|found| found.national().to_string());
    let without_trunk = || {
        let plans = DATABASE.by_code(&number).into_iter().flatten();
        plans.filter_map(|plan| national.strip_prefix(plan.national_prefix()?)).next().map(str::to_owned)
    };
    let corrected = parsed.filter(|national| in_plan(number, national)).or_else(without_trunk);
    e164(format!("+{code}{}", corrected.as_deref().unwrap_or(national)))
}

/// The number as it is dialled in a country: with the trunk prefix, with the international prefix, or with neither.
fn national(digits: &str, country: &str) -> Option<String> {
    let country: country::Id = country.parse().ok()?;
    let found = phonenumber::parse(Some(country), digits).ok()?;
    let (code, national) = (found.code().value(), found.national().to_string());
    in_plan(code, &national).then(|| format!("+{code}{national}")).and_then(e164)
}

/// Whether a numbering plan of this country code has numbers of this form.
fn in_plan(code: u16, national: &str) -> bool {
    let plans = DATABASE.by_code(&code).into_iter().flatten();
    plans.into_iter().any(|plan| plan.descriptors().general().is_match(national))
}

fn e164(text: String) -> Option<String> {
    crate::patient::is_e164(&text).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fictional numbers where the country reserves some: Ofcom's, NANPA's 555, ACMA's, ARCEP's and BNetzA's.
    #[test]
    fn numbers_parse_as_people_write_them() {
        for (text, country, expected) in [
            ("(780) 555-0123", Some("CA"), "+17805550123"),
            ("1-780-555-0123", Some("CA"), "+17805550123"),
            ("780.555.0123", Some("US"), "+17805550123"),
            ("(555) 123-4567", Some("US"), "+15551234567"),
            ("0161 496 0000", Some("GB"), "+441614960000"),
            ("07700 900999", Some("GB"), "+447700900999"),
            ("00 44 7700 900999", Some("GB"), "+447700900999"),
            ("011 44 7700 900999", Some("CA"), "+447700900999"),
            ("+44 0161 496 0000", None, "+441614960000"),
            ("+44 (0)161 496 0000", Some("CA"), "+441614960000"),
            ("\u{202a}+44 7700\u{a0}900999\u{202c}", None, "+447700900999"),
            ("tel:+1-780-555-0123", None, "+17805550123"),
            ("030 23125 000", Some("DE"), "+493023125000"),
            ("+49 (0)30 23125-000", None, "+493023125000"),
            ("01 99 00 12 34", Some("FR"), "+33199001234"),
            ("0491 570 156", Some("AU"), "+61491570156"),
            ("06 698 12345", Some("IT"), "+390669812345"),
            ("+39 06 698 12345", None, "+390669812345"),
            ("８ 912 345-67-89", Some("RU"), "+79123456789"),
            ("\u{660}\u{661}\u{660} 1234 5678", Some("EG"), "+201012345678"),
            // A number that no plan knows stays unchanged.
            ("+15550001111", None, "+15550001111"),
            ("+9991234567", None, "+9991234567"),
            ("+1 1 780 555 0123", None, "+17805550123"),
        ] {
            assert_eq!(parse(text, country).as_deref(), Ok(expected), "{text} in {country:?}");
            assert_eq!(parse(expected, None).as_deref(), Ok(expected), "an E.164 number parses to itself");
        }
    }

    #[test]
    fn an_error_names_the_mend_and_never_the_number() {
        for (text, country, expected) in [
            ("0161 496 0000", None, ParseError::NoCountry),
            ("0161 496 0000", Some("CA"), ParseError::UnknownNumber),
            ("496 0000", Some("GB"), ParseError::UnknownNumber),
            ("555-0123", Some("CA"), ParseError::UnknownNumber),
            ("780 555 0123 ext. 5", Some("CA"), ParseError::Extension),
            ("780-555-0123x5", Some("CA"), ParseError::Extension),
            ("none", Some("CA"), ParseError::NotANumber),
            ("1-800-FLOWERS", Some("US"), ParseError::NotANumber),
            ("+44+7700900999", None, ParseError::NotANumber),
            ("", Some("CA"), ParseError::NotANumber),
            ("+1999", None, ParseError::UnknownNumber),
            ("+17805550123123456", None, ParseError::UnknownNumber),
        ] {
            assert_eq!(parse(text, country), Err(expected), "{text} in {country:?}");
            assert!(text.is_empty() || !expected.detail(country).contains(text));
        }
    }

    #[test]
    fn a_number_has_its_countrys_code() {
        for (number, expected) in [
            ("+17805550123", ("1", "7805550123")),
            ("+447700900999", ("44", "7700900999")),
            ("+353201234567", ("353", "201234567")),
        ] {
            assert_eq!(split_country_code(number), Some(expected));
        }
        for length in 1..=3 {
            let codes = 10_u16.pow(length - 1)..10_u16.pow(length);
            for code in codes.filter(|code| DATABASE.by_code(code).is_some()) {
                assert_eq!(
                    split_country_code(&format!("+{code}5550123")).map(|parts| parts.0),
                    Some(&*code.to_string())
                );
            }
        }
    }

    #[test]
    fn a_number_belongs_to_the_country_that_has_it() {
        for (number, countries, expected) in [
            ("+17805550123", &["CA"][..], true),
            ("+17805550123", &["US"], false),
            ("+12125550123", &["CA"], false),
            ("+12125550123", &["ca", "us"], true),
            // Jamaica shares the country code of Canada, and its calls cost what international ones do.
            ("+18765550123", &["CA", "US"], false),
            // No plan has it: any country of the code.
            ("+15550001111", &["CA"], true),
            ("+15550001111", &["GB"], false),
            ("+447700900999", &["GB"], true),
            ("+5352345678", &["CA", "US"], false),
            ("+8816315551234", &["CA", "US"], false),
            ("+979123456789", &["CA", "US"], false),
            ("+9991234567", &["CA"], false),
            ("+17805550123", &[], false),
        ] {
            assert_eq!(belongs_to(number, countries), expected, "{number} in {countries:?}");
        }
    }

    #[test]
    fn a_zone_lies_in_a_country() {
        for (zone, country) in [
            ("America/Edmonton", Some("CA")),
            ("Europe/London", Some("GB")),
            ("US/Mountain", Some("US")),
            ("Asia/Calcutta", Some("IN")),
            ("UTC", None),
            ("Mars/Olympus", None),
        ] {
            assert_eq!(country_of_zone(zone), country, "{zone}");
        }
    }
}
