//! `cargo xtask compare-calendars`: compares the product's reading of calendar files with PyPI's `recurring-ical-events`.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use jiff::{SignedDuration, Timestamp, civil::Date};
use serde_json::{Value, json};

use crate::{
    bench::rest_client::RestClient,
    product::Product,
    python,
    steps::{built_product, cargo, is_named, step},
};

/// <https://pypi.org/project/recurring-ical-events/>
const PACKAGE: &str = "recurring-ical-events==3.8.2";
const FOLDER: &str = "target/recurring-ical-events";
/// Reads files as the product does: transparent and cancelled events are not busy, all-day events are in the home zone.
const SCRIPT: &str = r#"
import json, sys
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo
from icalendar import Calendar
import recurring_ical_events
asked = json.load(sys.stdin)
home = ZoneInfo(asked["zone"])
first, last = (datetime.fromisoformat(asked[name].replace("Z", "+00:00")) for name in ("from", "to"))
def instant(at):
    at = at if isinstance(at, datetime) else datetime.combine(at, time())
    return (at if at.tzinfo else at.replace(tzinfo=home)).astimezone(timezone.utc)
def word(event, name):
    return str(event.get(name, "")).upper()
def busy(path):
    with open(path, "rb") as file:
        calendar = Calendar.from_ical(file.read())
    events = recurring_ical_events.of(calendar).between(first - timedelta(days=2), last + timedelta(days=2))
    events = [e for e in events if word(e, "TRANSP") != "TRANSPARENT" and word(e, "STATUS") != "CANCELLED"]
    return [[at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in (instant(e.start), instant(e.end))] for e in events]
def answer(path):
    try:
        return {"busy": busy(path)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:200]}
print(json.dumps([answer(path) for path in asked["files"]]))
"#;
/// Days that are compared; the product keeps a little more.
const DAYS: i64 = 365;

/// Which files, and when and where they are read.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Every `.ics` file under this folder.
    folder: PathBuf,
    /// The first day of the year that is compared; today where it is left out.
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// The zone of the practitioner's location, which is that of whole days and of times without a zone.
    #[arg(long, default_value = "America/New_York")]
    zone: String,
}

/// Start and end.
type Span = (Timestamp, Timestamp);

/// The busy times of a file, or the reason why it is not read.
type BusyTimes = std::result::Result<Vec<Span>, String>;

/// The outcome of one file.
#[derive(Debug, PartialEq)]
enum Outcome {
    Equal,
    /// Holds the first difference.
    Different(String),
    /// The product does not read it; holds the reason.
    Refused(String),
    /// The package does not read it; holds the reason.
    Unread(String),
}

/// Runs it, called from a folder; fails where a file is read differently.
///
/// # Errors
/// When the product does not start, or the package cannot be installed.
pub(crate) fn run(options: &Options, called_from: &Path) -> Result<ExitCode> {
    let folder = called_from.join(&options.folder);
    let folder = fs::canonicalize(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files = Vec::new();
    find(&folder, &mut files)?;
    files.sort();
    ensure!(!files.is_empty(), "there is no .ics file under {}", folder.display());
    if !is_named() {
        step("build", || cargo(&["build", "--quiet", "--bin", "meridian"]))?;
    }
    let environment = step("install recurring-ical-events", || python::environment(FOLDER, PACKAGE))?;
    let data = tempfile::tempdir()?;
    let clock = options.from.map(|from| format!("{from}T00:00:00Z@1"));
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--data", "data"];
    arguments.extend(clock.iter().flat_map(|clock| ["--dev", "--clock", clock]));
    // One caller posts all files, so the rate is not limited.
    let variables = [("MERIDIAN_GATEWAY__REQUESTS_PER_SECOND", "100000")];
    let product = step("start", || Product::start(&built_product()?, data.path(), &arguments, &variables))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rest = RestClient::new(&product.url);
    let (ours, window) = step("the product", || runtime.block_on(read_by_product(&rest, &options.zone, &files)))?;
    let theirs = step("recurring-ical-events", || read_by_package(&environment, &options.zone, window, &files))?;

    println!("== {} to {}", window.0, window.1);
    let mut counts = [0; 4];
    for ((file, ours), theirs) in files.iter().zip(ours).zip(theirs) {
        let outcome = outcome(ours, theirs, window);
        let (kind, word, why) = match &outcome {
            Outcome::Equal => (0, "equal", ""),
            Outcome::Different(why) => (1, "different", why.as_str()),
            Outcome::Refused(why) => (2, "refused", why.as_str()),
            Outcome::Unread(why) => (3, "not read by recurring-ical-events", why.as_str()),
        };
        counts[kind] += 1;
        let name = file.strip_prefix(&folder).unwrap_or(file).display();
        println!("{name}: {word}{}{why}", if why.is_empty() { "" } else { ": " });
    }
    let [equal, different, refused, unread] = counts;
    println!("{equal} equal, {different} different, {refused} refused, {unread} not read by recurring-ical-events");
    Ok(if different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ics")) {
            files.push(path);
        }
    }
    Ok(())
}

