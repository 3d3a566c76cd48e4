//! What the guides tell a newcomer to paste, word for word, against the demo.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result};
use testkit::product::Process;

/// Loading the demo chain takes a while in a debug build.
const LOADED_WITHIN: Duration = Duration::from_secs(300);

/// The test vector of Standard Webhooks, checked by the guide's example.
const VECTOR: &str = r#"
headers = {"webhook-id": "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", "webhook-timestamp": "1649367553",
    "webhook-signature": "v1,b3RoZXI= v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="}
secret, body = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", b'{"email":"test@example.com","username":"test_user"}'
assert is_ours(secret, headers, body, now=1649367553 + 300)
assert not is_ours(secret, headers, body, now=1649367553 + 301)
assert not is_ours(secret, headers, body)
assert not is_ours(secret, headers, body + b" ", now=1649367553)
"#;

/// The block of code after a mark in a page.
fn block(page: &str, mark: &str) -> Result<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page))?;
    let (_, after) = text.split_once(&format!("<!-- {mark} -->\n```")).with_context(|| format!("{page}: {mark}"))?;
    let (block, _) = after.split_once("\n```").context("the block has no end")?;
    Ok(block.split_once('\n').context("the block is empty")?.1.to_owned())
}

/// A demo, and what it printed.
struct Demo {
    process: Process,
    variables: [(&'static str, String); 3],
    _folder: tempfile::TempDir,
}

impl Demo {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let process = Process::start(folder.path(), &["demo", "--listen", "127.0.0.1:0"], &[])?;
        let word = |beginning: &'static str| {
            let process = &process;
            testkit::poll::until(beginning, LOADED_WITHIN, move || async move {
                let printed = process.printed();
                printed.lines().find_map(|line| Some(line.trim().strip_prefix(beginning)?.trim().to_owned()))
            })
        };
        let url = word("listening on ").await;
        let (front, staff) = (word("front-end key").await, word("staff key").await);
        Ok(Self { process, variables: [("URL", url), ("FRONT", front), ("STAFF", staff)], _folder: folder })
    }

    /// Runs a script; answers what it printed.
    fn run(&self, script: &str) -> Result<String> {
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        let output = Command::new("bash").args(["-euxo", "pipefail", "-c", script]).envs(variables).output()?;
        let Output { status, stdout, stderr } = output;
        let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "stdout:\n{out}\nstderr:\n{err}\ndemo:\n{}", self.process.printed());
        Ok(out.into_owned())
    }
}

#[tokio::test]
async fn the_guides_walk_through_runs_as_it_stands() -> Result<()> {
    let demo = Demo::start().await?;
    let five = demo.run(&block("README.md", "five lines")?)?;
    let steps = ["\"status\":\"booked\"", "\"confirmed_at\":\"2", "\"trigger\":\"rescheduled\""];
    assert!(steps.iter().all(|step| five.contains(step)), "{five}");
    let out = demo.run(&block("services/gateway/README.md", "walk-through")?)?;
    assert!(out.contains("\"code\":\"slot_taken\"") && out.contains("\"trigger\":\"booked\""), "{out}");
    Ok(())
}

#[test]
fn the_guides_webhook_check_meets_the_vector_of_the_specification() -> Result<()> {
    let check = block("services/gateway/README.md", "webhook check")?;
    let output = Command::new("python3").args(["-c", &format!("{check}\n{VECTOR}")]).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
