//! The contract of the store, on both engines.

mod fence;
mod guard;
mod query_plans;
mod restore;
mod waitlist;
mod words;

use std::time::Duration;

use domain::claim::Kind;
use service::store::{Database as Engine, Scoped};
use sql::{
    Target,
    feed::{Position, Reach},
};
use sqlx::{Connection, Executor, SqlSafeStr};
use testkit::database::Database;
use uuid::Uuid;

use super::{
    Store, appointments,
    batch::{Batch, CommitError, Hex, LeaveGroup, NewChange},
    changes::{ChangeRow, Tail, Unordered},
    claims::{self, ClaimRow},
    groups, holds, links, offers, patients, plans, proposals, reason_codes,
    retention::{self, Cutoffs},
    snapshot::{LiveRow, OwnedClaimRow},
    waitlist_entries, zones,
};

const ORG: Uuid = Uuid::from_u128(1);
const ROOM: Uuid = Uuid::from_u128(2);

async fn both() -> Vec<(Store, Database)> {
    vec![on(Database::sqlite().unwrap()).await, on_postgres().await]
}

async fn on_postgres() -> (Store, Database) {
    on(Database::postgres().await.unwrap()).await
}

async fn on(database: Database) -> (Store, Database) {
    let store = Store::open(&Target::from_url(&database.for_service("booking")).unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    (store, database)
}

fn pool(store: &Store) -> &sqlx::PgPool {
    let Engine::Postgres(pool) = store.database() else { panic!("it is not on PostgreSQL") };
    pool
}

fn claim(owner: u128, starts_at_us: i64, ends_at_us: i64, expires_at_us: Option<i64>) -> ClaimRow {
    let owner = Uuid::from_u128(owner);
    let (kind, unit) = (Kind::Room.number(), 0);
    let (location_id, needling) = (None, false);
    ClaimRow { kind, resource: ROOM, unit, starts_at_us, ends_at_us, owner, expires_at_us, location_id, needling }
}

fn batch(now_us: i64, claims: Vec<ClaimRow>) -> Batch {
    let changes = vec![NewChange { version: 1, payload: Hex(vec![]) }];
    Batch { organization_id: ORG, now_us, claims, changes, ..Batch::default() }
}

/// The tail once it has so many changes: on PostgreSQL any transaction of the cluster, another test's included, holds the
/// feed back while it runs.
async fn tail(store: &Store, after: Position, count: usize) -> Tail {
    testkit::poll::until("the changes", Duration::from_secs(30), || async {
        let tail = store.changes_after(after, &Unordered::default(), 10).await.unwrap();
        (tail.changes.len() == count).then_some(tail)
    })
    .await
}

/// The claims that end after an instant, and the position that they were read at.
async fn snapshot(store: &Store, ends_after_us: i64) -> (Vec<OwnedClaimRow>, Position) {
    let mut claims = Vec::new();
    let mut visit = |live| claims.extend(if let LiveRow::Claim(row) = live { Some(row) } else { None });
    let position = store.snapshot(ends_after_us, &mut visit).await.unwrap();
    (claims, position)
}

async fn raw(store: &Store, statement: &'static str) -> Result<(), sqlx::Error> {
    match store.database() {
        Engine::Sqlite(pools) => pools.writer.execute(statement).await.map(drop),
        Engine::Postgres(_) => {
            let Scoped::Postgres(pool) = store.database().across() else { unreachable!("it is PostgreSQL") };
            let mut tx = pool.begin().await.unwrap();
            tx.execute(statement).await?;
            tx.commit().await
        }
    }
}

fn statements() -> Vec<&'static str> {
    [
        appointments::STATEMENTS,
        claims::STATEMENTS,
        groups::STATEMENTS,
        holds::STATEMENTS,
        links::STATEMENTS,
        &service::idempotency::STATEMENTS,
        &service::secrets::STATEMENTS,
        offers::STATEMENTS,
        patients::STATEMENTS,
        plans::STATEMENTS,
        proposals::STATEMENTS,
        reason_codes::STATEMENTS,
        retention::STATEMENTS,
        waitlist_entries::STATEMENTS,
        zones::STATEMENTS,
    ]
    .concat()
}

