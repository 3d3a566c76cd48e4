//! What both engines must do alike: open, migrate, and fail in the same words.

use sql::{Failure, Target, retry_serialization};
use sqlx::{
    Executor, PgPool,
    migrate::{MigrateError, Migrator},
};
use testkit::database::Database;

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

async fn sqlite(database: &Database) -> sql::SqlitePools {
    let Ok(Target::Sqlite(path)) = Target::from_url(&database.for_service("sample")) else { panic!("not a file") };
    sql::connect_sqlite(&path).await.unwrap()
}

async fn postgres(database: &Database, schema: &'static str) -> PgPool {
    sql::connect_postgres(&database.url, schema).await.unwrap()
}

fn edited() -> Migrator {
    let mut migrations = MIGRATIONS.migrations.to_vec();
    migrations[0].checksum = vec![0; 48].into();
    Migrator { migrations: migrations.into(), ..Migrator::DEFAULT }
}

async fn pending(database: &Database, schema: &'static str) -> usize {
    sql::pending(&Target::from_url(&database.for_service("sample")).unwrap(), schema, &MIGRATIONS, &MIGRATIONS)
        .await
        .unwrap()
}

#[tokio::test]
async fn sqlite_opens_as_promised() {
    let database = Database::sqlite().unwrap();
    let pools = sqlite(&database).await;
    for (pragma, promised) in
        [("PRAGMA journal_mode", "wal"), ("PRAGMA synchronous", "2"), ("PRAGMA foreign_keys", "1")]
    {
        let row = sqlx::query(pragma).fetch_one(&pools.writer).await.unwrap();
        use sqlx::Row;
        let found = row.try_get::<String, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|n| n.to_string())).unwrap();
        assert_eq!(found, promised, "{pragma}");
    }
    let refused = pools.reader.execute("CREATE TABLE t (x)").await.unwrap_err();
    assert!(refused.to_string().contains("readonly"), "a reader writes nothing: {refused}");
}

#[tokio::test]
async fn sqlite_migrates_once_and_refuses_an_edited_migration() {
    let database = Database::sqlite().unwrap();
    let pools = sqlite(&database).await;
    assert_eq!(pending(&database, "main").await, 1);
    sql::migrate_sqlite(&pools, &MIGRATIONS).await.unwrap();
    sql::migrate_sqlite(&pools, &MIGRATIONS).await.unwrap();
    assert_eq!(pending(&database, "main").await, 0);
    let refused = sql::migrate_sqlite(&pools, &edited()).await;
    assert!(matches!(refused, Err(MigrateError::VersionMismatch(1))), "{refused:?}");
}

