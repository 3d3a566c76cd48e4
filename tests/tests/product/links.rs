//! Patients' links: revoked, replaced, and read-only once the appointment can no longer change. In both arrangements.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Clinic, Product, patient, service};
use serde_json::{Value, json};
use testkit::poll;

async fn products() -> Result<[Product; 2]> {
    Ok([Product::embedded(&[]).await?, Product::apart(&[]).await?])
}

async fn clinic(product: &Product) -> Result<(Clinic, Vec<Value>)> {
    let clinic = product.clinic("America/Edmonton", service()).await?;
    let slots = product.slots(&clinic, (3, 6), &clinic.revision).await?;
    Ok((clinic, slots))
}

async fn book(product: &Product, slot: &Value, family_name: &str) -> Result<Answer> {
    let body = json!({"slot_id": slot["slot_id"], "patient": patient(family_name, "+17805550123")});
    let booked = product.post("/v1/appointments", body).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    Ok(booked)
}

async fn open(product: &Product, link: &str) -> Result<Answer> {
    product.send(Method::GET, link, "", &[], None).await
}

/// The newest line of the audit log about an operation that was done.
async fn audited(product: &Product, action: &str) -> Value {
    poll::until("the audit log to be written", std::time::Duration::from_secs(20), || async {
        let page = product.get(&format!("/v1/audit?action={action}")).await.ok()?;
        page.body["data"].as_array()?.iter().find(|entry| entry["status"] == 200).cloned()
    })
    .await
}

#[tokio::test]
async fn a_revoked_link_is_dead_and_the_next_one_works() -> Result<()> {
    for product in products().await? {
        let (_, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "Example").await?;
        let (id, first) = (booked.text("/id"), booked.text("/links/manage"));
        assert_eq!(open(&product, &first).await?.status, StatusCode::OK);

        let path = format!("/v1/appointments/{id}/links/revoke");
        let key = [("idempotency-key", "lost-telephone")];
        let revoke = || product.send(Method::POST, &path, ADMIN, &key, None);
        let revoked = revoke().await?;
        assert_eq!(revoked.status, StatusCode::OK, "{}", revoked.body);
        let second = revoked.text("/links/manage");
        assert_ne!(second, first);
        assert_eq!(revoked.body["version"], json!(2), "the resource has changed");
        assert_eq!(open(&product, &first).await?.status, StatusCode::NOT_FOUND);
        assert_eq!(open(&product, &second).await?.body["id"], json!(id));
        let confirmed = product.send(Method::POST, &format!("{second}/confirm"), "", &[], None).await?;
        assert_eq!(confirmed.status, StatusCode::OK, "{}", confirmed.body);

        let again = revoke().await?;
        assert_eq!(again.headers.get("idempotency-replayed").context("a replay")?, "true");
        assert_eq!(again.body, revoked.body, "a repeated request revokes nothing more");
        assert_eq!(open(&product, &second).await?.status, StatusCode::OK);

        let stale = product.send(Method::POST, &path, ADMIN, &[("if-match", "\"1\"")], None).await?;
        assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{}", stale.body);
        let scopes = json!({"name": "front end", "scopes": ["slots:read", "bookings:write"]});
        let front_end = product.post("/v1/keys", scopes).await?.text("/key");
        let refused = product.send(Method::POST, &path, &front_end, &[], None).await?;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
        let entry = audited(&product, "revoke_appointment_links").await;
        assert_eq!((&entry["target"], &entry["patient_id"]), (&json!(id), &booked.body["patient_id"]));
    }
    Ok(())
}