#[tokio::test]
async fn every_statement_prepares_on_both_engines() {
    for (store, _database) in both().await {
        for statement in statements() {
            match store.database() {
                Engine::Sqlite(pools) => {
                    let mut connection = pools.reader.acquire().await.unwrap();
                    connection.prepare(statement.into_sql_str()).await.map(drop)
                }
                Engine::Postgres(pool) => {
                    let mut connection = pool.acquire().await.unwrap();
                    connection.prepare(statement.into_sql_str()).await.map(drop)
                }
            }
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
}

#[tokio::test]
async fn the_database_itself_refuses_an_overlapping_claim() {
    for (store, _database) in both().await {
        store.commit(&batch(0, vec![claim(10, 100, 200, None)])).await.unwrap();
        let overlapping = match store.database() {
            Engine::Sqlite(_) => {
                "INSERT INTO claims SELECT organization_id, kind, resource, unit, 150, 250, owner, NULL, NULL, false FROM claims"
            }
            Engine::Postgres(_) => {
                "INSERT INTO claims SELECT organization_id, kind, resource, unit, 150, 250, owner, NULL, NULL, false FROM booking.claims"
            }
        };
        assert!(raw(&store, overlapping).await.is_err());
        let touching = "INSERT INTO claims SELECT organization_id, kind, resource, unit, 200, 250, owner, NULL, NULL, false FROM claims";
        raw(&store, touching).await.unwrap();
    }
}

#[tokio::test]
async fn a_conflicting_claim_refuses_the_whole_batch_and_is_named() {
    for (store, _database) in both().await {
        store.commit(&batch(0, vec![claim(10, 100, 200, None)])).await.unwrap();
        let refused = store.commit(&batch(0, vec![claim(11, 300, 400, None), claim(11, 150, 250, None)])).await;
        assert!(matches!(refused, Err(CommitError::ClaimsConflict(conflicts)) if conflicts == [(Kind::Room, ROOM)]));
        // Nothing of it stayed: the part that was free is still free.
        store.commit(&batch(0, vec![claim(12, 300, 400, None)])).await.unwrap();
    }
}

#[tokio::test]
async fn an_expired_hold_blocks_nobody_and_a_live_one_does() {
    for (store, _database) in both().await {
        store.commit(&batch(0, vec![claim(10, 100, 200, Some(50))])).await.unwrap();
        let early = store.commit(&batch(49, vec![claim(11, 100, 200, None)])).await;
        assert!(matches!(early, Err(CommitError::ClaimsConflict(_))));
        store.commit(&batch(50, vec![claim(11, 100, 200, None)])).await.unwrap();
    }
}

#[tokio::test]
async fn many_writers_of_overlapping_times_leave_no_overlap() {
    const WRITERS: u128 = 16;
    const TRIES: u128 = 40;
    for (store, _database) in both().await {
        let writers = (0..WRITERS).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut won = 0;
                for attempt in 0..TRIES {
                    let number = writer * TRIES + attempt;
                    let start = i64::try_from(number * 7919 % 500).unwrap();
                    let length = i64::try_from(number % 5 + 3).unwrap();
                    match store.commit(&batch(0, vec![claim(100 + number, start, start + length, None)])).await {
                        Ok(_) => won += 1,
                        Err(CommitError::ClaimsConflict(_)) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
                won
            })
        });
        let mut won = 0;
        for writer in writers.collect::<Vec<_>>() {
            won += writer.await.unwrap();
        }
        let mut claims = snapshot(&store, -1).await.0;
        assert_eq!(claims.len(), won, "each success left its claim, each refusal none");
        claims.sort_by_key(|row| row.claim.starts_at_us);
        assert!(claims.windows(2).all(|pair| pair[0].claim.ends_at_us <= pair[1].claim.starts_at_us));
        assert!(won > 30, "the storm booked something: {won}");
    }
}

