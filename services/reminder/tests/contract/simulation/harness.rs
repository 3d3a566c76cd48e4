//! Runs a scenario: the clock, the services over one database, and the driver that advances from event to event.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use reminder::{App, Config, Deps};
use rpc::Context;
use runtime::{Clock, Ids, Shutdown};
use sql::Target;
use testkit::{database::Database, poll};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;
use wire::reminder::{ListRulesRequest, RuleBody, UpdateRuleRequest, reminder_client::ReminderClient};

use super::{
    fake_provider::FakeProvider,
    oracle::{Arrival, Checkpoint, Oracle},
    outages::Outages,
    scenario::{Event, FIRST, MINUTE, SECOND, Scenario, Timeline, Timing},
    text::Text,
};
use crate::common::{
    self, TOKEN, organization,
    rows::{Open, Rows},
};

/// Services that run side by side.
const INSTANCES: usize = 2;
/// The least step of the clock where only messages are due.
const STEP_US: i64 = 20 * SECOND + 700_000;
/// Real time in which a message reaches a checkpoint, if it does.
const REACHED_WITHIN: Duration = Duration::from_millis(150);
const WITHIN: Duration = Duration::from_secs(40);
/// Each run of a service has its own length of lease, by which the driver identifies the holder of a message. All are longer
/// than the settling delay of a move: a message that waits for that is not leased.
const LEASE_SECONDS: u32 = 121;
const LEASES: u32 = 40;
const DAY_US: i64 = 24 * 60 * MINUTE;

/// A running service.
struct Instance {
    client: ReminderClient<rpc::Channel>,
    task: JoinHandle<()>,
    lease_us: i64,
}

pub struct Harness {
    pub clock: Clock,
    pub oracle: Oracle,
    pub provider: FakeProvider,
    pub rows: Rows,
    pub outages: Outages,
    pub kills: Vec<i64>,
    /// Messages whose lease belongs to a killed service, and when the lease ends.
    orphaned: HashSet<(Uuid, i64)>,
    /// Messages that waited for the end of a lease of a running service.
    pub waited: usize,
    /// Delayed answers of booking, by visit.
    slow: HashMap<u128, Arrival>,
    database: Database,
    config: Config,
    instances: Vec<Option<Instance>>,
    runs: u32,
    seed: u64,
    held: u32,
    cut: u32,
    down: u32,
    storms: u32,
}

impl Harness {
    pub async fn new(database: Database, seed: u64) -> Self {
        let clock = Clock::manual(FIRST.parse().unwrap());
        let oracle = Oracle::new(clock.clone());
        let provider = FakeProvider::start(seed, clock.clone(), oracle.clone()).await;
        let target = Target::from_url(&database.for_service("reminder")).unwrap();
        App::migrate(&target).await.unwrap();
        let rows = Rows::open(&database.admin_for_service("reminder")).await;
        let mut config = Config { sms_provider: "twilio".into(), ..crate::common::config() };
        let twilio = &mut config.providers.twilio;
        twilio.account_sid = Some("AC00000000000000000000000000000000".into());
        twilio.auth_token = Some(TOKEN.into());
        twilio.from = Some("+15005550006".into());
        twilio.timeout_seconds = 60;
        let mut harness = Self {
            clock,
            oracle,
            provider,
            rows,
            outages: Outages::default(),
            kills: vec![],
            orphaned: HashSet::new(),
            waited: 0,
            slow: HashMap::new(),
            database,
            config,
            instances: (0..INSTANCES).map(|_| None).collect(),
            runs: 0,
            seed,
            held: 0,
            cut: 0,
            down: 0,
            storms: 0,
        };
        for instance in 0..INSTANCES {
            harness.start(instance).await;
        }
        harness
    }

    async fn start(&mut self, instance: usize) {
        self.runs += 1;
        let mut config = self.config.clone();
        config.lease_seconds = LEASE_SECONDS + self.runs % LEASES;
        config.providers.twilio.base_url = format!("{}/{instance}", self.provider.url);
        let lease_us = i64::from(config.lease_seconds) * SECOND;
        let deps = Deps {
            clock: self.clock.clone(),
            ids: Ids::seeded(self.seed.wrapping_mul(1000) + u64::from(self.runs)),
            database: Target::from_url(&self.database.for_service("reminder")).unwrap(),
            booking: self.oracle.channel(instance),
            availability: common::availability(),
            keyring: service::seal::Keyring::from_key(&[7; 32]),
        };
        let app = App::build(config, deps).await.unwrap();
        let client = ReminderClient::new(rpc::Channel::in_process(app.routes()));
        let task = tokio::spawn(async move { app.run(Shutdown::new()).await });
        self.instances[instance] = Some(Instance { client, task, lease_us });
    }

