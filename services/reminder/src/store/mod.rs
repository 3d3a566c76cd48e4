//! Reminder's own database, on either engine.
//!
//! `queries.rs` and `counts.rs` (single statements) and what commits together (`transactions.rs` with `writes.rs`,
//! `sends.rs`, `ends.rs`, `reports.rs`, `answers.rs`, `endpoints.rs`, `deliveries.rs`) are one text for both engines; what
//! truly differs, leases and locks, is in `sqlite.rs` and `postgres.rs`.

mod attempt;
#[cfg(test)]
mod crowd_tests;
#[cfg(test)]
mod delivery_tests;
pub(crate) mod postgres;
pub(crate) mod rows;
pub(crate) mod sqlite;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use runtime::Ids;
use sql::{Failure, Target};
use uuid::Uuid;

pub(crate) use self::attempt::{Address, Begun, End, Record, Report, Reported, Sending, UNKNOWN_US};
use self::rows::{AttemptRow, DeliveryRow, EndpointRow, InboundRow, MessageRow, ReplayRow, SeenRow, SentMessageRow};
use crate::{
    planning::{Change, Offered, Risk},
    replies::{Handled, NewInbound},
    rules::Rule,
    webhooks::event::WebhookEvent,
};

/// The database.
#[derive(Clone)]
pub(crate) enum Store {
    Sqlite(sqlite::Store),
    Postgres(postgres::Store),
}

/// Changes of the feed, to be applied together with the position after them.
pub(crate) struct Batch<'a> {
    pub(crate) changes: &'a [Change],
    /// Plans that are at risk now.
    pub(crate) risks: &'a [Risk],
    /// Offers that were made or have ended.
    pub(crate) offers: &'a [Offered],
    /// The events for webhook endpoints.
    pub(crate) events: &'a [WebhookEvent],
    pub(crate) step: Progress<'a>,
    pub(crate) now_us: i64,
    pub(crate) settle_us: i64,
    pub(crate) ids: &'a Ids,
}

/// What is stored together with what was derived.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Progress<'a> {
    /// A step of the position.
    Feed(Step<'a>),
    /// A step through what had ended before the snapshot; `None` where all of it is read.
    History(Option<&'a str>),
}

/// How far visits are read that had ended when the last snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct History {
    pub(crate) begun_at_us: i64,
    /// Where reading goes on; `None`: all is read.
    pub(crate) place: Option<String>,
}

/// A step of the position in the feed, or through a snapshot: whoever else makes one from the same place is too late.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    /// `None`: there was none.
    pub(crate) from: Option<&'a str>,
    pub(crate) to: &'a str,
}

/// What applying a batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// So many messages were planned.
    Here {
        /// New messages.
        planned: u64,
    },
    /// Another process has moved the position meanwhile: nothing was applied.
    Elsewhere,
}

/// The answer to keep for an idempotency key.
#[derive(Debug, Clone)]
pub(crate) struct Remember {
    pub(crate) caller: String,
    pub(crate) route: &'static str,
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    pub(crate) response: Vec<u8>,
    pub(crate) revision: String,
}

/// What to keep for the key of a request, by what it has made.
pub(crate) type Kept<'a, T = DeliveryRow> = dyn Fn(&T) -> Option<Remember> + Send + Sync + 'a;

/// A write of one rule.
pub(crate) struct RuleWrite<'a> {
    pub(crate) organization: Uuid,
    /// The new state; its version follows on the stored one, or is 1.
    pub(crate) rule: &'a Rule,
    pub(crate) now_us: i64,
    pub(crate) remember: Option<Remember>,
    pub(crate) ids: &'a Ids,
}

/// A write of one webhook endpoint.
pub(crate) struct EndpointWrite<'a> {
    /// The new state; its version follows on the stored one, or is 1.
    pub(crate) endpoint: &'a EndpointRow,
    pub(crate) remember: Option<Remember>,
    pub(crate) ids: &'a Ids,
}

