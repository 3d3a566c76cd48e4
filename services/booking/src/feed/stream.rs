//! Following the feed: everything is read, in order; what this process commits is heard at once besides.
//!
//! Hearing is never more than early. The position moves by reading alone, a commit that was missed is read, and what
//! was heard is not told again when it is read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{Stream, stream};
use rpc::Fault;
use runtime::Shutdown;
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

use crate::{
    commit,
    feed::change,
    store::{Committed, Early, Tail, rows::ChangeRow},
};

#[cfg(test)]
mod tests;

/// Changes that are read at a time, and about as many are told at a time.
pub(crate) const BATCH_MAX: i64 = 500;
/// Commits that a follower may have before it; one that missed some reads them.
pub(crate) const HEARD_MAX: usize = 256;
/// How long after one read a follower makes the next.
const POLL: Duration = Duration::from_millis(20);
/// So many changes are told early at once; the rest waits for the transaction that holds them up.
const EARLY_MAX: usize = 5000;
/// How often a follower hears that nothing has changed, in reads.
const HEARTBEAT_READS: u32 = 40;

/// One who follows the feed. It does something only while it is asked for more.
pub(crate) struct Follower<R> {
    /// What this process commits, for those who take changes before those of transactions that still run.
    heard: Option<broadcast::Receiver<Arc<Committed>>>,
    draining: Shutdown,
    /// Reads the feed.
    read: R,
    known: Known,
    due: Instant,
    reading: Option<Reading>,
}

type Reading = JoinHandle<Result<Tail, Failure>>;

impl<R, F> Follower<R>
where
    R: Fn(Position, Early) -> F + Send + 'static,
    F: Future<Output = Result<Tail, Failure>> + Send + 'static,
{
    /// One who stands at a position.
    pub(crate) fn new(
        position: Position,
        heard: Option<broadcast::Receiver<Arc<Committed>>>,
        draining: Shutdown,
        read: R,
    ) -> Self {
        let known = Known::new(position, heard.is_some());
        Self { heard, draining, read, known, due: Instant::now(), reading: None }
    }

    /// The changes as they come, until draining begins. Real time, not the clock's: the feed must not be late because time
    /// is simulated.
    ///
    /// Whoever takes them does this work too, with no task and no channel in between: each would be one more place where a
    /// change waits until it is its turn.
    pub(crate) fn batches(self) -> impl Stream<Item = Result<ChangeBatch, Status>> + Send {
        stream::unfold(Some(self), |follower| async {
            let mut follower = follower?;
            match follower.next().await? {
                Ok(batch) => Some((Ok(batch), Some(follower))),
                Err(fault) => Some((Err(fault.into()), None)),
            }
        })
    }

    async fn next(&mut self) -> Option<Result<ChangeBatch, Fault>> {
        loop {
            let told = tokio::select! {
                heard = heard(&mut self.heard) => match heard {
                    Err(RecvError::Closed) => return None,
                    heard => Ok(self.hear(heard.ok())),
                },
                () = tokio::time::sleep_until(self.due), if self.reading.is_none() => {
                    // In a task of its own: a follower who takes nothing must not keep a connection of the database.
                    let read = (self.read)(self.known.reach.position, self.known.early());
                    self.reading = Some(tokio::spawn(read));
                    Ok(None)
                }
                tail = ended(&mut self.reading) => {
                    self.reading = None;
                    tail.and_then(|tail| {
                        let more = is_full(&tail);
                        self.due = if more { Instant::now() } else { Instant::now() + POLL };
                        self.known.read(tail)
                    })
                }
                () = self.draining.begun() => return None,
            };
            if let Some(told) = told.transpose() {
                return Some(told);
            }
        }
    }

    /// What is to be told of a commit, and of others that have been made since.
    fn hear(&mut self, first: Option<Arc<Committed>>) -> Option<ChangeBatch> {
        let (mut changes, mut news, mut next) = (Vec::new(), false, first);
        while let Some(committed) = next {
            news |= self.known.hear(&committed, &mut changes);
            let room = i64::try_from(changes.len()).is_ok_and(|count| count < BATCH_MAX);
            next = self.heard.as_mut().filter(|_| room).and_then(|heard| heard.try_recv().ok());
        }
        news.then(|| self.known.batch(changes, false))
    }
}

/// The next commit, for those who hear of them.
async fn heard(heard: &mut Option<broadcast::Receiver<Arc<Committed>>>) -> Result<Arc<Committed>, RecvError> {
    match heard {
        Some(heard) => heard.recv().await,
        None => std::future::pending().await,
    }
}

