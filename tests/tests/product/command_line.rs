//! The commands of the binary.

use std::{net::TcpListener, process::Stdio};

use anyhow::Result;
use testkit::product;

#[test]
fn a_closed_output_ends_a_command_quietly() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = product::command(folder.path(), &["config", "--keys"], &[])?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !printed.contains("panicked"), "{printed}");
    Ok(())
}

/// The address is in use, so a product that listened before it validated its settings would report that instead.
#[tokio::test]
async fn an_invalid_setting_is_refused_before_anything_is_opened() -> Result<()> {
    let (folder, taken) = (tempfile::tempdir()?, TcpListener::bind("127.0.0.1:0")?);
    let address = taken.local_addr()?.to_string();
    let (serve, demo) = (&["serve", "--listen", &address][..], &["demo", "--listen", &address][..]);
    let clock = ["--clock", "2026-03-06T08:00:00Z@600"];
    let mail = ["--set", "reminder.smtp.url=smtps://mail.example.org", "--set", "reminder.smtp.from=a@example.org"];
    let no_ca = [&mail[..], &["--set", "reminder.smtp.ca_file=nowhere.pem"]].concat();
    let no_peer = ["--role", "booking", "--set", "peers.availability=http://not a host"];
    for (command, more, expected) in [
        (serve, &clock[..], "--dev"),
        (demo, &clock, "--dev"),
        (serve, &["--dev", "--clock", "tomorrow"], "write a simulated clock"),
        (serve, &["--admin-key-file", "nowhere"], "the key file nowhere cannot be read"),
        (serve, &["--ops-listen", &address], "must be another address than listen"),
        (serve, &no_peer, "peers.availability"),
        (serve, &no_ca, "ca_file"),
        (demo, &no_ca, "ca_file"),
    ] {
        let output = product::run(folder.path(), &[command, more].concat(), &[]).await?;
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && printed.contains(expected), "{more:?}: {expected} is missing in {printed}");
        assert!(!printed.contains("listened on"), "{more:?} is refused before it listens: {printed}");
    }
    let short = product::run(folder.path(), serve, &[("MERIDIAN_ADMIN_KEY", "short")]).await?;
    assert!(String::from_utf8_lossy(&short.stderr).contains("at least 16 characters"));
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0, "nothing was made");
    Ok(())
}

#[tokio::test]
async fn the_configuration_in_force_is_printed_without_its_secrets() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = "public_url = \"https://book.example.org\"\n[reminder]\nreplies = false\n[booking]\nlink_days = 9";
    std::fs::write(folder.path().join("meridian.toml"), file)?;
    let variables = [
        ("MERIDIAN_ADMIN_KEY", "mrd_hunter1_hunter1"),
        ("MERIDIAN_BOOKING__LINK_KEY", "hunter2_hunter2_hunter2"),
        ("MERIDIAN_REMINDER__SMTP__URL", "smtps://mail:hunter3@mail.example.org"),
        ("MERIDIAN_REMINDER__SMTP__FROM", "reminders@example.org"),
        ("MERIDIAN_REMINDER__PROVIDERS__HTTP__URL", "https://sms.example.org/hunter4"),
        ("MERIDIAN_BOOKING__LINK_DAYS", "10"),
    ];
    let flags = ["config", "--database-url", "postgres://meridian:hunter5@db/main", "--set", "booking.link_days=11"];
    let output = product::run(folder.path(), &flags, &variables).await?;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "listen = \"127.0.0.1:8080\"  # default",
        "public_url = \"https://book.example.org\"  # file meridian.toml",
        "reminder.replies = false  # file meridian.toml",
        "booking.link_days = 11  # flag",
        "booking.link_key = \"…\"  # environment MERIDIAN_BOOKING__LINK_KEY",
        "reminder.smtp.url = \"smtps://mail:…@mail.example.org\"  # environment MERIDIAN_REMINDER__SMTP__URL",
        "reminder.providers.http.url = \"…\"  # environment MERIDIAN_REMINDER__PROVIDERS__HTTP__URL",
        "database.url = \"postgres://meridian:…@db/main\"  # environment MERIDIAN_DATABASE__URL",
        "# ops_listen is not set",
        "# The installation's own key is set.",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} is missing in:\n{printed}");
    }
    assert!(!printed.contains("hunter"), "{printed}");
    let keys = product::run(folder.path(), &["config", "--keys"], &[]).await?;
    let keys = String::from_utf8_lossy(&keys.stdout).into_owned();
    let silent: Vec<&str> = keys
        .lines()
        .filter(|key| !printed.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} "))))
        .collect();
    assert!(silent.is_empty(), "every key is printed: {silent:?}");
    Ok(())
}

/// glibc reads the settings of its allocator from the environment of a new process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[tokio::test]
async fn the_product_starts_with_the_settings_of_its_allocator() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let process = product::Process::start(
        folder.path(),
        &["serve", "--listen", "127.0.0.1:0"],
        &[("MERIDIAN_ADMIN_KEY", scenarios::ADMIN)],
    )?;
    process.line("listening on ").await;
    let environment = std::fs::read(format!("/proc/{}/environ", process.id()))?;
    let has = |name: &[u8]| environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(name));
    assert!(has(b"GLIBC_TUNABLES=glibc.malloc.trim_threshold="), "{}", String::from_utf8_lossy(&environment));
    Ok(())
}

#[tokio::test]
async fn a_new_installation_loads_the_catalogue_once() -> Result<()> {
    let product = scenarios::Product::embedded(&[]).await?;
    let elsewhere = tempfile::tempdir()?;
    let load = async |key: &str| {
        let arguments = ["catalogue", "--url", &product.url];
        product::run(elsewhere.path(), &arguments, &[("MERIDIAN_ADMIN_KEY", key)]).await
    };
    let codes = async |path: &str| -> Result<Vec<String>> {
        let list = product.get(&format!("{path}?limit=200")).await?;
        let mut codes: Vec<String> = list.body["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|entry| entry["code"].as_str().map(str::to_owned))
            .collect();
        codes.sort();
        Ok(codes)
    };
    let refused = load("mrd_not_the_installation_key").await?;
    assert!(!refused.status.success(), "only the installation's own key");
    for _ in 0..2 {
        let loaded = load(scenarios::ADMIN).await?;
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let templates =
            ["acupuncture-course", "acute-needling", "chronic-maintenance", "chronic-needling", "rehab-combined"];
        assert_eq!(codes("/v1/plan_templates").await?, templates, "each once, however often it is loaded");
        assert_eq!(codes("/v1/services").await?.len(), 10);
        let rules = product.get("/v1/reminder_rules").await?.body["data"].as_array().cloned().unwrap_or_default();
        let asks: Vec<_> = rules.iter().filter(|rule| rule["asks"] == "score").collect();
        assert_eq!((rules.len(), asks.len()), (10, 1), "seven of every organisation, and three of aftercare");
        assert_eq!(asks[0]["service_ids"].as_array().map(Vec::len), Some(5), "needling alone: {}", asks[0]);
    }
    Ok(())
}