/// A delivery that is queued.
pub(crate) struct NewDelivery {
    pub(crate) id: Uuid,
    pub(crate) subject: Uuid,
    pub(crate) event: String,
    pub(crate) payload: String,
}

/// What is recorded of a delivery.
pub(crate) struct Settle<'a> {
    pub(crate) delivery: &'a DeliveryRow,
    pub(crate) status: &'static str,
    pub(crate) error: &'static str,
    pub(crate) http: i32,
    /// When it is tried again.
    pub(crate) wake_at_us: Option<i64>,
    /// The receiver wants nothing any more.
    pub(crate) gone: bool,
    pub(crate) now_us: i64,
}

/// What recording came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Here,
    /// The lease is lost, or the endpoint is gone.
    Elsewhere,
    /// Recorded, and the endpoint is disabled now.
    Disabled,
}

/// Why a write of a rule, a message or an endpoint was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// It has changed since it was read.
    #[error("it has changed since it was read")]
    Stale,
    /// The idempotency key was used at the same moment.
    #[error("the idempotency key is used already")]
    Replay,
    /// The organisation has as many as it may have.
    #[error("there are too many")]
    Full,
    /// The endpoint is disabled.
    #[error("the endpoint is disabled")]
    Disabled,
    /// The database failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Failure(error.into())
    }
}

impl sql::AsFailure for Refusal {
    fn as_failure(&self) -> Option<&Failure> {
        match self {
            Self::Failure(failure) => Some(failure),
            _ => None,
        }
    }
}

/// Which messages a list shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) appointment: Option<Uuid>,
    pub(crate) statuses: Vec<String>,
    /// Only messages that come after this one in the order of the list.
    pub(crate) after: Option<(i64, Uuid)>,
    pub(crate) limit: i64,
}

