//! Where the script is played: the clock, the services over one database, and the driver that moves from event to event.

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
    fake_provider::Carrier,
    oracle::{Hit, Point, Truth},
    outages::Outages,
    scenario::{Events, FIRST, MINUTE, Race, SECOND, Script, What},
    text::Text,
};
use crate::common::{
    self, PUBLIC_URL, TOKEN, organization,
    rows::{Open, Rows},
};

/// How many services run side by side.
const INSTANCES: usize = 2;
/// The clock moves on by so much at least where nothing but messages is due.
const STEP_US: i64 = 20 * SECOND + 700_000;
/// Real time in which a message comes to a point of its way, if it ever does.
const REACHED_WITHIN: Duration = Duration::from_millis(150);
const WITHIN: Duration = Duration::from_secs(40);
/// Each run of a service has a lease of its own length, by which the driver tells whose message is whose. All are longer
/// than a move takes to settle: a message that waits for that is in nobody's hand.
const LEASE_SECONDS: u32 = 121;
const LEASES: u32 = 40;
const DAY_US: i64 = 24 * 60 * MINUTE;

/// A running service.
struct Instance {
    client: ReminderClient<rpc::Channel>,
    task: JoinHandle<()>,
    lease_us: i64,
}

pub struct Stage {
    pub clock: Clock,
    pub truth: Truth,
    pub carrier: Carrier,
    pub rows: Rows,
    pub outages: Outages,
    pub kills: Vec<i64>,
    /// The messages of leases that nobody alive holds, and when those end.
    orphaned: HashSet<(Uuid, i64)>,
    /// How many messages waited for the end of a lease that somebody alive holds.
    pub waited: usize,
    /// Answers that stay on the way, by their visit.
    slow: HashMap<u128, Hit>,
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

impl Stage {
    pub async fn new(database: Database, seed: u64) -> Self {
        let clock = Clock::manual(FIRST.parse().unwrap());
        let truth = Truth::new(clock.clone());
        let carrier = Carrier::start(seed, clock.clone(), truth.clone()).await;
        let target = Target::from_url(&database.for_service("reminder")).unwrap();
        App::migrate(&target).await.unwrap();
        let rows = Rows::open(&database.for_service("reminder")).await;
        let mut config =
            Config { public_url: Some(PUBLIC_URL.into()), sms_provider: "twilio".into(), ..Config::default() };
        let twilio = &mut config.providers.twilio;
        twilio.account_sid = Some("AC00000000000000000000000000000000".into());
        twilio.auth_token = Some(TOKEN.into());
        twilio.from = Some("+15005550006".into());
        twilio.timeout_seconds = 60;
        let mut stage = Self {
            clock,
            truth,
            carrier,
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
            stage.start(instance).await;
        }
        stage
    }

    async fn start(&mut self, instance: usize) {
        self.runs += 1;
        let mut config = self.config.clone();
        config.lease_seconds = LEASE_SECONDS + self.runs % LEASES;
        config.providers.twilio.base_url = format!("{}/{instance}", self.carrier.url);
        let lease_us = i64::from(config.lease_seconds) * SECOND;
        let deps = Deps {
            clock: self.clock.clone(),
            ids: Ids::seeded(self.seed.wrapping_mul(1000) + u64::from(self.runs)),
            database: Target::from_url(&self.database.for_service("reminder")).unwrap(),
            booking: self.truth.channel(instance),
            availability: common::availability(),
        };
        let app = App::build(config, deps).await.unwrap();
        let client = ReminderClient::new(rpc::Channel::in_process(app.routes()));
        let task = tokio::spawn(async move { app.run(Shutdown::new()).await });
        self.instances[instance] = Some(Instance { client, task, lease_us });
    }

    /// Gives the default rules texts that the provider can read, and lets some repeat what may not have arrived; answers what
    /// each rule is.
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

