//! The audit log: every read of personal data, every refusal, and a chain that shows every change by hand.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product, patient, service};
use serde_json::{Value, json};
use sql::Target;
use sqlx::raw_sql;
use testkit::poll;

use super::{
    key, key_of,
    matrix::{Operation, operations},
    operations::{Callers, callers_of},
};

const WITHIN: Duration = Duration::from_secs(30);

/// The lines that a query finds, with a key.
async fn lines(product: &Product, key: &str, query: &str) -> Option<Vec<Value>> {
    let page = product.send(Method::GET, &format!("/v1/audit?limit=200{query}"), key, &[], None).await.ok()?;
    page.body["data"].as_array().cloned()
}

/// Waits for the line that a query finds and that has these values.
async fn line(product: &Product, key: &str, query: &str, expected: Value) -> Value {
    let expected = expected.as_object().cloned().unwrap_or_default();
    poll::until(&format!("a line with {expected:?}"), WITHIN, || async {
        let has_all = |line: &Value| expected.iter().all(|(name, value)| line[name] == *value);
        lines(product, key, query).await?.into_iter().find(has_all)
    })
    .await
}

/// The texts of a patient's record and of a search for it, which must not be in the log.
const CANARIES: [&str; 3] = ["Canaryfamily", "Canary", "7700900123"];

#[tokio::test]
async fn reads_of_personal_data_are_in_the_audit_log_without_it() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let (staff_id, staff) = key(&product, &["patients:read", "slots:read"]).await?;
        let made = product.post("/v1/patients", patient("Canaryfamily", "+447700900123")).await?.text("/id");
        product.post("/v1/patients", patient("Other", "+447700900124")).await?;
        product.clinic("Europe/London", service()).await?;
        let read = async |path: &str| product.send(Method::GET, path, &staff, &[], None).await;

        assert_eq!(read("/v1/patients?query=Canaryfamily&limit=5").await?.body["data"][0]["id"], made.as_str());
        let expected = json!({"action": "list_patients", "rows": 1, "filter": "query=*&limit=5", "status": 200,
            "requests": 1, "person": null, "address": null});
        line(&product, ADMIN, &format!("&actor={staff_id}"), expected).await;
        read(&format!("/v1/patients/{made}")).await?;
        let expected = json!({"action": "get_patient", "target": made, "rows": null, "caller": staff_id});
        line(&product, ADMIN, &format!("&patient_id={made}"), expected).await;
        read(&format!("/v1/appointments?patient_id={made}&from=2026-03-06T08:00:00Z")).await?;
        let filter = format!("patient_id={made}&from=2026-03-06T08:00:00Z");
        let listed = line(&product, ADMIN, &format!("&patient_id={made}&action=list_appointments"), json!({})).await;
        let names = |text: &str| -> Vec<String> {
            let mut parts: Vec<String> = text.split('&').map(str::to_owned).collect();
            parts.sort();
            parts
        };
        assert_eq!(names(listed["filter"].as_str().unwrap_or_default()), names(&filter));
        assert_eq!((&listed["rows"], &listed["patient_id"]), (&json!(0), &json!(made)));
        every_list_is_recorded_with_its_rows(&product).await?;
        read("/v1/services").await?;
        read("/v1/patients").await?;
        let expected = json!({"action": "list_patients", "rows": 2});
        line(&product, ADMIN, &format!("&actor={staff_id}"), expected).await;
        let all = lines(&product, ADMIN, "").await.context("the log")?;
        assert!(
            all.iter().all(|line| line["action"] != "list_service"),
            "the public part of the directory is no secret"
        );
        let text = json!(all).to_string();
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary}: {text}");
        }
    }
    Ok(())
}

/// Reads every list that is not public and takes no id.
async fn every_list_is_recorded_with_its_rows(product: &Product) -> Result<()> {
    let is_private = |id: &str| callers_of(id) != Some(Callers::With(&["slots:read"]));
    let lists = operations()?.into_iter().filter(|operation| operation.is_list && operation.method == Method::GET);
    let lists: Vec<Operation> = lists.filter(|list| is_private(&list.id) && !list.path.contains('{')).collect();
    assert!(lists.len() > 10, "{}", lists.len());
    for Operation { id, path, .. } in lists {
        let days = if path.contains("/reports/") { "?from=2026-01-01&to=2026-01-02" } else { "" };
        let answer = product.get(&format!("{path}{days}")).await?;
        let rows = answer.body["data"].as_array().map(Vec::len).with_context(|| format!("{id}: {}", answer.body))?;
        line(product, ADMIN, &format!("&actor=admin&action={id}"), json!({"rows": rows, "status": 200})).await;
    }
    Ok(())
}

