//! The disk of embedded databases: full, not this user's, or without one of its files; and what a stop leaves on it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use scenarios::{ADMIN, Answer, Clinic, Product, patient, service};
use serde_json::json;
use tempfile::TempDir;
use testkit::{
    poll,
    product::{self, Process},
};

const WITHIN: Duration = Duration::from_secs(30);
const FILES: [&str; 4] = ["availability.sqlite", "booking.sqlite", "gateway.sqlite", "reminder.sqlite"];

/// Books one of the clinic's first slots.
async fn book(product: &Product, clinic: &Clinic, slot: usize) -> Result<Answer> {
    let slots = product.slots(clinic, (2, 6), &clinic.revision).await?;
    let slot = slots.get(slot).context("no slot")?["slot_id"].clone();
    product.post("/v1/appointments", json!({"slot_id": slot, "patient": patient("Example", "+17805550123")})).await
}

/// Waits until `/readyz` answers with this status, and names these words.
async fn readyz(product: &Product, status: StatusCode, named: &[&str]) {
    poll::until("readyz to change", WITHIN, || async {
        let answer = product.get("/readyz").await.ok().filter(|answer| answer.status == status)?;
        let later = answer.headers.contains_key("retry-after");
        assert_eq!(later, status == StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
        let body = answer.body.to_string();
        named.iter().all(|word| body.contains(word)).then_some(())
    })
    .await;
}

/// A limit on the size of files stands for a disk that is full: writes fail in the middle of a transaction, and nothing needs
/// to be mounted.
#[tokio::test]
async fn a_full_disk_ends_no_bookings_for_longer_than_it_lasts() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let process = Pid::from_raw(i32::try_from(product.processes[0].id())?).context("a process")?;
    let full = Rlimit { current: Some(1), maximum: getrlimit(Resource::Fsize).maximum };
    for _ in 0..2 {
        let before = prlimit(Some(process), Resource::Fsize, full)?;
        for _ in 0..3 {
            let refused = book(&product, &clinic, 0).await?;
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.body);
            assert_eq!(
                (refused.text("/code").as_str(), &refused.headers["retry-after"]),
                ("storage_unavailable", &"10".parse()?)
            );
        }
        readyz(&product, StatusCode::SERVICE_UNAVAILABLE, &["database of booking", "make room"]).await;
        prlimit(Some(process), Resource::Fsize, before)?;
        let booked = book(&product, &clinic, 0).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}\n{}", booked.body, product.printed());
        readyz(&product, StatusCode::OK, &[]).await;
    }
    Ok(())
}

#[tokio::test]
async fn doctor_names_a_full_disk() -> Result<()> {
    let folder = stopped().await?;
    let mut doctor = Command::new("sh");
    doctor.args(["-c", "ulimit -f 1; exec \"$0\" doctor"]).arg(product::binary()?).current_dir(folder.path());
    let printed = text(&doctor.stdin(Stdio::null()).output()?);
    let line = printed.lines().find(|line| line.contains("database of booking")).unwrap_or_default();
    assert!(line.starts_with("WRONG") && line.contains("make room"), "{printed}");
    Ok(())
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// The folder of an installation that has booked an appointment and was stopped.
async fn stopped() -> Result<TempDir> {
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let booked = book(&product, &clinic, 0).await?;
    ensure!(booked.status == StatusCode::CREATED, "{}", booked.body);
    let (processes, _, folder) = product.into_parts();
    for process in processes {
        ensure!(process.terminate().await?);
    }
    Ok(folder)
}

/// Copies files of an installation's data into a new folder.
fn copied(from: &Path, files: &[&str]) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("meridian-data");
    fs::create_dir(&data)?;
    for file in files.iter().chain(&["secrets.key"]) {
        fs::copy(from.join("meridian-data").join(file), data.join(file))?;
    }
    Ok(folder)
}

async fn run(folder: &Path, arguments: &[&str]) -> Result<(bool, String)> {
    let output = product::run(folder, arguments, &[("MERIDIAN_ADMIN_KEY", ADMIN)]).await?;
    Ok((output.status.success(), text(&output)))
}

async fn appointments(folder: &Path) -> Result<usize> {
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let (process, url) = Process::ready(folder, &arguments, &[("MERIDIAN_ADMIN_KEY", ADMIN)]).await?;
    let listed = testkit::http::client().get(format!("{url}/v1/appointments"));
    let listed: serde_json::Value = listed.bearer_auth(ADMIN).send().await?.json().await?;
    ensure!(process.terminate().await?);
    listed["data"].as_array().map(Vec::len).with_context(|| listed.to_string())
}

