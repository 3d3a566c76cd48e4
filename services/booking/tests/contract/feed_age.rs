//! A transaction that stays open anywhere in the PostgreSQL cluster is named with its process.

use std::time::Duration;

use jiff::SignedDuration;
use sqlx::{Connection, Executor, PgConnection};
use testkit::database::Database;
use wire::booking::SubscribeChangesRequest;

use crate::harness::{GRACE, Harness, PLAIN, after, slot, visit};

const WITHIN: Duration = Duration::from_secs(30);

async fn note(harness: &Harness, has: impl Fn(&str) -> bool) -> Option<String> {
    testkit::poll::attempt(WITHIN, || async {
        let note = harness.readiness.notes().into_iter().find(|(part, _)| part == "feed").map(|(_, note)| note);
        let note = note.unwrap_or_default();
        has(&note).then_some(note)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_elsewhere_in_the_cluster_is_named_with_its_process() {
    let database = Database::postgres().await.unwrap();
    let harness = Harness::over(&database).await;
    let (_, position) = harness.snapshot().await;
    let request = harness.request(SubscribeChangesRequest { position, early: false });
    let mut tail = harness.feed.clone().subscribe_changes(request).await.unwrap().into_inner();
    let reading = tokio::spawn(async move { while let Ok(Some(_)) = tail.message().await {} });

    let elsewhere = Database::postgres().await.unwrap();
    let mut open = PgConnection::connect(&elsewhere.for_service("booking")).await.unwrap();
    open.execute("SET application_name = 'a forgotten console'").await.unwrap();
    open.execute("BEGIN").await.unwrap();
    open.execute("SELECT pg_current_xact_id()").await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut open).await.unwrap();
    harness.book(visit(&slot(PLAIN, GRACE, after(0)), 1)).await;
    harness.clock.advance(SignedDuration::from_secs(24));

    // Other tests' transactions may be the oldest one for a moment.
    let by_process = format!("process {pid} (a forgotten console)");
    let named = note(&harness, |note| note.contains("24 s behind") && note.contains(&by_process)).await;
    assert!(named.is_some(), "no note names {by_process}: {:?}", harness.readiness.notes());
    assert!(harness.readiness.is_ready(), "bookings go on");
    open.execute("ROLLBACK").await.unwrap();
    assert!(note(&harness, str::is_empty).await.is_some(), "the note stays: {:?}", harness.readiness.notes());
    reading.abort();
}
