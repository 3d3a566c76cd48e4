//! The effect of signals on a process: the test starts itself as the process that receives them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

use runtime::{Readiness, Shutdown, shutdown};

const CHILD: &str = "SIGNALS_TEST_CHILD";

/// The process under test: prints its state, and ends as its variable says.
#[tokio::test]
async fn child() {
    let Ok(ends) = std::env::var(CHILD) else { return };
    let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
    shutdown.on_signals_with(&shutdown::Config { lead_ms: 1 }, readiness.clone()).unwrap();
    println!("\nserving");
    shutdown.leaving().await;
    println!("\nready: {}", readiness.is_ready());
    shutdown.begun().await;
    println!("\ndraining");
    if ends == "hangs" {
        std::future::pending::<()>().await;
    }
}

fn start(ends: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(CHILD, ends)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

fn until(lines: &mut Lines<BufReader<ChildStdout>>, text: &str) {
    assert!(lines.any(|line| line.unwrap() == text), "the process never said `{text}`");
}

fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_signal_makes_the_process_unready_and_then_drains_it() {
    for signal in ["-TERM", "-INT"] {
        let (mut child, mut lines) = start("drains");
        until(&mut lines, "serving");
        send(signal, &child);
        until(&mut lines, "ready: false");
        until(&mut lines, "draining");
        lines.for_each(drop);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_second_signal_stops_a_process_that_hangs() {
    let (mut child, mut lines) = start("hangs");
    until(&mut lines, "serving");
    send("-TERM", &child);
    until(&mut lines, "draining");
    let began = std::time::Instant::now();
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(began.elapsed().as_secs() < shutdown::DRAIN_SECONDS_MAX - 5, "it was the hard stop that ended it");
}