#[tokio::test]
async fn after_a_stop_the_database_files_alone_are_a_whole_copy() -> Result<()> {
    let folder = stopped().await?;
    let logs = |folder: &Path| -> Vec<u64> {
        let log = |file| folder.join("meridian-data").join(format!("{file}-wal"));
        FILES.map(|file| fs::metadata(log(file)).map_or(0, |found| found.len())).to_vec()
    };
    assert_eq!(logs(folder.path()), [0; 4], "nothing is left in a write-ahead log");
    let copy = copied(folder.path(), &FILES)?;
    assert_eq!(appointments(copy.path()).await?, 1);
    // Commands leave as little.
    let (made, printed) = run(copy.path(), &["keys", "create", "--name", "desk", "--role", "reception"]).await?;
    assert!(made, "{printed}");
    assert_eq!(logs(copy.path()), [0; 4]);
    let (listed, printed) = run(copied(copy.path(), &FILES)?.path(), &["keys", "list"]).await?;
    assert!(listed && printed.contains("desk"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_missing_beside_the_others_is_named_and_not_made_anew() -> Result<()> {
    let whole = stopped().await?;
    for missing in FILES {
        let name = missing.trim_end_matches(".sqlite");
        let rest: Vec<&str> = FILES.into_iter().filter(|file| *file != missing).collect();
        let copy = copied(whole.path(), &rest)?;
        let lost = copy.path().join("meridian-data").join(missing);
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["keys", "list"], &["doctor"]] {
            let (done, printed) = run(copy.path(), command).await?;
            assert!(!done && !lost.exists(), "{command:?} without {name}: {printed}");
            for part in [format!("the database of {name}"), format!("meridian-data/{missing}"), "one backup".into()] {
                assert!(printed.contains(&part), "{command:?} without {name}: {part} is missing in {printed}");
            }
        }
        let (made, printed) = run(copy.path(), &["migrate", "--new"]).await?;
        assert!(made && lost.exists(), "{printed}");
        assert!(run(copy.path(), &["doctor"]).await?.0, "{name} begins anew");
    }
    // A log without its database is more than nothing.
    let copy = copied(whole.path(), &[])?;
    fs::write(copy.path().join("meridian-data/booking.sqlite-wal"), "data")?;
    let (done, printed) = run(copy.path(), &["migrate"]).await?;
    assert!(!done && printed.contains("put the two back together"), "{printed}");
    Ok(())
}

/// A user without rights: the test's own, or nobody where the test runs as root. The binary is where that user may run it.
struct Stranger {
    folder: TempDir,
    binary: PathBuf,
}

const NOBODY: u32 = 65534;

impl Stranger {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let binary = folder.path().join("meridian");
        let built = product::binary()?;
        fs::hard_link(&built, &binary).or_else(|_| fs::copy(&built, &binary).map(drop))?;
        open_to_all(folder.path())?;
        Ok(Self { folder, binary })
    }

    /// A folder of the test's own user, in which the stranger may not write.
    fn foreign_folder(&self) -> Result<PathBuf> {
        let data = self.folder.path().join("data");
        fs::create_dir_all(&data)?;
        let mut permissions = fs::metadata(&data)?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&data, permissions)?;
        Ok(data)
    }

    fn run(&self, command: &str, data: &Path) -> Result<(bool, String)> {
        use std::os::unix::process::CommandExt;
        let mut process = Command::new(&self.binary);
        process.args([command, "--listen", "127.0.0.1:0", "--data"]).arg(data).current_dir("/").env_clear();
        if rustix::process::geteuid().is_root() {
            process.uid(NOBODY).gid(NOBODY);
        }
        let output = process.stdin(Stdio::null()).output()?;
        Ok((output.status.success(), text(&output)))
    }
}

fn open_to_all(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

#[tokio::test]
async fn a_folder_that_is_not_writable_is_named_with_its_owner_and_the_mend() -> Result<()> {
    let stranger = Stranger::new()?;
    let data = stranger.foreign_folder()?;
    let mends = if rustix::process::geteuid().is_root() {
        ["belongs to user 0 (root) with mode 0555".to_owned(), format!("chown -R {NOBODY} {}", data.display())]
    } else {
        ["has mode 0555".to_owned(), format!("chmod -R u+rwX {}", data.display())]
    };
    // The folder itself, and one that would have to be made in it.
    for folder in [data.clone(), data.join("inner")] {
        for command in ["serve", "migrate", "doctor"] {
            let (done, printed) = stranger.run(command, &folder)?;
            assert!(!done, "{command}: {printed}");
            for part in &mends {
                assert!(printed.contains(part), "{command}: {part} is missing in {printed}");
            }
            assert!(!printed.contains("unable to open"), "{printed}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_database_file_of_another_user_is_named() -> Result<()> {
    use std::os::unix::fs::chown;
    let (whole, stranger) = (stopped().await?, Stranger::new()?);
    let data = stranger.folder.path().join("data");
    fs::create_dir(&data)?;
    for file in FILES.iter().chain(&["secrets.key"]) {
        fs::copy(whole.path().join("meridian-data").join(file), data.join(file))?;
    }
    let booking = data.join("booking.sqlite");
    if rustix::process::geteuid().is_root() {
        for path in FILES.iter().chain(&["secrets.key"]).map(|file| data.join(file)).chain([data.clone()]) {
            chown(path, Some(NOBODY), Some(NOBODY))?;
        }
        chown(&booking, Some(0), Some(0))?;
    } else {
        let mut permissions = fs::metadata(&booking)?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&booking, permissions)?;
    }
    for command in ["serve", "doctor"] {
        let (done, printed) = stranger.run(command, &data)?;
        let named = format!("the file {} ", booking.display());
        assert!(!done && printed.contains(&named) && printed.contains("mode 0"), "{command}: {printed}");
    }
    Ok(())
}