#[tokio::test]
async fn postgres_migrates_each_schema_by_itself_even_from_many_processes_at_once() {
    let database = Database::postgres().await.unwrap();
    let left = postgres(&database, "left_one").await;
    assert_eq!(pending(&database, "left_one").await, 1);
    let starts = (0..4).map(|_| {
        let pool = left.clone();
        tokio::spawn(async move { sql::migrate_postgres(&pool, "left_one", &MIGRATIONS).await })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.unwrap().unwrap();
    }
    assert_eq!(pending(&database, "left_one").await, 0);
    assert_eq!(pending(&database, "right_one").await, 1, "the other schema is untouched");
    let refused = sql::migrate_postgres(&left, "left_one", &edited()).await;
    assert!(matches!(refused, Err(MigrateError::VersionMismatch(1))), "{refused:?}");
}

#[tokio::test]
async fn postgres_sessions_carry_their_name_and_their_limits() {
    let database = Database::postgres().await.unwrap();
    let pool = postgres(&database, "sample").await;
    for (setting, promised) in [
        ("application_name", "meridian-sample"),
        ("search_path", "sample,public"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        ("jit", "off"),
    ] {
        let found: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&pool).await.unwrap();
        assert_eq!(found, promised, "{setting}");
    }
}

#[tokio::test]
async fn a_second_row_with_a_key_is_a_duplicate_on_both_engines() {
    const INSERT: &str = "INSERT INTO first (id, name) VALUES (1, 'a')";
    let (one, other) = (Database::sqlite().unwrap(), Database::postgres().await.unwrap());
    let (pools, pool) = (sqlite(&one).await, postgres(&other, "sample").await);
    sql::migrate_sqlite(&pools, &MIGRATIONS).await.unwrap();
    sql::migrate_postgres(&pool, "sample", &MIGRATIONS).await.unwrap();
    pools.writer.execute(INSERT).await.unwrap();
    pool.execute(INSERT).await.unwrap();
    let failures = [pools.writer.execute(INSERT).await.unwrap_err(), pool.execute(INSERT).await.unwrap_err()];
    for failure in failures.map(Failure::from) {
        assert!(matches!(failure, Failure::Duplicate(_)), "{failure:?}");
    }
}

#[tokio::test]
async fn a_lock_that_does_not_come_is_busy_on_both_engines() {
    let (one, other) = (Database::sqlite().unwrap(), Database::postgres().await.unwrap());
    let (pools, second, pool) = (sqlite(&one).await, sqlite(&one).await, postgres(&other, "sample").await);
    sql::migrate_postgres(&pool, "sample", &MIGRATIONS).await.unwrap();
    let _writing = pools.writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut impatient = second.writer.acquire().await.unwrap();
    impatient.execute("PRAGMA busy_timeout = 1").await.unwrap();
    let refused = Failure::from(impatient.execute("BEGIN IMMEDIATE").await.unwrap_err());
    assert!(matches!(refused, Failure::Busy(_)), "{refused:?}");
    let mut holding = pool.begin().await.unwrap();
    holding.execute("LOCK TABLE first IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut impatient = pool.begin().await.unwrap();
    impatient.execute("SET LOCAL lock_timeout = '1ms'").await.unwrap();
    let refused = Failure::from(impatient.execute("SELECT count(*) FROM first").await.unwrap_err());
    assert!(matches!(refused, Failure::Busy(_)), "{refused:?}");
}

/// Two transactions that each read what the other writes: one of them loses, and wins at its second run.
#[tokio::test]
async fn a_lost_transaction_is_run_again_whole() {
    let database = Database::postgres().await.unwrap();
    let pool = postgres(&database, "sample").await;
    sql::migrate_postgres(&pool, "sample", &MIGRATIONS).await.unwrap();
    let meet = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let writers = [1, 2].map(|id: i32| {
        let (pool, meet) = (pool.clone(), meet.clone());
        tokio::spawn(async move {
            let first = std::sync::atomic::AtomicBool::new(true);
            let run = || async {
                let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE").await?;
                let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM first").fetch_one(&mut *tx).await?;
                if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
                    meet.wait().await;
                }
                let insert = sqlx::query("INSERT INTO first (id, name) VALUES ($1, $2)").bind(id);
                insert.bind(format!("after {rows}")).execute(&mut *tx).await?;
                Ok::<_, Failure>(tx.commit().await?)
            };
            retry_serialization(|| 0.5, run).await
        })
    });
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM first ORDER BY name").fetch_all(&pool).await.unwrap();
    assert_eq!(names, ["after 0", "after 1"], "the second one has seen the first");
}

#[tokio::test]
async fn a_text_that_postgres_does_not_keep_has_a_failure_of_its_own() {
    let database = Database::postgres().await.unwrap();
    let pool = postgres(&database, "sample").await;
    for statement in ["SELECT length($1::text)", "SELECT length(($1::jsonb)->>'a')"] {
        let text = if statement.contains("jsonb") { r#"{"a": "\u0000"}"# } else { "\0" };
        let refused = sqlx::query_scalar::<_, i32>(statement).bind(text).fetch_one(&pool).await.unwrap_err();
        assert!(matches!(Failure::from(refused), Failure::Unstorable(_)), "{statement}");
    }
}
