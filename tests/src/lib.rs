//! End-to-end scenarios against the built binary, over real HTTP, in both arrangements.
//!
//! [`Product`] is a running installation. [`ManualClockProduct`] is one in this process, on a clock that the test moves.
//! The scenarios are in `tests/`.

mod answer;
mod events;
pub mod filters_off;
mod manual_clock;
pub mod sms;

use std::path::Path;

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{database::Database, port::Port, product::Process};

pub use answer::Answer;
use answer::answer;
pub use events::Events;
pub use manual_clock::{ManualClockProduct, ORGANIZATION, context};

/// The installation's own key in every scenario.
pub const ADMIN: &str = "mrd_admin_key_of_the_scenarios";

/// The key that seals the secrets of an installation on PostgreSQL.
pub const SEALING_KEY: &str = "5ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea1";

/// A running installation.
pub struct Product {
    /// URL of its gateway.
    pub url: String,
    /// Its processes: one, or one for each role with the gateway last.
    pub processes: Vec<Process>,
    client: reqwest::Client,
    folder: TempDir,
    /// Ports of the roles other than the gateway.
    _ports: Vec<Port>,
    /// Environment of its processes, where they are several.
    variables: Vec<(String, String)>,
    /// Its database, where that is PostgreSQL.
    pub database: Option<Database>,
}

impl Product {
    /// Starts a second availability process and a gateway that uses it, on the same data and the same booking service.
    ///
    /// # Errors
    /// When they do not start, or this installation is one process.
    pub async fn replica(&self) -> Result<Self> {
        let (folder, port) = (tempfile::tempdir()?, Port::free()?);
        let own = self.folder.path();
        let availability = start_role(folder.path(), own, "availability", &port.address(), &[], &self.variables)?;
        availability.line("listening on ").await;
        let mut variables = self.variables.clone();
        variables.retain(|(name, _)| *name != "MERIDIAN_PEERS__AVAILABILITY");
        variables.push(("MERIDIAN_PEERS__AVAILABILITY".to_owned(), port.https()));
        let gateway = start_role(folder.path(), own, "gateway", "127.0.0.1:0", &[], &variables)?;
        let url = gateway.line("listening on ").await;
        let product = Self::ready(url, vec![availability, gateway], folder, None).await?;
        Ok(Self { _ports: vec![port], ..product })
    }

