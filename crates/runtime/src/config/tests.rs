use std::{collections::BTreeMap, io::Write};

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sample {
    listen: String,
    inner: Inner,
    smtp: Option<Smtp>,
    names: BTreeMap<String, Smtp>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inner {
    size: u16,
    dry: bool,
    url: Option<String>,
    days: Vec<String>,
}

/// A section that holds another one flat in itself.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Around {
    around: Flat,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    inner: Inner,
}

impl Section for Around {
    fn validate(&self, _: &str, _: &mut Vec<Fault>) {}
}

#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Smtp {
    from: String,
}

impl Default for Inner {
    fn default() -> Self {
        Self { size: 3, dry: false, url: None, days: vec![] }
    }
}

impl Section for Sample {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        if self.inner.size == 0 {
            faults.push(Fault { key: format!("{at}inner.size"), problem: "must be at least 1".into() });
        }
        if self.listen == "nowhere" {
            faults.push(Fault { key: format!("{at}listen"), problem: "must be somewhere".into() });
        }
    }
}

fn load_from(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Sample, Error> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sources = Sources::new().file(file.path()).environment(variables).ignoring(&["MERIDIAN_ELSEWHERE"]);
    flags.iter().fold(sources, |sources, (key, value)| sources.flag(key, value)).load()
}

fn refused(text: &str, variables: &[(&str, &str)]) -> String {
    load_from(text, variables, &[]).unwrap_err().to_string()
}