    /// Plays the events until nothing is left to do.
    pub async fn play(&mut self, script: &mut Script) {
        for visit in &script.visits {
            self.carrier.know(*visit);
        }
        self.settle().await;
        let first_us = self.clock.now_us();
        let mut day = 0;
        while let Some(next_us) = self.next(&script.events).await {
            let mut events = vec![];
            while let Some(entry) = script.events.first_entry().filter(|entry| entry.key().0 <= next_us) {
                events.push(entry.remove());
            }
            // What is to happen on a message's way is awaited before the clock wakes those who send it.
            let armed: Vec<_> = events.into_iter().map(|what| (what, self.arm(what))).collect();
            self.clock.advance(SignedDuration::from_micros(next_us - self.clock.now_us()));
            for (what, arm) in armed {
                self.happens(what, arm, &mut script.events).await;
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

    /// When something happens or is due next.
    async fn next(&self, events: &Events) -> Option<i64> {
        let now_us = self.clock.now_us();
        let event = events.first_key_value().map(|((at_us, _), _)| (*at_us).max(now_us));
        // While nothing can be asked, whatever is due only asks again and again.
        let step_us = if self.down > 0 { 8 * STEP_US } else { STEP_US };
        let wake = self.rows.next_wake(now_us).await.map(|wake_us| wake_us.max(now_us + step_us));
        [event, wake].into_iter().flatten().min()
    }

    fn arm(&self, what: What) -> Option<oneshot::Receiver<Hit>> {
        let (visit, race) = match what {
            What::Change { visit, race, .. } | What::Kill { visit, race, .. } => (visit, race),
            What::Slow { visit } => (visit, Race::Asked),
            _ => return None,
        };
        match race {
            Race::None => None,
            Race::Asked | Race::Delayed => Some(self.truth.arm(Point::Asked, visit)),
            Race::Given => Some(self.truth.arm(Point::Given, visit)),
        }
    }

    async fn happens(&mut self, what: What, arm: Option<oneshot::Receiver<Hit>>, events: &mut Events) {
        let hit = match arm {
            Some(arm) => tokio::time::timeout(REACHED_WITHIN, arm).await.ok().and_then(Result::ok),
            None => None,
        };
        if let (What::Change { visit, .. } | What::Kill { visit, .. } | What::Slow { visit }, None) = (what, &hit) {
            self.truth.disarm(visit);
        }
        match what {
            What::Book(visit) => self.truth.book(visit),
            What::Change { visit, to, race } => {
                self.truth.change(visit, to);
                if race == Race::Delayed && hit.is_some() && self.follows() {
                    let known = poll::attempt(WITHIN, || async { self.is_applied().await.then_some(()) }).await;
                    known.expect("the services hear of a change");
                    self.truth.outdate(visit);
                }
            }
            What::Down(began) => {
                count(&mut self.down, began);
                self.truth.booking.set_down(self.down > 0);
                self.outages.turn("down", self.down > 0, self.clock.now_us());
            }
            What::Hold(began) => {
                count(&mut self.held, began);
                match began {
                    true if self.held == 1 => self.truth.booking.hold_back(),
                    false if self.held == 0 => self.truth.booking.release(),
                    _ => {}
                }
                self.outages.turn("held", self.held > 0, self.clock.now_us());
            }
            What::Cut(began) => {
                count(&mut self.cut, began);
                self.truth.set_cut(self.cut > 0);
                self.outages.turn("cut", self.cut > 0, self.clock.now_us());
            }
            What::Storm(began) => {
                count(&mut self.storms, began);
                self.carrier.set_storm(self.storms > 0);
            }
            What::Kill { visit, back_at_us, .. } => {
                let instance = hit.as_ref().map_or((visit % INSTANCES as u128) as usize, |hit| hit.instance);
                if self.kill(instance).await {
                    let now_us = self.clock.now_us();
                    self.kills.push(now_us);
                    // What it was at waits until its lease is over.
                    self.outages.add(now_us, back_at_us + 200 * SECOND);
                    events.insert((back_at_us, u64::MAX - self.kills.len() as u64), What::Start(instance));
                }
            }
            What::Start(instance) => self.start(instance).await,
            What::Slow { visit } => {
                if let Some(hit) = hit {
                    self.slow(visit, hit).await;
                }
            }
            What::Arrive { visit } => drop(self.slow.remove(&visit)),
        }
    }

    /// Lets an answer stay on the way; its message is not waited for until somebody else takes it up.
    async fn slow(&mut self, visit: u128, hit: Hit) {
        let Some(service) = &self.instances[hit.instance] else { return };
        let ends_us = self.clock.now_us() + service.lease_us;
        let open = self.rows.until(ends_us).await.into_iter();
        let its = open.filter(|one| one.appointment_id.as_u128() == visit && one.wake_at_us == ends_us);
        self.orphaned.extend(its.map(|one| (one.id, one.wake_at_us)));
        self.slow.insert(visit, hit);
    }

    /// Ends a service as a killed process ends; `false` where it is dead already.
    async fn kill(&mut self, instance: usize) -> bool {
        let Some(dead) = self.instances[instance].take() else { return false };
        dead.task.abort();
        let _ = dead.task.await;
        let now_us = self.clock.now_us();
        let ends_us = now_us + dead.lease_us;
        let open = self.rows.until(ends_us).await.into_iter();
        let its = open.filter(|one| one.wake_at_us == ends_us || self.carrier.is_stalled(one.id));
        self.orphaned.extend(its.map(|one| (one.id, one.wake_at_us)));
        true
    }

    /// Whether the services can be expected to hear of every change.
    fn follows(&self) -> bool {
        self.held == 0 && self.cut == 0 && self.instances.iter().all(Option::is_some)
    }

    async fn is_applied(&self) -> bool {
        self.rows.position().await == Some(self.truth.position())
    }

    /// Waits until the services know what they can know, and have done what is due.
    async fn settle(&mut self) {
        let done = poll::attempt_often(WITHIN, || async {
            self.report().await;
            self.is_settled().await.then_some(())
        });
        if done.await.is_some() {
            return;
        }
        // Where the database fails a service, a message waits for the end of its lease.
        let now_us = self.clock.now_us();
        let open = self.rows.until(now_us + i64::from(LEASE_SECONDS + LEASES) * SECOND).await;
        let waits = open.iter().filter(|one| self.is_in_hand(one, now_us));
        let waiting: Vec<_> = waits.map(|one| (one.id, one.wake_at_us)).collect();
        self.waited += waiting.len();
        self.orphaned.extend(waiting);
        self.outages.add(now_us, now_us + 200 * SECOND);
        if !self.is_settled().await {
            let open: Vec<_> = open.iter().map(|one| (one.id, &one.status, one.wake_at_us)).collect();
            let (at, behind): (Timestamp, _) = (self.clock.now(), !self.is_applied().await);
            panic!("at {at} the services do not come to rest: {open:?}, behind: {behind}");
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
            // Who waits for the answer leaves it to another, and there may be none.
            let slow = alive < INSTANCES && self.slow.contains_key(&one.appointment_id.as_u128());
            ((due && !slow) || self.is_in_hand(one, now_us)) && !self.carrier.is_stalled(one.id)
        })
    }

    /// Whether a service that is alive has leased it just now. What was never leased is nobody's, whenever it is due.
    fn is_in_hand(&self, one: &Open, now_us: i64) -> bool {
        let leased = self.instances.iter().flatten().any(|service| one.wake_at_us == now_us + service.lease_us);
        leased && one.fence > 0 && !self.orphaned.contains(&(one.id, one.wake_at_us))
    }

    /// Hands the provider's reports that are due to a service.
    async fn report(&self) {
        let Some(service) = self.instances.iter().flatten().next() else { return };
        while let Some(report) = self.carrier.next_report() {
            let ctx = Context::new(organization(9), "key_test", Duration::from_secs(30));
            match service.client.clone().receive_status(ctx.request(report.request())).await {
                Ok(_) => report.heard(),
                Err(_) => self.carrier.put_off(report),
            }
        }
    }
}

fn count(of: &mut u32, began: bool) {
    *of = if began { *of + 1 } else { *of - 1 };
}
