use std::sync::atomic::{AtomicUsize, Ordering};

use domain::id::HoldId;
use futures::{StreamExt, stream::BoxStream};
use prost::Message;
use tokio::sync::mpsc;
use uuid::Uuid;
use wire::booking::{HoldState, change::Owner};

use super::*;

/// A subscriber whose reads end when the test says so.
struct Rig {
    commits: broadcast::Sender<Arc<Committed>>,
    tails: mpsc::UnboundedSender<Tail>,
    reads: Arc<AtomicUsize>,
    batches: BoxStream<'static, Result<ChangeBatch, Status>>,
}

impl Rig {
    /// A subscriber at `1.9.9`.
    fn new(unordered: bool) -> Self {
        let commits = broadcast::Sender::new(LOCAL_COMMITS_MAX);
        let (tails, scripted) = mpsc::unbounded_channel();
        let (scripted, reads) = (Arc::new(tokio::sync::Mutex::new(scripted)), Arc::new(AtomicUsize::new(0)));
        let begun = reads.clone();
        let read = move |_, _| {
            begun.fetch_add(1, Ordering::SeqCst);
            let scripted = scripted.clone();
            async move {
                match scripted.lock().await.recv().await {
                    Some(tail) => Ok(tail),
                    None => std::future::pending().await,
                }
            }
        };
        let local = unordered.then(|| commits.subscribe());
        let batches = Subscriber::new(at(9, 9), local, Shutdown::new(), read).batches().boxed();
        Self { commits, tails, reads, batches }
    }

    fn commit(&self, position: Position, changes: Option<Vec<ChangeRow>>) {
        // Sending fails without a subscriber.
        let _ = self.commits.send(Arc::new(Committed { position, changes, at_us: 3 }));
    }

    /// Ends a read with these changes.
    fn read(&self, changes: Vec<ChangeRow>, position: Position, seen: &str) {
        let seen = (!seen.is_empty()).then(|| seen.to_owned());
        self.tails.send(Tail { changes, position: Some(position), seen }).unwrap();
    }

    async fn batch(&mut self) -> ChangeBatch {
        let batch = tokio::time::timeout(Duration::from_secs(20), self.batches.next()).await;
        batch.expect("a batch comes").expect("the feed goes on").unwrap()
    }

    /// The sequence numbers of the next so many changes, and the last batch.
    async fn changes(&mut self, count: usize) -> (Vec<i64>, ChangeBatch) {
        let mut all = Vec::new();
        loop {
            let batch = self.batch().await;
            all.extend(batch.changes.iter().map(|change| change.position.parse::<Position>().unwrap().seq));
            if all.len() >= count {
                return (all, batch);
            }
        }
    }
}

fn at(xid: i64, seq: i64) -> Position {
    Position { epoch: 1, xid, seq }
}

fn row(xid: i64, seq: i64) -> ChangeRow {
    let owner = Some(Owner::Hold(HoldState { id: HoldId::new(Uuid::nil()).to_string() }));
    let payload = Change { owner, ..Change::default() }.encode_to_vec();
    ChangeRow { seq, xid, organization_id: Uuid::nil(), version: 1, changed_at_us: 0, payload }
}

#[tokio::test]
async fn a_commit_of_this_process_is_delivered_while_no_read_ends() {
    let mut rig = Rig::new(true);
    rig.commit(at(12, 31), Some(vec![row(12, 30), row(12, 31)]));
    let (seqs, batch) = rig.changes(2).await;
    assert!(batch.changes.iter().all(|change| change.committed_at_us == 3), "its time is known");
    assert_eq!((seqs, batch.position.as_str(), batch.writes), (vec![30, 31], "1.9.9", vec!["1.12.31".to_owned()]));
    // A commit without changes is delivered too: its caller waits for it.
    rig.commit(at(13, 0), Some(vec![]));
    let batch = rig.batch().await;
    assert_eq!((batch.changes.len(), batch.position.as_str()), (0, "1.9.9"));
    assert_eq!(batch.writes, ["1.12.31", "1.13.0"]);
    assert!(rig.reads.load(Ordering::SeqCst) <= 1, "a local commit starts no read");
}

#[tokio::test]
async fn a_local_commit_is_delivered_once_and_named_until_a_read_covers_it() {
    let mut rig = Rig::new(true);
    rig.commit(at(12, 31), Some(vec![row(12, 31)]));
    assert_eq!(rig.changes(1).await.0, [31]);
    // Read early, beside another's change; the write is among what was seen.
    rig.read(vec![row(11, 28), row(12, 31)], at(9, i64::MAX), "10:13:10");
    let (seqs, batch) = rig.changes(1).await;
    assert_eq!(batch.changes[0].committed_at_us, 0, "it was read");
    assert_eq!((seqs, batch.writes.is_empty(), batch.seen.as_str()), (vec![28], true, "10:13:10"));
    // Read in its turn.
    rig.read(vec![row(10, 35), row(11, 28), row(12, 31), row(14, 36)], at(14, i64::MAX), "15:15:");
    let (seqs, batch) = rig.changes(2).await;
    assert_eq!((seqs, batch.position.as_str()), (vec![35, 36], "1.14.9223372036854775807"));
}

#[tokio::test]
async fn a_change_that_was_read_is_not_delivered_again_as_a_local_commit() {
    let mut rig = Rig::new(true);
    rig.read(vec![row(10, 20), row(12, 31)], at(10, i64::MAX), "11:13:11");
    assert_eq!(rig.changes(2).await.0, [20, 31]);
    rig.commit(at(10, 20), Some(vec![row(10, 20)]));
    rig.commit(at(12, 31), Some(vec![row(12, 31)]));
    // Of a commit that was read in part the remaining changes are delivered.
    rig.read(vec![row(15, 40)], at(10, i64::MAX), "");
    assert_eq!(rig.changes(1).await.0, [40]);
    rig.commit(at(15, 41), Some(vec![row(15, 40), row(15, 41)]));
    let (seqs, batch) = rig.changes(1).await;
    assert_eq!((seqs, batch.writes), (vec![41], vec!["1.15.41".to_owned()]));
    assert_eq!(batch.seen, "11:13:11", "a snapshot that was seen stays seen");
}