#[tokio::test]
async fn every_refusal_is_in_the_audit_log_and_a_flood_is_few_lines() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let organization = json!({"name": "Other", "default_language": "en", "country": "GB"});
        let other = product.post("/v1/organizations", organization).await?.text("/id");
        let (other_id, of_other) = key_of(&product, &["admin"], &[("meridian-organization", &other)]).await?;
        let (front_id, front_end) = key(&product, &["slots:read", "bookings:write"]).await?;
        let (revoked_id, revoked) = key(&product, &["admin"]).await?;
        let made = product.post("/v1/patients", patient("Example", "+447700900123")).await?.text("/id");
        product.send(Method::DELETE, &format!("/v1/keys/{revoked_id}"), ADMIN, &[], None).await?;
        let get = async |path: &str, key: &str| -> Result<StatusCode> {
            Ok(product.send(Method::GET, path, key, &[], None).await?.status)
        };

        let path = format!("/v1/patients/{made}");
        assert_eq!(get(&path, &front_end).await?, StatusCode::FORBIDDEN);
        let expected = json!({"action": "get_patient", "status": 403, "target": made, "rows": null});
        line(&product, ADMIN, &format!("&actor={front_id}"), expected).await;
        assert_eq!(get("/v1/keys", &of_other).await?, StatusCode::FORBIDDEN);
        line(&product, &of_other, "", json!({"action": "list_keys", "status": 403, "caller": other_id})).await;
        assert_eq!(get(&path, &of_other).await?, StatusCode::NOT_FOUND);
        let expected = json!({"action": "get_patient", "status": 404, "target": made, "caller": other_id});
        line(&product, &of_other, &format!("&patient_id={made}"), expected).await;
        assert_eq!(get(&path, &revoked).await?, StatusCode::UNAUTHORIZED);
        let expected = json!({"action": "authenticate", "status": 401, "address": "127.0.0.1", "target": null});
        line(&product, ADMIN, &format!("&actor={revoked_id}"), expected).await;
        assert_eq!(get("/v1/manage/mlk_canary", "").await?, StatusCode::NOT_FOUND);
        let expected = json!({"action": "manage_get", "status": 404, "address": "127.0.0.1", "target": null});
        line(&product, ADMIN, "&actor=patient", expected).await;

        let mut refused = 0;
        for at in 0..100 {
            let status = get(&format!("/v1/patients/{at}"), &format!("mrd_wrong_{at}")).await?;
            refused += i64::from(status == StatusCode::UNAUTHORIZED);
        }
        assert!(refused > 0);
        let query = "&actor=nobody&action=authenticate";
        let found = poll::until("all refusals in the log", WITHIN, || async {
            let found = lines(&product, ADMIN, query).await?;
            let requests: i64 = found.iter().filter_map(|line| line["requests"].as_i64()).sum();
            (requests == refused).then_some(found)
        });
        let found = found.await;
        assert!(found.len() < 30, "{} lines for {refused} refusals", found.len());
        let arguments = ["keys", "create", "--name", "by hand", "--scope", "slots:read"];
        assert!(product.command(&arguments).await?.0, "an operator makes a key");
        line(&product, ADMIN, "&actor=command_line", json!({"action": "create_key"})).await;
        let text = json!(lines(&product, ADMIN, "").await).to_string();
        assert!(!text.contains("mrd_") && !text.contains("canary"), "{text}");
        let foreign = lines(&product, ADMIN, &format!("&actor={other_id}")).await.context("the log")?;
        assert_eq!(foreign, Vec::<Value>::new(), "another organisation's lines are its own");
    }
    Ok(())
}

#[tokio::test]
async fn the_audit_log_is_filtered_paged_and_given_as_csv() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        for name in ["A", "B", "C", "D", "E"] {
            product.post("/v1/locations", json!({"name": name, "time_zone": "Europe/London"})).await?;
        }
        product.post("/v1/services", service()).await?;
        line(&product, ADMIN, "", json!({"action": "create_service"})).await;
        let query = "/v1/audit?action=create_location&limit=2";
        let (mut numbers, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = product.get(&format!("{query}{cursor}")).await?;
            assert_eq!(page.status, StatusCode::OK, "{}", page.body);
            numbers.extend(page.body["data"].as_array().context("data")?.iter().map(|line| line["number"].clone()));
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(numbers, [5, 4, 3, 2, 1].map(|number| json!(number)));
        let first = product.get("/v1/audit?action=create_location&limit=200").await?.body["data"][4].clone();
        let oldest = first["at"].as_str().context("an instant")?;
        let since = format!("&action=create_location&from={oldest}");
        assert_eq!(lines(&product, ADMIN, &since).await.map(|lines| lines.len()), Some(5));
        let before = format!("&action=create_location&to={oldest}");
        assert_eq!(lines(&product, ADMIN, &before).await, Some(vec![]));
        assert_eq!(lines(&product, ADMIN, "&actor=key_nobody").await, Some(vec![]));
        assert_eq!(product.get("/v1/audit?actor=admin&cursor=x").await?.status, StatusCode::BAD_REQUEST);

        let client = testkit::http::client();
        let request = client.get(format!("{}{query}", product.url)).bearer_auth(ADMIN).header("accept", "text/csv");
        let answer = request.send().await?.error_for_status()?;
        assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
        let next = answer.headers()["meridian-next-cursor"].to_str()?.to_owned();
        let table = answer.text().await?;
        let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split(',').collect()).collect();
        assert_eq!(rows[0][..5], ["number", "at", "caller", "person", "action"]);
        let cells = |row: usize| (rows[row][0], rows[row][2], rows[row][4]);
        assert_eq!(
            (rows.len(), cells(1), cells(2)),
            (3, ("5", "admin", "create_location"), ("4", "admin", "create_location"))
        );
        let page = product.get(&format!("{query}&cursor={next}")).await?;
        assert_eq!(page.body["data"][0]["number"], 3);
        assert_eq!(
            rows[2][12],
            page.body["data"][0]["hash"].as_str().context("a hash")?,
            "a line holds the hash before"
        );
    }
    Ok(())
}

