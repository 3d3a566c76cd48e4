//! Query parameters: their declaration, and a parser that finds every fault and suggests the closest name for an unknown
//! one.

use std::{collections::BTreeMap, str::FromStr};

use domain::{
    fault::Faults,
    time::{Day, WallTime},
};
use jiff::Timestamp;
use rpc::{Code, Fault};

use crate::{
    characters::{self, printable},
    suggestion::closest,
};

/// The most values of a repeated parameter.
const VALUES_MAX: usize = 200;

/// The type of a query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// A TypeID with this prefix.
    Id(&'static str),
    /// RFC 3339 with an offset.
    Instant,
    /// `YYYY-MM-DD`.
    Date,
    /// An integer in a range, both ends included.
    Integer(i64, i64),
    /// A number in a range, both ends included.
    Number(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// `latitude,longitude` in degrees.
    Point,
    /// `HH:MM`.
    WallTime,
    /// Days `mo` to `su`, separated by commas.
    Days,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, separated by commas.
    Words(&'static [&'static str]),
    /// Any text up to this many characters.
    Text(usize),
}

/// The declaration of a query parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) value_type: Type,
    pub(crate) required: bool,
    /// Whether it may be given several times.
    pub(crate) repeated: bool,
    pub(crate) description: &'static str,
}

impl Param {
    /// An optional parameter that is given once.
    pub(crate) const fn new(name: &'static str, value_type: Type, description: &'static str) -> Self {
        Self { name, value_type, required: false, repeated: false, description }
    }

    /// It must be given.
    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// It may be given several times.
    pub(crate) const fn repeated(self) -> Self {
        Self { repeated: true, ..self }
    }
}

/// The valid parameters of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(BTreeMap<&'static str, Vec<String>>);

impl Params {
    /// Parses a query string.
    ///
    /// # Errors
    /// `invalid_parameter` with every fault; `malformed_request` for a bad percent-encoding.
    pub(crate) fn parse(known: &[Param], query: &str) -> Result<Self, Fault> {
        Self::parse_with(known, query, false)
    }

    /// The same, but unknown parameters are ignored.
    pub(crate) fn parse_known(known: &[Param], query: &str) -> Result<Self, Fault> {
        Self::parse_with(known, query, true)
    }

    fn parse_with(known: &[Param], query: &str, ignores_unknown: bool) -> Result<Self, Fault> {
        let mut faults = Faults::new();
        let mut values: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let pairs = pairs(query).map_err(|()| malformed())?;
        characters::check_pairs(pairs.iter().map(|(name, value)| (name, value)))?;
        for (name, value) in pairs {
            match known.iter().find(|param| param.name == name) {
                Some(param) => values.entry(param.name).or_default().push(value),
                None if ignores_unknown => {}
                None => faults.push(printable(&name), "unknown_parameter", unknown(&name, known)),
            }
        }
        for param in known {
            let given = values.get(param.name).map_or(&[][..], Vec::as_slice);
            faults.check(!param.required || !given.is_empty(), param.name, "missing", "this parameter is needed");
            faults.check(param.repeated || given.len() <= 1, param.name, "repeated", "give this parameter once");
            faults.check(given.len() <= VALUES_MAX, param.name, "too_many", "at most 200 values");
            for value in given {
                if let Err((code, detail)) = check(param.value_type, value) {
                    faults.push(param.name, code, detail);
                }
            }
        }
        faults.result().map_err(|faults| Fault { code: Code::InvalidParameter, ..Fault::invalid(faults) })?;
        Ok(Self(values))
    }

    /// The query in the order of its declaration, a `*` in place of each text and point: they may be personal.
    pub(crate) fn without_texts(&self, known: &[Param]) -> String {
        let mut query = String::new();
        for param in known {
            let is_kept = !matches!(param.value_type, Type::Text(_) | Type::Point);
            for value in self.0.get(param.name).into_iter().flatten() {
                let separator = if query.is_empty() { "" } else { "&" };
                query.extend([separator, param.name, "=", if is_kept { value } else { "*" }]);
            }
        }
        query
    }

