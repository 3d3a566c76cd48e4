//! The binary's commands, as a person uses them.

use std::process::{Command, Stdio};

use anyhow::Result;

#[test]
fn a_reader_who_leaves_ends_a_command_quietly() -> Result<()> {
    let mut child = Command::new(testkit::product::binary()?)
        .args(["config", "--keys"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !said.contains("panicked"), "{said}");
    Ok(())
}
