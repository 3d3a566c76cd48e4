//! The words by which patients are found, and the words that a query asks for.
//!
//! Each patient has words in `patient_words`: those of the names, folded (see `domain::fold`), the e-mail addresses, the date of
//! birth and three of each telephone number, the contacts' among them, and the numbers in other systems; and the beginnings of names and e-mail address, so that one or two letters, which
//! thousands of patients match, are looked up as a word of their own. A query matches the beginnings of words, so an index
//! answers it.

use domain::{fold, patient::Record, phone};

use crate::store::patient_search::{Term, WordMatch};

/// Terms of a query that count; the others are ignored.
const TERMS_MAX: usize = 10;
/// Fewest digits that may be a part of a telephone number.
const PHONE_DIGITS_MIN: usize = 3;
/// The letters of the longest beginning that is a word of its own.
const BEGINNING_MAX: usize = 3;

// First characters of words that are no words of a name.
const INTERNATIONAL: char = '+';
const NATIONAL: char = '#';
const REVERSED: char = '~';
const BORN: char = '@';
const BEGINNING: char = '^';
const EXTERNAL: char = '=';

/// The words of a patient, sorted, each once.
pub(crate) fn words(record: &Record) -> Vec<String> {
    let (details, staff) = (&record.details, &record.staff);
    let mut words = fold::words(&details.given_name);
    words.extend(fold::words(&details.family_name));
    let emails = staff.contacts.iter().filter_map(|contact| contact.email.as_deref());
    words.extend(details.email.as_deref().into_iter().chain(emails).map(str::to_lowercase));
    words.extend(staff.identifiers.iter().map(|identifier| identifier.value.to_lowercase()));
    let beginnings: Vec<String> = words.iter().flat_map(|word| beginnings(word)).collect();
    words.extend(beginnings);
    words.extend(details.date_of_birth.map(|date| date.strftime("@%Y%m%d").to_string()));
    words.extend(staff.external_id.as_deref().map(external));
    let phones = details.phone.iter().chain(staff.contacts.iter().filter_map(|contact| contact.phone.as_ref()));
    for (code, national) in phones.filter_map(|phone| phone::split_country_code(phone)) {
        words.push(format!("{INTERNATIONAL}{code}{national}"));
        words.push(format!("{NATIONAL}{national}"));
        words.push(reversed(&format!("{code}{national}")));
    }
    words.sort_unstable();
    words.dedup();
    words
}

/// The beginnings of a word of one to three letters.
fn beginnings(word: &str) -> impl Iterator<Item = String> + '_ {
    (1..=BEGINNING_MAX).map(|letters| std::iter::once(BEGINNING).chain(word.chars().take(letters)).collect())
}

fn external(id: &str) -> String {
    format!("{EXTERNAL}{id}")
}

/// Matches exactly this id of another system.
pub(crate) fn with_external_id(id: &str) -> Term {
    let word = external(id);
    Term { any_of: vec![WordMatch::Is(word.clone())], whole: vec![word] }
}

/// Matches exactly this telephone number (E.164) or e-mail address.
pub(crate) fn at_address(address: &str) -> Vec<Term> {
    let word = address.to_lowercase();
    vec![Term { any_of: vec![WordMatch::Is(word.clone())], whole: vec![word] }]
}

/// The terms of a query, which a patient must match all. Empty for a blank query; one term that nobody matches for a query
/// without a letter or digit.
pub(crate) fn terms(query: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut number = String::new();
    for word in query.split_whitespace() {
        if let Some(dates) = dates(word) {
            let whole: Vec<String> = dates.into_iter().map(|date| format!("{BORN}{date}")).collect();
            terms.push(Term { any_of: whole.iter().cloned().map(WordMatch::Is).collect(), whole });
        } else if let Some(digits) = digits(word) {
            // Consecutive numbers are one number with blanks in it.
            number.push_str(&digits);
            continue;
        } else if word.chars().any(char::is_alphanumeric) {
            terms.extend(named(word));
        }
        terms.extend(numbered(&std::mem::take(&mut number)));
    }
    terms.extend(numbered(&number));
    terms.truncate(TERMS_MAX);
    if terms.is_empty() && !query.trim().is_empty() { vec![Term::default()] } else { terms }
}

/// A word of a name, which may be several, or an e-mail address.
fn named(word: &str) -> Vec<Term> {
    if word.chars().skip(1).any(|c| c == '@') {
        let word = word.to_lowercase();
        return vec![Term { any_of: vec![WordMatch::Starts(word.clone())], whole: vec![word] }];
    }
    let term = |word: String| {
        let is_short = word.chars().nth(BEGINNING_MAX).is_none();
        let begins =
            if is_short { WordMatch::Is(format!("{BEGINNING}{word}")) } else { WordMatch::Starts(word.clone()) };
        Term { any_of: vec![begins], whole: vec![word] }
    };
    fold::query_words(word).into_iter().map(term).collect()
}