/// The end of the read that runs, if one runs.
async fn ended(reading: &mut Option<Reading>) -> Result<Tail, Fault> {
    match reading {
        Some(reading) => reading.await.map_err(Fault::internal)?.map_err(commit::failure),
        None => std::future::pending().await,
    }
}

fn is_full(tail: &Tail) -> bool {
    i64::try_from(tail.changes.len()).is_ok_and(|count| count == BATCH_MAX)
}

/// What a follower has been told.
struct Known {
    /// Everything up to its position, by reading alone; the writes beyond are those that were heard.
    reach: Reach,
    /// The text of what the reach has seen.
    seen: String,
    /// Whether it wants to be told of more than its position.
    wanted: bool,
    /// The changes beyond the position that it was told of: their sequence numbers and transactions.
    told_early: BTreeMap<i64, i64>,
    /// Reads since something was told.
    quiet: u32,
}

impl Known {
    fn new(position: Position, wanted: bool) -> Self {
        // The first read is told even where nothing is new.
        let quiet = HEARTBEAT_READS;
        let reach = Reach::at(position);
        Self { reach, seen: String::new(), wanted, told_early: BTreeMap::new(), quiet }
    }

    /// What the next read is to bring beyond the position.
    fn early(&self) -> Early {
        let wanted = self.wanted && self.told_early.len() < EARLY_MAX;
        Early { wanted, told: self.told_early.keys().copied().collect() }
    }

    /// Adds to the changes what is new of a commit of this process; answers whether anything is.
    fn hear(&mut self, committed: &Committed, changes: &mut Vec<Change>) -> bool {
        let Some(rows) = &committed.changes else { return false };
        let write = committed.position;
        // A write that tells nothing stands, on SQLite, where another one ended: of that one it says nothing.
        let own = write.seq == rows.last().map_or(0, |row| row.seq);
        if !own || write.epoch != self.reach.position.epoch || self.reach.has(write) {
            return false;
        }
        let fresh: Vec<&ChangeRow> = rows.iter().filter(|row| !self.has(row)).collect();
        if self.told_early.len() + fresh.len() > EARLY_MAX {
            return false;
        }
        self.told_early.extend(fresh.iter().map(|row| (row.seq, row.xid)));
        let told = fresh.into_iter().filter_map(|row| change::published(row, write.epoch));
        changes.extend(told.map(|change| Change { committed_at_us: committed.at_us, ..change }));
        self.reach.writes.push(write);
        true
    }

    /// What is to be told of a read, if anything.
    ///
    /// # Errors
    /// `feed_position_lost`.
    fn read(&mut self, tail: Tail) -> Result<Option<ChangeBatch>, Fault> {
        let full = is_full(&tail);
        let moved = tail.position.ok_or_else(change::position_lost)?;
        // Some may have been heard since the read began.
        let fresh: Vec<&ChangeRow> = tail.changes.iter().filter(|row| !self.has(row)).collect();
        let changes: Vec<Change> = fresh.iter().filter_map(|row| change::published(row, moved.epoch)).collect();
        self.told_early.extend(fresh.iter().map(|row| (row.seq, row.xid)));
        self.told_early.retain(|seq, xid| (*xid, *seq) > (moved.xid, moved.seq));
        // Of a read that was cut short it is not known what it saw; what an earlier one saw is told all the same.
        let seen = tail.seen.unwrap_or_else(|| self.seen.clone());
        self.quiet += 1;
        let news = seen != self.seen || moved != self.reach.position;
        if changes.is_empty() && self.quiet < HEARTBEAT_READS && !news {
            return Ok(None);
        }
        let mut reach = Reach { seen: seen.parse().ok(), ..Reach::at(moved) };
        reach.writes = self.reach.writes.iter().filter(|write| !reach.has(**write)).copied().collect();
        (self.reach, self.seen, self.quiet) = (reach, seen, 0);
        Ok(Some(self.batch(changes, full)))
    }

    /// Whether a change was told.
    fn has(&self, row: &ChangeRow) -> bool {
        let position = self.reach.position;
        (row.xid, row.seq) <= (position.xid, position.seq) || self.told_early.contains_key(&row.seq)
    }

    fn batch(&self, changes: Vec<Change>, more: bool) -> ChangeBatch {
        let writes = self.reach.writes.iter().map(ToString::to_string).collect();
        ChangeBatch { changes, position: self.reach.position.to_string(), seen: self.seen.clone(), more, writes }
    }
}
