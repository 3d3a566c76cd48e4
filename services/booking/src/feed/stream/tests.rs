use std::sync::atomic::{AtomicUsize, Ordering};

use domain::id::HoldId;
use futures::{StreamExt, stream::BoxStream};
use prost::Message;
use tokio::sync::mpsc;
use uuid::Uuid;
use wire::booking::{HoldState, change::Owner};

use super::*;

/// A follower whose reads end when the test says so.
struct Rig {
    told: broadcast::Sender<Arc<Committed>>,
    tails: mpsc::UnboundedSender<Tail>,
    reads: Arc<AtomicUsize>,
    batches: BoxStream<'static, Result<ChangeBatch, Status>>,
}

impl Rig {
    /// One who stands at `1.9.9`.
    fn new(early: bool) -> Self {
        let told = broadcast::Sender::new(HEARD_MAX);
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
        let heard = early.then(|| told.subscribe());
        let batches = Follower::new(at(9, 9), heard, Shutdown::new(), read).batches().boxed();
        Self { told, tails, reads, batches }
    }

    fn commit(&self, position: Position, changes: Option<Vec<ChangeRow>>) {
        // Nobody may be listening.
        let _ = self.told.send(Arc::new(Committed { position, changes, at_us: 3 }));
    }

    /// Ends a read with these changes.
    fn read(&self, changes: Vec<ChangeRow>, position: Position, seen: &str) {
        let seen = (!seen.is_empty()).then(|| seen.to_owned());
        self.tails.send(Tail { changes, position: Some(position), seen }).unwrap();
    }

