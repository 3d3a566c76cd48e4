//! PostgreSQL's own fence between organisations, and the roles that it needs.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product, SEALING_KEY, filters_off, patient, service, sms};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, query_scalar};
use testkit::{database::Database, product, sms::FakeProvider};

use super::tenant_isolation::{PRIVATE, answer_foreign_ids_as_unknown};

const SELECT_FUNCTIONS: &str = r#"
    SELECT pg_get_functiondef(oid)
    FROM pg_proc
    WHERE pronamespace = 'booking'::regnamespace AND (proname LIKE 'commit\_%' OR proname = 'namesakes')
"#;
pub(crate) const SERVICES: [&str; 4] = ["availability", "booking", "gateway", "reminder"];

/// Takes the filters out of the functions that read and commit for one organisation; answers the number of filters.
async fn take_filters_out_of_functions(admin: &mut PgConnection) -> Result<usize> {
    let functions: Vec<String> = query_scalar(SELECT_FUNCTIONS).fetch_all(&mut *admin).await?;
    ensure!(functions.len() == 4, "{}", functions.len());
    let mut rewritten = 0;
    for function in functions {
        let (text, count) = filters_off::function_without_filters(&function);
        admin.execute(AssertSqlSafe(text)).await?;
        rewritten += count;
    }
    Ok(rewritten)
}

#[tokio::test]
async fn postgresql_keeps_organisations_apart_with_the_applications_filters_off() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let settings = sms::settings(&provider);
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(PRIVATE).collect();
    let database = Database::postgres().await?;
    let mut admin = PgConnection::connect(&database.admin_url).await?;
    let proxy = filters_off::FiltersOff::before(&database.url).await?;
    let product = Product::apart_on(database, &[("MERIDIAN_DATABASE__URL", &proxy.url)], &settings).await?;
    let in_functions = take_filters_out_of_functions(&mut admin).await?;
    assert!(in_functions > 25, "{in_functions}");

    answer_foreign_ids_as_unknown(&product).await?;
    assert!(proxy.rewritten() > 50, "{}", proxy.rewritten());

    // Without the fence the same product displays another organisation's patient: its filters truly are off.
    let id = product.post("/v1/patients", patient("Example", "+447700900155")).await?.text("/id");
    let organization = json!({"name": "Third", "default_language": "en", "country": "GB"});
    let other = product.post("/v1/organizations", organization).await?.text("/id");
    let as_other = [("meridian-organization", other.as_str())];
    let read = async || product.send(Method::GET, &format!("/v1/patients/{id}"), ADMIN, &as_other, None).await;
    assert_eq!(read().await?.status, StatusCode::NOT_FOUND);
    admin.execute("ALTER TABLE booking.patients DISABLE ROW LEVEL SECURITY").await?;
    assert_eq!(read().await?.status, StatusCode::OK);
    Ok(())
}

/// Runs `deploy/postgres/roles.sql` as an administrator does.
pub(crate) fn make_roles(database: &Database) -> Result<()> {
    let bin = testkit::postgres::find_programs().context("PostgreSQL's programs")?;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/postgres/roles.sql");
    let mut psql = Command::new(bin.join("psql"));
    psql.args(["--quiet", "--no-psqlrc", "--file", file, &database.admin_url]);
    for name in ["MIGRATE", "AVAILABILITY", "BOOKING", "GATEWAY", "REMINDER"] {
        psql.env(format!("{name}_PASSWORD"), name);
    }
    let output = psql.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The variable with the database of each service, as the role that `roles.sql` has made for it.
pub(crate) fn urls_of_services(database: &Database) -> Result<Vec<(String, String)>> {
    let urls = SERVICES
        .map(|service| Ok((format!("MERIDIAN_{}__DATABASE__URL", service.to_uppercase()), url_of(database, service)?)));
    urls.into_iter().collect()
}

/// The URL of a role that `roles.sql` has made.
pub(crate) fn url_of(database: &Database, role: &str) -> Result<String> {
    let (_, rest) = database.url.split_once('@').context("the URL names its user")?;
    Ok(format!("postgres://meridian_{role}:{}@{rest}", role.to_uppercase()))
}

#[tokio::test]
async fn services_run_as_roles_that_own_nothing() -> Result<()> {
    let database = Database::postgres().await?;
    make_roles(&database)?;
    make_roles(&database)?;
    let folder = tempfile::tempdir()?;
    let migrate = url_of(&database, "migrate")?;
    let urls = urls_of_services(&database)?;
    let urls: Vec<(&str, &str)> = urls.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();

    let variables = [&urls[..], &[("MERIDIAN_SECRETS__KEY", SEALING_KEY)]].concat();
    let early = product::run(folder.path(), &["serve", "--listen", "127.0.0.1:0"], &variables).await?;
    let printed = String::from_utf8_lossy(&early.stderr);
    assert!(!early.status.success() && printed.contains("`meridian migrate`"), "{printed}");
    let migrated = product::run(folder.path(), &["migrate"], &[("MERIDIAN_DATABASE__URL", &migrate)]).await?;
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));

    let mut booking = PgConnection::connect(&url_of(&database, "booking")?).await?;
    let owned = "SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = current_user";
    assert_eq!(query_scalar::<_, i64>(owned).fetch_one(&mut booking).await?, 0);
    for refused in [
        "SELECT FROM gateway.keys",
        "ALTER TABLE booking.patients NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY organization ON booking.patients",
        "TRUNCATE booking.patients CASCADE",
        "CREATE TABLE booking.mine ()",
        "SET ROLE meridian_migrate",
    ] {
        let error = booking.execute(refused).await.err().with_context(|| format!("{refused} is refused"))?;
        assert_eq!(error.as_database_error().and_then(|db| db.code()).as_deref(), Some("42501"), "{refused}: {error}");
    }

    let product = Product::apart_on(database, &urls, &[]).await?;
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
    let body = json!({"slot_id": slots[0]["slot_id"], "patient": patient("Example", "+17805550123")});
    let booked = product.post("/v1/appointments", body).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    Ok(())
}

#[tokio::test]
async fn a_role_that_no_policy_binds_runs_no_service() -> Result<()> {
    let (folder, database) = (tempfile::tempdir()?, Database::postgres().await?);
    let variables = [("MERIDIAN_DATABASE__URL", database.admin_url.as_str()), ("MERIDIAN_SECRETS__KEY", SEALING_KEY)];
    let refused = product::run(folder.path(), &["serve", "--listen", "127.0.0.1:0"], &variables).await?;
    let printed = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && printed.contains("is a superuser"), "{printed}");
    assert!(printed.contains("deploy/postgres/roles.sql") && printed.contains("--dev"), "{printed}");
    let doctor = product::run(folder.path(), &["doctor"], &variables).await?;
    let printed = String::from_utf8_lossy(&doctor.stdout);
    assert!(!doctor.status.success() && printed.contains("is a superuser"), "{printed}");
    let arguments = ["serve", "--dev", "--listen", "127.0.0.1:0"];
    product::Process::start(folder.path(), &arguments, &variables)?.line("listening on ").await;
    Ok(())
}
