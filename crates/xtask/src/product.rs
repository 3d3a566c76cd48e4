//! The built product as a child process.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Longest wait for its address; the demo loads its data first.
const START_WITHIN: Duration = Duration::from_secs(300);
/// The installation's key of the product, which allows every request.
pub(crate) const ADMIN_KEY: &str = "mrd_measuring_and_fuzzing_only_0123456789";
/// Seals secrets where the product runs on PostgreSQL.
const SEALING_KEY: &str = "5ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea1";

/// A running product; ended with this value.
pub(crate) struct Product {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
}

impl Product {
    /// Starts it with these arguments and variables, and waits for its address.
    ///
    /// # Errors
    /// When it ends or prints no address; the error holds its output.
    pub(crate) fn start(binary: &Path, folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let log = folder.join("log");
        let mut command = Command::new(binary);
        // The caller's variables belong to the caller's own installation and must not reach this one.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MERIDIAN_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(arguments)
            .env("MERIDIAN_ADMIN_KEY", ADMIN_KEY)
            .env("MERIDIAN_SECRETS__KEY", SEALING_KEY)
            .envs(variables.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let mut product = Self { child, url: String::new() };
        match address(stdout) {
            Some(url) => product.url = url,
            None => bail!("the product printed no address:\n{}", fs::read_to_string(&log).unwrap_or_default()),
        }
        Ok(product)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in bytes.
    ///
    /// # Errors
    /// On systems other than Linux.
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1024)
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end, so that the product never blocks on its output; returns the address as soon as it is printed.
fn address(stdout: impl Read + Send + 'static) -> Option<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(rest) = line.trim().strip_prefix("listening on ") {
                // The receiver may have timed out.
                let _ = send.send(rest.split_whitespace().next().unwrap_or_default().to_owned());
            }
        }
    });
    receive.recv_timeout(START_WITHIN).ok()
}

/// Waits for another process in real time, within a bound.
pub(crate) fn wait_until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + within;
    while !holds() {
        if Instant::now() > end {
            bail!("waited {within:?} for {what} without success");
        }
        pause();
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "another process lives in real time")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn fake_product(script: &str) -> (tempfile::TempDir, Result<Product>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fake_product");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let product = Product::start(&path, folder.path(), &["demo"], &[]);
        (folder, product)
    }

    #[test]
    fn the_address_and_the_memory_are_read() {
        let (_folder, product) = fake_product("echo loading; echo 'listening on http://127.0.0.1:9'; exec sleep 60");
        let product = product.unwrap();
        assert_eq!(product.url, "http://127.0.0.1:9");
        assert!(product.memory().unwrap() > 0);
    }

    #[test]
    fn an_early_exit_reports_the_output() {
        let (_folder, product) = fake_product("echo 'no such database' >&2; exit 1");
        let error = product.err().unwrap().to_string();
        assert!(error.contains("no such database"), "{error}");
    }

    #[test]
    fn waiting_is_bounded() {
        let mut calls = 0;
        wait_until("three", Duration::from_secs(60), || {
            calls += 1;
            calls == 3
        })
        .unwrap();
        assert!(wait_until("never", Duration::from_millis(30), || false).is_err());
    }
}
