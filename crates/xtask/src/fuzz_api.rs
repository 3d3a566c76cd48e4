//! `cargo xtask fuzz-api`: generated requests to the REST interface. None may have a 5xx answer or one outside the schema.

use std::{
    fs,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

use crate::{
    bench::rest_client::RestClient,
    product::{ADMIN_KEY, Product},
    python,
    steps::{built_product, cargo, step},
};

/// <https://pypi.org/project/schemathesis/>, at a version that runs on Python 3.10 and newer.
const PACKAGE: &str = "schemathesis==4.32.5";
const FOLDER: &str = "target/schemathesis";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// How long and how hard.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Requests for each operation, at most.
    #[arg(long, default_value_t = 100)]
    max_examples: u32,
    /// The whole run, at most, in seconds.
    #[arg(long, default_value_t = 900)]
    max_seconds: u32,
    /// Repeats a run that found something.
    #[arg(long)]
    seed: Option<u64>,
    /// Passed on to schemathesis, such as `--include-path /v1/slots`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// Runs it; the code is schemathesis's.
///
/// # Errors
/// When it cannot be installed or the product does not start.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if std::env::var_os("MERIDIAN_BIN").is_none() {
        step("build", || cargo(&["build", "--quiet", "--bin", "meridian"]))?;
    }
    let program = step("schemathesis", || python::environment(FOLDER, PACKAGE))?.join("bin/schemathesis");
    let folder = tempfile::tempdir()?;
    let arguments = ["demo", "--listen", "127.0.0.1:0", "--data", "data"];
    // A rate limit would answer most requests by 429.
    let variables = [("MERIDIAN_GATEWAY__REQUESTS_PER_SECOND", "100000")];
    let product = step("start", || Product::start(&built_product()?, folder.path(), &arguments, &variables))?;
    // Ids differ from run to run.
    let ids = folder.path().join("schemathesis.toml");
    fs::write(&ids, real_ids(&product.url)?)?;
    println!("== requests");
    // Its own --max-time would make it go on until the time is spent.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", &options.max_seconds.to_string()]).arg(program).arg("--config-file").arg(ids);
    command.args(["run", &format!("{}/openapi.json", product.url), "--checks", CHECKS]);
    command.args(["--header", &format!("Authorization: Bearer {ADMIN_KEY}"), "--output-sanitize", "true"]);
    command.args(["--max-examples", &options.max_examples.to_string(), "--request-timeout", "30"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--workers", "2"]);
    command.args(["--wait-for-schema", "30"]);
    // The event stream never ends.
    command.args(["--exclude-path", "/v1/events"]);
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    // Its files between runs stay in its own folder.
    let status = command.args(&options.more).current_dir(FOLDER).status().context("schemathesis cannot be run")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Its configuration: ids of the demo, so that requests get past look-ups. Operations that delete keep generated ids.
///
/// # Errors
/// When the product does not list them.
fn real_ids(url: &str) -> Result<String> {
    let rest = RestClient::new(url);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let first = |path: &str| -> Result<String> {
        let list = runtime.block_on(rest.get(path))?;
        Ok(list
            .pointer("/data/0/id")
            .and_then(|id| id.as_str())
            .with_context(|| format!("{path} is empty"))?
            .to_owned())
    };
    let (location, practitioner) = (first("/v1/locations")?, first("/v1/practitioners")?);
    let (service, patient) = (first("/v1/services")?, first("/v1/patients")?);
    let appointment = first("/v1/appointments")?;
    let slots = format!("{{ service_id = \"{service}\", practitioner_id = \"{practitioner}\" }}");
    let id = |name: &str, id: &str| format!("{{ \"path.{name}\" = \"{id}\" }}");
    let table = [
        ("^/v1/locations/.parent_id./", id("parent_id", &location)),
        ("^/v1/practitioners/.parent_id./", id("parent_id", &practitioner)),
        ("^/v1/appointments/.id.", id("id", &appointment)),
        ("^/v1/patients/.id.", id("id", &patient)),
        ("^/v1/slots", slots),
    ];
    let entry =
        |(path, ids): &(&str, String)| format!("[[operations]]\ninclude-path-regex = \"{path}\"\nparameters = {ids}\n");
    Ok(table.iter().map(entry).collect())
}
