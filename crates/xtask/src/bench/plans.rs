//! Care plans: the plan engine by itself, and whole series proposed and booked through REST on PostgreSQL.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use careplan::{bench::chronic_case, series::varied};
use hyper::Method;
use serde_json::{Value, json};

use super::{
    Settings,
    kernel::median,
    rest_client::RestClient,
    runtime,
    search::{DEMO, UNLIMITED},
    table::Table,
};
use crate::{
    postgres::{self, Options},
    product::Product,
};

const SERIES: usize = 3;
/// Series that are proposed and booked, one after the other.
const BOOKED: usize = 10;
/// Proposals of each plan: the first waits for the write before it.
const PROPOSALS: usize = 5;
/// Requests to the reminder service until it has planned everything; each takes up to two seconds.
const CATCH_UP_TRIES: usize = 60;

pub(super) fn run(settings: &Settings) -> Result<()> {
    let case = chronic_case(1);
    let candidates: usize = case.sessions.iter().map(|session| session.picks().count()).sum();
    let first = varied(&case, SERIES)?.into_iter().next().context("the case has a series")?;
    let time = median(settings.window, || varied(&case, SERIES));
    let title =
        format!("Plan engine: 16 sessions, 12 weeks, 50 practitioners at 6 locations, {SERIES} proposals (median)");
    let open = case.sessions.iter().map(|session| session.open.len()).max().unwrap_or(0);
    let mut table = Table::new(&title, &["open starts", "candidates of all sessions", "ms", "cost of the best"]);
    table.row([open.to_string(), candidates.to_string(), ms(Some(time)), first.terms.cost().to_string()]);
    print!("{}", table.text());
    through_rest(settings)
}

/// Long plans at all locations of the demo chain, on durable PostgreSQL.
fn through_rest(settings: &Settings) -> Result<()> {
    let cluster = postgres::start(Options { durable: true, ..Options::default() })?;
    let database = postgres::for_product(&cluster)?;
    let folder = tempfile::tempdir()?;
    let mut variables = UNLIMITED.to_vec();
    variables.push(("MERIDIAN_DATABASE__URL", &database));
    let product = Product::start(&settings.binary, folder.path(), &DEMO, &variables)?;
    let rest = RestClient::new(&product.url);
    let (mut proposed, mut booked, mut sessions) = (Vec::new(), Vec::new(), 0);
    runtime()?.block_on(async {
        let (template, locations) = (template(&rest).await?, locations(&rest).await?);
        for number in 0..BOOKED {
            let body = json!({"given_name": "Ada", "family_name": "Example", "phone": format!("+1780555{number:04}")});
            let patient = rest.send(Method::POST, "/v1/patients", Some(&body)).await?.0["id"].clone();
            let body = json!({"patient_id": patient, "plan_template_id": template, "condition_code": "low-back-pain",
                "location_ids": locations, "start_on": settings.days.from[..10]});
            let created = rest.send(Method::POST, "/v1/plans", Some(&body)).await?.0;
            sessions = created["sessions"].as_array().map_or(0, Vec::len);
            let path = format!("/v1/plans/{}", created["id"].as_str().context("a plan has an id")?);
            wait_until_planned(&rest).await?;
            let ask = json!({"limit": SERIES});
            let mut best = Value::Null;
            for _ in 0..PROPOSALS {
                // The chain fills up: once no series is left, the measurement ends.
                let Ok((answer, duration)) = rest.send(Method::POST, &format!("{path}/proposals"), Some(&ask)).await
                else {
                    return anyhow::Ok(());
                };
                proposed.extend(duration);
                best = answer["data"][0]["id"].clone();
            }
            let book = json!({"proposal_id": best});
            booked.extend(rest.send(Method::POST, &format!("{path}/book"), Some(&book)).await?.1);
        }
        anyhow::Ok(())
    })?;
    let title = format!(
        "Plans through REST on PostgreSQL (fsync on): {sessions} sessions, all locations of the demo chain, server time"
    );
    let mut table = Table::new(&title, &["", "p50 ms", "most ms"]);
    for (what, mut times) in [(format!("{SERIES} proposals"), proposed), ("the series booked".to_owned(), booked)] {
        times.sort_unstable();
        table.row([what, ms(times.get(times.len() / 2).copied()), ms(times.last().copied())]);
    }
    print!("{}", table.text());
    Ok(())
}

/// Waits until the messages of all earlier bookings are planned, so that no background work is measured.
async fn wait_until_planned(rest: &RestClient) -> Result<()> {
    // Each request waits by itself.
    for _ in 0..CATCH_UP_TRIES {
        if rest.get("/v1/messages?limit=1").await.is_ok() {
            return Ok(());
        }
    }
    bail!("the reminder service does not catch up with the bookings")
}

async fn template(rest: &RestClient) -> Result<Value> {
    let templates = rest.get("/v1/plan_templates?limit=200").await?;
    let templates = templates["data"].as_array().context("a page has data")?;
    let long = templates.iter().find(|template| template["code"] == "chronic-needling");
    Ok(long.context("the demo chain has the catalogue's templates")?["id"].clone())
}

async fn locations(rest: &RestClient) -> Result<Vec<Value>> {
    let locations = rest.get("/v1/locations?limit=200").await?;
    let locations = locations["data"].as_array().context("a page has data")?;
    Ok(locations.iter().map(|location| location["id"].clone()).collect())
}

fn ms(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.2}", time.as_secs_f64() * 1e3))
}
