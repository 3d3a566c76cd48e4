//! A provider with Twilio's API that fails in every possible way, and records each request.
//!
//! Its answer depends on the seed and the text alone, not on the order of the texts.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard},
};

use jiff::Timestamp;
use runtime::Clock;
use tokio::{net::TcpListener, sync::oneshot};
use uuid::Uuid;
use wire::reminder::{ReceiveRequest, receive_request::Field};

use super::{
    http,
    oracle::{Checkpoint, Oracle, number_of_phone},
    scenario::{MINUTE, Patient, SECOND, Visit},
    text::Text,
};
use crate::common::TOKEN;

/// More stalled answers would occupy all tasks of a service.
const STALLED_MAX: usize = 3;

/// The answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    /// Accepted, with a receipt before the answer.
    Early,
    Refused(u32),
    Busy,
    /// An unreadable answer; the flag says whether the text was accepted.
    Broken(bool),
    /// No answer; the flag says whether the text was accepted.
    HungUp(bool),
    /// Accepted, and answered much later.
    Stalled,
}

impl Answer {
    pub fn is_accepted(self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Busy | Self::Broken(false) | Self::HungUp(false))
    }

    /// Whether the sender learns the outcome.
    pub fn is_known_to_sender(self) -> bool {
        matches!(self, Self::Accepted | Self::Early | Self::Refused(_) | Self::Busy)
    }
}

/// A receipt that the provider will send.
pub struct Report {
    url: String,
    status: &'static str,
    code: u32,
    done: Option<oneshot::Sender<()>>,
}

/// The provider's records of a run.
#[derive(Default)]
pub struct ProviderRecords {
    /// The answers to each message's requests, by the message's id.
    pub answers: HashMap<Uuid, Vec<Answer>>,
    /// How often each text was accepted, by visit.
    pub accepted: HashMap<(u128, Text), usize>,
    /// How often a receipt asked for a retry, by message, and by text.
    pub again: HashMap<Uuid, usize>,
    pub again_texts: HashMap<(u128, Text), usize>,
    /// The visits of patients who opted out.
    pub opted_out: HashSet<u128>,
    /// Texts that were false when booking was last asked.
    pub wrong: Vec<String>,
    /// Texts that crossed a change: true when booking answered, false on arrival.
    pub crossed: usize,
    /// Texts about visits that had begun.
    pub late: Vec<String>,
}

#[derive(Default)]
struct State {
    records: ProviderRecords,
    storm: bool,
    stalled: HashSet<Uuid>,
    patients: HashMap<u128, Visit>,
    reports: BTreeMap<(i64, u64), Report>,
    count: u64,
}

/// A running provider; clones share it.
#[derive(Clone)]
pub struct FakeProvider {
    pub url: String,
    seed: u64,
    clock: Clock,
    oracle: Oracle,
    state: Arc<Mutex<State>>,
}

impl FakeProvider {
    pub async fn start(seed: u64, clock: Clock, oracle: Oracle) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self { url, seed, clock, oracle, state: Arc::default() };
        tokio::spawn(http::serve(listener, provider.clone()));
        provider
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn know(&self, visit: Visit) {
        self.lock().patients.insert(visit.number, visit);
    }

    pub fn set_storm(&self, storm: bool) {
        self.lock().storm = storm;
    }

    /// Whether the answer for this message is stalled.
    pub fn is_stalled(&self, message: Uuid) -> bool {
        self.lock().stalled.contains(&message)
    }

    pub fn take_records(&self) -> ProviderRecords {
        std::mem::take(&mut self.lock().records)
    }