#[tokio::test]
async fn a_commit_answers_the_changes_that_the_feed_will_have() {
    let text = |changes: &[ChangeRow]| format!("{changes:?}");
    for (store, _database) in both().await {
        let start = snapshot(&store, 0).await.1;
        let mut both = batch(5, vec![]);
        both.changes.push(NewChange { version: 7, payload: Hex(vec![7]) });
        let first = store.commit(&both).await.unwrap();
        let second = store.commit(&batch(6, vec![])).await.unwrap();
        let read = tail(&store, start, 3).await.changes;
        assert_eq!(text(&first.changes.unwrap()), text(&read[..2]));
        assert_eq!(text(&second.changes.unwrap()), text(&read[2..]));
        let last = &read[1];
        assert_eq!((first.position.xid, first.position.seq), (last.xid, last.seq));
        let silent = store.commit(&Batch { changes: vec![], ..batch(7, vec![]) }).await.unwrap();
        assert_eq!(silent.changes.map(|changes| changes.len()), Some(0));
    }
}

/// A function that is replaced loses these settings.
#[tokio::test]
async fn the_functions_of_commits_and_feed_reads_are_planned_once_a_connection() {
    let (store, _database) = on_postgres().await;
    let feed_tail = "feed_tail(xid8, bigint, boolean, bigint[], bigint)";
    for function in ["commit_batch(jsonb)", feed_tail, "namesakes(uuid, text, bigint)"] {
        let settings = "SELECT coalesce(proconfig, '{}') FROM pg_proc WHERE oid = $1::regprocedure";
        let settings: Vec<String> = sqlx::query_scalar(settings).bind(function).fetch_one(pool(&store)).await.unwrap();
        for expected in ["plan_cache_mode=force_generic_plan", "enable_seqscan=off"] {
            assert!(settings.iter().any(|setting| setting == expected), "{function}: {settings:?}");
        }
    }
}

#[test]
fn changes_that_do_not_fit_the_stored_ones_are_not_published() {
    let change = |version| NewChange { version, payload: Hex(vec![u8::try_from(version).unwrap()]) };
    let leave_group = Some(LeaveGroup { id: ROOM, freed: Hex(vec![8]) });
    let batch = Batch { changes: vec![change(3), change(4)], ..Batch::default() };
    let versions = |batch: &Batch, stored: &[(i64, i64)]| {
        let changes = batch.published(0, stored)?;
        Some(changes.iter().map(|row| (row.seq, row.version, row.payload[0])).collect::<Vec<_>>())
    };
    assert_eq!(versions(&batch, &[(1, 3), (2, 4)]), Some(vec![(1, 3, 3), (2, 4, 4)]));
    for stored in [&[(1, 3)][..], &[(1, 4), (2, 3)], &[(1, 9), (2, 3), (3, 4)], &[(1, 3), (2, 4), (3, 5)]] {
        assert_eq!(versions(&batch, stored), None, "{stored:?}");
    }
    let leaves = Batch { leave_group, ..batch };
    assert_eq!(versions(&leaves, &[(1, 3), (2, 4)]), Some(vec![(1, 3, 3), (2, 4, 4)]), "the group goes on");
    assert_eq!(versions(&leaves, &[(1, 9), (2, 3), (3, 4)]), Some(vec![(1, 9, 8), (2, 3, 3), (3, 4, 4)]));
    assert_eq!(versions(&leaves, &[(1, 9), (2, 9), (3, 3), (4, 4)]), None);
}