/// The busy times of each file, or why it is refused; and the window, which begins with the product's own time.
async fn read_by_product(rest: &RestClient, zone: &str, files: &[PathBuf]) -> Result<(Vec<BusyTimes>, Span)> {
    let post =
        async |path: &str, body: Value| -> Result<Value> { Ok(rest.send(Method::POST, path, Some(&body)).await?.0) };
    let id = |answer: &Value| answer["id"].as_str().map(str::to_owned).context("an entry has an id");
    let location = id(&post("/v1/locations", json!({"name": "Clinic", "time_zone": zone})).await?)?;
    let practitioner = post("/v1/practitioners", json!({"given_name": "Ada", "family_name": "Sample"})).await?;
    let path = format!("/v1/practitioners/{}", id(&practitioner)?);
    let weekly = json!([{"day": "mo", "from": "08:00", "to": "18:00"}]);
    let roster = json!({"location_id": location, "effective_from": "2020-01-01", "weekly": weekly});
    post(&format!("{path}/rosters"), roster).await?;
    let begins: Timestamp = practitioner["created_at"].as_str().context("an entry has a time")?.parse()?;
    let mut read = Vec::new();
    for file in files {
        let (status, answer) = rest.calendar(&format!("{path}/busy?dry_run=true"), fs::read(file)?).await?;
        read.push(if status.is_success() { spans(&answer["times"]) } else { Err(why(&answer)) });
    }
    Ok((read, (begins, begins.checked_add(SignedDuration::from_hours(24 * DAYS))?)))
}

fn why(problem: &Value) -> String {
    let first = problem.pointer("/errors/0").unwrap_or(problem);
    let text = |name: &str| first[name].as_str().unwrap_or_default();
    format!("{}: {}", text("code"), text("detail"))
}

fn spans(times: &Value) -> BusyTimes {
    let at = |time: &Value, name: &str| time[name].as_str().and_then(|text| text.parse().ok());
    let times = times.as_array().map(Vec::as_slice).unwrap_or_default();
    let spans: Option<Vec<Span>> =
        times.iter().map(|time| Some((at(time, "starts_at")?, at(time, "ends_at")?))).collect();
    spans.ok_or_else(|| "the product's times cannot be read".to_owned())
}

