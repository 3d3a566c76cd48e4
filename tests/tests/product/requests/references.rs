//! A reference to an entry that does not exist is refused by its pointer; one to another organisation's entry looks the
//! same.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product, from_now, patient, service};
use serde_json::{Value, json};

const DETAIL: &str = "there is no organisation with the id that the Meridian-Organization header names";

/// Status, and the pointer and code of each fault.
async fn refused(
    product: &Product,
    organization: &str,
    path: &str,
    body: Value,
) -> Result<(u16, Vec<(String, String)>)> {
    let method = if path.contains("/rule_") { Method::PATCH } else { Method::POST };
    let headers = [("meridian-organization", organization)];
    let answer = product.send(method, path, ADMIN, &headers, Some(body)).await?;
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
    let errors = answer.body["errors"].as_array().with_context(|| format!("{path}: {}", answer.body))?;
    Ok((answer.status.as_u16(), errors.iter().map(|fault| (text(fault, "pointer"), text(fault, "code"))).collect()))
}

/// Ids by their kinds, of entries that are in use in one organisation.
struct Ids {
    service: String,
    location: String,
    practitioner: String,
    template: String,
}

impl Ids {
    /// The same with another random part, so that nothing has them.
    fn unknown(&self) -> Self {
        let other = |id: &str| format!("{}zzzzzz", &id[..id.len() - 6]);
        Self {
            service: other(&self.service),
            location: other(&self.location),
            practitioner: other(&self.practitioner),
            template: other(&self.template),
        }
    }
}

async fn ids(product: &Product) -> Result<Ids> {
    let clinic = product.clinic("Europe/London", service()).await?;
    let phase = json!({"service_id": clinic.service, "sessions": {"least": 1, "most": 3},
        "gap_days": {"least": 3, "ideal": 5, "most": 7}});
    let template = json!({"code": "short", "name": "Short", "course": "acute", "phases": [phase]});
    let template = product.post("/v1/plan_templates", template).await?.text("/id");
    let scenarios::Clinic { service, location, practitioner, .. } = clinic;
    Ok(Ids { service, location, practitioner, template })
}

async fn every_reference_is_looked_up(product: Product) -> Result<()> {
    let own = ids(&product).await?;
    let organization = json!({"name": "Other", "default_language": "en", "country": "GB"});
    let other = product.post("/v1/organizations", organization).await?.text("/id");
    let in_other = [("meridian-organization", other.as_str())];
    let post = async |path: &str, body: Value| product.send(Method::POST, path, ADMIN, &in_other, Some(body)).await;
    let patient_id = post("/v1/patients", patient("Example", "+447700900123")).await?.text("/id");
    let rule = post("/v1/reminder_rules", json!({"trigger": "booked", "channels": ["sms"]})).await?.text("/id");
    let (from, to) = (from_now(2)?, from_now(9)?);
    // All entries are of the default organisation, the requests of the other one.
    for ids in [&own, &own.unknown()] {
        let Ids { service, location, practitioner, template } = ids;
        let plan = json!({"patient_id": patient_id, "plan_template_id": template, "condition_code": "neck-pain",
            "practitioner_id": practitioner, "location_ids": [location, location], "start_on": &from[..10]});
        let wish = json!({"patient_id": patient_id, "service_id": service, "location_ids": [location],
            "practitioner_id": practitioner, "from": from, "to": to});
        let displaced = json!({"from": from, "to": to, "location_id": location, "practitioner_id": practitioner,
            "to_location_ids": [location]});
        let roster = json!({"location_id": location, "effective_from": "2026-01-01", "weekly": []});
        let another = post("/v1/practitioners", json!({"given_name": "G", "family_name": "S"})).await?.text("/id");
        let phase = json!({"service_id": service, "sessions": {"least": 1, "most": 1},
            "gap_days": {"least": 1, "ideal": 1, "most": 1}});
        let rules = json!({"trigger": "booked", "channels": ["sms"], "service_ids": [service]});
        let needling = json!({"code": "n", "name": "N", "duration_minutes": 30, "requires_prior": service});
        let travel = json!({"name": "L", "time_zone": "Europe/London",
            "travel_times": [{"location_id": location, "minutes": 20}]});
        let slot = json!({"code": "t", "name": "T", "course": "acute", "phases": [phase]});
        for (path, body, pointers) in [
            ("/v1/plans", plan, &["/plan_template_id", "/practitioner_id", "/location_ids/0", "/location_ids/1"][..]),
            ("/v1/waitlist", wish, &["/service_id", "/location_ids/0", "/practitioner_id"]),
            ("/v1/displaced/proposals", displaced, &["/location_id", "/practitioner_id", "/to_location_ids/0"]),
            ("/v1/reminder_rules", rules.clone(), &["/service_ids/0"]),
            (&format!("/v1/reminder_rules/{rule}"), rules, &["/service_ids/0"]),
            (&format!("/v1/practitioners/{another}/rosters"), roster, &["/location_id"]),
            ("/v1/services", needling, &["/requires_prior"]),
            ("/v1/plan_templates", slot, &["/phases/0/service_id"]),
            ("/v1/locations", travel, &["/travel_times/0/location_id"]),
        ] {
            let expected: Vec<(String, String)> =
                pointers.iter().map(|pointer| ((*pointer).to_owned(), "unknown_reference".to_owned())).collect();
            assert_eq!(refused(&product, &other, path, body).await?, (422, expected), "{path}");
        }
    }
    let waiting = product.send(Method::GET, "/v1/waitlist", ADMIN, &in_other, None).await?;
    assert_eq!(waiting.body["data"], json!([]), "nothing was written");
    Ok(())
}