/// Each change by hand, and the sentence with which `meridian doctor --audit` names the first broken line.
const TAMPERINGS: [(&str, &str); 8] = [
    ("UPDATE audit_lines SET caller = 'key_x' WHERE number = 3", "line 3 was changed"),
    ("UPDATE audit_lines SET row_count = 7 WHERE number = 6", "line 6 was changed"),
    ("DELETE FROM audit_lines WHERE number = 3", "line 3 is missing"),
    ("DELETE FROM audit_lines WHERE number > 4", "line 5 is missing"),
    (
        "DELETE FROM audit_lines WHERE number = 3;
         UPDATE audit_lines SET number = 1 - number WHERE number > 3;
         UPDATE audit_lines SET number = -number WHERE number < 0",
        "line 3 was changed",
    ),
    (
        "UPDATE audit_lines SET number = number - 5 WHERE number IN (2, 3);
         UPDATE audit_lines SET number = -number WHERE number < 0",
        "line 2 was changed",
    ),
    (
        "INSERT INTO audit_lines SELECT organization_id, 7, at_us, caller, person, action, target, patient_id, status,
            filter, row_count, requests, address, previous_hash, hash FROM audit_lines WHERE number = 6",
        "line 7 lies beyond the recorded end",
    ),
    (
        "UPDATE audit_chains SET hash = previous_hash FROM audit_lines WHERE audit_lines.number = 6",
        "line 6 is the last one",
    ),
];
macro_rules! lines_from {
    ($table:literal) => {
        concat!(
            "SELECT organization_id, number, at_us, caller, person, action, target, patient_id, status, filter, row_count, \
             requests, address, previous_hash, hash FROM ",
            $table,
            "; "
        )
    };
}
macro_rules! chains_from {
    ($table:literal) => {
        concat!("SELECT organization_id, first_number, number, hash FROM ", $table, "; ")
    };
}
const KEEP: &str = concat!(
    "CREATE TABLE kept_lines AS ",
    lines_from!("audit_lines"),
    "CREATE TABLE kept_chains AS ",
    chains_from!("audit_chains"),
);
const RESTORE: &str = concat!(
    "DELETE FROM audit_lines; DELETE FROM audit_chains; INSERT INTO audit_lines ",
    lines_from!("kept_lines"),
    "INSERT INTO audit_chains ",
    chains_from!("kept_chains"),
);

/// Runs statements in the gateway's database, as someone who has got hold of it.
async fn execute(product: &Product, sql: &'static str) -> Result<()> {
    let target = match &product.database {
        Some(database) => Target::Postgres(database.admin_url.clone()),
        None => Target::Sqlite(product.folder().join("meridian-data/gateway.sqlite")),
    };
    match target {
        Target::Sqlite(path) => raw_sql(sql).execute(&sql::connect_sqlite(&path).await?.writer).await.map(drop)?,
        Target::Postgres(url) => {
            raw_sql(sql).execute(&sql::connect_postgres(&url, "gateway").await?).await.map(drop)?
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_change_of_the_audit_log_by_hand_is_found_with_its_line() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        for name in ["A", "B", "C", "D", "E", "F"] {
            product.post("/v1/locations", json!({"name": name, "time_zone": "Europe/London"})).await?;
        }
        // Not over REST: a read of the log would add a line.
        let sentence = poll::until("six lines", WITHIN, || async {
            let (_, printed) = product.command(&["doctor", "--audit"]).await.ok()?;
            let (_, end) = printed.split_once(": 6 lines are as they were written; ")?;
            Some(format!("6 lines are as they were written; {}", end.lines().next()?))
        });
        let sentence = sentence.await;
        execute(&product, KEEP).await?;
        for (sql, expected) in TAMPERINGS {
            execute(&product, sql).await?;
            let (succeeded, printed) = product.command(&["doctor", "--audit"]).await?;
            let found = printed.lines().find(|line| line.starts_with("WRONG   audit log of org_"));
            assert!(!succeeded && found.is_some_and(|line| line.contains(expected)), "{sql}: {printed}");
            execute(&product, RESTORE).await?;
        }
        execute(&product, "DELETE FROM audit_chains").await?;
        let (_, printed) = product.command(&["doctor", "--audit"]).await?;
        assert!(printed.contains("line 1 lies beyond the recorded end"), "{printed}");
        execute(&product, RESTORE).await?;
        let (_, printed) = product.command(&["doctor", "--audit"]).await?;
        assert!(printed.contains(&sentence), "{printed}");
    }
    Ok(())
}
