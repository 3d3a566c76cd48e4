//! Secrets at rest: a copy of every database file, or a dump of every table, opens nothing. On both engines.

#![cfg(unix)]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Product, SEALING_KEY, patient, service, sms};
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use testkit::{
    database::Database,
    http::Pages,
    poll,
    product::{self, Process},
    sms::{AUTH_TOKEN, FakeProvider},
};

const WITHIN: Duration = Duration::from_secs(60);
const PHONE: &str = "+17805550123";
const OTHER_KEY: &str = "07e507e507e507e507e507e507e507e507e507e507e507e507e507e507e507e5";
const PUBLIC: &str = "https://clinic.invalid";
const SETTINGS: [&str; 6] = [
    "--set",
    "public_url=https://clinic.invalid",
    "--set",
    "reminder.webhooks.private_addresses=true",
    "--set",
    "availability.calendars.allow_private_addresses=true",
];
/// In the paths of a webhook endpoint and of an imported calendar.
const IN_HOOK: &str = "hook-canary-0123456789";
const IN_CALENDAR: &str = "calendar-canary-0123456789";

/// Everything that the databases hold: the bytes of each file, or each row of each table as text.
async fn dump(product: &Product) -> Result<Vec<(String, Vec<u8>)>> {
    let Some(database) = &product.database else {
        let folder = product.folder().join("meridian-data");
        let files = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
        let files = files.iter().map(|file| file.path()).filter(|path| !path.ends_with("secrets.key"));
        return files.map(|path| Ok((path.display().to_string(), fs::read(&path)?))).collect();
    };
    let pool = PgPool::connect(&database.admin_url).await?;
    let tables = sqlx::query(
        "SELECT schemaname || '.' || tablename FROM pg_tables \
         WHERE schemaname IN ('availability', 'booking', 'gateway', 'reminder')",
    );
    let mut dump = Vec::new();
    for table in tables.fetch_all(&pool).await? {
        let table: String = table.get(0);
        let rows = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        let rows = sqlx::query(rows).fetch_all(&pool).await?;
        let text: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        dump.push((table, text.join("\n").into_bytes()));
    }
    pool.close().await;
    Ok(dump)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

/// The places of a dump that hold a secret: as it is, or in hexadecimal as PostgreSQL writes bytes.
fn places(dump: &[(String, Vec<u8>)], secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let holds = |bytes: &[u8]| contains(bytes, secret.as_bytes()) || contains(bytes, hex.as_bytes());
    dump.iter().filter(|(_, bytes)| holds(bytes)).map(|(name, _)| name.clone()).collect()
}

fn last_part(url: &str) -> String {
    url.rsplit('/').next().unwrap_or_default().trim_end_matches(".ics").trim().to_owned()
}

async fn post(product: &Product, path: &str, body: Value) -> Result<Answer> {
    let key = format!("key of {path}");
    let key = key.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let answer = product.send(Method::POST, path, ADMIN, &[("idempotency-key", &key)], Some(body)).await?;
    ensure!(answer.status.is_success(), "{path}: {}", answer.body);
    Ok(answer)
}

/// Posts a patient's text as the provider does, which signs the public URL.
async fn answer(product: &Product, text: &str) -> Result<()> {
    let (path, form) = ("/v1/providers/twilio/inbound", sms::form(PHONE, text, 1));
    let signature = reminder::twilio_signature(AUTH_TOKEN, &format!("{PUBLIC}{path}"), &form);
    let request = testkit::http::client().post(format!("{}{path}", product.url));
    let answer = request.header("x-twilio-signature", signature).form(&form).send().await?;
    ensure!(answer.status().is_success(), "refused: {}", answer.text().await?);
    Ok(())
}

/// The texts that the provider got with a link, once there are so many.
async fn links(provider: &FakeProvider, count: usize) -> Vec<String> {
    poll::until("texts with links", WITHIN, || async {
        let texts = provider.messages().into_iter().map(|message| message.body);
        let with_link: Vec<String> = texts.filter(|text| text.contains("/m/")).collect();
        (with_link.len() >= count).then_some(with_link)
    })
    .await
}

/// The secrets that an installation has given out, each with the name of what it opens.
async fn give_out(product: &Product, provider: &FakeProvider, pages: &Pages) -> Result<Vec<(&'static str, String)>> {
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let slots = product.slots(&clinic, (3, 6), &clinic.revision).await?;
    let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", PHONE)});
    let booked = post(product, "/v1/appointments", body).await?;
    let manage = last_part(&booked.text("/links/manage"));
    let sent = links(provider, 1).await;
    ensure!(sent[0].contains(&manage), "the text has the link: {}", sent[0]);
    // The answer to M sends the link.
    answer(product, "M").await?;
    let sent = links(provider, 2).await;
    ensure!(sent[1].contains(&manage), "the answer has the link: {}", sent[1]);
    let revoke = format!("/v1/appointments/{}/links/revoke", booked.text("/id"));
    let next = last_part(&post(product, &revoke, json!({})).await?.text("/links/manage"));
    pages.say(&format!("/{IN_HOOK}"), 200, "", b"");
    let made = post(product, "/v1/webhook_endpoints", json!({"url": hook(pages)})).await?;
    let rotate = format!("/v1/webhook_endpoints/{}/rotate_secret", made.text("/id"));
    let rotated = post(product, &rotate, json!({})).await?;
    let calendar = post(product, &format!("/v1/practitioners/{}/calendar", clinic.practitioner), json!({})).await?;
    let key = post(product, "/v1/keys", json!({"name": "desk", "scopes": ["slots:read"]})).await?;
    let empty = scenarios::calendar("");
    pages.say(&format!("/{IN_CALENDAR}"), 200, "", empty.as_str().unwrap_or_default().as_bytes());
    let busy = format!("/v1/practitioners/{}/busy", clinic.practitioner);
    let imported = post(product, &busy, json!({"url": format!("{}/{IN_CALENDAR}", pages.url)})).await?;
    ensure!(imported.text("/url").contains(IN_CALENDAR), "staff see the address: {}", imported.body);
    Ok(vec![
        ("the first manage link", manage),
        ("the manage link", next),
        ("the old secret of the webhook endpoint", made.text("/secret")),
        ("the secret of the webhook endpoint", rotated.text("/secret")),
        ("the calendar link", last_part(&calendar.text("/url"))),
        ("the API key", key.text("/key")),
        ("the address of the webhook endpoint", IN_HOOK.to_owned()),
        ("the address of the imported calendar", IN_CALENDAR.to_owned()),
        ("the installation's own key", ADMIN.to_owned()),
        ("the sealing key", SEALING_KEY.to_owned()),
    ])
}

fn hook(pages: &Pages) -> String {
    format!("{}/{IN_HOOK}", pages.url)
}

async fn start(apart: bool, provider: &FakeProvider) -> Result<Product> {
    let settings = sms::settings(provider);
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(SETTINGS).collect();
    if apart { Product::apart(&settings).await } else { Product::embedded(&settings).await }
}

#[tokio::test]
async fn a_copy_of_the_databases_holds_no_secret_and_starts_nowhere_without_the_key() -> Result<()> {
    for apart in [false, true] {
        let provider = FakeProvider::start().await?;
        let product = start(apart, &provider).await?;
        let pages = Pages::serve().await?;
        let secrets = give_out(&product, &provider, &pages).await?;
        let dump = dump(&product).await?;
        ensure!(!places(&dump, PHONE).is_empty(), "the dump is of this installation");
        for (name, secret) in &secrets {
            ensure!(secret.len() >= 16, "{name}: {secret}");
            assert_eq!(places(&dump, secret), [""; 0], "{name} is stored");
        }

        // A thief's own installation on the copy, under a key of their own.
        let folder = tempfile::tempdir()?;
        let mut variables = vec![("MERIDIAN_ADMIN_KEY", ADMIN), ("MERIDIAN_SECRETS__KEY", OTHER_KEY)];
        match &product.database {
            Some(database) => variables.push(("MERIDIAN_DATABASE__URL", &database.url)),
            None => copy(&product.folder().join("meridian-data"), &folder.path().join("meridian-data"))?,
        }
        let stolen = product::run(folder.path(), &["serve", "--listen", "127.0.0.1:0"], &variables).await?;
        let printed = String::from_utf8_lossy(&stolen.stderr);
        assert!(!stolen.status.success() && printed.contains("is sealed under the key"), "{printed}");
    }
    Ok(())
}

/// Copies the files of the databases, without the key file.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let path = file?.path();
        let name = path.file_name().context("a name")?;
        if name != "secrets.key" {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn secrets_are_sealed_again_under_the_newest_key_and_a_second_run_finds_nothing() -> Result<()> {
    for apart in [false, true] {
        let provider = FakeProvider::start().await?;
        let product = start(apart, &provider).await?;
        let pages = Pages::serve().await?;
        let secrets = give_out(&product, &provider, &pages).await?;
        let rotate = async |keys: String| -> Result<(bool, String)> {
            if !apart {
                fs::write(product.folder().join("meridian-data/secrets.key"), &keys)?;
            }
            product.command_with(&["secrets", "rotate"], &keys).await
        };
        let own = match apart {
            true => SEALING_KEY.to_owned(),
            false => fs::read_to_string(product.folder().join("meridian-data/secrets.key"))?,
        };
        let (done, printed) = rotate(OTHER_KEY.to_owned()).await?;
        assert!(!done && printed.contains("do not open and stay as they are"), "{printed}");
        let (done, printed) = rotate(format!("{OTHER_KEY}\n{own}")).await?;
        assert!(done && printed.contains("gateway: 3 sealed") && printed.contains("reminder: "), "{printed}");
        assert!(!printed.contains(OTHER_KEY) && !printed.contains(own.trim()), "{printed}");
        let (done, again) = rotate(OTHER_KEY.to_owned()).await?;
        let sealed: Vec<&str> = again.lines().filter(|line| line.contains(" sealed under ")).collect();
        assert!(done && sealed.len() == 4 && sealed.iter().all(|line| line.contains(": 0 sealed")), "{again}");

        // Under the new key alone everything works: links, calendars, repeated requests, webhooks.
        let variables = match &product.database {
            Some(database) => vec![("MERIDIAN_DATABASE__URL", database.url.clone())],
            None => vec![],
        };
        let folder = product.folder().to_owned();
        let (_running, url) = restart(product, &folder, variables).await?;
        let find = |name: &str| {
            let found = secrets.iter().find(|(known, _)| *known == name);
            found.map(|(_, secret)| secret.clone()).context("a secret")
        };
        let client = testkit::http::client();
        let status = async |path: String| -> Result<StatusCode> {
            Ok(client.get(format!("{url}{path}")).send().await?.status())
        };
        assert_eq!(status(format!("/v1/manage/{}", find("the manage link")?)).await?, StatusCode::OK);
        assert_eq!(status(format!("/v1/calendars/{}.ics", find("the calendar link")?)).await?, StatusCode::OK);
        let repeated = client.post(format!("{url}/v1/webhook_endpoints")).bearer_auth(ADMIN);
        let repeated = repeated.header("idempotency-key", "key-of--v1-webhook-endpoints");
        let body = json!({"url": hook(&pages)});
        let repeated: Value = serde_json::from_str(&repeated.json(&body).send().await?.text().await?)?;
        assert_eq!(repeated["secret"], json!(find("the old secret of the webhook endpoint")?));
        let id = repeated["id"].as_str().context("an id")?;
        let ping = client.post(format!("{url}/v1/webhook_endpoints/{id}/test")).bearer_auth(ADMIN).json(&json!({}));
        assert_eq!(ping.send().await?.status(), StatusCode::OK);
        let received = poll::until("the ping", WITHIN, || async {
            pages.received().into_iter().find(|received| received.body.contains("\"ping\""))
        })
        .await;
        let header = |name: &str| received.headers.get(name).cloned().unwrap_or_default();
        let secret: signing::Secret = find("the secret of the webhook endpoint")?.parse()?;
        let expected =
            secret.sign(&header("webhook-id"), header("webhook-timestamp").parse()?, received.body.as_bytes());
        assert!(header("webhook-signature").split(' ').any(|signature| signature == expected), "signed by the same");
    }
    Ok(())
}

/// A process, ended with this value, on data that lives as long.
struct Running {
    _process: Process,
    _kept: (Option<Database>, tempfile::TempDir),
}

/// Ends an installation and starts all roles in one process on its data, under the other key.
async fn restart(product: Product, folder: &Path, variables: Vec<(&'static str, String)>) -> Result<(Running, String)> {
    let (processes, database, kept) = product.into_parts();
    for process in processes {
        process.terminate().await?;
    }
    let mut all = vec![("MERIDIAN_ADMIN_KEY", ADMIN), ("MERIDIAN_SECRETS__KEY", OTHER_KEY)];
    all.extend(variables.iter().map(|(name, value)| (*name, value.as_str())));
    let arguments = [&["serve", "--listen", "127.0.0.1:0"][..], &SETTINGS].concat();
    let (process, url) = Process::ready(folder, &arguments, &all).await?;
    Ok((Running { _process: process, _kept: (database, kept) }, url))
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

#[tokio::test]
async fn the_folder_and_its_files_are_their_owners_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = product::command(folder.path(), &[], &[("MERIDIAN_ADMIN_KEY", ADMIN)])?;
    let program = command.get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$0\" serve --listen 127.0.0.1:0"]).arg(program);
    for (name, value) in command.envs([("A", "a")]).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut child = shell.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let output = child.stdout.take().context("the output")?;
    let listening = BufReader::new(output).lines().map_while(Result::ok).any(|line| line.contains("listening on"));
    let data = folder.path().join("meridian-data");
    let files: Vec<PathBuf> =
        fs::read_dir(&data)?.map(|file| file.map(|file| file.path())).collect::<Result<_, _>>()?;
    let modes = files.iter().map(|path| Ok((path, mode(path)?))).collect::<Result<Vec<_>>>();
    child.kill()?;
    child.wait()?;
    assert!(listening);
    assert_eq!(mode(&data)?, 0o700);
    let modes = modes?;
    for suffix in ["booking.sqlite", "booking.sqlite-wal", "booking.sqlite-shm", "secrets.key"] {
        assert!(modes.iter().any(|(path, _)| path.ends_with(suffix)), "{suffix}: {modes:?}");
    }
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
    Ok(())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_password_of_a_database_is_not_among_the_arguments_that_ps_shows() -> Result<()> {
    let (folder, database) = (tempfile::tempdir()?, Database::postgres().await?);
    let url = database.url.replace("://meridian_product@", "://meridian_product:hunter2@");
    ensure!(url.contains("hunter2"), "the cluster's URL names its user: {}", database.url);
    let variables = [("MERIDIAN_ADMIN_KEY", ADMIN), ("MERIDIAN_SECRETS__KEY", SEALING_KEY)];
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--database-url", &url];
    let process = Process::start(folder.path(), &arguments, &variables)?;
    process.line("listening on ").await;
    let shown = fs::read(format!("/proc/{}/cmdline", process.id()))?;
    let shown = String::from_utf8_lossy(&shown).replace('\0', " ");
    assert!(shown.contains("serve --listen 127.0.0.1:0") && !shown.contains("hunter2"), "{shown}");
    assert!(!process.printed().contains("hunter2"));
    drop(process);

    // The file of a URL does the same.
    fs::write(folder.path().join("url"), format!("{url}\n"))?;
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--set", "database.url_file=url"];
    Process::start(folder.path(), &arguments, &variables)?.line("listening on ").await;
    Ok(())
}

#[tokio::test]
async fn the_key_is_found_or_its_absence_is_explained() -> Result<()> {
    let (folder, database) = (tempfile::tempdir()?, Database::postgres().await?);
    let url = ("MERIDIAN_DATABASE__URL", database.url.as_str());
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let refused = async |more: &[&str], variables: &[(&str, &str)], expected: &str| -> Result<()> {
        let output = product::run(folder.path(), &[&serve[..], more].concat(), variables).await?;
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && printed.contains(expected), "{expected} is missing in {printed}");
        assert!(!printed.contains("hunter"), "{printed}");
        Ok(())
    };
    refused(&[], &[url], "MERIDIAN_SECRETS__KEY").await?;
    refused(&[], &[url, ("MERIDIAN_SECRETS__KEY", "hunter2")], "key 1 is not 32 bytes").await?;
    refused(&["--set", "secrets.key_file=nowhere"], &[url], "secrets.key_file cannot be read").await?;
    refused(&["--set", "secrets.key_command=exit 3"], &[url], "secrets.key_command failed").await?;
    refused(&["--set", "secrets.key_command=true"], &[url], "there is no key").await?;
    let both = ["--set", "secrets.key_file=a", "--set", "secrets.key_command=b"];
    refused(&both, &[url], "give one of key, key_file and key_command").await?;

    let printed = product::run(folder.path(), &["secrets", "key"], &[]).await?;
    let key = String::from_utf8(printed.stdout)?;
    assert_eq!(key.trim().len(), 64, "{key}");
    fs::write(folder.path().join("keys"), &key)?;
    for more in [["--set", "secrets.key_file=keys"], ["--set", "secrets.key_command=cat keys"]] {
        let process = Process::start(folder.path(), &[&serve[..], &more].concat(), &[url])?;
        process.line("listening on ").await;
    }
    assert!(!folder.path().join("meridian-data").exists(), "a configured key makes no file");

    let embedded = tempfile::tempdir()?;
    let process = Process::start(embedded.path(), &serve, &[])?;
    process.line("listening on ").await;
    assert!(process.stderr().contains("secrets.key is made"), "{}", process.stderr());
    let made = fs::read_to_string(embedded.path().join("meridian-data/secrets.key"))?;
    assert!(!process.printed().contains(made.trim()));
    Ok(())
}
