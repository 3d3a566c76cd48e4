//! What both engines must do alike: open, migrate, and fail in the same words.

use sql::{Failure, Function, Schema, Target, retry_serialization};
use sqlx::{
    Executor, PgPool, SqlStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};
use testkit::database::Database;

const FIRST: &[Function] =
    &[Function { name: "answer", text: "CREATE OR REPLACE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 1'" }];
const SECOND: &[Function] =
    &[Function { name: "answer", text: "CREATE OR REPLACE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 2'" }];

fn schema(name: &'static str, functions: &'static [Function]) -> Schema {
    let migrations = || sql::migrate!("tests/migrations");
    Schema { name, sqlite: migrations(), postgres: migrations(), functions }
}

/// The schema of a build whose first migration has another text.
fn edited(name: &'static str) -> Schema {
    let edit = |migrator: Migrator| {
        let mut migrations = migrator.migrations.to_vec();
        migrations[0].checksum = vec![0; 48].into();
        Migrator { migrations: migrations.into(), ..Migrator::DEFAULT }
    };
    let Schema { sqlite, postgres, .. } = schema(name, &[]);
    Schema { name, sqlite: edit(sqlite), postgres: edit(postgres), functions: &[] }
}

/// The schema of a build from before the first migration.
fn earlier(name: &'static str) -> Schema {
    Schema { name, sqlite: Migrator::DEFAULT, postgres: Migrator::DEFAULT, functions: &[] }
}

async fn sqlite(database: &Database) -> sql::SqlitePools {
    let Ok(Target::Sqlite(path)) = Target::from_url(&database.for_service("sample")) else { panic!("not a file") };
    sql::connect_sqlite(&path).await.unwrap()
}

async fn postgres(database: &Database, schema: &'static str) -> PgPool {
    sql::connect_postgres(&database.url, schema).await.unwrap()
}

async fn pending(database: &Database, schema: &Schema) -> Result<usize, MigrateError> {
    schema.pending(&Target::from_url(&database.for_service("sample")).unwrap()).await
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
async fn sqlite_migrates_once_and_refuses_another_builds_migrations() {
    let database = Database::sqlite().unwrap();
    let (pools, sample) = (sqlite(&database).await, schema("main", FIRST));
    assert_eq!(pending(&database, &sample).await.unwrap(), 1);
    sample.migrate_sqlite(&pools).await.unwrap();
    sample.migrate_sqlite(&pools).await.unwrap();
    assert_eq!(pending(&database, &sample).await.unwrap(), 0);
    for outcome in [edited("main").migrate_sqlite(&pools).await.err(), pending(&database, &edited("main")).await.err()]
    {
        assert!(matches!(outcome, Some(MigrateError::VersionMismatch(1))), "{outcome:?}");
        assert!(outcome.is_some_and(|error| sql::is_of_another_build(&error)));
    }
    let outcome = pending(&database, &earlier("main")).await;
    let refused = outcome.unwrap_err();
    assert!(sql::is_of_another_build(&refused) && refused.to_string().contains("migration 1 of"), "{refused}");
}

#[tokio::test]
async fn postgres_migrates_each_schema_by_itself_even_from_many_processes_at_once() {
    let database = Database::postgres().await.unwrap();
    let (left, right) = (schema("left_one", FIRST), schema("right_one", FIRST));
    let pool = postgres(&database, "left_one").await;
    assert_eq!(pending(&database, &left).await.unwrap(), 2);
    let starts = (0..4).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move { schema("left_one", FIRST).migrate_postgres(&pool).await })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.unwrap().unwrap();
    }
    assert_eq!(pending(&database, &left).await.unwrap(), 0);
    assert_eq!(pending(&database, &right).await.unwrap(), 2, "the other schema is untouched");
    let outcomes =
        [edited("left_one").migrate_postgres(&pool).await.err(), pending(&database, &edited("left_one")).await.err()];
    for outcome in outcomes {
        assert!(matches!(outcome, Some(MigrateError::VersionMismatch(1))), "{outcome:?}");
    }
    let outcome = pending(&database, &earlier("left_one")).await;
    let refused = outcome.unwrap_err();
    assert!(sql::is_of_another_build(&refused) && refused.to_string().contains("migration 1 of"), "{refused}");
}

#[tokio::test]
async fn a_migration_has_no_statement_timeout_and_the_pool_keeps_its_own() {
    const CHECK: &str =
        "DO $$ BEGIN IF current_setting('statement_timeout') <> '0' THEN RAISE 'a timeout'; END IF; END $$";
    let migration = Migration::new(1, "check".into(), MigrationType::Simple, SqlStr::from_static(CHECK), false);
    let postgres_migrations = Migrator { migrations: vec![migration].into(), ..Migrator::DEFAULT };
    let checking = Schema { postgres: postgres_migrations, ..schema("sample", &[]) };
    let database = Database::postgres().await.unwrap();
    let pool = postgres(&database, "sample").await;
    checking.migrate_postgres(&pool).await.unwrap();
    let timeout: String = sqlx::query_scalar("SHOW statement_timeout").fetch_one(&pool).await.unwrap();
    assert_eq!(timeout, "30s");
}