    /// All roles in one process, on embedded SQLite.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn embedded(extra: &[&str]) -> Result<Self> {
        Self::embedded_with(extra, &[]).await
    }

    /// The same with more variables.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn embedded_with(extra: &[&str], more: &[(String, String)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0"];
        arguments.extend(extra);
        let mut variables = vec![("MERIDIAN_ADMIN_KEY", ADMIN)];
        variables.extend(more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let process = Process::start(folder.path(), &arguments, &variables)?;
        let url = process.line("listening on ").await;
        Self::ready(url, vec![process], folder, None).await
    }

    /// Four processes on one PostgreSQL database, which know each other by certificates.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn apart(extra: &[&str]) -> Result<Self> {
        Self::apart_with(extra, &[]).await
    }

    /// The same with more variables.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn apart_with(extra: &[&str], more: &[(String, String)]) -> Result<Self> {
        let database = Database::postgres().await?;
        let url = database.url.clone();
        let mut variables = vec![("MERIDIAN_DATABASE__URL", url.as_str())];
        variables.extend(more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        Self::apart_on(database, &variables, extra).await
    }

    /// The same on this database, with these variables, its URLs among them.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn apart_on(database: Database, urls: &[(&str, &str)], extra: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [availability, booking, reminder] = [Port::free()?, Port::free()?, Port::free()?];
        let mut variables = vec![
            ("MERIDIAN_ADMIN_KEY".to_owned(), ADMIN.to_owned()),
            ("MERIDIAN_SECRETS__KEY".to_owned(), SEALING_KEY.to_owned()),
            ("MERIDIAN_PEERS__AVAILABILITY".to_owned(), availability.https()),
            ("MERIDIAN_PEERS__BOOKING".to_owned(), booking.https()),
            ("MERIDIAN_PEERS__REMINDER".to_owned(), reminder.https()),
        ];
        variables.extend(urls.iter().map(|(name, url)| ((*name).to_owned(), (*url).to_owned())));
        testkit::product::certificates(folder.path()).await?;
        let start = |role, listen: &str| start_role(folder.path(), folder.path(), role, listen, extra, &variables);
        let mut processes = Vec::new();
        for (role, port) in [("booking", &booking), ("availability", &availability), ("reminder", &reminder)] {
            let process = start(role, &port.address())?;
            process.line("listening on ").await;
            processes.push(process);
        }
        let gateway = start("gateway", "127.0.0.1:0")?;
        let url = gateway.line("listening on ").await;
        processes.push(gateway);
        let product = Self::ready(url, processes, folder, Some(database)).await?;
        Ok(Self { variables, _ports: vec![availability, booking, reminder], ..product })
    }

    /// Processes that run already, once they answer. `url`: the gateway's.
    ///
    /// # Errors
    /// When their folder cannot be used.
    pub async fn ready(
        url: String,
        processes: Vec<Process>,
        folder: TempDir,
        database: Option<Database>,
    ) -> Result<Self> {
        let client = testkit::http::client();
        let product = Self { url, processes, client, folder, _ports: vec![], variables: vec![], database };
        let within = std::time::Duration::from_secs(60);
        // Ready means that a request reaches availability's database.
        testkit::poll::until("the installation to answer", within, || async {
            let answer = product.get("/v1/locations").await.ok()?;
            let ready = product.get("/readyz").await.ok()?;
            (answer.status == StatusCode::OK && ready.status == StatusCode::OK).then_some(())
        })
        .await;
        Ok(product)
    }

    /// GET with the installation's key.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, ADMIN, &[], None).await
    }

    /// GET without any key, as text.
    ///
    /// # Errors
    /// When nothing answers, or not with 200.
    pub async fn text(&self, path: &str) -> Result<String> {
        let response = self.client.get(format!("{}{path}", self.url)).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// POST with the installation's key.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::POST, path, ADMIN, &[], Some(body)).await
    }

    /// Any request.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Answer> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let mut request = self.client.request(method, url);
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request = match body {
            // A calendar file is the one body that is text.
            Some(Value::String(text)) => request.header("content-type", "text/calendar; charset=utf-8").body(text),
            Some(body) => request.json(&body),
            None => request,
        };
        answer(request.send().await?).await
    }

    /// A stream of events, with the installation's key.
    ///
    /// # Errors
    /// When nothing answers, or something else than a stream.
    pub async fn events(&self, path: &str) -> Result<Events> {
        self.events_with(path, &[]).await
    }

    /// A stream of events, with the installation's key and these headers.
    ///
    /// # Errors
    /// When nothing answers, or something else than a stream.
    pub async fn events_with(&self, path: &str, headers: &[(&str, &str)]) -> Result<Events> {
        self.events_as(ADMIN, path, headers).await
    }

    /// A stream of events, with this key and these headers.
    ///
    /// # Errors
    /// When nothing answers, or something else than a stream.
    pub async fn events_as(&self, key: &str, path: &str, headers: &[(&str, &str)]) -> Result<Events> {
        let request = self.client.get(format!("{}{path}", self.url)).header("authorization", format!("Bearer {key}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Events::of(request.send().await?)
    }

    /// Runs the product's command line on the installation's data; returns whether it succeeded, and its output.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn command(&self, arguments: &[&str]) -> Result<(bool, String)> {
        self.command_with(arguments, SEALING_KEY).await
    }

    /// The same with other sealing keys, where the database is PostgreSQL.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn command_with(&self, arguments: &[&str], keys: &str) -> Result<(bool, String)> {
        let url = self.database.as_ref().map(|database| database.url.clone());
        let variables =
            url.iter().flat_map(|url| [("MERIDIAN_DATABASE__URL", url.as_str()), ("MERIDIAN_SECRETS__KEY", keys)]);
        let variables: Vec<(&str, &str)> = variables.collect();
        let output = testkit::product::run(self.folder.path(), arguments, &variables).await?;
        let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok((output.status.success(), printed.concat()))
    }

    /// Its processes, its database and its folder, which live on after this value.
    pub fn into_parts(self) -> (Vec<Process>, Option<Database>, TempDir) {
        (self.processes, self.database, self.folder)
    }

    /// Its working folder, which holds embedded databases.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The output of its processes so far.
    pub fn printed(&self) -> String {
        self.processes.iter().map(Process::printed).collect()
    }

    /// Creates a clinic with one room, and one practitioner who works every day from 08:00 to 18:00.
    ///
    /// # Errors
    /// When the directory refuses.
    pub async fn clinic(&self, zone: &str, service: Value) -> Result<Clinic> {
        let id = |answer: Answer| -> Result<String> {
            answer.body["id"].as_str().map(str::to_owned).with_context(|| format!("refused: {}", answer.body))
        };
        let location = id(self.post("/v1/locations", json!({"name": "Clinic", "time_zone": zone})).await?)?;
        let rooms = format!("/v1/locations/{location}/rooms");
        id(self.post(&rooms, json!({"name": "Room 1", "type": "treatment-room"})).await?)?;
        let grace = json!({"given_name": "Grace", "family_name": "Sample"});
        let practitioner = id(self.post("/v1/practitioners", grace).await?)?;
        let weekly: Vec<Value> = ["mo", "tu", "we", "th", "fr", "sa", "su"]
            .iter()
            .map(|day| json!({"day": day, "from": "08:00", "to": "18:00"}))
            .collect();
        let roster = json!({"location_id": location, "effective_from": "2026-01-01", "weekly": weekly});
        id(self.post(&format!("/v1/practitioners/{practitioner}/rosters"), roster).await?)?;
        let created = self.post("/v1/services", service).await?;
        let revision = created.revision();
        Ok(Clinic { service: id(created)?, location, practitioner, revision })
    }

    /// A page of open slots between two days, counted from today, at least as fresh as the revision.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn slots(&self, clinic: &Clinic, days: (i64, i64), revision: &str) -> Result<Vec<Value>> {
        let path = format!(
            "/v1/slots?service_id={}&from={}&to={}&limit=200",
            clinic.service,
            from_now(days.0)?,
            from_now(days.1)?
        );
        let headers = if revision.is_empty() { vec![] } else { vec![("meridian-revision", revision)] };
        let answer = self.send(Method::GET, &path, ADMIN, &headers, None).await?;
        answer.body["data"].as_array().cloned().with_context(|| format!("refused: {}", answer.body))
    }
}

