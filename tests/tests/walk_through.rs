//! The README's walk-through, word for word, against the demo.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};
use testkit::product::Process;

/// Loading the demo chain takes a while in a debug build.
const LOADED_WITHIN: Duration = Duration::from_secs(300);

#[tokio::test]
async fn the_readmes_walk_through_runs_as_it_stands() -> Result<()> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))?;
    let (_, after) = readme.split_once("<!-- walk-through -->\n```sh\n").context("the README has no walk-through")?;
    let (script, _) = after.split_once("\n```").context("the walk-through has no end")?;

    let folder = tempfile::tempdir()?;
    let demo = Process::start(folder.path(), &["demo", "--listen", "127.0.0.1:0"], &[])?;
    let word = |beginning: &'static str| {
        let demo = &demo;
        testkit::poll::until(beginning, LOADED_WITHIN, move || async move {
            let printed = demo.printed();
            printed.lines().find_map(|line| Some(line.trim().strip_prefix(beginning)?.trim().to_owned()))
        })
    };
    let url = word("listening on ").await;
    let (front, staff) = (word("front-end key").await, word("staff key").await);
    let output = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", script])
        .env("URL", &url)
        .env("FRONT", front)
        .env("STAFF", staff)
        .output()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "stdout:\n{out}\nstderr:\n{err}\ndemo:\n{}", demo.printed());
    assert!(out.contains("\"code\":\"slot_taken\"") && out.contains("\"trigger\":\"booked\""), "{out}");
    Ok(())
}

#[test]
fn cargo_run_runs_the_product() -> Result<()> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(top.join("README.md"))?;
    assert!(readme.contains("cargo run --release -- demo"), "the README's first command");
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new("cargo").args(arguments).current_dir(&top).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let default = metadata["workspace_default_members"].as_array().context("default members")?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let binaries: Vec<&str> = packages
        .iter()
        .filter(|package| default.contains(&package["id"]))
        .flat_map(|package| package["targets"].as_array().into_iter().flatten())
        .filter(|target| target["kind"][0] == "bin")
        .filter_map(|target| target["name"].as_str())
        .collect();
    assert_eq!(binaries, ["meridian"], "with several, `cargo run` does not know which");
    Ok(())
}
