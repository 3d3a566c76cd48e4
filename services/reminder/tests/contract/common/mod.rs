//! A reminder service with everything around it: a clock moved by hand, a scripted booking and availability, a fake SMS
//! provider, and a database of its own.

pub mod booking;
mod directory;
pub mod replies;
pub mod reports;
pub mod rows;
pub mod waits;

use std::time::Duration;

use booking::{Booking, appointment_id};
pub use directory::availability;
use domain::id::{LocationId, OrganizationId, PatientId, PlanSessionId, PractitionerId, ServiceId};
use jiff::{SignedDuration, Timestamp};
use reminder::{App, Config, Deps};
use rpc::Context;
use runtime::{Clock, Ids, Shutdown};
use sql::Target;
use testkit::{database::Database, poll, sms::FakeProvider};
use tokio::task::JoinHandle;
use uuid::Uuid;
use wire::{
    booking::{Appointment, Consent, PatientDetails},
    reminder::{
        ListMessagesRequest, ListRulesRequest, Message, RuleBody, UpdateRuleRequest, reminder_client::ReminderClient,
        webhooks_client::WebhooksClient,
    },
};

pub const WITHIN: Duration = Duration::from_secs(20);
pub const PUBLIC_URL: &str = "https://book.example.org";
pub const TOKEN: &str = "12345";

