use std::fs;

use super::*;

/// A child process that prints what a script says.
fn fake_product(script: &str) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::spawn(command).unwrap()
}

#[tokio::test]
async fn an_address_is_read_and_sigterm_ends_it() {
    let process = fake_product(
        "trap 'echo drained; exit 3' TERM; echo log >&2; echo 'listening on grpc://127.0.0.1:1 now';
         while :; do sleep 0.05; done",
    );
    assert_eq!(process.address().await.unwrap(), "grpc://127.0.0.1:1");
    assert_eq!(process.line("listening on").await, "grpc://127.0.0.1:1 now");
    poll::until("the log", START_WITHIN, || std::future::ready((process.stderr() == "log\n").then_some(()))).await;
    assert!(!process.terminate().await.unwrap());
}

#[tokio::test]
async fn an_end_before_the_address_is_an_error_with_the_reason() {
    let mut process = fake_product("echo 'no such database' >&2; exit 1");
    let error = process.address().await.unwrap_err().to_string();
    assert!(error.contains("no such database"), "{error}");
    assert_eq!(process.ended().await.unwrap().code(), Some(1));
    let error = process.wait_ready("http://127.0.0.1:1").await.unwrap_err().to_string();
    assert!(error.contains("before it was ready"), "{error}");
}

#[tokio::test]
async fn kill_needs_no_consent() {
    let process = fake_product("trap '' TERM; echo 'listening on x'; while :; do sleep 0.05; done");
    process.line("listening on").await;
    process.kill().unwrap();
}

#[test]
fn the_binary_is_found_beside_the_tests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meridian");
    fs::write(&path, "").unwrap();
    assert_eq!(beside(&folder.path().join("deps/test-0123")), Some(path));
    assert_eq!(beside(Path::new("/nowhere/deps/test")), None);
}