/// A number: a part of a name, the beginning or the end of a telephone number in one of its forms, or a date of birth or its
/// year.
fn numbered(digits: &str) -> Option<Term> {
    if digits.is_empty() {
        return None;
    }
    let (mut starts, mut ends) = (vec![digits.to_owned()], Vec::new());
    if matches!(digits.len(), 4..=8) {
        starts.push(format!("{BORN}{digits}"));
    }
    if digits.len() >= PHONE_DIGITS_MIN {
        let without_zeros = digits.trim_start_matches('0');
        let mut forms = vec![digits.to_owned()];
        if without_zeros != digits {
            forms.push(without_zeros.to_owned());
        }
        if let Ok(e164) = phone::parse(&format!("+{without_zeros}"), None) {
            forms.push(e164[1..].to_owned());
        }
        forms.dedup();
        for form in forms.iter().filter(|form| form.len() >= PHONE_DIGITS_MIN) {
            starts.push(format!("{INTERNATIONAL}{form}"));
            starts.push(format!("{NATIONAL}{form}"));
        }
        ends.push(reversed(digits));
        // Zeros at the beginning are a trunk prefix only before a whole number.
        if without_zeros != digits && without_zeros.len() >= 7 {
            ends.push(reversed(without_zeros));
        }
        // Trunk prefixes of other digits, such as Russia's 8.
        if digits.len() >= 10 {
            ends.push(reversed(&digits[1..]));
        }
    }
    let any_of = starts.iter().chain(&ends).cloned().map(WordMatch::Starts).collect();
    Some(Term { any_of, whole: starts })
}

fn reversed(digits: &str) -> String {
    std::iter::once(REVERSED).chain(digits.chars().rev()).collect()
}

/// The digits of a word that holds only digits and the marks of telephone numbers.
fn digits(word: &str) -> Option<String> {
    let mut digits = String::new();
    for c in word.chars() {
        match phone::digit(c) {
            Some(digit) => digits.push(digit),
            None if c == '+' || phone::is_separator(c) => {}
            None => return None,
        }
    }
    (!digits.is_empty()).then_some(digits)
}

/// A date, as `YYYYMMDD`: year, month and day, or day and month in either order before the year.
fn dates(word: &str) -> Option<Vec<String>> {
    let mut parts = word.split(['-', '/', '.']);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    let year_first = first.len() == 4;
    let (year, one, other) = if year_first { (first, second, third) } else { (third, first, second) };
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    let year: i16 = year.parse().ok()?;
    let small = |text: &str| (text.len() <= 2).then(|| text.parse::<i8>().ok())?;
    let (one, other) = (small(one)?, small(other)?);
    let orders = if year_first { vec![(one, other)] } else { vec![(other, one), (one, other)] };
    let dates = orders.into_iter().filter_map(|(month, day)| jiff::civil::Date::new(year, month, day).ok());
    let mut dates: Vec<String> = dates.map(|date| date.strftime("%Y%m%d").to_string()).collect();
    dates.dedup();
    (!dates.is_empty()).then_some(dates)
}

#[cfg(test)]
mod tests {
    use domain::patient::Details;

    use super::*;

    fn record() -> Record {
        Record::of(Details {
            given_name: "José".into(),
            family_name: "O’Brien".into(),
            phone: Some("+447700900999".into()),
            email: Some("Jose@Example.org".into()),
            date_of_birth: Some(jiff::civil::date(1980, 2, 3)),
            language: None,
            reminder_channel: None,
            consents: vec![],
        })
    }

    fn finds(terms: &[Term], record: &Record) -> bool {
        let words = words(record);
        let has = |it: &WordMatch| match it {
            WordMatch::Is(text) => words.contains(text),
            WordMatch::Starts(text) => words.iter().any(|word| word.starts_with(text)),
        };
        terms.iter().all(|term| term.any_of.iter().any(has))
    }

    #[test]
    fn every_form_of_a_query_finds_its_patient() {
        for query in [
            "",
            "j",
            "jo b",
            "JOS",
            "jose",
            "JOSÉ",
            "obrien jos",
            "o'brien",
            "O’Brien José",
            "brien",
            "07700 900999",
            "+44 7700 900999",
            " 44 7700 900999",
            "0044 7700-900999",
            "+44 (0)7700 900 999",
            "(07700) 900.999",
            "7700900999",
            "900999",
            "0999",
            "07700 900",
            "447700",
            "1980-02-03",
            "3/2/1980",
            "02/03/1980",
            "03.02.1980",
            "19800203",
            "1980",
            "jose@example",
            "JOSE@EXAMPLE.ORG",
            "jose 07700 900999 o'b",
            "1980-02-03 obrien 0999",
            "\u{202a}07700 900999\u{202c}",
        ] {
            assert!(finds(&terms(query), &record()), "{query}");
        }
        for query in [
            "x",
            "jx",
            "josx",
            "jo\u{eb}l",
            "osé",
            "bob",
            "07700 900998",
            "0161",
            "1981",
            "1980-02-04",
            "jose x",
            "'",
            "joe@example",
        ] {
            assert!(!finds(&terms(query), &record()), "{query}");
        }
        assert!(finds(&at_address("+447700900999"), &record()));
        assert!(finds(&at_address("jose@EXAMPLE.org"), &record()));
        assert!(!finds(&at_address("+44770090099"), &record()), "another number, not a part of one");
    }
}