#[test]
fn each_layer_beats_the_one_below() {
    let file = "listen = \"file\"\n[inner]\nsize = 5";
    assert_eq!(load_from("", &[], &[]).unwrap(), Sample::default());
    assert_eq!(load_from(file, &[], &[]).unwrap().listen, "file");
    let variables = [("MERIDIAN_LISTEN", "environment"), ("MERIDIAN_INNER__DRY", "true")];
    let config = load_from(file, &variables, &[]).unwrap();
    assert_eq!((config.listen.as_str(), config.inner.size, config.inner.dry), ("environment", 5, true));
    assert_eq!(load_from(file, &variables, &[("listen", "flag")]).unwrap().listen, "flag");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_right_name() {
    let error =
        refused("[inner]\nsise = 5\n[nonsense]\nhere = 1", &[("MERIDIAN_INNER__URI", "x"), ("MERIDIAN_SIZE", "1")]);
    assert!(error.contains("inner.sise: there is no such key; did you mean `inner.size`?"), "{error}");
    assert!(error.contains("inner.uri: there is no such key; did you mean `inner.url`?"), "{error}");
    assert!(error.contains("size: there is no such key; did you mean `inner.size`?"), "{error}");
    assert!(error.contains("nonsense: there is no such key; those that there are: `inner`, `listen`"), "{error}");
    let section = refused("", &[("MERIDIAN_INNRE__SIZE", "1")]);
    assert!(section.contains("innre: there is no such key; did you mean `inner`?"), "{section}");
}

#[test]
fn variables_of_others_and_empty_ones_are_left_alone() {
    let variables = [
        ("MERIDIAN_ADMIN_KEY", "k"),
        ("MERIDIAN_CONFIG", "c"),
        ("MERIDIAN_ELSEWHERE", "e"),
        ("MERIDIAN_INNER__URL", ""),
        ("PATH", "p"),
    ];
    assert_eq!(load_from("", &variables, &[]).unwrap(), Sample::default());
}

#[test]
fn a_text_that_looks_like_a_number_stays_a_text_where_one_is_wanted() {
    let variables =
        [("MERIDIAN_INNER__URL", "+15551234567"), ("MERIDIAN_LISTEN", "007"), ("MERIDIAN_INNER__SIZE", "8")];
    let config = load_from("", &variables, &[("inner.days", "[mo, tu]")]).unwrap();
    assert_eq!((config.inner.url.as_deref(), config.listen.as_str()), (Some("+15551234567"), "007"));
    assert_eq!((config.inner.size, config.inner.days), (8, vec!["mo".to_owned(), "tu".to_owned()]));
}

#[test]
fn sections_that_are_empty_by_default_are_judged_by_their_type() {
    let config = load_from("[smtp]\nfrom = \"a\"\n[names.one]\nfrom = \"b\"\n[inner]", &[], &[]).unwrap();
    assert_eq!(config.smtp.unwrap().from, "a");
    assert_eq!(config.names["one"].from, "b");
    let error = refused("[smtp]\nfrmo = \"a\"\n[names.one]\nfro = \"b\"", &[]);
    assert!(error.contains("smtp.frmo: there is no such key; did you mean `from`?"), "{error}");
    assert!(error.contains("names.one.fro: there is no such key; did you mean `from`?"), "{error}");
}

#[test]
fn a_section_is_no_value_and_a_value_no_section() {
    let error = refused("inner = 5\n[listen]\nport = 1", &[]);
    assert!(error.contains("inner: is a section with the keys `days`, `dry`, `size`, `url`"), "{error}");
    assert!(error.contains("listen: is a value, not a section"), "{error}");
}

#[test]
fn every_wrong_type_is_listed_and_no_value_is_repeated() {
    let error = refused("[inner]\nsize = 70000\ndry = \"s3cret\"", &[("MERIDIAN_SMTP__FROM", "[s3cret]")]);
    assert!(error.contains("inner.size: must be a whole number from 0 to 65535"), "{error}");
    assert!(error.contains("inner.dry: must be true or false"), "{error}");
    assert!(error.contains("smtp.from: must be a string"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn a_file_that_is_not_toml_is_refused_by_its_line_without_its_text() {
    let error = refused("listen = \"a\"\n[inner]\nurl = s3cret", &[]);
    assert!(error.contains("line 3") && !error.contains("s3cret"), "{error}");
    let missing = Sources::new().file(std::path::Path::new("/nowhere/at.toml")).load::<Sample>();
    assert!(matches!(missing, Err(Error::NoFile(_))));
}

#[test]
fn every_fault_of_the_sections_is_named() {
    let error = refused("listen = \"nowhere\"\n[inner]\nsize = 0", &[]);
    assert!(error.contains("inner.size: must be at least 1") && error.contains("listen: must be somewhere"), "{error}");
}

#[test]
fn the_keys_are_listed() {
    assert_eq!(keys::<Sample>(), ["inner.days", "inner.dry", "inner.size", "inner.url", "listen", "names", "smtp"]);
}

#[test]
fn a_section_within_a_section_takes_numbers_from_the_environment_too() {
    let load =
        |name: &str, value: &str| Sources::new().environment([(name.to_owned(), value.to_owned())]).load::<Around>();
    assert_eq!(load("MERIDIAN_AROUND__SIZE", "8").unwrap().around.inner.size, 8);
    assert!(load("MERIDIAN_AROUND__DRY", "true").unwrap().around.inner.dry);
    let error = load("MERIDIAN_AROUND__SIZE", "many").unwrap_err().to_string();
    assert!(error.contains("around.size: must be a number"), "{error}");
}

#[test]
fn what_is_in_force_says_where_it_is_from_and_no_secret() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Root {
        link_key: Option<String>,
        inner: Inner,
        database: Option<String>,
        mail: String,
        unset: Option<String>,
    }
    impl Section for Root {
        fn validate(&self, _: &str, _: &mut Vec<Fault>) {}
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"link_key = \"hunter1\"\n[inner]\nsize = 5\nurl = \"https://file.example\"").unwrap();
    let variables = [
        ("MERIDIAN_DATABASE", "postgres://app:hunter2/@x@db:5432/main?sslmode=require&password=hunter3"),
        ("MERIDIAN_MAIL", "smtps://hunter4@mail.example?tls=none"),
        ("MERIDIAN_INNER__URL", "https://environment.example/a"),
        ("MERIDIAN_INNER__SIZE", ""),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let sources = Sources::new().file(file.path()).environment(variables).flag("inner.days", "[mo, tu]");
    let settings = sources.settings::<Root>().unwrap();
    let lines: Vec<String> = settings
        .iter()
        .map(|one| format!("{}={} {}", one.key, one.value.as_deref().unwrap_or("-"), one.origin))
        .collect();
    let path = file.path().display();
    let expected = [
        "database=\"postgres://app:…@db:5432/main?sslmode=require&password=…\" environment MERIDIAN_DATABASE"
            .to_owned(),
        "inner.days=[\"mo\", \"tu\"] flag".to_owned(),
        "inner.dry=false default".to_owned(),
        format!("inner.size=5 file {path}"),
        "inner.url=\"https://environment.example/a\" environment MERIDIAN_INNER__URL".to_owned(),
        format!("link_key=\"…\" file {path}"),
        "mail=\"smtps://…@mail.example?tls=none\" environment MERIDIAN_MAIL".to_owned(),
        "unset=- default".to_owned(),
    ];
    assert_eq!(lines, expected);
    assert!(!format!("{settings:?}").contains("hunter"));
}
