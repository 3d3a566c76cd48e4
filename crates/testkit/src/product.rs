//! The built product as a child process.
//!
//! Its binary is `MERIDIAN_BIN`, or the one beside the running test. Its output is recorded, so that a test can assert what
//! is not in it.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::poll;

/// The variable that names the binary.
pub const VARIABLE: &str = "MERIDIAN_BIN";
/// Longest wait for the product's address, and again for its readiness.
const START_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for its end after SIGTERM; its own limit is 25 seconds.
const END_WITHIN: Duration = Duration::from_secs(30);

/// A running process; ended with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    printed: Arc<Mutex<Printed>>,
}

#[derive(Debug, Default)]
struct Printed {
    /// Both streams, line by line as they came.
    both: String,
    out: String,
    err: String,
    /// Streams that are still open.
    open: usize,
}

/// The path of `meridian`: `MERIDIAN_BIN`, or the binary beside the running test.
///
/// # Errors
/// When it has not been built.
pub fn binary() -> Result<PathBuf> {
    match env::var_os(VARIABLE) {
        Some(path) => Ok(path.into()),
        None => beside(&env::current_exe()?).context("build the product first: cargo build --bin meridian"),
    }
}

/// A test runs in `target/PROFILE/deps`, the product lies in `target/PROFILE`.
fn beside(own: &Path) -> Option<PathBuf> {
    own.ancestors().skip(1).take(2).map(|folder| folder.join("meridian")).find(|path| path.is_file())
}

/// `meridian` with these arguments and variables, in this folder, without the test's own `MERIDIAN_` variables.
///
/// # Errors
/// When it has not been built.
pub fn command(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Command> {
    let mut command = Command::new(binary()?);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MERIDIAN_")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied()).current_dir(folder);
    Ok(command)
}

/// Runs `meridian` to its end, for the commands that end by themselves.
///
/// # Errors
/// When it cannot be started or does not end within a minute.
pub async fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<std::process::Output> {
    let mut command = tokio::process::Command::from(command(folder, arguments, variables)?);
    let work = command.stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(START_WITHIN, work).await.context("the command did not end")?.context("it cannot be run")
}

/// Makes an authority and the certificates of all roles in this folder.
///
/// # Errors
/// When `meridian certificates` fails; the error holds its output.
pub async fn certificates(folder: &Path) -> Result<()> {
    let made = run(folder, &["certificates", "--out", "."], &[]).await?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// The variables by which a role uses its certificate from [`certificates`].
pub fn certificate_variables(folder: &Path, role: &str) -> Vec<(String, String)> {
    let files = [("CA_FILE", "ca.crt"), ("CERT_FILE", "tls.crt"), ("KEY_FILE", "tls.key")];
    let variable = |(key, file)| {
        let path = folder.join(role).join(file);
        (format!("MERIDIAN_PEERS__TLS__{key}"), path.display().to_string())
    };
    files.map(variable).to_vec()
}

impl Process {
    /// Starts `meridian` with these arguments and variables, in a folder of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        Self::spawn(command(folder, arguments, variables)?)
    }

    /// As [`Process::start`], and waits until it takes requests; also returns the address.
    ///
    /// # Errors
    /// When it ends, or is not ready within a minute; the error holds its output.
    pub async fn ready(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<(Self, String)> {
        let mut process = Self::start(folder, arguments, variables)?;
        let url = process.address().await?;
        process.wait_ready(&url).await?;
        Ok((process, url))
    }

    fn spawn(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("the product cannot be started")?;
        let printed = Arc::new(Mutex::new(Printed { open: 2, ..Printed::default() }));
        let out = child.stdout.take().context("no standard output")?;
        let err = child.stderr.take().context("no standard error")?;
        collect(out, printed.clone(), |printed| &mut printed.out);
        collect(err, printed.clone(), |printed| &mut printed.err);
        Ok(Self { child, printed })
    }

    /// Its output so far, both streams.
    pub fn printed(&self) -> String {
        self.lock().both.clone()
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        self.lock().out.clone()
    }

    /// Its standard error so far: its logs.
    pub fn stderr(&self) -> String {
        self.lock().err.clone()
    }

    /// Waits for a line with this beginning, and returns the rest of it.
    ///
    /// # Panics
    /// When the line does not come within a minute.
    pub async fn line(&self, beginning: &str) -> String {
        match self.look_for(beginning).await {
            Ok(rest) => rest,
            Err(error) => panic!("{error}"),
        }
    }

    /// The address that it printed: `http://127.0.0.1:PORT` of a gateway, `grpc://127.0.0.1:PORT` of another role.
    ///
    /// # Errors
    /// When it ends before it prints one, or takes more than a minute.
    pub async fn address(&self) -> Result<String> {
        let rest = self.look_for("listening on ").await?;
        Ok(rest.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// Waits until it takes requests: `/readyz` of an `http` address answers 200, a `grpc` address takes connections.
    ///
    /// # Errors
    /// When that does not happen within a minute, or it ends.
    pub async fn wait_ready(&mut self, url: &str) -> Result<()> {
        let end = poll::attempt(START_WITHIN, || {
            let ended = self.child.try_wait().ok().flatten();
            async move {
                match ended {
                    Some(status) => Some(Some(status)),
                    None => is_ready(url).await.then_some(None),
                }
            }
        });
        match end.await {
            Some(None) => Ok(()),
            Some(Some(status)) => bail!("the product ended ({status}) before it was ready:\n{}", self.printed()),
            None => bail!("the product was not ready within {START_WITHIN:?}:\n{}", self.printed()),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and waits; returns whether it ended with success.
    ///
    /// # Errors
    /// When the signal cannot be sent, or it does not end within 30 seconds.
    pub async fn terminate(mut self) -> Result<bool> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "SIGTERM could not be sent");
        Ok(self.ended().await?.success())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it has not within 30 seconds.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let ended = poll::attempt(END_WITHIN, || std::future::ready(self.child.try_wait().transpose())).await;
        ended
            .with_context(|| format!("the product did not end:\n{}", self.printed()))?
            .context("it cannot be waited for")
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    async fn look_for(&self, beginning: &str) -> Result<String> {
        let found = poll::attempt(START_WITHIN, || {
            let printed = self.lock();
            let found = printed.both.lines().find_map(|line| line.trim().strip_prefix(beginning));
            // Once both streams are closed, nothing more can come.
            std::future::ready(match found {
                Some(rest) => Some(Some(rest.trim().to_owned())),
                None => (printed.open == 0).then_some(None),
            })
        });
        found.await.flatten().with_context(|| format!("the product never printed {beginning:?}:\n{}", self.printed()))
    }

    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn is_ready(url: &str) -> bool {
    match url.strip_prefix("grpc://") {
        Some(address) => TcpStream::connect(address).is_ok(),
        None => crate::http::client()
            .get(format!("{url}/readyz"))
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success()),
    }
}

fn collect(stream: impl Read + Send + 'static, printed: Arc<Mutex<Printed>>, place: fn(&mut Printed) -> &mut String) {
    std::thread::spawn(move || {
        let lock = || printed.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut reader, mut line) = (BufReader::new(stream), Vec::new());
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            let mut printed = lock();
            printed.both.push_str(&text);
            place(&mut printed).push_str(&text);
            drop(printed);
            line.clear();
        }
        lock().open -= 1;
    });
}

#[cfg(test)]
mod tests;
