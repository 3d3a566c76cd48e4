//! Loads the demo chain through the services' own interfaces at the first start.

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use anyhow::{Context as _, Result, bail};
use domain::{
    directory::{Body, Kind, TimeOff},
    id::{LocationId, OrganizationId, ServiceId},
};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Span, Timestamp, civil::Date, tz::TimeZone};
use rpc::{Context, Fault};
use runtime::{Clock, Shutdown};
use uuid::Uuid;
use wire::{
    availability::{CreateEntryRequest, ListEntriesRequest, directory_client::DirectoryClient},
    convert::directory::{body_to_wire, kind_to_wire},
    reminder::{CreateRuleRequest, ListMessagesRequest, ListRulesRequest, reminder_client::ReminderClient},
};

use super::{SearchExample, appointments, care_plans, chain};
use crate::catalogue::{aftercare, entries as catalogue};
use crate::roles::Peers;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The most polls for the first message, 200 ms apart.
const POLLS_MAX: u32 = 150;

/// The organisation of the demo: the default one, which [`chain`] is given.
static ORGANIZATION: OnceLock<OrganizationId> = OnceLock::new();

/// The context of one call.
pub(crate) fn context() -> Context {
    let organization = ORGANIZATION.get().copied().unwrap_or(OrganizationId::new(Uuid::nil()));
    Context::new(organization, "demo", CALL_TIMEOUT)
}

/// The state of the load.
pub(crate) struct Loader {
    client: DirectoryClient<rpc::Channel>,
    /// The directory's revision after the last entry.
    pub(crate) revision: String,
    pub(crate) services: HashMap<&'static str, String>,
    /// The plan templates by their codes.
    pub(crate) templates: HashMap<String, String>,
    pub(crate) locations: Vec<String>,
    pub(crate) practitioners: Vec<String>,
    bar: ProgressBar,
}

/// Loads the chain unless it is loaded, and returns a search that finds open slots.
pub(crate) async fn chain(
    organization: OrganizationId,
    clock: &Clock,
    peers: &Peers,
    shutdown: &Shutdown,
) -> Result<SearchExample> {
    ORGANIZATION.get_or_init(|| organization);
    let client = DirectoryClient::new(peers.availability.clone());
    let today = clock.now().to_zoned(TimeZone::UTC).date();
    if first(&client, Kind::Service).await?.is_none() {
        let mut loader = Loader {
            client: client.clone(),
            revision: String::new(),
            services: HashMap::new(),
            templates: HashMap::new(),
            locations: vec![],
            practitioners: vec![],
            bar: progress_bar(390, "directory"),
        };
        loader.treatments().await?;
        loader.clinics().await?;
        loader.practitioners(today).await?;
        loader.bar.finish();
        care_plans::load(clock, peers, &mut loader, shutdown).await?;
        appointments::book(clock, peers, &loader, shutdown).await?;
        loader.displace_week(clock.now().to_zoned(TimeZone::UTC).date()).await?;
    }
    clock.catch_up(Timestamp::MAX);
    let location = first(&client, Kind::Location).await?.context("the demo chain has no location")?;
    let service = by_code(&client, "manual-therapy").await?.context("the demo chain has no treatment")?;
    let day = |days: i64| {
        let at = clock.now().saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or_default();
        at.strftime("%Y-%m-%dT00:00:00Z").to_string()
    };
    Ok(SearchExample { service, location, from: day(1), to: day(15) })
}

/// Waits until reminder follows the feed, so that the first appointment that a user books gets its messages at once.
pub(crate) async fn wait_for_reminder(clock: &Clock, peers: &Peers, shutdown: &Shutdown) {
    for _ in 0..POLLS_MAX {
        let request = ListMessagesRequest::default();
        let messages = ReminderClient::new(peers.reminder.clone()).list_messages(context().request(request)).await;
        let follows = messages.is_ok_and(|answer| !answer.get_ref().messages.is_empty());
        if follows || shutdown.until(clock.sleep(Duration::from_millis(200))).await.is_none() {
            return;
        }
    }
}

/// Adds the aftercare rules after the load, so that they apply to the appointments that a user completes.
pub(crate) async fn aftercare_rules(peers: &Peers) -> Result<()> {
    let mut client = ReminderClient::new(peers.reminder.clone());
    let rules = client.list_rules(context().request(ListRulesRequest::default())).await.map_err(Fault::from)?;
    let known = rules.into_inner().rules;
    if known.iter().any(|rule| rule.body.as_ref().is_some_and(|body| !body.asks.is_empty())) {
        return Ok(());
    }
    let mut needling = Vec::new();
    for entry in list(&DirectoryClient::new(peers.availability.clone()), Kind::Service).await? {
        if let Some(wire::availability::entry_body::Body::Service(service)) = entry.body.and_then(|body| body.body)
            && service.needling
        {
            needling.push(entry.id);
        }
    }
    for body in aftercare::rules(needling) {
        let request = context().request(CreateRuleRequest { body: Some(body) });
        client.create_rule(request).await.map_err(Fault::from)?;
    }
    Ok(())
}

