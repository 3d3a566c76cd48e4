//! A flame graph of the product under searches (<https://www.brendangregg.com/flamegraphs.html>): `perf` samples, inferno
//! draws.

use std::{fs, io::Write, process::Command};

use anyhow::{Result, bail};
use inferno::{
    collapse::{Collapse, perf::Folder},
    flamegraph,
};

use super::{
    Settings, load,
    rest_client::RestClient,
    runtime,
    search::{DEMO, UNLIMITED, paths, searches},
};
use crate::{
    product::Product,
    steps::{output, step},
};

const CONNECTIONS: usize = 8;
/// An odd rate, so that samples do not coincide with the product's millisecond timers.
const SAMPLES_A_SECOND: &str = "--freq=499";
/// How much of the stack each sample keeps; enough for the layers of a request.
const STACK: &str = "--call-graph=dwarf,24576";
const FOLDER: &str = "target/flame";

/// Checks that `perf` is installed.
///
/// # Errors
/// When `perf` is missing; says what to install.
pub(super) fn check_perf() -> Result<()> {
    if !Command::new("perf").arg("--version").output().is_ok_and(|output| output.status.success()) {
        bail!(
            "perf is not installed: a flame graph is drawn from its samples (Debian: sudo apt-get install linux-perf)"
        );
    }
    Ok(())
}

pub(super) fn run(settings: &Settings) -> Result<()> {
    fs::create_dir_all(FOLDER)?;
    let (samples, picture) = (format!("{FOLDER}/search.data"), format!("{FOLDER}/search.svg"));
    let folder = tempfile::tempdir()?;
    let product = Product::start(&settings.binary, folder.path(), &DEMO, &UNLIMITED)?;
    let rest = std::sync::Arc::new(RestClient::new(&product.url));
    let runtime = runtime()?;
    let next = searches(rest.clone(), runtime.block_on(paths(&rest, &settings.days))?);
    let seconds = settings.window.as_secs().max(1).to_string();
    step("sample", || {
        let mut perf = Command::new("perf")
            .args([
                "record",
                "--quiet",
                SAMPLES_A_SECOND,
                STACK,
                "--output",
                &samples,
                "--pid",
                &product.id().to_string(),
            ])
            .args(["--", "sleep", &seconds])
            .spawn()?;
        runtime.block_on(load::run(&rest.address, CONNECTIONS, settings.window, next))?;
        let ended = perf.wait()?;
        if ended.success() { Ok(()) } else { bail!("perf record failed ({ended}): may this user sample processes?") }
    })?;
    drop(product);
    step("draw", || {
        let script = output(Command::new("perf").args(["script", "--no-inline", "--input", &samples]))?;
        draw(&script, fs::File::create(&picture)?)
    })?;
    println!("   {picture}");
    Ok(())
}

/// Draws the output of `perf script`.
fn draw(script: &str, picture: impl Write) -> Result<()> {
    let mut folded = Vec::new();
    Folder::default().collapse(script.as_bytes(), &mut folded)?;
    let mut options = flamegraph::Options::default();
    options.title = "GET /v1/slots: 28 days, first 50 slots".to_owned();
    flamegraph::from_reader(&mut options, folded.as_slice(), picture)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_become_a_picture() {
        let script = "meridian 1 10.0: 1 cpu-clock:\n\t1 inner+0x1 (meridian)\n\t2 outer+0x2 (meridian)\n\n";
        let mut picture = Vec::new();
        draw(script, &mut picture).unwrap();
        let picture = String::from_utf8(picture).unwrap();
        assert!(picture.contains("<title>outer (1 samples, 100.00%)</title>"), "{picture}");
        assert!(picture.contains("<title>inner (1 samples, 100.00%)</title>"), "{picture}");
    }
}