    async fn batch(&mut self) -> ChangeBatch {
        let batch = tokio::time::timeout(Duration::from_secs(20), self.batches.next()).await;
        batch.expect("the follower is told").expect("the feed goes on").unwrap()
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
async fn a_commit_of_this_process_is_told_while_no_read_ends() {
    let mut rig = Rig::new(true);
    rig.commit(at(12, 31), Some(vec![row(12, 30), row(12, 31)]));
    let (seqs, batch) = rig.changes(2).await;
    assert!(batch.changes.iter().all(|change| change.committed_at_us == 3), "its time is known");
    assert_eq!((seqs, batch.position.as_str(), batch.writes), (vec![30, 31], "1.9.9", vec!["1.12.31".to_owned()]));
    // One without changes is news as well: who made it waits for nothing more.
    rig.commit(at(13, 0), Some(vec![]));
    let batch = rig.batch().await;
    assert_eq!((batch.changes.len(), batch.position.as_str()), (0, "1.9.9"));
    assert_eq!(batch.writes, ["1.12.31", "1.13.0"]);
    assert!(rig.reads.load(Ordering::SeqCst) <= 1, "hearing asks for no read");
}

#[tokio::test]
async fn what_was_heard_is_not_told_again_and_counts_until_a_read_has_it() {
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
async fn what_was_read_is_not_told_again_when_it_is_heard() {
    let mut rig = Rig::new(true);
    rig.read(vec![row(10, 20), row(12, 31)], at(10, i64::MAX), "11:13:11");
    assert_eq!(rig.changes(2).await.0, [20, 31]);
    rig.commit(at(10, 20), Some(vec![row(10, 20)]));
    rig.commit(at(12, 31), Some(vec![row(12, 31)]));
    // Of a write that was read in part the rest is told.
    rig.read(vec![row(15, 40)], at(10, i64::MAX), "");
    assert_eq!(rig.changes(1).await.0, [40]);
    rig.commit(at(15, 41), Some(vec![row(15, 40), row(15, 41)]));
    let (seqs, batch) = rig.changes(1).await;
    assert_eq!((seqs, batch.writes), (vec![41], vec!["1.15.41".to_owned()]));
    assert_eq!(batch.seen, "11:13:11", "what was seen once stays seen");
}

#[test]
fn a_commit_that_a_read_has_brought_is_no_news() {
    let mut known = Known::new(at(9, 9), true);
    let seen = Some("11:13:11".to_owned());
    known.read(Tail { changes: vec![row(12, 31)], position: Some(at(10, 20)), seen }).unwrap();
    let mut changes = vec![];
    for (xid, seq) in [(10, 20), (12, 31)] {
        assert!(
            !known.hear(
                &Committed { position: at(xid, seq), changes: Some(vec![row(xid, seq)]), at_us: 3 },
                &mut changes
            )
        );
    }
    assert!(known.hear(&Committed { position: at(11, 30), changes: Some(vec![row(11, 30)]), at_us: 3 }, &mut changes));
    assert_eq!((changes.len(), known.reach.writes), (1, vec![at(11, 30)]));
}

#[tokio::test]
async fn a_follower_who_lags_loses_nothing() {
    let mut rig = Rig::new(true);
    let all: Vec<i64> = (1..=400).collect();
    // Nobody takes any of them meanwhile: this test runs on one thread.
    for seq in &all {
        rig.commit(at(10 + seq, *seq), Some(vec![row(10 + seq, *seq)]));
    }
    let (heard, _) = rig.changes(HEARD_MAX).await;
    assert_eq!(heard, all[all.len() - HEARD_MAX..], "the newest");
    rig.read(all.iter().map(|seq| row(10 + seq, *seq)).collect(), at(410, i64::MAX), "411:411:");
    let missed = all.len() - HEARD_MAX;
    let (read, batch) = rig.changes(missed).await;
    assert_eq!(read, all[..missed], "what was missed, and nothing twice");
    assert!(batch.writes.is_empty());
}

#[tokio::test]
async fn who_wants_the_order_hears_nothing_and_is_told_what_is_read() {
    let mut rig = Rig::new(false);
    rig.commit(at(12, 31), Some(vec![row(12, 31)]));
    rig.read(vec![row(10, 20)], at(10, 20), "");
    rig.read(vec![row(11, 28), row(12, 31)], at(12, 31), "");
    let (seqs, batch) = rig.changes(3).await;
    assert_eq!(seqs, [20, 28, 31]);
    assert_eq!((batch.writes.len(), batch.seen.as_str(), batch.position.as_str()), (0, "", "1.12.31"));
}

#[tokio::test]
async fn a_commit_that_is_not_known_whole_or_is_of_another_life_is_left_to_reading() {
    let mut rig = Rig::new(true);
    rig.commit(at(11, 30), None);
    rig.commit(Position { epoch: 2, ..at(12, 31) }, Some(vec![row(12, 31)]));
    rig.commit(at(14, 33), Some(vec![row(14, 33)]));
    let (seqs, batch) = rig.changes(1).await;
    assert_eq!((seqs, batch.writes), (vec![33], vec!["1.14.33".to_owned()]));
    rig.tails.send(Tail { changes: vec![], position: None, seen: None }).unwrap();
    let lost = tokio::time::timeout(Duration::from_secs(20), rig.batches.next()).await.unwrap().unwrap();
    assert_eq!(Fault::from(lost.unwrap_err()).code, rpc::Code::FeedPositionLost);
    assert!(rig.batches.next().await.is_none(), "a lost follower takes a new snapshot");
}

#[test]
fn a_write_without_changes_does_not_stand_for_the_one_before_it() {
    let mut known = Known::new(at(0, 50), true);
    let mut changes = vec![];
    // As on SQLite, where it stands where another one has ended, which has not been told.
    assert!(!known.hear(&Committed { position: at(0, 57), changes: Some(vec![]), at_us: 3 }, &mut changes));
    assert!(known.reach.writes.is_empty());
    assert!(known.hear(&Committed { position: at(0, 57), changes: Some(vec![row(0, 57)]), at_us: 3 }, &mut changes));
    assert_eq!(known.reach.writes, [at(0, 57)]);
}

#[test]
fn no_more_is_told_early_than_can_be_remembered() {
    let mut known = Known::new(at(9, 9), true);
    let mut changes = Vec::new();
    let rows: Vec<ChangeRow> = (1..=i64::try_from(EARLY_MAX).unwrap()).map(|seq| row(12, seq)).collect();
    let last = rows.last().unwrap().seq;
    assert!(known.hear(&Committed { position: at(12, last), changes: Some(rows), at_us: 3 }, &mut changes));
    assert!(!known.early().wanted);
    let more = |known: &mut Known, changes: &mut Vec<Change>| {
        known.hear(&Committed { position: at(13, last + 1), changes: Some(vec![row(13, last + 1)]), at_us: 3 }, changes)
    };
    assert!(!more(&mut known, &mut changes));
    assert_eq!(changes.len(), EARLY_MAX);
    known.read(Tail { changes: vec![], position: Some(at(12, i64::MAX)), seen: None }).unwrap();
    assert!(known.early().wanted && more(&mut known, &mut changes), "once their turn has come there is room again");
}
