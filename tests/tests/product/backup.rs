//! `meridian backup` and `meridian restore`: the embedded databases, copied while they are written to, and put back.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use scenarios::{ADMIN, Product, patient, service};
use serde_json::json;
use testkit::{
    poll,
    product::{self, Process},
};

const WITHIN: Duration = Duration::from_secs(30);
const DATA: &str = "meridian-data";

/// Runs a command of the product in a folder; returns whether it succeeded, and what it printed.
async fn run(folder: &Path, arguments: &[&str]) -> Result<(bool, String)> {
    let output = product::run(folder, arguments, &[]).await?;
    Ok((output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
}

/// The backups in a folder, the oldest first.
fn backups(folder: &Path) -> Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path of this test is text")
}

#[tokio::test]
async fn a_backup_taken_under_load_is_put_back_whole() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    // Apart by more than an appointment takes.
    let slots = product.slots(&clinic, (2, 9), &clinic.revision).await?.into_iter().step_by(4).collect::<Vec<_>>();
    let place = tempfile::tempdir()?;
    let book = async |number: usize| -> Result<String> {
        let body = json!({"slot_id": slots[number]["slot_id"], "patient": patient(&format!("Example {number}"), "+17805550123")});
        let booked = product.post("/v1/appointments", body).await?;
        ensure!(booked.status == StatusCode::CREATED, "{number}: {}", booked.body);
        Ok(booked.text("/id"))
    };
    let mut events = product.events("/v1/events").await?;
    let mut before = Vec::new();
    for number in 0..10 {
        before.push(book(number).await?);
    }
    events.next().await?;
    // Bookings go on until the backup is made.
    let command = ["backup", "--to", text(place.path())?];
    let made = product.command(&command);
    tokio::pin!(made);
    let mut number = 10;
    let (succeeded, printed) = loop {
        tokio::select! {
            made = &mut made => break made?,
            booked = book(number), if number < slots.len() => {
                booked?;
                number += 1;
            }
        }
    };
    ensure!(succeeded && number > 10, "{number}: {printed}");
    let all = backups(place.path())?;
    ensure!(all.len() == 1 && all[0].starts_with("meridian-"), "{all:?}");
    let backup = place.path().join(&all[0]);

    let restored = tempfile::tempdir()?;
    let (succeeded, printed) = run(restored.path(), &["restore", "--from", text(&backup)?]).await?;
    ensure!(succeeded, "{printed}");
    let key = Path::new(DATA).join("secrets.key");
    fs::copy(product.folder().join(&key), restored.path().join(&key))?;
    let process =
        Process::start(restored.path(), &["serve", "--listen", "127.0.0.1:0"], &[("MERIDIAN_ADMIN_KEY", ADMIN)])?;
    let url = process.line("listening on ").await;
    let again = Product::ready(url, vec![process], restored, None).await?;
    for id in &before {
        let read = again.get(&format!("/v1/appointments/{id}")).await?;
        ensure!(read.status == StatusCode::OK, "{id}: {}", read.body);
    }
    let open = again.slots(&clinic, (2, 9), "").await?;
    ensure!(open.iter().all(|open| slots[..10].iter().all(|slot| slot["slot_id"] != open["slot_id"])), "an open slot");
    let body = json!({"slot_id": open[open.len() - 1]["slot_id"], "patient": patient("Later", "+17805550124")});
    let booked = again.post("/v1/appointments", body).await?;
    ensure!(booked.status == StatusCode::CREATED, "{}", booked.body);
    // A client that may have read further than the backup is told to begin anew.
    let mut stale = again.events_with("/v1/events", &[("last-event-id", events.last_id())]).await?;
    let (name, problem) = stale.next().await?;
    ensure!(name == "problem" && problem["code"] == "feed_position_lost", "{name}: {problem}");
    // Reminder follows booking again: the booking of just now is announced.
    poll::until("the message about the later booking", WITHIN, || async {
        let path = format!("/v1/messages?appointment_id={}", booked.text("/id"));
        again.get(&path).await.ok()?.body["data"].as_array().filter(|all| !all.is_empty()).map(drop)
    })
    .await;
    let (succeeded, printed) = again.command(&["doctor"]).await?;
    ensure!(succeeded, "{printed}");
    Ok(())
}

