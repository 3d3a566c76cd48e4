//! A fake SMS provider with Twilio's HTTP API, which records requests and fails by a script.
//!
//! The shapes are those of `POST /2010-04-01/Accounts/{sid}/Messages.json` and the look-ups beside it
//! (<https://www.twilio.com/docs/messaging/api/message-resource>).

mod messages;
mod server;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use runtime::Clock;
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

pub use messages::Message;

/// The fake's account.
pub const ACCOUNT_SID: &str = "AC00000000000000000000000000000000";
/// Its token.
pub const AUTH_TOKEN: &str = "12345";
/// Longest wait of [`FakeProvider::wait_for`].
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How the provider answers a request to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Accepts the message: 201, `queued`.
    Accept,
    /// Refuses it with this HTTP status and error code, such as 400 and 21211 (no such number) or 21610 (opted out).
    Refuse(u16, u32),
    /// Answers 429 with `Retry-After` in seconds.
    Busy(u64),
    /// Answers 500 with a body that is no JSON.
    Broken,
    /// Accepts the message and does not answer before [`FakeProvider::release`].
    Stall,
    /// Accepts the message, and closes the connection before the answer.
    AcceptThenHangUp,
    /// Closes the connection without accepting the message.
    HangUp,
}

/// A received request.
#[derive(Debug, Clone)]
pub struct Received {
    /// The account in the path.
    pub account: String,
    /// The `Authorization` header.
    pub authorization: String,
    /// Whether account and token are correct.
    pub authorized: bool,
    /// The form's fields.
    pub form: HashMap<String, String>,
}

/// A running fake provider, on a free port of the loopback address; clones share it, and the last one dropped closes
/// its connections and its port.
#[derive(Clone)]
pub struct FakeProvider(Arc<Running>);

struct Running {
    url: String,
    shared: Arc<Shared>,
    server: AbortHandle,
}

struct Shared {
    state: Mutex<State>,
    received: watch::Sender<usize>,
    released: watch::Sender<u64>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    script: VecDeque<Behaviour>,
    numbers: HashMap<String, Behaviour>,
    received: Vec<Received>,
    messages: Vec<Message>,
}

impl FakeProvider {
    /// Starts it with the system's clock.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> Result<Self> {
        Self::with_clock(Clock::system()).await
    }

    /// Starts it with the clock of its messages' dates.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn with_clock(clock: Clock) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (received, released) = (watch::Sender::new(0), watch::Sender::new(0));
        let shared = Arc::new(Shared { state: Mutex::default(), received, released, clock });
        let server = tokio::spawn(server::serve(listener, shared.clone())).abort_handle();
        Ok(Self(Arc::new(Running { url, shared, server })))
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        self.0.url.clone()
    }

    /// The behaviour for the next requests to send, in order; later ones are accepted.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.0.shared.lock().script.extend(behaviours);
    }

    /// The behaviour for all requests to this number (E.164), before the script.
    pub fn for_number(&self, to: &str, behaviour: Behaviour) {
        self.0.shared.lock().numbers.insert(to.to_owned(), behaviour);
    }

    /// Answers all stalled requests.
    pub fn release(&self) {
        self.0.shared.released.send_modify(|generation| *generation += 1);
    }

    /// Every request to send received so far, in the order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.0.shared.lock().received.clone()
    }

    /// Waits until this many requests to send have arrived, and returns them.
    ///
    /// # Panics
    /// When they do not arrive within 30 seconds.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut seen = self.0.shared.received.subscribe();
        let arrived = tokio::time::timeout(WAIT_MAX, seen.wait_for(|seen| *seen >= count)).await.is_ok();
        let received = self.received();
        assert!(arrived, "{count} requests to send should have come, there were {}", received.len());
        received
    }

    /// The messages that were accepted, in their order.
    pub fn messages(&self) -> Vec<Message> {
        self.0.shared.lock().messages.clone()
    }

    /// Changes the status of an accepted message: `delivered`, `undelivered`, …
    ///
    /// # Panics
    /// When no message has this sid.
    pub fn set_status(&self, sid: &str, status: &str, error_code: Option<u32>) {
        let mut state = self.0.shared.lock();
        let message = state.messages.iter_mut().find(|message| message.sid == sid).expect("the message was accepted");
        message.status = status.to_owned();
        message.error_code = error_code;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a request and returns the behaviour for it.
    fn arrived(&self, request: Received) -> Behaviour {
        let mut state = self.lock();
        let set = request.form.get("To").and_then(|to| state.numbers.get(to).copied());
        let behaviour = set.or_else(|| state.script.pop_front()).unwrap_or(Behaviour::Accept);
        state.received.push(request);
        let count = state.received.len();
        drop(state);
        self.received.send_replace(count);
        behaviour
    }
}

#[cfg(test)]
mod tests;