    /// The parameters with these values, which are valid.
    pub(crate) fn of(values: impl IntoIterator<Item = (&'static str, Vec<String>)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// Sets the values of a parameter, which are valid.
    pub(crate) fn set(&mut self, name: &'static str, values: Vec<String>) {
        self.0.insert(name, values);
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// The value of a parameter that is given once.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.first().map(String::as_str)
    }

    /// The value of a parameter of public words.
    pub(crate) fn word<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// The value, or an empty text without one.
    pub(crate) fn text_or_empty(&self, name: &str) -> String {
        self.text(name).unwrap_or_default().to_owned()
    }

    /// An instant in microseconds since the Unix epoch; 0 without one.
    pub(crate) fn instant_us(&self, name: &str) -> i64 {
        self.text(name).and_then(|text| text.parse::<Timestamp>().ok()).map_or(0, Timestamp::as_microsecond)
    }

    /// An integer; 0 without one.
    pub(crate) fn number(&self, name: &str) -> u32 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// A number.
    pub(crate) fn decimal(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }

    /// Latitude and longitude in degrees.
    pub(crate) fn point(&self, name: &str) -> Option<(f64, f64)> {
        let (latitude, longitude) = self.text(name)?.split_once(',')?;
        Some((latitude.trim().parse().ok()?, longitude.trim().parse().ok()?))
    }

    /// The values of a parameter that separates them by commas.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.all(name).iter().flat_map(|text| text.split(',')).map(|word| word.trim().to_owned()).collect()
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|text| text == "true")
    }
}

/// The code and the mend of a faulty value.
type ValueFault = (&'static str, String);

fn check(value_type: Type, value: &str) -> Result<(), ValueFault> {
    let wrong = |code, detail: &str| Err((code, detail.to_owned()));
    match value_type {
        Type::Id(prefix) => {
            let id = value.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
            let fits = id.is_some_and(|id| id.len() == 26 && id.bytes().all(|b| b.is_ascii_alphanumeric()));
            if fits { Ok(()) } else { Err(("invalid_id", format!("give an id of the form {prefix}_…"))) }
        }
        Type::Instant => instant(value),
        Type::Date => match value.parse::<jiff::civil::Date>() {
            Ok(_) if value.len() == 10 => Ok(()),
            _ => wrong("invalid_date", "write a date as YYYY-MM-DD"),
        },
        Type::Integer(least, most) => match value.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(()),
            _ => Err(("out_of_range", format!("give a whole number from {least} to {most}"))),
        },
        Type::Number(least, most) => match value.parse::<f64>() {
            Ok(number) if number >= least as f64 && number <= most as f64 => Ok(()),
            _ => Err(("out_of_range", format!("give a number from {least} to {most}"))),
        },
        Type::Boolean if value == "true" || value == "false" => Ok(()),
        Type::Boolean => wrong("invalid_value", "give true or false"),
        Type::Point => {
            let numbers = value.split_once(',').map(|(a, b)| (a.trim().parse::<f64>(), b.trim().parse::<f64>()));
            match numbers {
                Some((Ok(latitude), Ok(longitude))) if latitude.abs() <= 90.0 && longitude.abs() <= 180.0 => Ok(()),
                _ => wrong("invalid_value", "give latitude and longitude in degrees, such as 55.17,-118.80"),
            }
        }
        Type::WallTime => value.parse::<WallTime>().map(drop).map_err(|detail| ("invalid_time", detail.to_owned())),
        Type::Days => match value.split(',').all(|day| day.trim().parse::<Day>().is_ok()) {
            true => Ok(()),
            false => wrong("invalid_value", "give days out of mo, tu, we, th, fr, sa, su, such as mo,tu"),
        },
        Type::Word(words) if words.contains(&value) => Ok(()),
        Type::Word(words) => Err(("invalid_value", format!("give one of {}", words.join(", ")))),
        Type::Words(words) if value.split(',').all(|word| words.contains(&word.trim())) => Ok(()),
        Type::Words(words) => Err(("invalid_value", format!("give some of {}, separated by commas", words.join(", ")))),
        Type::Text(most) if value.chars().count() <= most => Ok(()),
        Type::Text(most) => Err(("too_long", format!("at most {most} characters"))),
    }
}