/// A progress bar.
pub(crate) fn progress_bar(length: u64, label: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(label);
    let style = ProgressStyle::with_template("loading the demo chain: {msg:10} {wide_bar} {pos}/{len}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

async fn list(client: &DirectoryClient<rpc::Channel>, kind: Kind) -> Result<Vec<wire::availability::Entry>> {
    let request = ListEntriesRequest { kind: kind_to_wire(kind) as i32, limit: 200, ..ListEntriesRequest::default() };
    Ok(client.clone().list_entries(context().request(request)).await.map_err(Fault::from)?.into_inner().entries)
}

async fn first(client: &DirectoryClient<rpc::Channel>, kind: Kind) -> Result<Option<String>> {
    Ok(list(client, kind).await?.into_iter().next().map(|entry| entry.id))
}

async fn by_code(client: &DirectoryClient<rpc::Channel>, code: &str) -> Result<Option<String>> {
    let found = list(client, Kind::Service).await?.into_iter().find(|entry| {
        let body = entry.body.clone().unwrap_or_default();
        matches!(body.body, Some(wire::availability::entry_body::Body::Service(service)) if service.code == code)
    });
    Ok(found.map(|entry| entry.id))
}

impl Loader {
    async fn add(&mut self, parent: &str, body: Body) -> Result<String> {
        let request =
            CreateEntryRequest { parent_id: parent.to_owned(), body: Some(body_to_wire(&body)), dry_run: false };
        let response = self.client.create_entry(context().request(request)).await.map_err(Fault::from)?;
        if let Some(revision) = response.metadata().get("meridian-revision").and_then(|value| value.to_str().ok()) {
            self.revision = revision.to_owned();
        }
        self.bar.inc(1);
        match response.into_inner().entry {
            Some(entry) => Ok(entry.id),
            None => bail!("the directory answered without the entry"),
        }
    }

    async fn treatments(&mut self) -> Result<()> {
        for treatment in catalogue::treatments() {
            let mut service = treatment.service;
            service.requires_prior = treatment.after.and_then(|code| self.services.get(code)?.parse().ok());
            let code = catalogue::CODES.into_iter().find(|code| *code == service.code).context("an unknown code")?;
            let id = self.add("", Body::Service(service)).await?;
            self.services.insert(code, id);
        }
        let services = self.services.clone();
        let find = |code: &str| services.get(code).and_then(|id| id.parse::<ServiceId>().ok());
        for template in catalogue::templates(find) {
            let code = template.code.clone();
            let id = self.add("", Body::PlanTemplate(template)).await?;
            self.templates.insert(code, id);
        }
        Ok(())
    }

    /// Gives one practitioner time off in the week after next, which displaces their appointments.
    async fn displace_week(&mut self, today: Date) -> Result<()> {
        let days_since_monday = today.weekday().to_monday_zero_offset();
        let monday = today.checked_add(Span::new().days(14 - i64::from(days_since_monday)))?;
        let at = |days: i64| -> Result<Timestamp> {
            let date = monday.checked_add(Span::new().days(days))?;
            Ok(TimeZone::get(chain::clinics()[0].location.time_zone.as_str())?
                .to_timestamp(date.to_datetime(jiff::civil::Time::midnight()))?)
        };
        let time_off = TimeOff { starts_at: at(0)?, ends_at: at(5)?, reason: "sick".to_owned() };
        let practitioner = self.practitioners[0].clone();
        self.add(&practitioner, Body::TimeOff(time_off)).await?;
        Ok(())
    }

    async fn clinics(&mut self) -> Result<()> {
        for clinic in chain::clinics() {
            let id = self.add("", Body::Location(clinic.location)).await?;
            for room in chain::rooms() {
                self.add(&id, Body::Room(room)).await?;
            }
            for equipment in chain::equipment() {
                self.add(&id, Body::Equipment(equipment)).await?;
            }
            self.locations.push(id);
        }
        Ok(())
    }

    async fn practitioners(&mut self, today: Date) -> Result<()> {
        let clinics = chain::clinics();
        for (number, member) in chain::members().into_iter().enumerate() {
            let id = self.add("", Body::Practitioner(member.practitioner)).await?;
            let home = &clinics[member.works_at[0]];
            for code in member.certificates {
                self.add(&id, Body::Certificate(chain::certificate(code, home.jurisdiction, today))).await?;
            }
            for (turn, clinic) in member.works_at.iter().enumerate() {
                let location: LocationId = self.locations[*clinic].parse()?;
                let roster = chain::roster(location, number % 6, turn, member.works_at.len(), today);
                self.add(&id, Body::Roster(roster)).await?;
            }
            self.practitioners.push(id);
        }
        Ok(())
    }
}
