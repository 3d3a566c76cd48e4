//! The built product as a child process.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::poll;

/// How long a start may take.
const START_WITHIN: Duration = Duration::from_secs(60);

/// A running process; ended with this value.
pub struct Process {
    child: Child,
    /// Everything that it has printed, both streams.
    printed: Arc<Mutex<String>>,
}

/// Where the built `meridian` is: `MERIDIAN_BIN`, or beside the running test.
///
/// # Errors
/// When it has not been built.
pub fn binary() -> Result<PathBuf> {
    if let Ok(path) = env::var("MERIDIAN_BIN") {
        return Ok(path.into());
    }
    let test = env::current_exe()?;
    let folder = test.parent().and_then(std::path::Path::parent).context("the test has no folder")?;
    let path = folder.join("meridian");
    if path.is_file() { Ok(path) } else { bail!("build the product first: cargo build --bin meridian") }
}

impl Process {
    /// Starts `meridian` with these arguments and variables, in a folder of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(folder: &std::path::Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let mut child = Command::new(binary()?)
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let printed = Arc::new(Mutex::new(String::new()));
        let out = child.stdout.take().context("no standard output")?;
        let err = child.stderr.take().context("no standard error")?;
        collect(out, printed.clone());
        collect(err, printed.clone());
        Ok(Self { child, printed })
    }

    /// Everything that it has printed so far.
    pub fn printed(&self) -> String {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line that begins so, and gives what follows.
    ///
    /// # Panics
    /// When the line does not come within a minute.
    pub async fn line(&self, beginning: &str) -> String {
        let found = poll::until(beginning, START_WITHIN, || async {
            let printed = self.printed();
            printed.lines().find_map(|line| line.trim().strip_prefix(beginning).map(|rest| rest.trim().to_owned()))
        });
        found.await
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end (SIGTERM) and waits; answers whether it ended well.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn terminate(mut self) -> Result<bool> {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        Ok(asked.success() && self.child.wait()?.success())
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
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl std::io::Read + Send + 'static, printed: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
            printed.push_str(&line);
            printed.push('\n');
        }
    });
}
