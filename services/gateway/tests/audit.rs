//! The audit log's chain with several gateways, with lines that are lost, and with lines of an earlier version.

use std::time::Duration;

use domain::id::OrganizationId;
use gateway::{App, Config, Deps, Oidc, audit};
use rpc::Channel;
use runtime::{Clock, Ids, Readiness, Shutdown};
use serde_json::{Value, json};
use sql::Target;
use sqlx::raw_sql;
use testkit::{database::Database, poll};
use tokio::{net::TcpListener, task::JoinHandle};
use uuid::Uuid;

testkit::engines!(
    gateways_that_write_at_once_keep_one_chain,
    lost_lines_are_counted_in_the_chain,
    lines_of_an_earlier_version_stay_before_the_chain,
);

const ADMIN: &str = "mrd_admin_key_of_the_tests";
const ORGANIZATION: OrganizationId = OrganizationId::new(Uuid::from_u128(1));
const WITHIN: Duration = Duration::from_secs(30);

fn target(database: &Database) -> Target {
    Target::from_url(&database.for_service("gateway")).unwrap()
}

/// A gateway without the other services: keys and the audit log are its own.
struct Gateway {
    url: String,
    client: reqwest::Client,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
}

impl Gateway {
    async fn start(database: &Database) -> Self {
        let deps = Deps {
            clock: Clock::system(),
            ids: Ids::system(),
            database: target(database),
            availability: Channel::pending(),
            booking: Channel::pending(),
            reminder: Channel::pending(),
            admin_key: Some(ADMIN.into()),
            oidc: Oidc::default(),
            default_organization: Some(ORGANIZATION),
            readiness: Readiness::new(),
            keyring: service::seal::Keyring::from_key(&[7; 32]),
            public_url: String::new(),
        };
        let config = Config { requests_per_second: 100_000, ..Config::default() };
        let app = App::build(config, deps).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let ends = shutdown.clone();
        let serving = tokio::spawn(async move { app.serve(listener, ends).await.unwrap() });
        Self { url, client: testkit::http::client(), shutdown, serving }
    }

    /// Creates a key, which is a line of the log.
    async fn create_key(&self) {
        let request = self.client.post(format!("{}/v1/keys", self.url)).bearer_auth(ADMIN);
        let answer = request.json(&json!({"name": "test", "scopes": ["slots:read"]})).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
    }

    /// The lines with an action.
    async fn lines(&self, action: &str) -> Vec<Value> {
        let url = format!("{}/v1/audit?limit=200&action={action}", self.url);
        let answer = self.client.get(url).bearer_auth(ADMIN).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["data"].as_array().cloned().unwrap_or_default()
    }

    /// Ends it; then all lines are written.
    async fn stop(self) {
        self.shutdown.begin();
        self.serving.await.unwrap();
    }
}

/// The one chain of a database, without a fault.
async fn whole_chain(database: &Database) -> audit::Chain {
    let chains = audit::verify(&target(database)).await.unwrap();
    let [chain] = chains.as_slice() else { panic!("one organisation: {chains:?}") };
    assert_eq!((chain.organization, chain.fault), (ORGANIZATION, None));
    chain.clone()
}

async fn gateways_that_write_at_once_keep_one_chain(database: Database) {
    let gateways = [Gateway::start(&database).await, Gateway::start(&database).await];
    let one_by_one = async |gateway: &Gateway| {
        for _ in 0..40 {
            gateway.create_key().await;
        }
    };
    let [first, second] = &gateways;
    tokio::join!(one_by_one(first), one_by_one(second), one_by_one(first), one_by_one(second));
    for gateway in gateways {
        gateway.stop().await;
    }
    assert_eq!(whole_chain(&database).await.lines, 160);
}

async fn execute(database: &Database, sql: &'static str) {
    match target(database) {
        Target::Sqlite(path) => {
            raw_sql(sql).execute(&sql::connect_sqlite(&path).await.unwrap().writer).await.map(drop).unwrap();
        }
        Target::Postgres(url) => {
            raw_sql(sql).execute(&sql::connect_postgres(&url, "gateway").await.unwrap()).await.map(drop).unwrap();
        }
    }
}

async fn lost_lines_are_counted_in_the_chain(database: Database) {
    let gateway = Gateway::start(&database).await;
    let mut created = 0;
    while gateway.lines("lines_lost").await.is_empty() {
        // Lines are lost only if the writer gets to them before the table is back, so this may take a few turns.
        execute(&database, "ALTER TABLE audit_lines RENAME TO hidden_lines").await;
        for _ in 0..3 {
            gateway.create_key().await;
        }
        execute(&database, "ALTER TABLE hidden_lines RENAME TO audit_lines").await;
        gateway.create_key().await;
        created += 4;
        assert!(created < 400, "no line was lost");
    }
    let accounted = poll::until("a line for each key, or a count of it", WITHIN, || async {
        let (kept, lost) = (gateway.lines("create_key").await, gateway.lines("lines_lost").await);
        let lost: i64 = lost.iter().filter_map(|line| line["requests"].as_i64()).sum();
        (i64::try_from(kept.len()).ok()? + lost >= created).then_some(kept.len())
    });
    assert!(accounted.await < usize::try_from(created).unwrap(), "a lost line is in no list");
    gateway.stop().await;
    whole_chain(&database).await;
}

async fn lines_of_an_earlier_version_stay_before_the_chain(database: Database) {
    let [baseline, change, line] = match database.postgres {
        true => [
            include_str!("../migrations/postgres/0001_baseline.sql"),
            include_str!("../migrations/postgres/0002_chain_the_audit_log.sql"),
            "INSERT INTO audit SELECT '00000000-0000-0000-0000-000000000001'::uuid, gen_random_uuid(), at, 'key_x', 'get_patient', \
             '', NULL::uuid FROM generate_series(1, 3) AS at",
        ],
        false => [
            include_str!("../migrations/sqlite/0001_baseline.sql"),
            include_str!("../migrations/sqlite/0002_chain_the_audit_log.sql"),
            "INSERT INTO audit SELECT x'00000000000000000000000000000001', randomblob(16), value, 'key_x', 'get_patient', \
             '', NULL FROM json_each('[1, 2, 3]')",
        ],
    };
    if database.postgres {
        execute(&database, "CREATE SCHEMA gateway").await;
    }
    for sql in [baseline, line, change] {
        execute(&database, sql).await;
    }
    let chain = whole_chain(&database).await;
    assert_eq!((chain.lines, chain.unchained, chain.hash.as_str()), (3, 3, ""));
}