fn read_by_package(environment: &Path, zone: &str, window: Span, files: &[PathBuf]) -> Result<Vec<BusyTimes>> {
    let input = json!({"zone": zone, "from": window.0.to_string(), "to": window.1.to_string(), "files": files});
    let mut command = Command::new(environment.join("bin/python"));
    // Its warnings concern the package itself.
    command.args(["-W", "ignore", "-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("python cannot be run")?;
    child.stdin.take().context("standard input is piped")?.write_all(input.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "recurring-ical-events failed ({})", output.status);
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let busy_times = |answer: &Value| match answer["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => {
            let pairs = answer["busy"].as_array().map(Vec::as_slice).unwrap_or_default();
            let at = |text: &Value| text.as_str().and_then(|text| text.parse().ok());
            let spans: Option<Vec<Span>> = pairs.iter().map(|pair| Some((at(&pair[0])?, at(&pair[1])?))).collect();
            spans.ok_or_else(|| "its times cannot be read".to_owned())
        }
    };
    Ok(answers.iter().map(busy_times).collect())
}

fn outcome(ours: BusyTimes, theirs: BusyTimes, window: Span) -> Outcome {
    match (ours, theirs) {
        (Err(why), _) => Outcome::Refused(why),
        (_, Err(why)) => Outcome::Unread(why),
        (Ok(ours), Ok(theirs)) => {
            let (ours, theirs) = (merge(ours, window), merge(theirs, window));
            first_difference(&ours, &theirs).map_or(Outcome::Equal, Outcome::Different)
        }
    }
}

/// The times within the window, in order and merged where they touch.
fn merge(mut spans: Vec<Span>, (begins, ends): Span) -> Vec<Span> {
    spans.sort();
    let mut merged: Vec<Span> = Vec::new();
    for (start, end) in spans {
        let (start, end) = (start.max(begins), end.min(ends));
        if start >= end {
            continue;
        }
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

fn first_difference(ours: &[Span], theirs: &[Span]) -> Option<String> {
    let alone = |whose: &str, (start, end): &Span| format!("{whose} has {start} to {end}");
    let both = ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs);
    if let Some((ours, theirs)) = both {
        return Some(format!("{}, {}", alone("the product", ours), alone("recurring-ical-events", theirs)));
    }
    let common = ours.len().min(theirs.len());
    let more = |whose: &str, spans: &[Span]| spans.get(common).map(|span| format!("only {}", alone(whose, span)));
    more("the product", ours).or_else(|| more("recurring-ical-events", theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: &str, to: &str) -> Span {
        let at = |hour: &str| format!("2027-01-04T{hour}:00Z").parse().unwrap();
        (at(from), at(to))
    }

    #[test]
    fn the_first_difference_is_named() {
        let window = span("08:00", "18:00");
        let outcome = |ours: &[Span], theirs: &[Span]| outcome(Ok(ours.to_vec()), Ok(theirs.to_vec()), window);
        // The order differs, times are cut at the window, and touching times are merged.
        let ours = [span("09:00", "11:00"), span("17:00", "18:00")];
        let theirs = [span("17:00", "20:00"), span("10:00", "11:00"), span("09:00", "10:00"), span("12:00", "12:00")];
        assert_eq!(outcome(&ours, &theirs), Outcome::Equal);
        let Outcome::Different(more) = outcome(&ours, &theirs[1..]) else { panic!("they differ") };
        assert_eq!(more, "only the product has 2027-01-04T17:00:00Z to 2027-01-04T18:00:00Z");
        let Outcome::Different(other) = outcome(&ours[..1], &[span("09:00", "10:00")]) else { panic!("they differ") };
        assert!(other.starts_with("the product has 2027-01-04T09:00:00Z to 2027-01-04T11:00:00Z, "), "{other}");
    }

    #[test]
    fn an_unread_file_is_no_difference() {
        let window = span("08:00", "18:00");
        let none = || Err("no".to_owned());
        assert_eq!(outcome(none(), Ok(vec![]), window), Outcome::Refused("no".to_owned()));
        assert_eq!(outcome(Ok(vec![]), none(), window), Outcome::Unread("no".to_owned()));
        let problem = json!({"code": "validation_failed", "errors": [{"code": "missing", "detail": "line 4: this"}]});
        assert_eq!(why(&problem), "missing: line 4: this");
        assert_eq!(why(&json!({"code": "malformed_request", "detail": "no UTF-8"})), "malformed_request: no UTF-8");
    }

    #[test]
    fn files_are_found_in_folders_of_folders() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("deep")).unwrap();
        for name in ["a.ics", "b.txt", "deep/c.ICS"] {
            fs::write(top.path().join(name), "").unwrap();
        }
        let mut files = Vec::new();
        find(top.path(), &mut files).unwrap();
        assert_eq!(files.len(), 2, "{files:?}");
    }
}