#[tokio::test]
async fn the_feed_skips_nothing_while_a_transaction_is_held_open() {
    let (store, database) = on_postgres().await;
    let start = snapshot(&store, 0).await.1;
    let mut slow = sqlx::PgConnection::connect(&database.admin_url).await.unwrap();
    slow.execute("SET search_path = booking, public").await.unwrap();
    slow.execute("BEGIN").await.unwrap();
    let write = "INSERT INTO changes (organization_id, version, changed_at_us, payload) \
         VALUES (gen_random_uuid(), 77, 0, '')";
    slow.execute(write).await.unwrap();
    let written = store.commit(&batch(0, vec![])).await.unwrap().position;
    // The later transaction has committed, but the earlier one still runs: neither is delivered yet.
    let during = store.changes_after(start, &Unordered::default(), 10).await.unwrap();
    assert_eq!((during.changes.len(), during.seen), (0, None));
    let position = during.position.unwrap();

    // Who wants it early gets it, does not move on for it, and knows that it has it.
    let versions = |tail: &Tail| tail.changes.iter().map(|change| change.version).collect::<Vec<_>>();
    let reach = |tail: Tail| Reach { seen: tail.seen.unwrap().parse().ok(), ..Reach::at(tail.position.unwrap()) };
    let early = store.changes_after(position, &Unordered { wanted: true, delivered: vec![] }, 10).await.unwrap();
    assert_eq!(versions(&early), [1]);
    let delivered = early.changes[0].seq;
    let reached = reach(early);
    assert!(!reached.position.reaches(written) && reached.has(written));
    let unordered = Unordered { wanted: true, delivered: vec![delivered] };
    assert_eq!(
        versions(&store.changes_after(position, &unordered, 10).await.unwrap()),
        [] as [i64; 0],
        "not a second time"
    );
    assert_eq!(
        store.changes_after(position, &Unordered { wanted: true, delivered: vec![] }, 1).await.unwrap().seen,
        None,
        "cut short"
    );

    slow.execute("COMMIT").await.unwrap();
    let after = tail(&store, position, 2).await;
    assert_eq!(versions(&after), [77, 1]);
    let later = store.changes_after(position, &unordered, 10).await.unwrap();
    assert_eq!(versions(&later), [77], "the held up change comes, the early one does not");
}

#[tokio::test]
async fn a_reader_before_the_retention_or_of_another_epoch_has_lost_its_position() {
    for (store, _database) in both().await {
        let start = snapshot(&store, 0).await.1;
        store.commit(&batch(10, vec![])).await.unwrap();
        tail(&store, start, 1).await;
        let cutoffs = Cutoffs { keys_us: 11, claims_us: 11, changes_us: 11, held_slots_us: 11, now_us: 11 };
        store.delete_expired(cutoffs, 100).await.unwrap();
        assert!(
            store.changes_after(start, &Unordered::default(), 10).await.unwrap().position.is_none(),
            "its change was swept"
        );
        let present = snapshot(&store, 0).await.1;
        assert!(store.changes_after(present, &Unordered::default(), 10).await.unwrap().position.is_some());
        raw(&store, "UPDATE epoch SET value = value + 1").await.unwrap();
        assert!(
            store.changes_after(present, &Unordered::default(), 10).await.unwrap().position.is_none(),
            "the database was restored"
        );
    }
}

#[tokio::test]
async fn a_restored_database_begins_a_new_epoch_and_deletes_its_changes() {
    let (store, _database) = on_postgres().await;
    let first = snapshot(&store, 0).await.1;
    assert!(!store.detect_failover().await.unwrap(), "the first start is no restore");
    store.commit(&batch(10, vec![claim(10, 100, 200, None)])).await.unwrap();
    assert!(!store.detect_failover().await.unwrap(), "the same server, timeline and database");
    assert_eq!(tail(&store, first, 1).await.changes.len(), 1);
    // What a restore leaves: the mark of the server that the backup was taken on.
    raw(&store, "UPDATE epoch SET incarnation = '1/1/1'").await.unwrap();
    assert!(store.detect_failover().await.unwrap());
    assert!(
        store.changes_after(first, &Unordered::default(), 10).await.unwrap().position.is_none(),
        "subscribers take a new snapshot"
    );
    assert_ne!(snapshot(&store, 0).await.1.epoch, first.epoch);
    assert_eq!(snapshot(&store, 0).await.0.len(), 1, "nothing but the feed is forgotten");
}