    /// A number in `[0, 1)` that the seed and these words determine.
    fn chance(&self, words: impl Hash) -> f64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, words).hash(&mut hasher);
        (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Handles a request; the HTTP answer, or `None` to close the connection.
    pub async fn send(&self, instance: usize, form: &HashMap<String, String>) -> Option<String> {
        let (number, text) = (number_of_phone(&form["To"]), Text::parse(&form["Body"]));
        let url = &form["StatusCallback"];
        let (message, attempt) = addressed(url);
        let answer = {
            let mut state = self.lock();
            let visit = state.patients[&number];
            self.check(&mut state.records, visit, &text);
            let answer = self.answer(&state, visit, &text, attempt);
            state.records.answers.entry(message).or_default().push(answer);
            if answer.is_accepted() {
                *state.records.accepted.entry((number, text.clone())).or_default() += 1;
                self.plan_reports(&mut state, number, &text, url, answer);
            }
            if answer == Answer::Refused(21610) {
                state.records.opted_out.insert(number);
            }
            if answer == Answer::Stalled {
                state.stalled.insert(message);
            }
            answer
        };
        self.oracle.reached(Checkpoint::Given, number, instance).await;
        let draw = self.chance((number, &text, attempt, "wait"));
        match answer {
            Answer::Early => self.report_first(url).await,
            Answer::Stalled => {
                let until_us = self.clock.now_us() + 5 * SECOND + (draw * 10.0 * MINUTE as f64) as i64;
                self.clock.sleep_until(Timestamp::from_microsecond(until_us).unwrap()).await;
                self.lock().stalled.remove(&message);
            }
            _ => {}
        }
        match answer {
            Answer::HungUp(_) => None,
            Answer::Broken(_) => Some(http::response("500 Internal Server Error", "", "something broke")),
            Answer::Refused(code) => Some(http::response("400 Bad Request", "", &format!(r#"{{"code":{code}}}"#))),
            Answer::Busy => {
                let after =
                    if draw < 0.5 { format!("retry-after: {}\r\n", 5 + (draw * 100.0) as u64) } else { String::new() };
                Some(http::response("429 Too Many Requests", &after, r#"{"code":20429}"#))
            }
            _ => Some(http::response("201 Created", "", &format!(r#"{{"sid":"{}","status":"queued"}}"#, sid(url)))),
        }
    }

    /// Records a text that is false or late.
    fn check(&self, records: &mut ProviderRecords, visit: Visit, text: &Text) {
        let (now, answered) = self.oracle.now_and_answered(visit.number);
        let line = || format!("visit {} at {}: {text:?}", visit.number, self.clock.now());
        if now.starts_at_us <= self.clock.now_us() {
            records.late.push(line());
        }
        if text.is_true_of(now, visit.zone) {
            return;
        }
        match answered.iter().any(|state| text.is_true_of(*state, visit.zone)) {
            true => records.crossed += 1,
            false => records.wrong.push(line()),
        }
    }

    fn answer(&self, state: &State, visit: Visit, text: &Text, attempt: i32) -> Answer {
        match visit.patient {
            Patient::BadNumber => return Answer::Refused(21211),
            Patient::OptedOut => return Answer::Refused(21610),
            _ => {}
        }
        // In a storm, half of the requests fail.
        let draw = self.chance((visit.number, text, attempt)) * if state.storm { 2.0 } else { 20.0 };
        match (draw * 1000.0) as u32 {
            0..500 => Answer::Busy,
            500..600 => Answer::Broken(true),
            600..650 => Answer::Broken(false),
            650..750 => Answer::HungUp(true),
            750..800 => Answer::HungUp(false),
            800..900 if state.stalled.len() < STALLED_MAX => Answer::Stalled,
            900..1000 => Answer::Early,
            _ => Answer::Accepted,
        }
    }

    /// Plans the receipts of a text: repeated, out of order, and some never.
    fn plan_reports(&self, state: &mut State, number: u128, text: &Text, url: &str, answer: Answer) {
        let draw = |what: &str| self.chance((number, text, url.len(), what));
        // A text without a readable answer gets its receipt later, or never.
        if answer == Answer::Early || (!answer.is_known_to_sender() && draw("never") < 0.5) {
            return;
        }
        let last = match (draw("end") * 100.0) as u32 {
            0..3 => ("undelivered", 30005),
            3..5 => ("failed", 30006),
            5..7 => ("undelivered", 30003),
            7 => ("undelivered", 30008),
            8 => ("failed", 21610),
            9 => return,
            _ => ("delivered", 0),
        };
        let mut path = vec![last];
        if draw("path") < 0.4 {
            path = vec![("queued", 0), ("sent", 0), last];
        }
        if draw("order") < 0.4 {
            path.reverse();
        }
        if draw("twice") < 0.3 {
            path.push(last);
        }
        if last.1 == 21610 {
            state.records.opted_out.insert(number);
        }
        if matches!(last.1, 30003 | 30008) {
            *state.records.again.entry(addressed(url).0).or_default() += 1;
            *state.records.again_texts.entry((number, text.clone())).or_default() += 1;
        }
        let now_us = self.clock.now_us();
        for (at, (status, code)) in (1..).zip(path) {
            let at_us = now_us + (draw("when") * 60.0 * (at * SECOND) as f64) as i64;
            self.plan_report(state, at_us, Report { url: url.to_owned(), status, code, done: None });
        }
    }

    fn plan_report(&self, state: &mut State, at_us: i64, report: Report) {
        state.count += 1;
        state.reports.insert((at_us, state.count), report);
    }

    /// Sends the receipt of the delivery, and waits until a service has it.
    async fn report_first(&self, url: &str) {
        let (done, acknowledged) = oneshot::channel();
        let report = Report { url: url.to_owned(), status: "delivered", code: 0, done: Some(done) };
        self.plan_report(&mut self.lock(), self.clock.now_us(), report);
        // An error means that no service is alive.
        let _ = acknowledged.await;
    }

    /// The next due receipt.
    pub fn next_report(&self) -> Option<Report> {
        let mut state = self.lock();
        let first = state.reports.first_entry().filter(|entry| entry.key().0 <= self.clock.now_us())?;
        Some(first.remove())
    }

    /// No service took the receipt; it comes again later.
    pub fn put_off(&self, report: Report) {
        self.plan_report(&mut self.lock(), self.clock.now_us() + MINUTE, report);
    }
}

impl Report {
    /// The signed callback.
    pub fn request(&self) -> ReceiveRequest {
        let code = if self.code == 0 { String::new() } else { self.code.to_string() };
        let form = [("MessageStatus", self.status.to_owned()), ("MessageSid", sid(&self.url)), ("ErrorCode", code)];
        let form = form.map(|(name, value)| (name.to_owned(), value));
        let signature = reminder::twilio_signature(TOKEN, &self.url, &form);
        let form = form.into_iter().map(|(name, value)| Field { name, value }).collect();
        ReceiveRequest { provider: "twilio".into(), url: self.url.clone(), form, signature, ..Default::default() }
    }

    pub fn acknowledge(self) {
        if let Some(done) = self.done {
            // An error means that the sender was killed.
            let _ = done.send(());
        }
    }
}

/// The message and the attempt of a callback URL.
fn addressed(url: &str) -> (Uuid, i32) {
    let url: reqwest::Url = url.parse().unwrap();
    let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let message: domain::id::MessageId = value("message_id").parse().unwrap();
    (message.uuid(), value("attempt").parse().unwrap())
}

fn sid(url: &str) -> String {
    let (message, attempt) = addressed(url);
    format!("SM{:030x}{attempt:02}", message.as_u128() >> 8)
}
