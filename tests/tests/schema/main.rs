//! The committed schema of each service, and the hashes of its migrations.
//!
//! `services/<service>/schema/<engine>.sql` is what the migrations make of an empty database. `cargo xtask schema` writes
//! these files and adds hashes of new files; the tests compare. See `services/booking/migrations/README.md`.

mod dump;
mod hashes;

use std::{fs, path::PathBuf};

use sql::Target;
use testkit::database::Database;

const SERVICES: [&str; 4] = ["availability", "booking", "gateway", "reminder"];
/// Set by `cargo xtask schema`: the tests write instead of comparing.
const RENEW: &str = "MERIDIAN_RENEW_SCHEMA";

testkit::engines!(each_schema_file_is_what_the_migrations_make);

async fn each_schema_file_is_what_the_migrations_make(database: Database) {
    let mut differing = Vec::new();
    for service in SERVICES {
        let target = Target::from_url(&database.for_service(service)).unwrap();
        migrate(service, &target).await;
        let made = dump::schema(service, &target).await;
        let engine = if database.postgres { "postgres" } else { "sqlite" };
        if database.postgres {
            assert_each_function_file_is_applied(service, &made);
        }
        let file = folder(service).join("schema").join(engine).with_extension("sql");
        if is_renewing() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, made).unwrap();
        } else if fs::read_to_string(&file).ok().as_ref() != Some(&made) {
            differing.push(format!("services/{service}/schema/{engine}.sql"));
        }
    }
    assert!(differing.is_empty(), "run `cargo xtask schema`; not what the migrations make: {}", differing.join(", "));
}

/// Tables with an organisation, whether PostgreSQL keeps its rows apart, also from the tables' owner.
const SELECT_FENCES: &str = r#"
    SELECT c.oid::regclass::text,
        c.relrowsecurity AND c.relforcerowsecurity
            AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polqual IS NOT NULL
                AND p.polwithcheck IS NOT NULL AND p.polcmd = '*' AND p.polpermissive)
            AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname <> 'organization')
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = $1::regnamespace
        AND (c.relname = 'organizations' OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
            AND a.attname = 'organization_id' AND NOT a.attisdropped))
    ORDER BY 1
"#;

#[tokio::test]
async fn every_table_with_an_organisation_is_fenced() {
    let database = Database::postgres().await.unwrap();
    let pool = sqlx::PgPool::connect(&database.admin_url).await.unwrap();
    for (service, least) in SERVICES.into_iter().zip([3, 20, 5, 15]) {
        migrate(service, &Target::from_url(&database.url).unwrap()).await;
        let tables: Vec<(String, bool)> = sqlx::query_as(SELECT_FENCES).bind(service).fetch_all(&pool).await.unwrap();
        assert!(tables.len() >= least, "{service}: {tables:?}");
        let open: Vec<&String> = tables.iter().filter(|(_, fenced)| !fenced).map(|(table, _)| table).collect();
        assert!(open.is_empty(), "add `SELECT fence('table')` to the migration that makes {open:?}");
    }
}

/// A function whose file is not in the service's list would be missing in every database.
fn assert_each_function_file_is_applied(service: &str, made: &str) {
    let Ok(files) = fs::read_dir(folder(service).join("migrations/postgres/functions")) else { return };
    for file in files.map(|file| file.unwrap().path()) {
        let name = file.file_stem().unwrap().to_string_lossy();
        assert!(made.contains(&format!("--   {name}(")), "{} is not in the service's list", file.display());
    }
}

async fn migrate(service: &str, target: &Target) {
    match service {
        "availability" => availability::App::migrate(target).await.unwrap(),
        "booking" => booking::App::migrate(target).await.unwrap(),
        "gateway" => gateway::App::migrate(target).await.unwrap(),
        "reminder" => reminder::App::migrate(target).await.unwrap(),
        _ => unreachable!("{service} has no database"),
    }
}

fn folder(service: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "services", service].iter().collect()
}

fn is_renewing() -> bool {
    std::env::var_os(RENEW).is_some()
}