#[tokio::test]
async fn all_links_of_one_patient_are_revoked_and_nobody_elses() -> Result<()> {
    for product in products().await? {
        let (_, slots) = clinic(&product).await?;
        let ada = [book(&product, &slots[0], "Example").await?, book(&product, &slots[4], "Example").await?];
        let other = book(&product, &slots[8], "Other").await?;
        let id = ada[0].text("/patient_id");
        assert_eq!((ada[1].text("/patient_id") == id, other.text("/patient_id") == id), (true, false));
        let calendar = product.post(&format!("/v1/patients/{id}/calendar"), json!({})).await?.text("/url");
        assert_eq!(open(&product, &calendar).await?.status, StatusCode::OK);

        let path = format!("/v1/patients/{id}/links/revoke");
        let key = [("idempotency-key", "moved-out")];
        let revoked = product.send(Method::POST, &path, ADMIN, &key, None).await?;
        assert_eq!((revoked.status, &revoked.body), (StatusCode::OK, &json!({"appointments": 2, "calendar": true})));
        for booked in &ada {
            assert_eq!(open(&product, &booked.text("/links/manage")).await?.status, StatusCode::NOT_FOUND);
            let now = product.get(&format!("/v1/appointments/{}", booked.text("/id"))).await?;
            assert_eq!(open(&product, &now.text("/links/manage")).await?.status, StatusCode::OK);
        }
        assert_eq!(open(&product, &calendar).await?.status, StatusCode::GONE);
        assert_eq!(open(&product, &other.text("/links/manage")).await?.status, StatusCode::OK);
        let again = product.send(Method::POST, &path, ADMIN, &key, None).await?;
        assert_eq!(again.body, revoked.body);
        let entry = audited(&product, "revoke_patient_links").await;
        assert_eq!(entry["patient_id"], json!(id));
    }
    Ok(())
}

#[tokio::test]
async fn the_link_of_a_cancelled_appointment_only_shows_it() -> Result<()> {
    for product in products().await? {
        let (clinic, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "Example").await?;
        let link = booked.text("/links/manage");
        let window = format!("from={}&to={}", scenarios::from_now(2)?, scenarios::from_now(9)?);
        let start = format!("practitioner_id={}&starts_at={}", clinic.practitioner, scenarios::from_now(4)?);
        let reads = [
            format!("{link}/slots?{window}"),
            format!("{link}/slots/days?{window}"),
            format!("{link}/slots/next?{window}"),
            format!("{link}/slots/explain?{start}"),
        ];
        for path in &reads {
            let answer = open(&product, path).await?;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        }
        let cancel = json!({"reason_code": "patient_ill"});
        let cancelled = product.send(Method::POST, &format!("{link}/cancel"), "", &[], Some(cancel.clone())).await?;
        assert_eq!(cancelled.status, StatusCode::OK, "{}", cancelled.body);

        let shown = open(&product, &link).await?;
        assert_eq!((shown.status, shown.text("/status").as_str()), (StatusCode::OK, "cancelled"));
        for path in &reads {
            let answer = open(&product, path).await?;
            assert_eq!((answer.status, answer.text("/code").as_str()), (StatusCode::CONFLICT, "invalid_transition"));
        }
        let moved = json!({"slot_id": slots[4]["slot_id"]});
        for (verb, body) in [("confirm", None), ("cancel", Some(cancel)), ("reschedule", Some(moved))] {
            let answer = product.send(Method::POST, &format!("{link}/{verb}"), "", &[], body).await?;
            assert_eq!((answer.status, answer.text("/code").as_str()), (StatusCode::CONFLICT, "invalid_transition"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn each_installation_has_a_default_organisation_of_its_own_and_keeps_it() -> Result<()> {
    let [embedded, apart] = products().await?;
    let organizations =
        async |product: &Product| -> Result<Value> { Ok(product.get("/v1/organizations").await?.body["data"].clone()) };
    let (first, second) = (organizations(&embedded).await?, organizations(&apart).await?);
    assert_eq!((first.as_array().map(Vec::len), second.as_array().map(Vec::len)), (Some(1), Some(1)));
    assert_ne!(first[0]["id"], second[0]["id"]);
    assert_eq!(organizations(&apart.replica().await?).await?, second, "processes of one installation agree");

    let made = embedded.command(&["keys", "create", "--name", "desk", "--scope", "admin"]).await?;
    assert!(made.0, "{}", made.1);
    let key = made.1.split_whitespace().find(|word| word.starts_with("mrd_")).context("a key")?;
    let own = embedded.send(Method::GET, "/v1/locations", key, &[], None).await?;
    assert_eq!(own.status, StatusCode::OK, "the command line means the same organisation: {}", own.body);
    let folder = embedded.folder().to_owned();
    let (mut processes, arguments) = (embedded.processes, ["serve", "--listen", "127.0.0.1:0"]);
    processes.remove(0).terminate().await?;
    let variables = [("MERIDIAN_ADMIN_KEY", ADMIN)];
    let (_process, url) = testkit::product::Process::ready(&folder, &arguments, &variables).await?;
    let answer = testkit::http::client().get(format!("{url}/v1/organizations")).bearer_auth(ADMIN).send().await?;
    let kept: Value = serde_json::from_str(&answer.text().await?)?;
    assert_eq!(kept["data"], first, "a restart keeps it");
    Ok(())
}
