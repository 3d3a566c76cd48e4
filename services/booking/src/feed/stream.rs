//! A subscription to the feed: every change is read from the database, in order; commits of this process are delivered at
//! once besides.
//!
//! The in-process broadcast only lowers latency. The position advances by database reads alone, a commit that the broadcast
//! missed is read, and a change that was delivered early is left out when it is read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{Stream, stream};
use rpc::Fault;
use runtime::Shutdown;
use service::db_error;
use sql::{
    Failure,
    feed::{Position, Reach},
};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    task::JoinHandle,
    time::Instant,
};
use tonic::Status;
use wire::booking::{Change, ChangeBatch};

use super::change;
use crate::store::changes::{ChangeRow, Committed, Tail, Unordered};

#[cfg(test)]
mod tests;

/// Changes in one read, and about as many in one batch.
pub(crate) const BATCH_MAX: i64 = 500;
/// Commits that wait for a subscriber; one that missed some reads them.
pub(crate) const LOCAL_COMMITS_MAX: usize = 256;
/// Pause between two reads.
const POLL: Duration = Duration::from_millis(20);
/// Changes that may be delivered before their turn; the others wait for the transaction that holds them up.
const EARLY_MAX: usize = 5000;
/// Reads without a change after which an empty batch is sent.
const HEARTBEAT_READS: u32 = 40;

/// A subscriber of the feed. It works only while it is polled.
pub(crate) struct Subscriber<R> {
    /// The commits of this process, for subscribers that take changes out of order.
    local_commits: Option<broadcast::Receiver<Arc<Committed>>>,
    draining: Shutdown,
    /// Reads the feed.
    read: R,
    delivered: Delivered,
    next_read_at: Instant,
    reading: Option<Reading>,
}

type Reading = JoinHandle<Result<Tail, Failure>>;

impl<R, F> Subscriber<R>
where
    R: Fn(Position, Unordered) -> F + Send + 'static,
    F: Future<Output = Result<Tail, Failure>> + Send + 'static,
{
    /// A subscriber that begins at a position.
    pub(crate) fn new(
        position: Position,
        local_commits: Option<broadcast::Receiver<Arc<Committed>>>,
        draining: Shutdown,
        read: R,
    ) -> Self {
        let delivered = Delivered::new(position, local_commits.is_some());
        Self { local_commits, draining, read, delivered, next_read_at: Instant::now(), reading: None }
    }

    /// The changes as they come, until draining begins. Pauses are real time, not the clock's: the feed must not be late
    /// because time is simulated.
    ///
    /// The stream has no task and no channel of its own: each would be one more place where a change waits for its turn.
    pub(crate) fn batches(self) -> impl Stream<Item = Result<ChangeBatch, Status>> + Send {
        stream::unfold(Some(self), |subscriber| async {
            let mut subscriber = subscriber?;
            match subscriber.next().await? {
                Ok(batch) => Some((Ok(batch), Some(subscriber))),
                Err(fault) => Some((Err(fault.into()), None)),
            }
        })
    }

    async fn next(&mut self) -> Option<Result<ChangeBatch, Fault>> {
        loop {
            let batch = tokio::select! {
                commit = next_commit(&mut self.local_commits) => match commit {
                    Err(RecvError::Closed) => return None,
                    commit => Ok(self.deliver_commits(commit.ok())),
                },
                () = tokio::time::sleep_until(self.next_read_at), if self.reading.is_none() => {
                    // A task of its own: a subscriber that is not polled must not keep a connection of the database.
                    let read = (self.read)(self.delivered.reach.position, self.delivered.unordered());
                    self.reading = Some(tokio::spawn(read));
                    Ok(None)
                }
                tail = finished(&mut self.reading) => {
                    self.reading = None;
                    tail.and_then(|tail| {
                        let pause = if is_full(&tail) { Duration::ZERO } else { POLL };
                        self.next_read_at = Instant::now() + pause;
                        self.delivered.add_read(tail)
                    })
                }
                () = self.draining.begun() => return None,
            };
            if let Some(batch) = batch.transpose() {
                return Some(batch);
            }
        }
    }

    /// The batch for a commit, and for others that have been made since.
    fn deliver_commits(&mut self, first: Option<Arc<Committed>>) -> Option<ChangeBatch> {
        let (mut changes, mut is_new, mut next) = (Vec::new(), false, first);
        while let Some(committed) = next {
            is_new |= self.delivered.add_commit(&committed, &mut changes);
            let has_room = i64::try_from(changes.len()).is_ok_and(|count| count < BATCH_MAX);
            next = self.local_commits.as_mut().filter(|_| has_room).and_then(|commits| commits.try_recv().ok());
        }
        is_new.then(|| self.delivered.batch(changes, false))
    }
}