#[tokio::test]
async fn what_is_damaged_unfinished_or_in_the_way_is_not_put_back() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let place = tempfile::tempdir()?;
    let (succeeded, printed) = product.command(&["backup", "--to", text(place.path())?]).await?;
    ensure!(succeeded, "{printed}");
    let backup = place.path().join(&backups(place.path())?[0]);
    let (succeeded, printed) = product.command(&["restore", "--from", text(&backup)?]).await?;
    ensure!(!succeeded && printed.contains("is in the way") && printed.contains("move the folder"), "{printed}");

    let fresh = tempfile::tempdir()?;
    let file = backup.join("booking.sqlite");
    let whole = fs::read(&file)?;
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&file, damaged)?;
    let (succeeded, printed) = run(fresh.path(), &["restore", "--from", text(&backup)?]).await?;
    ensure!(!succeeded && printed.contains("booking.sqlite is damaged"), "{printed}");
    fs::write(&file, whole)?;
    let manifest = backup.join("manifest.json");
    fs::rename(&manifest, place.path().join("elsewhere"))?;
    let (succeeded, printed) = run(fresh.path(), &["restore", "--from", text(&backup)?]).await?;
    ensure!(!succeeded && printed.contains("is no backup, or one that broke off"), "{printed}");
    ensure!(!fresh.path().join(DATA).exists(), "nothing was put back");
    fs::rename(place.path().join("elsewhere"), &manifest)?;
    let (succeeded, printed) = run(fresh.path(), &["restore", "--from", text(&backup)?]).await?;
    ensure!(succeeded && printed.contains("sealing key"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn the_newest_backups_stay_and_postgresql_has_its_own() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let place = tempfile::tempdir()?;
    for old in ["meridian-20200101T000000Z", "meridian-20200102T000000Z", "meridian-20200103T000000Z"] {
        fs::create_dir(place.path().join(old))?;
        fs::write(place.path().join(old).join("manifest.json"), "{}")?;
    }
    fs::create_dir(place.path().join("of-somebody-else"))?;
    let (succeeded, printed) = product.command(&["backup", "--keep", "2", "--to", text(place.path())?]).await?;
    ensure!(succeeded, "{printed}");
    let left = backups(place.path())?;
    ensure!(left.len() == 3 && left[0] == "meridian-20200103T000000Z" && left[2] == "of-somebody-else", "{left:?}");

    let postgres = [("MERIDIAN_DATABASE__URL", "postgres://somebody@127.0.0.1:1/none")];
    let output = product::run(place.path(), &["backup", "--to", "."], &postgres).await?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && printed.contains("pg_dump"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn a_schedule_makes_backups_and_doctor_tells_their_age() -> Result<()> {
    let place = tempfile::tempdir()?;
    let setting = format!("backup.folder={}", place.path().display());
    let product = Product::embedded(&["--set", &setting]).await?;
    poll::until("the first backup", WITHIN, || async {
        backups(place.path()).ok()?.iter().any(|name| name.starts_with("meridian-")).then_some(())
    })
    .await;
    let (succeeded, printed) = product.command(&["doctor", "--set", &setting]).await?;
    ensure!(succeeded && printed.contains("ok      backups: the newest, "), "{printed}");
    fs::rename(place.path().join(&backups(place.path())?[0]), place.path().join("meridian-20200101T000000Z"))?;
    let (succeeded, printed) = product.command(&["doctor", "--set", &setting]).await?;
    ensure!(!succeeded && printed.contains("is the schedule running?"), "{printed}");
    Ok(())
}