    /// Gives the default rules templates that the provider parses, and lets `before_start` repeat unknown messages.
    pub async fn rules(&self) -> Vec<(Uuid, RuleBody)> {
        let mut found = vec![];
        let mut client = self.instances[0].as_ref().unwrap().client.clone();
        for zone in 1..=2 {
            let ctx = Context::new(organization(zone), "key_test", Duration::from_secs(30));
            let rules = client.list_rules(ctx.request(ListRulesRequest::default())).await.unwrap().into_inner().rules;
            for rule in rules {
                let mut body = rule.body.clone().unwrap();
                let template = body.template.get_or_insert_default();
                template.sms = Text::template(&body.trigger, body.offset_minutes);
                body.repeat_unknown = body.trigger == "before_start";
                let update = UpdateRuleRequest { id: rule.id.clone(), body: Some(body), if_version: 1 };
                let rule = client.update_rule(ctx.request(update)).await.unwrap().into_inner();
                let id: domain::id::RuleId = rule.id.parse().unwrap();
                found.push((id.uuid(), rule.body.unwrap()));
            }
        }
        found
    }

    /// Runs all events, until nothing is due.
    pub async fn play(&mut self, scenario: &mut Scenario) {
        for visit in &scenario.visits {
            self.provider.know(*visit);
        }
        self.settle().await;
        let first_us = self.clock.now_us();
        let mut day = 0;
        while let Some(next_us) = self.next(&scenario.events).await {
            let mut events = vec![];
            while let Some(entry) = scenario.events.first_entry().filter(|entry| entry.key().0 <= next_us) {
                events.push(entry.remove());
            }
            // Checkpoints are armed before the clock wakes the senders.
            let armed: Vec<_> = events.into_iter().map(|event| (event, self.arm(event))).collect();
            self.clock.advance(SignedDuration::from_micros(next_us - self.clock.now_us()));
            for (event, arm) in armed {
                self.run(event, arm, &mut scenario.events).await;
            }
            self.settle().await;
            if (next_us - first_us) / DAY_US > day {
                day = (next_us - first_us) / DAY_US;
                println!("day {day} is over");
            }
        }
        for instance in 0..INSTANCES {
            self.kill(instance).await;
        }
    }

    /// The time of the next event or due message.
    async fn next(&self, events: &Timeline) -> Option<i64> {
        let now_us = self.clock.now_us();
        let event = events.first_key_value().map(|((at_us, _), _)| (*at_us).max(now_us));
        // While booking is down, due messages only retry.
        let step_us = if self.down > 0 { 8 * STEP_US } else { STEP_US };
        let wake = self.rows.next_wake(now_us).await.map(|wake_us| wake_us.max(now_us + step_us));
        [event, wake].into_iter().flatten().min()
    }

    fn arm(&self, event: Event) -> Option<oneshot::Receiver<Arrival>> {
        let (visit, timing) = match event {
            Event::Change { visit, timing, .. } | Event::Kill { visit, timing, .. } => (visit, timing),
            Event::Slow { visit } => (visit, Timing::Asked),
            _ => return None,
        };
        match timing {
            Timing::None => None,
            Timing::Asked | Timing::Delayed => Some(self.oracle.arm(Checkpoint::Asked, visit)),
            Timing::Given => Some(self.oracle.arm(Checkpoint::Given, visit)),
        }
    }

    async fn run(&mut self, event: Event, arm: Option<oneshot::Receiver<Arrival>>, events: &mut Timeline) {
        let arrival = match arm {
            Some(arm) => tokio::time::timeout(REACHED_WITHIN, arm).await.ok().and_then(Result::ok),
            None => None,
        };
        if let (Event::Change { visit, .. } | Event::Kill { visit, .. } | Event::Slow { visit }, None) =
            (event, &arrival)
        {
            self.oracle.disarm(visit);
        }
        match event {
            Event::Book(visit) => self.oracle.book(visit),
            Event::Change { visit, to, timing } => {
                self.oracle.change(visit, to);
                if timing == Timing::Delayed && arrival.is_some() && self.follows() {
                    let known = poll::attempt(WITHIN, || async { self.is_applied().await.then_some(()) }).await;
                    known.expect("the services apply the change");
                    self.oracle.outdate(visit);
                }
            }
            Event::Down(began) => {
                count(&mut self.down, began);
                self.oracle.booking.set_down(self.down > 0);
                self.outages.set("down", self.down > 0, self.clock.now_us());
            }
            Event::Hold(began) => {
                count(&mut self.held, began);
                match began {
                    true if self.held == 1 => self.oracle.booking.hold_back(),
                    false if self.held == 0 => self.oracle.booking.release(),
                    _ => {}
                }
                self.outages.set("held", self.held > 0, self.clock.now_us());
            }
            Event::Cut(began) => {
                count(&mut self.cut, began);
                self.oracle.set_cut(self.cut > 0);
                self.outages.set("cut", self.cut > 0, self.clock.now_us());
            }
            Event::Storm(began) => {
                count(&mut self.storms, began);
                self.provider.set_storm(self.storms > 0);
            }
            Event::Kill { visit, back_at_us, .. } => {
                let instance =
                    arrival.as_ref().map_or((visit % INSTANCES as u128) as usize, |arrival| arrival.instance);
                if self.kill(instance).await {
                    let now_us = self.clock.now_us();
                    self.kills.push(now_us);
                    // Its messages wait until their leases expire.
                    self.outages.add(now_us, back_at_us + 200 * SECOND);
                    events.insert((back_at_us, u64::MAX - self.kills.len() as u64), Event::Start(instance));
                }
            }
            Event::Start(instance) => self.start(instance).await,
            Event::Slow { visit } => {
                if let Some(arrival) = arrival {
                    self.slow(visit, arrival).await;
                }
            }
            Event::Arrive { visit } => drop(self.slow.remove(&visit)),
        }
    }

