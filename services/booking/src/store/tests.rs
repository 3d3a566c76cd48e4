//! The contract of the store, on both engines.

use std::time::Duration;

use domain::claim::Kind;
use sql::{
    Target,
    feed::{Position, Reach},
};
use sqlx::{Connection, Executor, SqlSafeStr};
use testkit::database::Database;
use uuid::Uuid;

use super::{
    Before, Early, Live, Store, Tail,
    batch::{Batch, Hex, LeaveGroup, NewChange, NewPatient, Refusal},
    postgres,
    rows::{ChangeRow, ClaimRow, EntryRow, OfferRow, OwnedClaimRow},
    sqlite,
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
    let Store::Postgres(store) = store else { panic!("it is not on PostgreSQL") };
    store.writer()
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

/// The tail once it tells so many changes: on PostgreSQL any transaction of the cluster, another test's included,
/// holds the feed back while it runs.
async fn told(store: &Store, after: Position, count: usize) -> Tail {
    testkit::poll::until("the feed to tell", Duration::from_secs(30), || async {
        let tail = store.tail(after, &Early::default(), 10).await.unwrap();
        (tail.changes.len() == count).then_some(tail)
    })
    .await
}

/// The claims that end after an instant, and the position that they were read at.
async fn snapshot(store: &Store, ends_after_us: i64) -> (Vec<OwnedClaimRow>, Position) {
    let mut claims = Vec::new();
    let mut each = |live| claims.extend(if let Live::Claim(row) = live { Some(row) } else { None });
    let position = store.snapshot(ends_after_us, &mut each).await.unwrap();
    (claims, position)
}

async fn raw(store: &Store, statement: &'static str) -> Result<(), sqlx::Error> {
    match store {
        Store::Sqlite(store) => store.writer().execute(statement).await.map(drop),
        Store::Postgres(store) => store.writer().execute(statement).await.map(drop),
    }
}

#[tokio::test]
async fn every_statement_prepares_on_both_engines() {
    for (store, _database) in both().await {
        let more = [&sqlite::waitlist::STATEMENTS[..], &sqlite::patients::STATEMENTS, &sqlite::zones::STATEMENTS];
        for statement in sqlite::queries::STATEMENTS.into_iter().chain(more.concat()) {
            match &store {
                Store::Sqlite(store) => {
                    let mut connection = store.reader().acquire().await.unwrap();
                    connection.prepare(statement.into_sql_str()).await.map(drop)
                }
                Store::Postgres(store) => {
                    let mut connection = store.reader().acquire().await.unwrap();
                    connection.prepare(statement.into_sql_str()).await.map(drop)
                }
            }
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
    assert_eq!(sqlite::queries::STATEMENTS, postgres::queries::STATEMENTS);
    assert_eq!(sqlite::waitlist::STATEMENTS, postgres::waitlist::STATEMENTS);
    assert_eq!(sqlite::patients::STATEMENTS, postgres::patients::STATEMENTS);
    assert_eq!(sqlite::zones::STATEMENTS, postgres::zones::STATEMENTS);
}

#[tokio::test]
async fn the_database_itself_refuses_an_overlapping_claim() {
    for (store, _database) in both().await {
        store.commit(&batch(0, vec![claim(10, 100, 200, None)])).await.unwrap();
        let overlapping = match &store {
            Store::Sqlite(_) => {
                "INSERT INTO claims SELECT organization_id, kind, resource, unit, 150, 250, owner, NULL, NULL, false FROM claims"
            }
            Store::Postgres(_) => {
                "INSERT INTO claims SELECT organization_id, kind, resource, unit, 150, 250, owner, NULL, NULL, false FROM booking.claims"
            }
        };
        assert!(raw(&store, overlapping).await.is_err());
        let touching = "INSERT INTO claims SELECT organization_id, kind, resource, unit, 200, 250, owner, NULL, NULL, false FROM claims";
        raw(&store, touching).await.unwrap();
    }
}

#[tokio::test]
async fn a_taken_claim_refuses_the_whole_batch_and_names_what_is_taken() {
    for (store, _database) in both().await {
        store.commit(&batch(0, vec![claim(10, 100, 200, None)])).await.unwrap();
        let refused = store.commit(&batch(0, vec![claim(11, 300, 400, None), claim(11, 150, 250, None)])).await;
        assert!(matches!(refused, Err(Refusal::Taken(taken)) if taken == [(Kind::Room, ROOM)]));
        // Nothing of it stayed: the part that was free is still free.
        store.commit(&batch(0, vec![claim(12, 300, 400, None)])).await.unwrap();
    }
}

#[tokio::test]
async fn an_expired_hold_blocks_nobody_and_a_live_one_does() {
    for (store, _database) in both().await {
        store.commit(&batch(0, vec![claim(10, 100, 200, Some(50))])).await.unwrap();
        let early = store.commit(&batch(49, vec![claim(11, 100, 200, None)])).await;
        assert!(matches!(early, Err(Refusal::Taken(_))));
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
                        Err(Refusal::Taken(_)) => {}
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
async fn a_commit_answers_what_the_feed_will_tell() {
    let shown = |changes: &[ChangeRow]| format!("{changes:?}");
    for (store, _database) in both().await {
        let start = snapshot(&store, 0).await.1;
        let mut both = batch(5, vec![]);
        both.changes.push(NewChange { version: 7, payload: Hex(vec![7]) });
        let first = store.commit(&both).await.unwrap();
        let second = store.commit(&batch(6, vec![])).await.unwrap();
        let told = told(&store, start, 3).await.changes;
        assert_eq!(shown(&first.changes.unwrap()), shown(&told[..2]));
        assert_eq!(shown(&second.changes.unwrap()), shown(&told[2..]));
        let last = &told[1];
        assert_eq!((first.position.xid, first.position.seq), (last.xid, last.seq));
        let silent = store.commit(&Batch { changes: vec![], ..batch(7, vec![]) }).await.unwrap();
        assert_eq!(silent.changes.map(|changes| changes.len()), Some(0));
    }
}

/// `CREATE OR REPLACE` drops a setting that the new text does not repeat.
#[tokio::test]
async fn what_each_write_and_each_look_at_the_feed_runs_is_planned_once_a_connection() {
    let (store, _database) = on_postgres().await;
    for function in ["commit_batch(jsonb)", "feed_tail(xid8, bigint, boolean, bigint[], bigint)"] {
        let settings = "SELECT coalesce(proconfig, '{}') FROM pg_proc WHERE oid = $1::regprocedure";
        let settings: Vec<String> = sqlx::query_scalar(settings).bind(function).fetch_one(pool(&store)).await.unwrap();
        for expected in ["plan_cache_mode=force_generic_plan", "enable_seqscan=off"] {
            assert!(settings.iter().any(|setting| setting == expected), "{function}: {settings:?}");
        }
    }
}

#[test]
fn what_does_not_fit_what_was_stored_is_told_of_by_nobody() {
    let change = |version| NewChange { version, payload: Hex(vec![u8::try_from(version).unwrap()]) };
    let leave_group = Some(LeaveGroup { id: ROOM, freed: Hex(vec![8]) });
    let batch = Batch { changes: vec![change(3), change(4)], ..Batch::default() };
    let versions = |batch: &Batch, stored: &[(i64, i64)]| {
        let changes = batch.told(0, stored)?;
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
    let mut slow = sqlx::PgConnection::connect(&database.url).await.unwrap();
    slow.execute("SET search_path = booking, public").await.unwrap();
    slow.execute("BEGIN").await.unwrap();
    let write = "INSERT INTO changes (organization_id, version, changed_at_us, payload) \
         VALUES (gen_random_uuid(), 77, 0, '')";
    slow.execute(write).await.unwrap();
    let written = store.commit(&batch(0, vec![])).await.unwrap().position;
    // The later transaction has committed, but the earlier one still runs: neither is told yet.
    let during = store.tail(start, &Early::default(), 10).await.unwrap();
    assert_eq!((during.changes.len(), during.seen), (0, None));
    let position = during.position.unwrap();

    // Who wants it early gets it, does not move on for it, and knows that it has it.
    let versions = |tail: &Tail| tail.changes.iter().map(|change| change.version).collect::<Vec<_>>();
    let reach = |tail: Tail| Reach { seen: tail.seen.unwrap().parse().ok(), ..Reach::at(tail.position.unwrap()) };
    let early = store.tail(position, &Early { wanted: true, told: vec![] }, 10).await.unwrap();
    assert_eq!(versions(&early), [1]);
    let told_early = early.changes[0].seq;
    let reached = reach(early);
    assert!(!reached.position.reaches(written) && reached.has(written));
    let again = Early { wanted: true, told: vec![told_early] };
    assert_eq!(versions(&store.tail(position, &again, 10).await.unwrap()), [] as [i64; 0], "not a second time");
    assert_eq!(store.tail(position, &Early { wanted: true, told: vec![] }, 1).await.unwrap().seen, None, "cut short");

    slow.execute("COMMIT").await.unwrap();
    let after = told(&store, position, 2).await;
    assert_eq!(versions(&after), [77, 1]);
    let rest = store.tail(position, &again, 10).await.unwrap();
    assert_eq!(versions(&rest), [77], "what was held up comes, what came early does not");
}

#[tokio::test]
async fn a_reader_who_fell_off_the_end_or_knows_another_life_is_told_so() {
    for (store, _database) in both().await {
        let start = snapshot(&store, 0).await.1;
        store.commit(&batch(10, vec![])).await.unwrap();
        told(&store, start, 1).await;
        let before = Before { keys_us: 11, claims_us: 11, changes_us: 11, now_us: 11 };
        store.sweep(before, 100).await.unwrap();
        assert!(store.tail(start, &Early::default(), 10).await.unwrap().position.is_none(), "its change was swept");
        let fresh = snapshot(&store, 0).await.1;
        assert!(store.tail(fresh, &Early::default(), 10).await.unwrap().position.is_some());
        raw(&store, "UPDATE epoch SET value = value + 1").await.unwrap();
        assert!(
            store.tail(fresh, &Early::default(), 10).await.unwrap().position.is_none(),
            "the database was restored"
        );
    }
}

#[tokio::test]
async fn a_restored_database_begins_a_new_life_and_forgets_what_it_told() {
    let (store, _database) = on_postgres().await;
    let first = snapshot(&store, 0).await.1;
    assert!(!store.notice_new_life().await.unwrap(), "the first start is no restore");
    store.commit(&batch(10, vec![claim(10, 100, 200, None)])).await.unwrap();
    assert!(!store.notice_new_life().await.unwrap(), "the same server, timeline and database");
    assert_eq!(told(&store, first, 1).await.changes.len(), 1);
    // What a restore leaves: the mark of the server that the backup was taken on.
    raw(&store, "UPDATE epoch SET life = '1/1/1'").await.unwrap();
    assert!(store.notice_new_life().await.unwrap());
    assert!(
        store.tail(first, &Early::default(), 10).await.unwrap().position.is_none(),
        "followers take a new snapshot"
    );
    assert_ne!(snapshot(&store, 0).await.1.epoch, first.epoch);
    assert_eq!(snapshot(&store, 0).await.0.len(), 1, "nothing but the feed is forgotten");
}

/// Somebody who waits.
async fn waiting(store: &Store, number: u128) -> EntryRow {
    let id = Uuid::from_u128(20 + number);
    let (match_key, details, words) = (number.to_string(), "{}".into(), vec![]);
    let patient = NewPatient { id, match_key, open_changes: 0, details, words };
    store.commit(&Batch { patients: vec![patient], ..batch(0, vec![]) }).await.unwrap();
    let entry = EntryRow {
        organization_id: ORG,
        id: Uuid::from_u128(30 + number),
        version: 1,
        status: "waiting".into(),
        patient_id: id,
        service_id: ROOM,
        wish: "{}".into(),
        wish_key: String::new(),
        place: 1,
        ends_at_us: 1000,
        rests_until_us: 0,
        created_at_us: 0,
        updated_at_us: 0,
    };
    assert!(store.join(&entry).await.unwrap());
    entry
}

fn offer(entry: &EntryRow, id: u128) -> OfferRow {
    OfferRow {
        organization_id: entry.organization_id,
        id: Uuid::from_u128(id),
        version: 1,
        waitlist_id: entry.id,
        patient_id: entry.patient_id,
        hold_id: Uuid::from_u128(id + 100),
        status: "making".into(),
        slot_id: format!("slot_{id}"),
        slot: "{}".into(),
        token_hash: id.to_be_bytes().to_vec(),
        appointment_id: None,
        expires_at_us: 500,
        created_at_us: 1,
        decided_at_us: None,
    }
}

#[tokio::test]
async fn nothing_is_offered_to_an_entry_that_has_left_since_it_was_read() {
    for (store, _database) in both().await {
        let entry = waiting(&store, 1).await;
        store.end_entry(ORG, entry.id, 0, "left", 1).await.unwrap().unwrap();
        assert!(!store.make_offer(&offer(&entry, 40)).await.unwrap());
        assert!(store.offer(ORG, Uuid::from_u128(40)).await.unwrap().is_none(), "nothing of it stays");
        assert_eq!(store.entry(ORG, entry.id).await.unwrap().unwrap().status, "left");
    }
}

#[tokio::test]
async fn who_read_an_entry_before_it_changed_does_not_end_it() {
    for (store, _database) in both().await {
        let entry = waiting(&store, 1).await;
        assert!(store.make_offer(&offer(&entry, 40)).await.unwrap());
        assert!(store.end_entry(ORG, entry.id, entry.version, "left", 1).await.unwrap().is_none());
        let offered = store.entry(ORG, entry.id).await.unwrap().unwrap();
        assert_eq!(store.end_entry(ORG, entry.id, offered.version, "left", 1).await.unwrap().unwrap().status, "left");
    }
}

#[tokio::test]
async fn the_database_itself_refuses_a_second_offer_of_a_slot_or_to_a_patient() {
    for (store, _database) in both().await {
        let (first, second) = (waiting(&store, 1).await, waiting(&store, 2).await);
        assert!(store.make_offer(&offer(&first, 40)).await.unwrap());
        let same_slot = OfferRow { slot_id: offer(&first, 40).slot_id, ..offer(&second, 41) };
        assert!(!store.make_offer(&same_slot).await.unwrap());
        // Another entry of the same patient.
        let again = EntryRow { id: Uuid::from_u128(39), wish_key: "other".into(), place: 2, ..first.clone() };
        assert!(store.join(&again).await.unwrap());
        assert!(!store.make_offer(&offer(&again, 42)).await.unwrap());
        assert_eq!(store.entry(ORG, again.id).await.unwrap().unwrap().status, "waiting", "nothing of it stays");
        // What is decided stands in nobody's way.
        let open = offer(&first, 40);
        store.move_offer(&open, "making", "declined", None, 2).await.unwrap().unwrap();
        assert!(store.make_offer(&same_slot).await.unwrap() && store.make_offer(&offer(&again, 42)).await.unwrap());
    }
}