/// The entries that [`Product::clinic`] created.
#[derive(Debug, Clone)]
pub struct Clinic {
    /// The service.
    pub service: String,
    /// The location.
    pub location: String,
    /// The practitioner.
    pub practitioner: String,
    /// The directory's revision with all of these entries.
    pub revision: String,
}

/// A service of 30 minutes in a treatment room.
pub fn service() -> Value {
    json!({"code": "manual-therapy", "name": "Manual therapy", "duration_minutes": 30, "cleanup_minutes": 5,
        "room_type": "treatment-room"})
}

/// A patient with consent to texts and e-mails about their care.
pub fn patient(family_name: &str, phone: &str) -> Value {
    json!({"given_name": "Ada", "family_name": family_name, "phone": phone, "email": "ada@example.org",
        "consents": [{"channel": "sms", "kind": "service"}, {"channel": "email", "kind": "service"}]})
}

/// An iCalendar file with these lines in it.
pub fn calendar(lines: &str) -> Value {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//scenario//EN\r\n{lines}END:VCALENDAR\r\n").into()
}

/// Midnight UTC of the day that is this many days from today.
///
/// # Errors
/// Never, as long as the system's `date` works.
pub fn from_now(days: i64) -> Result<String> {
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("{days} days"), "+%Y-%m-%dT00:00:00Z"])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Starts one role with its certificate from the folder `certificates`.
fn start_role(
    folder: &Path,
    certificates: &Path,
    role: &str,
    listen: &str,
    extra: &[&str],
    variables: &[(String, String)],
) -> Result<Process> {
    let arguments = [&["serve", "--role", role, "--listen", listen], extra].concat();
    let own = testkit::product::certificate_variables(certificates, role);
    let variables: Vec<(&str, &str)> =
        variables.iter().chain(&own).map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Process::start(folder, &arguments, &variables)
}