#[test]
fn a_commit_that_a_read_covers_is_not_new() {
    let mut delivered = Delivered::new(at(9, 9), true);
    let seen = Some("11:13:11".to_owned());
    delivered.add_read(Tail { changes: vec![row(12, 31)], position: Some(at(10, 20)), seen }).unwrap();
    let mut changes = vec![];
    for (xid, seq) in [(10, 20), (12, 31)] {
        assert!(!delivered.add_commit(
            &Committed { position: at(xid, seq), changes: Some(vec![row(xid, seq)]), at_us: 3 },
            &mut changes
        ));
    }
    assert!(
        delivered
            .add_commit(&Committed { position: at(11, 30), changes: Some(vec![row(11, 30)]), at_us: 3 }, &mut changes)
    );
    assert_eq!((changes.len(), delivered.reach.writes), (1, vec![at(11, 30)]));
}

#[tokio::test]
async fn a_subscriber_that_lags_loses_nothing() {
    let mut rig = Rig::new(true);
    let all: Vec<i64> = (1..=400).collect();
    // The subscriber receives none of them meanwhile: this test runs on one thread.
    for seq in &all {
        rig.commit(at(10 + seq, *seq), Some(vec![row(10 + seq, *seq)]));
    }
    let (local, _) = rig.changes(LOCAL_COMMITS_MAX).await;
    assert_eq!(local, all[all.len() - LOCAL_COMMITS_MAX..], "the newest");
    rig.read(all.iter().map(|seq| row(10 + seq, *seq)).collect(), at(410, i64::MAX), "411:411:");
    let missed = all.len() - LOCAL_COMMITS_MAX;
    let (read, batch) = rig.changes(missed).await;
    assert_eq!(read, all[..missed], "the missed changes, each once");
    assert!(batch.writes.is_empty());
}

#[tokio::test]
async fn an_ordered_subscriber_receives_only_what_is_read() {
    let mut rig = Rig::new(false);
    rig.commit(at(12, 31), Some(vec![row(12, 31)]));
    rig.read(vec![row(10, 20)], at(10, 20), "");
    rig.read(vec![row(11, 28), row(12, 31)], at(12, 31), "");
    let (seqs, batch) = rig.changes(3).await;
    assert_eq!(seqs, [20, 28, 31]);
    assert_eq!((batch.writes.len(), batch.seen.as_str(), batch.position.as_str()), (0, "", "1.12.31"));
}

#[tokio::test]
async fn an_incomplete_commit_and_one_of_another_epoch_are_left_to_reads() {
    let mut rig = Rig::new(true);
    rig.commit(at(11, 30), None);
    rig.commit(Position { epoch: 2, ..at(12, 31) }, Some(vec![row(12, 31)]));
    rig.commit(at(14, 33), Some(vec![row(14, 33)]));
    let (seqs, batch) = rig.changes(1).await;
    assert_eq!((seqs, batch.writes), (vec![33], vec!["1.14.33".to_owned()]));
    rig.tails.send(Tail { changes: vec![], position: None, seen: None }).unwrap();
    let lost = tokio::time::timeout(Duration::from_secs(20), rig.batches.next()).await.unwrap().unwrap();
    assert_eq!(Fault::from(lost.unwrap_err()).code, rpc::Code::FeedPositionLost);
    assert!(rig.batches.next().await.is_none(), "a subscriber without a position takes a new snapshot");
}

#[test]
fn a_commit_without_changes_does_not_prove_the_one_before_it() {
    let mut delivered = Delivered::new(at(0, 50), true);
    let mut changes = vec![];
    // On SQLite it reports the position of the commit before, which was not delivered.
    assert!(!delivered.add_commit(&Committed { position: at(0, 57), changes: Some(vec![]), at_us: 3 }, &mut changes));
    assert!(delivered.reach.writes.is_empty());
    assert!(
        delivered
            .add_commit(&Committed { position: at(0, 57), changes: Some(vec![row(0, 57)]), at_us: 3 }, &mut changes)
    );
    assert_eq!(delivered.reach.writes, [at(0, 57)]);
}

#[test]
fn no_more_changes_are_delivered_early_than_are_remembered() {
    let mut delivered = Delivered::new(at(9, 9), true);
    let mut changes = Vec::new();
    let rows: Vec<ChangeRow> = (1..=i64::try_from(EARLY_MAX).unwrap()).map(|seq| row(12, seq)).collect();
    let last = rows.last().unwrap().seq;
    assert!(delivered.add_commit(&Committed { position: at(12, last), changes: Some(rows), at_us: 3 }, &mut changes));
    assert!(!delivered.unordered().wanted);
    let more = |delivered: &mut Delivered, changes: &mut Vec<Change>| {
        delivered.add_commit(
            &Committed { position: at(13, last + 1), changes: Some(vec![row(13, last + 1)]), at_us: 3 },
            changes,
        )
    };
    assert!(!more(&mut delivered, &mut changes));
    assert_eq!(changes.len(), EARLY_MAX);
    delivered.add_read(Tail { changes: vec![], position: Some(at(12, i64::MAX)), seen: None }).unwrap();
    assert!(
        delivered.unordered().wanted && more(&mut delivered, &mut changes),
        "once their turn has come there is room again"
    );
}