    /// Delays an answer; the driver does not wait for its message until another service leases it.
    async fn slow(&mut self, visit: u128, arrival: Arrival) {
        let Some(service) = &self.instances[arrival.instance] else { return };
        let ends_us = self.clock.now_us() + service.lease_us;
        let open = self.rows.until(ends_us).await.into_iter();
        let its = open.filter(|one| one.appointment_id.as_u128() == visit && one.wake_at_us == ends_us);
        self.orphaned.extend(its.map(|open| (open.id, open.wake_at_us)));
        self.slow.insert(visit, arrival);
    }

    /// Kills a service; `false` where it does not run.
    async fn kill(&mut self, instance: usize) -> bool {
        let Some(dead) = self.instances[instance].take() else { return false };
        dead.task.abort();
        let _ = dead.task.await;
        let now_us = self.clock.now_us();
        let ends_us = now_us + dead.lease_us;
        let open = self.rows.until(ends_us).await.into_iter();
        let its = open.filter(|one| one.wake_at_us == ends_us || self.provider.is_stalled(one.id));
        self.orphaned.extend(its.map(|open| (open.id, open.wake_at_us)));
        true
    }

    /// Whether all services receive every change.
    fn follows(&self) -> bool {
        self.held == 0 && self.cut == 0 && self.instances.iter().all(Option::is_some)
    }

    async fn is_applied(&self) -> bool {
        self.rows.position().await == Some(self.oracle.position())
    }

    /// Waits until the services have applied all changes and sent all due messages.
    async fn settle(&mut self) {
        let done = poll::attempt_often(WITHIN, || async {
            self.report().await;
            self.is_settled().await.then_some(())
        });
        if done.await.is_some() {
            return;
        }
        // After a database failure, a message waits for the end of its lease.
        let now_us = self.clock.now_us();
        let open = self.rows.until(now_us + i64::from(LEASE_SECONDS + LEASES) * SECOND).await;
        let waits = open.iter().filter(|one| self.is_leased_now(one, now_us));
        let waiting: Vec<_> = waits.map(|open| (open.id, open.wake_at_us)).collect();
        self.waited += waiting.len();
        self.orphaned.extend(waiting);
        self.outages.add(now_us, now_us + 200 * SECOND);
        if !self.is_settled().await {
            let open: Vec<_> = open.iter().map(|one| (one.id, &one.status, one.wake_at_us)).collect();
            let (at, behind): (Timestamp, _) = (self.clock.now(), !self.is_applied().await);
            panic!("at {at} the services do not settle: {open:?}, behind: {behind}");
        }
    }

    async fn is_settled(&self) -> bool {
        let alive = self.instances.iter().flatten().count();
        if alive == 0 {
            return true;
        }
        if self.follows() && !self.is_applied().await {
            return false;
        }
        let now_us = self.clock.now_us();
        let open = self.rows.until(now_us + i64::from(LEASE_SECONDS + LEASES) * SECOND).await;
        !open.iter().any(|one| {
            let due = one.wake_at_us <= now_us;
            // The service with the delayed answer leaves the message to another one, which may not exist.
            let slow = alive < INSTANCES && self.slow.contains_key(&one.appointment_id.as_u128());
            ((due && !slow) || self.is_leased_now(one, now_us)) && !self.provider.is_stalled(one.id)
        })
    }

    /// Whether a running service leased the message at this instant. A message with fence 0 was never leased.
    fn is_leased_now(&self, one: &Open, now_us: i64) -> bool {
        let leased = self.instances.iter().flatten().any(|service| one.wake_at_us == now_us + service.lease_us);
        leased && one.fence > 0 && !self.orphaned.contains(&(one.id, one.wake_at_us))
    }

    /// Passes the provider's due receipts to a service.
    async fn report(&self) {
        let Some(service) = self.instances.iter().flatten().next() else { return };
        while let Some(report) = self.provider.next_report() {
            let ctx = Context::new(organization(9), "key_test", Duration::from_secs(30));
            match service.client.clone().receive_status(ctx.request(report.request())).await {
                Ok(_) => report.acknowledge(),
                Err(_) => self.provider.put_off(report),
            }
        }
    }
}

fn count(of: &mut u32, began: bool) {
    *of = if began { *of + 1 } else { *of - 1 };
}
