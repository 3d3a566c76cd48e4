//! A dump that is put back into the same database begins a new epoch.

use std::process::Command;

use super::*;

fn run(program: &str, arguments: &[&str]) {
    let bin = testkit::postgres::find_programs().expect("PostgreSQL's programs are installed");
    let output = Command::new(bin.join(program)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A database with one claim, dumped to a file, and then a second claim.
async fn dumped() -> (Store, Database, String, Position) {
    let (store, database) = on_postgres().await;
    assert!(!store.detect_failover().await.unwrap(), "the first start is no restore");
    // As an administrator: the policies bind every role of the product.
    let url = database.admin_for_service("booking");
    store.commit(&batch(10, vec![claim(10, 100, 200, None)])).await.unwrap();
    let file = database.folder().join("dump").display().to_string();
    run("pg_dump", &["--format=custom", "--file", &file, &url]);
    store.commit(&batch(11, vec![claim(11, 300, 400, None)])).await.unwrap();
    let position = snapshot(&store, 0).await.1;
    assert!(!store.detect_failover().await.unwrap(), "a dump is no restore");
    (store, database, file, position)
}

async fn assert_noticed(store: &Store, before: Position) {
    assert!(store.detect_failover().await.unwrap(), "the restore is noticed");
    let tail = store.changes_after(before, &Unordered::default(), 10).await.unwrap();
    assert!(tail.position.is_none(), "followers take a new snapshot");
    assert_eq!(snapshot(store, 0).await.0.len(), 1, "the dump has one claim");
    assert!(!store.detect_failover().await.unwrap(), "it is noticed once");
}

#[tokio::test]
async fn a_dump_put_back_with_clean_is_noticed() {
    let (store, database, file, before) = dumped().await;
    run("pg_restore", &["--clean", "--if-exists", "--dbname", &database.admin_for_service("booking"), &file]);
    assert_noticed(&store, before).await;
}

#[tokio::test]
async fn rows_that_are_put_back_alone_are_noticed() {
    let (store, database, file, before) = dumped().await;
    // The tables stay, so that none of their ids changes.
    for delete in ["DELETE FROM claims", "DELETE FROM changes", "DELETE FROM epoch"] {
        raw(&store, delete).await.unwrap();
    }
    let url = database.admin_for_service("booking");
    let tables = ["--table=claims", "--table=changes", "--table=epoch"];
    run("pg_restore", &[&["--data-only", "--disable-triggers", "--dbname", &url][..], &tables, &[&file]].concat());
    assert_noticed(&store, before).await;
}

#[tokio::test]
async fn the_retention_of_the_feed_and_a_rewritten_table_are_no_restore() {
    let (store, database) = on_postgres().await;
    let mut administrator = sqlx::PgConnection::connect(&database.admin_for_service("booking")).await.unwrap();
    assert!(!store.detect_failover().await.unwrap());
    store.commit(&batch(10, vec![claim(10, 100, 200, None)])).await.unwrap();
    // Another test's transaction may hold the horizon for a while.
    testkit::poll::until("the retention", Duration::from_secs(30), || async {
        (store.delete_old_changes(i64::MAX, 10).await.unwrap() == 1).then_some(())
    })
    .await;
    assert!(!store.detect_failover().await.unwrap(), "the floor was raised");
    for statement in ["VACUUM FREEZE booking.epoch", "VACUUM FULL booking.epoch"] {
        administrator.execute(statement).await.unwrap();
        assert!(!store.detect_failover().await.unwrap(), "{statement}");
    }
}
