//! Changes of the feed and the position after them, in one transaction.

use runtime::Ids;
use sql::Failure;

use crate::{
    planning::apply::{self, Changes},
    store::{
        Store,
        positions::{PositionStep, move_history, move_position},
    },
    webhooks::{event::WebhookEvent, queue::enqueue},
};

/// Changes to commit.
#[derive(Clone, Copy)]
pub(crate) struct FeedBatch<'a> {
    pub(crate) changes: Changes<'a>,
    /// The events for webhook endpoints.
    pub(crate) events: &'a [WebhookEvent],
    pub(crate) progress: Progress<'a>,
    pub(crate) now_us: i64,
    /// How long a move waits before it is announced.
    pub(crate) settle_us: i64,
}

/// What is stored together with the changes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Progress<'a> {
    /// A step of the position.
    Feed(PositionStep<'a>),
    /// The cursor of the next page of the history; `None` after the last one.
    History(Option<&'a str>),
}

/// The outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Committed {
    /// The changes are applied, with so many new messages.
    Here {
        /// New messages.
        planned: u64,
    },
    /// Another process has moved the position; nothing is applied.
    Elsewhere,
}

/// Commits changes, all or nothing.
pub(crate) async fn commit(store: &Store, ids: &Ids, batch: &FeedBatch<'_>) -> Result<Committed, Failure> {
    let mut tx = store.across().begin().await?;
    match batch.progress {
        Progress::Feed(step) => {
            if !move_position(&mut tx, step, batch.now_us).await? {
                return Ok(Committed::Elsewhere);
            }
        }
        Progress::History(cursor) => move_history(&mut tx, cursor).await?,
    }
    let planned = apply::apply(&mut tx, batch.changes, batch.settle_us, batch.now_us, ids).await?;
    enqueue(&mut tx, batch.events, batch.now_us, ids).await?;
    tx.commit().await?;
    Ok(Committed::Here { planned })
}