macro_rules! on_both {
    ($($(#[$doc:meta])* fn $name:ident(&self $(, $arg:ident: $type:ty)* $(,)?) -> $result:ty;)*) => {
        impl Store {
            $($(#[$doc])* pub(crate) async fn $name(&self $(, $arg: $type)*) -> $result {
                match self {
                    Self::Sqlite(store) => store.$name($($arg),*).await,
                    Self::Postgres(store) => store.$name($($arg),*).await,
                }
            })*
        }
    };
}

on_both! {
    fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError>;
    /// How far the feed is applied.
    fn position(&self) -> Result<Option<String>, Failure>;
    /// Applies changes of the feed and the position after them, all or nothing.
    fn apply(&self, batch: &Batch<'_>) -> Result<Applied, Failure>;
    /// How far what has ended is read; `None`: not at all.
    fn history(&self) -> Result<Option<History>, Failure>;
    /// Has what has ended read from its beginning on; what ended before this instant.
    fn begin_history(&self, now_us: i64) -> Result<(), Failure>;
    /// Has what has ended read anew, from when the next reading begins.
    fn forget_history(&self) -> Result<(), Failure>;
    /// Those of these visits that were never seen here.
    fn unseen(&self, visits: &[(Uuid, Uuid)]) -> Result<Vec<(Uuid, Uuid)>, Failure>;
    /// When an organisation was first seen here.
    fn first_seen(&self, organization: Uuid) -> Result<Option<i64>, Failure>;
    /// Gives an organisation that is seen for the first time its rules.
    fn welcome(&self, organization: Uuid, now_us: i64, ids: &Ids) -> Result<(), Failure>;
    fn rule(&self, organization: Uuid, id: Uuid) -> Result<Option<Rule>, Failure>;
    fn rules(&self, organization: Uuid, archived: bool, after: Option<Uuid>, limit: i64) -> Result<Vec<Rule>, Failure>;
    /// Writes a rule and does to its messages what follows, all or nothing; answers how many were planned.
    fn write_rule(&self, write: &RuleWrite<'_>) -> Result<u64, Refusal>;
    fn replay(&self, organization: Uuid, caller: &str, route: &str, key: &str) -> Result<Option<ReplayRow>, Failure>;
    fn message(&self, organization: Uuid, id: Uuid) -> Result<Option<MessageRow>, Failure>;
    fn messages(&self, organization: Uuid, filter: &Filter) -> Result<Vec<MessageRow>, Failure>;
    /// The attempts of these messages, the oldest first.
    fn attempts(&self, organization: Uuid, messages: &[Uuid]) -> Result<Vec<AttemptRow>, Failure>;
    /// When a dispatcher is needed next, and when the lease of what is being sent is over.
    fn next_wake(&self) -> Result<(Option<i64>, Option<i64>), Failure>;
    /// Organisation and id of what is due, the earliest visit first; none of `busy`, which this process is at.
    fn due(&self, now_us: i64, limit: i64, busy: &[Uuid]) -> Result<Vec<(Uuid, Uuid)>, Failure>;
    /// Leases those of these messages that are still due, in no order.
    fn lease(&self, now_us: i64, until_us: i64, wanted: &[(Uuid, Uuid)]) -> Result<Vec<MessageRow>, Failure>;
    /// Marks as unknown what was being sent by a process that is gone; answers trigger and channel of each.
    fn settle_stale(&self, now_us: i64, busy: &[Uuid]) -> Result<Vec<(String, String)>, Failure>;
    /// Puts a leased message off, or takes it back where there is no time; `false` where the lease is lost.
    fn put_off(&self, message: &MessageRow, wake_at_us: i64) -> Result<bool, Failure>;
    /// Ends leased messages without sending them, and plans what stands in for them; `false` where the lease is lost.
    fn finish(&self, ends: &[End]) -> Result<Vec<bool>, Failure>;
    /// The visits ahead that were booked together with this one for a plan, the earliest first.
    fn series(&self, organization: Uuid, appointment: Uuid, after_us: i64, limit: i64) -> Result<Vec<(i64, String)>, Failure>;
    /// How many messages this one's patient was sent at an address since then.
    fn sent_since(&self, message: &MessageRow, to: &str, since_us: i64) -> Result<i64, Failure>;
    /// Those of these addresses to which nothing may be sent.
    fn blocked(&self, addresses: &[Address]) -> Result<HashSet<Address>, Failure>;
    /// The last word before messages leave: each only where its lease holds and no newer version of its appointment is
    /// known. Waits for no lock; all or nothing where it fails.
    fn begin_sends(&self, sendings: &[Sending]) -> Result<Vec<Begun>, Failure>;
    /// The same of one, which waits for whoever holds its visit. Answers the number of the attempt.
    fn begin_alone(&self, sending: &Sending) -> Result<Option<i32>, Failure>;
    /// Records what became of attempts; `false` where something newer is known.
    fn record(&self, records: &[Record]) -> Result<Vec<bool>, Failure>;
    /// Keeps a provider's report and applies it where it goes further than what is known; answers whether it did, with
    /// the message's trigger and channel.
    fn report(&self, report: &Report<'_>) -> Result<Option<Reported>, Failure>;
    /// The organisation that last wrote to a number.
    fn organization_of(&self, sender: &str) -> Result<Option<Uuid>, Failure>;
    /// The messages that a number got since then, the newest first.
    fn sent_messages(&self, organization: Uuid, sender: &str, after_us: i64, limit: i64) -> Result<Vec<SentMessageRow>, Failure>;
    /// Whether a number was asked since then which visit it means.
    fn was_asked_since(&self, organization: Uuid, sender: &str, after_us: i64) -> Result<bool, Failure>;
    /// Stores a reply in the inbox; `false` where it is there already.
    fn insert_inbound(&self, new: &NewInbound<'_>) -> Result<bool, Failure>;
    /// Stores the result of a reply, and plans the response to it.
    fn finish_inbound(&self, new: &NewInbound<'_>, handled: &Handled, response: Uuid, address_hash: &[u8], now_us: i64) -> Result<(), Failure>;
    /// Replies that a person must read, the newest first.
    fn inbox(&self, organization: Uuid, unread: bool, after: Option<(i64, Uuid)>, limit: i64) -> Result<Vec<InboundRow>, Failure>;
    fn count_unread(&self, organization: Uuid) -> Result<i64, Failure>;
    fn mark_read(&self, organization: Uuid, id: Uuid, now_us: i64, by: &str, kept: &Kept<'_, InboundRow>) -> Result<Option<InboundRow>, Refusal>;
    /// Ends e-mails about what follows visits to the patient of a message.
    fn unsubscribe(&self, message: &MessageRow, now_us: i64) -> Result<(), Failure>;
    fn has_unsubscribed(&self, message: &MessageRow) -> Result<bool, Failure>;
    /// How many wait for a person in all organisations, and since when.
    fn unread_anywhere(&self) -> Result<(i64, Option<i64>), Failure>;
    /// The appointments that start before `until_us` and come after this one, the earliest first, with the counts of their
    /// messages.
    fn seen(&self, organization: Uuid, after: (i64, Uuid), until_us: i64, limit: i64) -> Result<Vec<SeenRow>, Failure>;
    /// Plans a message anew.
    fn retry(&self, message: &MessageRow, now_us: i64, address_hash: &[u8], remember: Option<&Remember>) -> Result<(), Refusal>;
    /// Forgets what is past its keeping.
    fn sweep(&self, keys_before_us: i64, events_before_us: i64, inbound_before_us: i64) -> Result<(), Failure>;
    fn endpoint(&self, organization: Uuid, id: Uuid) -> Result<Option<EndpointRow>, Failure>;
    fn endpoints(&self, organization: Uuid, after: Option<Uuid>, limit: i64) -> Result<Vec<EndpointRow>, Failure>;
    /// Writes an endpoint; what waits for one that is disabled ends.
    fn write_endpoint(&self, write: &EndpointWrite<'_>) -> Result<(), Refusal>;
    /// Deletes an endpoint of this version with its deliveries; `false` where there is none.
    fn delete_endpoint(&self, organization: Uuid, id: Uuid, version: i64) -> Result<bool, Failure>;
    fn delivery(&self, organization: Uuid, endpoint: Uuid, id: Uuid) -> Result<Option<DeliveryRow>, Failure>;
    /// Deliveries of an endpoint before this number, the newest first.
    fn deliveries(&self, organization: Uuid, endpoint: Uuid, statuses: &[String], before: Option<i64>, limit: i64) -> Result<Vec<DeliveryRow>, Failure>;
    /// When a deliverer is needed next.
    fn next_delivery(&self) -> Result<Option<i64>, Failure>;
    /// Leases deliveries that are due; none of those that this process is at, nor of these endpoints.
    fn lease_deliveries(&self, now_us: i64, until_us: i64, limit: i64, but: (&[Uuid], &[Uuid])) -> Result<Vec<DeliveryRow>, Failure>;
    /// Queues a delivery that nothing stands before.
    fn test_endpoint(&self, organization: Uuid, endpoint: Uuid, new: &NewDelivery, now_us: i64, kept: &Kept<'_>) -> Result<DeliveryRow, Refusal>;
    /// Queues a delivery again, behind what waits.
    fn replay_delivery(&self, row: &DeliveryRow, now_us: i64, kept: &Kept<'_>) -> Result<DeliveryRow, Refusal>;
    /// Records what became of a delivery, lets the next of its line go, and disables an endpoint that has failed too long.
    fn settle_delivery(&self, settle: &Settle<'_>) -> Result<Settled, Failure>;
    /// Forgets deliveries that ended before this, and secrets that have ended by now.
    fn sweep_deliveries(&self, before_us: i64, now_us: i64) -> Result<(), Failure>;
}

impl Store {
    /// Opens the database; nothing is migrated yet.
    pub(crate) async fn open(target: &Target) -> Result<Self, sqlx::Error> {
        Ok(match target {
            Target::Sqlite(path) => Self::Sqlite(sqlite::Store { pools: sql::connect_sqlite(path).await? }),
            Target::Postgres(url) => {
                Self::Postgres(postgres::Store { pool: sql::connect_postgres(url, "reminder").await? })
            }
        })
    }
}