fn instant(value: &str) -> Result<(), ValueFault> {
    if value.parse::<Timestamp>().is_ok_and(|at| (1900..=2200).contains(&year(at))) {
        return Ok(());
    }
    let detail = if value.parse::<jiff::civil::DateTime>().is_ok() && value.parse::<Timestamp>().is_err() {
        ("missing_offset", "add the offset from UTC, such as 2026-03-06T08:00:00Z or 2026-03-06T08:00:00-07:00")
    } else if value.contains(' ') {
        ("invalid_instant", "a `+` in a query must be written as %2B")
    } else {
        ("invalid_instant", "write RFC 3339 with an offset and a year from 1900 to 2200, such as 2026-03-06T08:00:00Z")
    };
    Err((detail.0, detail.1.to_owned()))
}

fn year(at: Timestamp) -> i16 {
    at.to_zoned(jiff::tz::TimeZone::UTC).year()
}

fn unknown(name: &str, known: &[Param]) -> String {
    match closest(name, known.iter().map(|param| param.name)) {
        Some(right) => format!("there is no such parameter; did you mean `{right}`?"),
        None => "there is no such parameter here".to_owned(),
    }
}

fn malformed() -> Fault {
    Fault::new(Code::MalformedRequest, "the query string is not percent-encoded UTF-8")
}

/// Decodes the pairs of an `application/x-www-form-urlencoded` text.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, ()> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, ()> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'+' => decoded.push(b' '),
            b'%' => {
                let pair = bytes.get(at + 1..at + 3).ok_or(())?;
                let pair = std::str::from_utf8(pair).map_err(drop)?;
                decoded.push(u8::from_str_radix(pair, 16).map_err(drop)?);
                at += 2;
            }
            byte => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8(decoded).map_err(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Param; 3] = [
        Param::new("location_id", Type::Id("loc"), "").repeated(),
        Param::new("from", Type::Instant, "").required(),
        Param::new("limit", Type::Integer(1, 200), ""),
    ];

    fn codes(query: &str) -> Vec<(String, String)> {
        let fault = Params::parse(&KNOWN, query).unwrap_err();
        fault.violations.into_iter().map(|violation| (violation.pointer, violation.code)).collect()
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let found = codes("locaton_id=x&location_id=loc_1&limit=0&limit=5&from=2026-03-06T08:00:00");
        let expected = [
            ("locaton_id", "unknown_parameter"),
            ("location_id", "invalid_id"),
            ("from", "missing_offset"),
            ("limit", "repeated"),
            ("limit", "out_of_range"),
        ];
        assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn a_missing_required_parameter_and_bad_encoding_are_refused() {
        assert_eq!(codes(""), [("from".to_owned(), "missing".to_owned())]);
        assert_eq!(Params::parse(&KNOWN, "from=%ff").unwrap_err().code, Code::MalformedRequest);
        assert_eq!(Params::parse(&KNOWN, "from=%2").unwrap_err().code, Code::MalformedRequest);
    }

    #[test]
    fn a_query_is_described_without_its_texts() {
        let known = [&KNOWN[..], &[Param::new("query", Type::Text(100), "")]].concat();
        let query = "query=Ada&limit=5&from=2026-03-06T08:00:00Z";
        let params = Params::parse(&known, query).unwrap();
        assert_eq!(params.without_texts(&known), "from=2026-03-06T08:00:00Z&limit=5&query=*");
    }

    #[test]
    fn an_offset_survives_its_encoding() {
        let params = Params::parse(&KNOWN, "from=2026-03-06T08:00:00%2B01:00").unwrap();
        assert_eq!(params.instant_us("from"), 1_772_780_400_000_000);
    }
}