pub fn us(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

pub fn organization(number: u128) -> OrganizationId {
    OrganizationId::new(Uuid::from_u128(number))
}

/// A stored text as the first patient got it: with the token of the link.
pub fn with_token(text: &str) -> String {
    assert!(text.contains("[token]"), "a text is stored without its token: {text}");
    text.replace("[token]", "token-of-visit-0000001")
}

/// A patient who agreed to everything.
pub fn patient() -> PatientDetails {
    let consent = |channel: &str| Consent { channel: channel.into(), kind: "service".into() };
    PatientDetails {
        given_name: "Canary".into(),
        family_name: "Patient".into(),
        phone: "+15005550009".into(),
        email: "canary@example.org".into(),
        consents: vec![consent("sms"), consent("email")],
        ..PatientDetails::default()
    }
}

/// The same with another number.
pub fn with_phone(phone: &str) -> PatientDetails {
    PatientDetails { phone: phone.into(), ..patient() }
}

/// Settings under which the tests' patients, who share numbers of North America, are reached as often as they must be.
pub fn config() -> Config {
    let countries = vec!["CA".into(), "US".into()];
    Config { public_url: Some(PUBLIC_URL.into()), countries, recipient_daily_max: 1000, ..Config::default() }
}

/// The surroundings that the services of a test share.
pub struct World {
    pub database: Database,
    pub clock: Clock,
    pub booking: Booking,
    pub provider: FakeProvider,
    pub config: Config,
    seed: std::cell::Cell<u64>,
    booked: std::cell::Cell<u128>,
}

/// A running service.
pub struct Running {
    pub client: ReminderClient<rpc::Channel>,
    pub webhooks: WebhooksClient<rpc::Channel>,
    pub shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl World {
    /// A world in which messages go to the sandbox.
    pub async fn new(database: Database, now: &str) -> Self {
        Self {
            database,
            clock: Clock::manual(now.parse().unwrap()),
            booking: Booking::new(),
            provider: FakeProvider::start().await.unwrap(),
            config: config(),
            seed: 0.into(),
            booked: 0.into(),
        }
    }

    /// A world in which text messages go to the fake provider.
    pub async fn with_twilio(database: Database, now: &str) -> Self {
        let mut world = Self::new(database, now).await;
        world.config.sms_provider = "twilio".into();
        let twilio = &mut world.config.providers.twilio;
        twilio.base_url = world.provider.url();
        twilio.account_sid = Some("AC00000000000000000000000000000000".into());
        twilio.auth_token = Some(TOKEN.into());
        twilio.from = Some("+15005550006".into());
        twilio.timeout_seconds = 1;
        world
    }

    /// Starts a service over this world.
    pub async fn start(&self) -> Running {
        self.seed.set(self.seed.get() + 1);
        let deps = Deps {
            clock: self.clock.clone(),
            ids: Ids::seeded(self.seed.get()),
            database: Target::from_url(&self.database.for_service("reminder")).unwrap(),
            booking: self.booking.channel(),
            availability: availability(),
            keyring: service::seal::Keyring::from_key(&[7; 32]),
        };
        let app = App::build(self.config.clone(), deps).await.unwrap();
        let shutdown = Shutdown::new();
        let client = ReminderClient::new(rpc::Channel::in_process(app.routes()));
        let webhooks = WebhooksClient::new(rpc::Channel::in_process(app.routes()));
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { app.run(shutdown).await }
        });
        let running = Running { client, webhooks, shutdown, task };
        // Later changes come through the feed, earlier ones are in the first snapshot.
        let began = format!("b{}", self.booking.beginning());
        poll::until("the first snapshot", WITHIN, || async {
            let mut ctx = Running::context(organization(1));
            ctx.revision = Some(began.clone());
            running.client.clone().list_messages(ctx.request(ListMessagesRequest::default())).await.ok()
        })
        .await;
        running
    }

    /// Books visits of one patient in one moment, as sessions of a plan.
    pub fn book_series(&self, starts: &[&str]) -> Vec<String> {
        let patient_id = PatientId::new(Uuid::from_u128(999)).to_string();
        let one = |starts_at: &&str| {
            let number = self.booked.get() + 1;
            let session = PlanSessionId::new(Uuid::from_u128(5000 + number)).to_string();
            self.book_as(organization(1), us(starts_at), patient(), |visit| {
                visit.patient_id.clone_from(&patient_id);
                visit.plan_session_id = session;
            })
        };
        starts.iter().map(one).collect()
    }

    /// Books a visit for a patient.
    pub fn book_for(&self, organization: OrganizationId, starts_at_us: i64, patient: PatientDetails) -> String {
        self.book_as(organization, starts_at_us, patient, |_| {})
    }

    /// The same, with whatever is changed of the visit.
    pub fn book_as(
        &self,
        organization: OrganizationId,
        starts_at_us: i64,
        patient: PatientDetails,
        change: impl FnOnce(&mut Appointment),
    ) -> String {
        self.booked.set(self.booked.get() + 1);
        let number = self.booked.get();
        let mut appointment = Appointment {
            id: appointment_id(number),
            status: "booked".into(),
            version: 1,
            service_id: ServiceId::new(Uuid::from_u128(20)).to_string(),
            practitioner_id: PractitionerId::new(Uuid::from_u128(21)).to_string(),
            location_id: LocationId::new(Uuid::from_u128(22)).to_string(),
            starts_at_us,
            ends_at_us: starts_at_us + 1_800_000_000,
            time_zone: "America/Edmonton".into(),
            patient_id: PatientId::new(Uuid::from_u128(1000 + number)).to_string(),
            manage_token: format!("token-of-visit-{number:07}"),
            ..Appointment::default()
        };
        change(&mut appointment);
        self.booking.book(organization, self.clock.now_us(), appointment, patient)
    }

    /// Books a seat in a group session, for a patient with this number.
    pub fn book_seat(&self, starts_at: &str, phone: &str) -> String {
        let group = domain::id::GroupId::new(Uuid::from_u128(30)).to_string();
        self.book_as(organization(1), us(starts_at), with_phone(phone), |visit| visit.group_id = group)
    }

    /// Books a visit of the first organisation for a patient who agreed to everything.
    pub fn book(&self, starts_at: &str) -> String {
        self.book_for(organization(1), us(starts_at), patient())
    }

    pub fn reschedule(&self, id: &str, starts_at: &str) {
        self.booking.change(id, "rescheduled", self.clock.now_us(), |visit| visit.starts_at_us = us(starts_at));
    }

    pub fn cancel(&self, id: &str) {
        self.booking.change(id, "cancelled", self.clock.now_us(), |visit| visit.status = "cancelled".into());
    }

    /// Takes the last transition of a booked appointment back.
    pub fn revert(&self, id: &str) {
        self.booking.change(id, "reverted", self.clock.now_us(), |visit| visit.status = "booked".into());
    }

    /// Moves the clock on to an instant.
    pub fn until(&self, at: &str) {
        self.clock.advance(SignedDuration::from_micros(us(at) - self.clock.now_us()));
    }

    pub fn seconds(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// The texts that the provider received for each number.
    pub fn texts(&self) -> Vec<String> {
        self.provider.received().into_iter().map(|one| one.form["Body"].clone()).collect()
    }
}

impl Running {
    pub fn context(organization: OrganizationId) -> Context {
        Context::new(organization, "key_test", Duration::from_secs(5))
    }

    /// The messages about a visit, the earliest due first.
    pub async fn messages(&self, appointment: &str) -> Vec<Message> {
        self.messages_of(organization(1), appointment).await
    }

    pub async fn messages_of(&self, organization: OrganizationId, appointment: &str) -> Vec<Message> {
        let request = ListMessagesRequest { appointment_id: appointment.to_owned(), ..Default::default() };
        let answer = self.client.clone().list_messages(Self::context(organization).request(request)).await;
        let mut messages = answer.unwrap().into_inner().messages;
        messages.reverse();
        messages
    }

    /// Changes the default rule with this trigger; answers its new body.
    pub async fn change_rule(&self, trigger: &str, change: impl FnOnce(&mut RuleBody)) -> RuleBody {
        let ctx = Self::context(organization(1));
        let mut client = self.client.clone();
        let rules = client.list_rules(ctx.request(ListRulesRequest::default())).await.unwrap().into_inner().rules;
        let rule = rules.into_iter().find(|rule| rule.body.as_ref().unwrap().trigger == trigger).unwrap();
        let mut body = rule.body.unwrap();
        change(&mut body);
        let update = UpdateRuleRequest { id: rule.id, body: Some(body), if_version: rule.version };
        client.update_rule(ctx.request(update)).await.unwrap().into_inner().body.unwrap()
    }

    /// Waits until the messages about a visit are as wanted.
    pub async fn when(&self, what: &str, appointment: &str, wanted: impl Fn(&[Message]) -> bool) -> Vec<Message> {
        let ask = || async {
            let messages = self.messages(appointment).await;
            wanted(&messages).then_some(messages)
        };
        poll::until(what, WITHIN, ask).await
    }

    /// Waits until no message about a visit is waiting or on its way.
    pub async fn settled(&self, appointment: &str) -> Vec<Message> {
        let open = |message: &Message| matches!(message.status.as_str(), "scheduled" | "sending");
        self.when("settled messages", appointment, |all| !all.is_empty() && !all.iter().any(open)).await
    }

    /// Waits until the one message of this trigger and channel whose due time is this has the status.
    pub async fn becomes(&self, appointment: &str, trigger: &str, channel: &str, status: &str) -> Message {
        let is =
            |message: &Message| message.trigger == trigger && message.channel == channel && message.status == status;
        let what = format!("{trigger} by {channel} to be {status}");
        let all = self.when(&what, appointment, |all| all.iter().any(is)).await;
        all.into_iter().find(is).unwrap()
    }

    /// Ends in order.
    pub async fn stop(self) {
        self.shutdown.begin();
        self.task.await.unwrap();
    }

    /// Ends as a killed process does: at once, whatever it is at.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Sorted `trigger channel status reason` of messages.
pub fn summaries(messages: &[Message]) -> Vec<String> {
    let line =
        |one: &Message| format!("{} {} {} {}", one.trigger, one.channel, one.status, one.reason).trim().to_owned();
    let mut lines: Vec<_> = messages.iter().map(line).collect();
    lines.sort();
    lines
}

/// Calls that no test makes.
#[macro_export]
macro_rules! unused {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        $(fn $name<'life, 'async_trait>(
            &'life self,
            _: Request<$request>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<Response<$response>, Status>> + Send + 'async_trait>>
        where
            'life: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(std::future::ready(Err(Status::unimplemented("not asked for"))))
        })*
    };
}