#[tokio::test]
async fn on_sqlite_every_reference_is_looked_up() -> Result<()> {
    every_reference_is_looked_up(Product::embedded(&[]).await?).await
}

#[tokio::test]
async fn on_postgres_every_reference_is_looked_up() -> Result<()> {
    every_reference_is_looked_up(Product::apart(&[]).await?).await
}

/// An id that a rule has already is not looked up again: the service may have been archived since.
#[tokio::test]
async fn archived_entries_are_unknown_to_new_requests_and_kept_in_old_ones() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let own = ids(&product).await?;
    let body = json!({"trigger": "booked", "channels": ["sms"], "service_ids": [own.service]});
    let rule = product.post("/v1/reminder_rules", body.clone()).await?;
    assert_eq!(rule.status, StatusCode::CREATED, "{}", rule.body);
    let template = format!("/v1/plan_templates/{}", own.template);
    let service = format!("/v1/services/{}", own.service);
    for path in [template, service] {
        let archived = product.send(Method::DELETE, &path, ADMIN, &[], None).await?;
        assert_eq!(archived.status, StatusCode::OK, "{}", archived.body);
    }
    let again = product.post("/v1/reminder_rules", body).await?;
    assert_eq!((again.status.as_u16(), again.text("/errors/0/code")), (422, "unknown_reference".to_owned()));
    let path = format!("/v1/reminder_rules/{}", rule.text("/id"));
    let changed = product.send(Method::PATCH, &path, ADMIN, &[], Some(json!({"channels": ["email"]}))).await?;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    Ok(())
}

#[tokio::test]
async fn an_unknown_organisation_is_refused() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let nobody = "org_01h455vb4pex5vsknk084sn02q";
    let body = json!({"name": "Nowhere", "time_zone": "Europe/London"});
    let key = json!({"name": "web", "scopes": ["slots:read"]});
    for (method, path, body) in [
        (Method::POST, "/v1/locations", Some(body)),
        (Method::POST, "/v1/patients", Some(patient("Example", "+447700900123"))),
        (Method::POST, "/v1/keys", Some(key)),
        (Method::GET, "/v1/patients", None),
        (Method::GET, "/v1/keys", None),
        (Method::GET, "/v1/audit", None),
    ] {
        for organization in [nobody, "org_7zzzzzzzzzzzzzzzzzzzzzzzzz"] {
            let headers = [("meridian-organization", organization)];
            let answer = product.send(method.clone(), path, ADMIN, &headers, body.clone()).await?;
            assert_eq!(
                (answer.status.as_u16(), answer.text("/code"), answer.text("/detail")),
                (404, "not_found".to_owned(), DETAIL.to_owned()),
                "{method} {path}"
            );
        }
    }
    let arguments = ["keys", "create", "--name", "x", "--scope", "admin", "--organization", nobody];
    let (succeeded, printed) = product.command(&arguments).await?;
    assert!(!succeeded && printed.contains("there is no organisation"), "{printed}");
    let other = json!({"name": "Other", "default_language": "en", "country": "GB"});
    let other = product.post("/v1/organizations", other).await?.text("/id");
    let arguments = ["keys", "create", "--name", "x", "--scope", "admin", "--organization", &other];
    let (succeeded, printed) = product.command(&arguments).await?;
    assert!(succeeded && printed.contains("mrd_"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn a_links_reads_are_audited_in_its_own_organisation() -> Result<()> {
    let product = Product::embedded(&[]).await?;
    let other = json!({"name": "Other", "default_language": "en", "country": "GB"});
    let other = product.post("/v1/organizations", other).await?.text("/id");
    let in_other = [("meridian-organization", other.as_str())];
    let send = async |method, path: &str, body| product.send(method, path, ADMIN, &in_other, body).await;
    let patient_id = send(Method::POST, "/v1/patients", Some(patient("Example", "+447700900123"))).await?.text("/id");
    let link = send(Method::POST, &format!("/v1/patients/{patient_id}/calendar"), Some(json!({}))).await?.text("/url");
    testkit::http::client().get(link).send().await?.error_for_status()?;
    let path = format!("/v1/audit?patient_id={patient_id}");
    let line = testkit::poll::until("the line of the log", std::time::Duration::from_secs(30), || async {
        let log = send(Method::GET, &path, None).await.ok()?;
        log.body["data"].as_array()?.iter().find(|line| line["action"] == "calendar").cloned()
    });
    assert_eq!(line.await["caller"], "patient");
    assert_eq!(product.get(&path).await?.body["data"], json!([]), "the default organisation hears nothing of it");
    Ok(())
}