#[tokio::test]
async fn a_function_is_replaced_by_a_new_text_and_never_by_an_earlier_one() {
    let database = Database::postgres().await.unwrap();
    let pool = postgres(&database, "sample").await;
    let answer = async || sqlx::query_scalar::<_, i32>("SELECT answer()").fetch_one(&pool).await.unwrap();
    let (first, second) = (schema("sample", FIRST), schema("sample", SECOND));
    first.migrate_postgres(&pool).await.unwrap();
    assert_eq!(answer().await, 1);
    assert_eq!(pending(&database, &second).await.unwrap(), 1);
    second.migrate_postgres(&pool).await.unwrap();
    assert_eq!(answer().await, 2);
    // A process of the earlier build restarts.
    first.migrate_postgres(&pool).await.unwrap();
    assert_eq!((answer().await, pending(&database, &first).await.unwrap()), (2, 0));
}

#[tokio::test]
async fn a_function_that_does_not_compile_is_applied_again_at_the_next_start() {
    const BROKEN: &[Function] = &[Function { name: "answer", text: "CREATE OR REPLACE FUNCTION answer() RETURNS" }];
    let database = Database::postgres().await.unwrap();
    let pool = postgres(&database, "sample").await;
    let outcome = schema("sample", BROKEN).migrate_postgres(&pool).await;
    assert!(matches!(outcome, Err(MigrateError::Execute(_))), "{outcome:?}");
    assert_eq!(pending(&database, &schema("sample", BROKEN)).await.unwrap(), 1);
}

#[tokio::test]
async fn postgres_sessions_carry_their_name_and_their_limits() {
    let database = Database::postgres().await.unwrap();
    let pool = postgres(&database, "sample").await;
    for (setting, promised) in [
        ("application_name", concat!("meridian-sample/", env!("CARGO_PKG_VERSION"))),
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
    schema("sample", &[]).migrate_sqlite(&pools).await.unwrap();
    schema("sample", &[]).migrate_postgres(&pool).await.unwrap();
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
    schema("sample", &[]).migrate_postgres(&pool).await.unwrap();
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
    schema("sample", &[]).migrate_postgres(&pool).await.unwrap();
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

const FILL: &str = "INSERT INTO first (id, name) VALUES ($1, $2)";

/// SQLite's own limit of a file stands for a disk that is full: it fails in the same way, and is the connection's alone.
#[tokio::test]
async fn a_full_disk_costs_its_connection_and_not_the_next_write() {
    let database = Database::sqlite().unwrap();
    let pools = sqlite(&database).await;
    schema("main", &[]).migrate_sqlite(&pools).await.unwrap();
    let fill = async |id: i32| {
        let mut tx = pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(FILL).bind(id).bind("x".repeat(1 << 20)).execute(&mut *tx).await?;
        tx.commit().await
    };
    pools.writer.execute("PRAGMA max_page_count = 1").await.unwrap();
    let refused = Failure::from(fill(1).await.unwrap_err());
    assert!(matches!(refused, Failure::Unwritable(_)), "{refused:?}");
    fill(2).await.expect("the next transaction has a connection of its own");
    let kept: Vec<i32> = sqlx::query_scalar("SELECT id FROM first").fetch_all(&pools.reader).await.unwrap();
    assert_eq!(kept, [2]);
}

#[tokio::test]
async fn a_check_of_writes_leaves_nothing_behind_on_both_engines() {
    let (one, other) = (Database::sqlite().unwrap(), Database::postgres().await.unwrap());
    let (pools, pool) = (sqlite(&one).await, postgres(&other, "sample").await);
    schema("sample", &[]).migrate_sqlite(&pools).await.unwrap();
    schema("sample", &[]).migrate_postgres(&pool).await.unwrap();
    let files = || std::fs::read_dir(one.folder()).unwrap().count();
    let (files_before, target) = (files(), |database: &Database| Target::from_url(&database.for_service("sample")));
    for database in [&one, &other] {
        sql::writable::check(&target(database).unwrap(), "sample").await.unwrap();
    }
    let left: i64 =
        sqlx::query_scalar("SELECT count(to_regclass('sample._write_check'))").fetch_one(&pool).await.unwrap();
    assert_eq!((files(), left), (files_before, 0));
    pool.execute(sqlx::AssertSqlSafe(format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        other.url.rsplit('/').next().unwrap().split('?').next().unwrap()
    )))
    .await
    .unwrap();
    let refused = sql::writable::check(&target(&other).unwrap(), "sample").await;
    assert!(matches!(refused, Err(Failure::Unwritable(_))), "{refused:?}");
}