/// The next commit of this process; pending for subscribers that take none.
async fn next_commit(commits: &mut Option<broadcast::Receiver<Arc<Committed>>>) -> Result<Arc<Committed>, RecvError> {
    match commits {
        Some(commits) => commits.recv().await,
        None => std::future::pending().await,
    }
}

/// The end of the read that runs; pending where none runs.
async fn finished(reading: &mut Option<Reading>) -> Result<Tail, Fault> {
    match reading {
        Some(reading) => reading.await.map_err(Fault::internal)?.map_err(db_error::fault),
        None => std::future::pending().await,
    }
}

fn is_full(tail: &Tail) -> bool {
    i64::try_from(tail.changes.len()).is_ok_and(|count| count == BATCH_MAX)
}

/// The changes that a subscriber has received.
struct Delivered {
    /// Everything up to its position, by reads alone. Its writes beyond are commits of this process.
    reach: Reach,
    /// The text of the snapshot that the reach has seen.
    seen: String,
    /// Whether changes beyond the position are wanted.
    wants_unordered: bool,
    /// Changes beyond the position that were delivered: their sequence numbers and transactions.
    early: BTreeMap<i64, i64>,
    /// Reads since the last batch.
    quiet_reads: u32,
}

impl Delivered {
    fn new(position: Position, wants_unordered: bool) -> Self {
        // The first read makes a batch even without changes.
        let quiet_reads = HEARTBEAT_READS;
        let reach = Reach::at(position);
        Self { reach, seen: String::new(), wants_unordered, early: BTreeMap::new(), quiet_reads }
    }

    /// The changes that the next read is to bring beyond the position.
    fn unordered(&self) -> Unordered {
        let wanted = self.wants_unordered && self.early.len() < EARLY_MAX;
        Unordered { wanted, delivered: self.early.keys().copied().collect() }
    }

    /// Adds the new changes of a commit of this process; answers whether the commit is new.
    fn add_commit(&mut self, committed: &Committed, changes: &mut Vec<Change>) -> bool {
        let Some(rows) = &committed.changes else { return false };
        let write = committed.position;
        // On SQLite a commit without changes reports the previous position, so it proves nothing was delivered.
        let is_own_position = write.seq == rows.last().map_or(0, |row| row.seq);
        if !is_own_position || write.epoch != self.reach.position.epoch || self.reach.has(write) {
            return false;
        }
        let new: Vec<&ChangeRow> = rows.iter().filter(|row| !self.has(row)).collect();
        if self.early.len() + new.len() > EARLY_MAX {
            return false;
        }
        self.early.extend(new.iter().map(|row| (row.seq, row.xid)));
        let published = new.into_iter().filter_map(|row| change::published(row, write.epoch));
        changes.extend(published.map(|change| Change { committed_at_us: committed.at_us, ..change }));
        self.reach.writes.push(write);
        true
    }

    /// The batch for a read, where there is anything to deliver.
    ///
    /// # Errors
    /// `feed_position_lost`.
    fn add_read(&mut self, tail: Tail) -> Result<Option<ChangeBatch>, Fault> {
        let more = is_full(&tail);
        let position = tail.position.ok_or_else(change::position_lost)?;
        // Commits of this process may have been delivered since the read began.
        let new: Vec<&ChangeRow> = tail.changes.iter().filter(|row| !self.has(row)).collect();
        let changes: Vec<Change> = new.iter().filter_map(|row| change::published(row, position.epoch)).collect();
        self.early.extend(new.iter().map(|row| (row.seq, row.xid)));
        self.early.retain(|seq, xid| (*xid, *seq) > (position.xid, position.seq));
        // A read that was cut short does not know its snapshot; the snapshot of an earlier read still holds.
        let seen = tail.seen.unwrap_or_else(|| self.seen.clone());
        self.quiet_reads += 1;
        let has_moved = seen != self.seen || position != self.reach.position;
        if changes.is_empty() && self.quiet_reads < HEARTBEAT_READS && !has_moved {
            return Ok(None);
        }
        let mut reach = Reach { seen: seen.parse().ok(), ..Reach::at(position) };
        reach.writes = self.reach.writes.iter().filter(|write| !reach.has(**write)).copied().collect();
        (self.reach, self.seen, self.quiet_reads) = (reach, seen, 0);
        Ok(Some(self.batch(changes, more)))
    }

    /// Whether a change was delivered.
    fn has(&self, row: &ChangeRow) -> bool {
        let position = self.reach.position;
        (row.xid, row.seq) <= (position.xid, position.seq) || self.early.contains_key(&row.seq)
    }

    fn batch(&self, changes: Vec<Change>, more: bool) -> ChangeBatch {
        let writes = self.reach.writes.iter().map(ToString::to_string).collect();
        ChangeBatch { changes, position: self.reach.position.to_string(), seen: self.seen.clone(), more, writes }
    }
}
