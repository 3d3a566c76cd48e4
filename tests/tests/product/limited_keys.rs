//! Keys that are limited to locations: each operation of `/openapi.json` answers another location's id like an unknown one,
//! lists nothing of another location and changes nothing there, in both arrangements. An operation without a case fails.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Clinic, Product, from_now, patient, service, sms};
use serde_json::{Value, json};
use testkit::sms::FakeProvider;

use super::tenant_isolation::{Ids, PRIVATE, all_lists, body, create_each_kind, kind_of};

/// What a limited key must meet at an operation, with ids of another location.
#[derive(Debug, PartialEq)]
enum Expected {
    /// 404.
    Unknown,
    /// 403: it spans locations.
    Refused,
    /// It belongs to the whole organisation, or to its caller.
    Shared,
    /// 200, without another location's entries.
    List,
    /// A body names the location; `foreign_bodies` has the cases.
    Body,
}

fn expected(method: &Method, path: &str, operation: &str) -> Expected {
    let spans = [
        "/v1/messages",
        "/v1/inbox",
        "/v1/reminder_rules",
        "/v1/webhook_endpoints",
        "/v1/reports",
        "/v1/events",
        "/v1/audit",
        "/v1/keys",
        "/v1/organizations",
        "/v1/displaced",
        "/v1/practitioners/{parent_id}/certificates",
        "/v1/practitioners/{parent_id}/time_off",
        "/v1/practitioners/{parent_id}/busy",
        "/v1/practitioners/{id}/calendar",
        "/v1/patients/{id}/calendar",
    ];
    let of_organization = ["/v1/practitioners", "/v1/services", "/v1/plan_templates", "/v1/reason_codes"];
    let is_roster = path.contains("/rosters");
    if spans.iter().any(|beginning| path.starts_with(beginning)) || operation == "create_location" {
        return Expected::Refused;
    }
    if of_organization.iter().any(|beginning| path.starts_with(beginning)) && !is_roster {
        return if method == Method::GET { Expected::Shared } else { Expected::Refused };
    }
    match operation {
        "get_caller" | "create_patient" => Expected::Shared,
        "start_verification" | "check_verification" => Expected::Body,
        "list_location" | "list_roster" | "list_holds" | "list_appointments" | "list_patients" | "list_plans"
        | "list_waitlist" | "search_slots" | "search_days" | "next_slots" | "watch_slots" => Expected::List,
        "explain_slot" | "create_hold" | "book_appointment" | "create_plan" | "join_waitlist" => Expected::Body,
        _ if path.contains("id}") => Expected::Unknown,
        other => panic!("{other} has no case here: is it bound to a location?"),
    }
}

/// The operations of keys: method, path, operation id, whether a body is required.
async fn operations(product: &Product) -> Result<Vec<(Method, String, String, bool)>> {
    let openapi = product.get("/openapi.json").await?.body;
    let mut found = Vec::new();
    for (path, methods) in openapi["paths"].as_object().context("paths")? {
        for (method, operation) in methods.as_object().context("methods")? {
            // A link carries its own authorisation.
            if operation["security"] == json!([]) {
                continue;
            }
            let id = operation["operationId"].as_str().context("an operation id")?.to_owned();
            let needed = operation.pointer("/requestBody/required") == Some(&json!(true));
            found.push((Method::from_bytes(method.to_uppercase().as_bytes())?, path.clone(), id, needed));
        }
    }
    Ok(found)
}

/// An installation with entries at one location, and a key that is limited to another one.
struct Fixture {
    product: Product,
    /// The entries elsewhere.
    ids: Ids,
    ours: Clinic,
    key: String,
    _provider: FakeProvider,
}

impl Fixture {
    async fn new(apart: bool) -> Result<Self> {
        let provider = FakeProvider::start().await?;
        let settings = sms::settings(&provider);
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain(PRIVATE).collect();
        let product = if apart { Product::apart(&settings).await? } else { Product::embedded(&settings).await? };
        let ids = create_each_kind(&product).await?;
        let mut massage = service();
        massage["code"] = json!("massage");
        let ours = product.clinic("Europe/Paris", massage).await?;
        let body = json!({"name": "Paris desk", "role": "owner", "location_ids": [ours.location]});
        let made = product.post("/v1/keys", body).await?;
        assert_eq!(made.body["location_ids"], json!([ours.location]), "{}", made.body);
        Ok(Self { product, ids, ours, key: made.text("/key"), _provider: provider })
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        self.product.send(method, path, &self.key, &[], body).await
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// The open slots that the key finds.
    async fn our_slots(&self) -> Result<Vec<Value>> {
        let window = format!("from={}&to={}&limit=200", from_now(2)?, from_now(4)?);
        let found = self.get(&format!("/v1/slots?service_id={}&{window}", self.ours.service)).await?;
        found.body["data"].as_array().cloned().context("slots")
    }

    /// The ids of entries that belong to the other location.
    fn elsewhere(&self) -> impl Iterator<Item = &String> {
        let kinds = ["location", "room", "roster", "patient", "appointment", "plan", "wait", "offer", "slot"];
        kinds.into_iter().map(|kind| &self.ids[kind])
    }

    fn assert_nothing_elsewhere(&self, operation: &str, answer: &Answer) {
        let text = answer.body.to_string();
        for id in self.elsewhere() {
            assert!(!text.contains(id), "{operation} answers {id} of another location: {text}");
        }
    }
}

async fn no_operation_reaches_another_location(fixture: &Fixture) -> Result<()> {
    let Fixture { product, ids, .. } = fixture;
    let before = all_lists(product, ids).await?;
    let operations = operations(product).await?;
    assert!(operations.len() > 90, "the list is taken from the product: {}", operations.len());
    for (method, path, operation, needed) in operations {
        let expected = expected(&method, &path, &operation);
        if matches!(expected, Expected::Body) || operation == "create_patient" || operation == "watch_slots" {
            continue;
        }
        let parent = match path.split('/').nth(2) {
            Some("locations") => "location",
            Some("patients") => "patient",
            Some("webhook_endpoints") => "webhook_endpoint",
            _ => "practitioner",
        };
        let mut filled = path.replace("{parent_id}", &ids[parent]).replace("{code}", "patient_ill");
        if path.contains("{id}") {
            filled = filled.replace("{id}", &ids[kind_of(&path)]);
        }
        if path.starts_with("/v1/slots") {
            filled = format!("{filled}?service_id={}&from={}&to={}", ids["service"], from_now(2)?, from_now(4)?);
        }
        if path.starts_with("/v1/reports") {
            filled = format!("{filled}?from=2026-01-01&to=2026-01-31");
        }
        // A refused operation may get any body that its schema takes.
        let sent = if path.contains("id}") { body(&operation, needed) } else { creation(&operation, needed, ids) };
        let sent =
            sent.map(|body| body.to_string().replace("LOCATION", &ids["location"]).replace("SLOT", &ids["slot"]));
        let sent = sent.map(|text| serde_json::from_str(&text)).transpose()?;
        let answer = fixture.send(method, &filled, sent).await?;
        let status = match expected {
            Expected::Unknown => StatusCode::NOT_FOUND,
            Expected::Refused => StatusCode::FORBIDDEN,
            Expected::Shared | Expected::List | Expected::Body => StatusCode::OK,
        };
        assert_eq!(answer.status, status, "{operation} {filled}: {}", answer.body);
        if expected == Expected::List {
            fixture.assert_nothing_elsewhere(&operation, &answer);
        }
        if expected == Expected::Unknown {
            assert_eq!(answer.text("/detail"), "nothing has this id", "{operation}");
        }
    }
    assert_eq!(all_lists(product, ids).await?, before, "nothing of the other location has changed");
    Ok(())
}

/// A body for an operation without an id in its path.
fn creation(operation: &str, needed: bool, ids: &Ids) -> Option<Value> {
    Some(match operation {
        "create_location" => json!({"name": "Mallory", "time_zone": "Europe/Paris"}),
        "create_practitioner" => json!({"given_name": "M", "family_name": "Mallory"}),
        "create_service" => json!({"code": "x", "name": "Mallory", "duration_minutes": 30}),
        "create_plan_template" => json!({"code": "x", "name": "Mallory", "course": "acute", "phases": [
            {"service_id": ids["service"], "sessions": {"least": 1, "most": 1},
                "gap_days": {"least": 1, "ideal": 1, "most": 1}}]}),
        "create_reason_code" => json!({"code": "x", "names": {"en": "Mallory"}, "caused_by": "patient"}),
        "propose_displaced" => json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}),
        "book_displaced" => json!({"moves": [{"appointment_id": ids["appointment"], "slot_id": ids["slot"]}]}),
        "patch_reason_code" => json!({"forfeits": true}),
        "preview_message" => json!({"trigger": "booked"}),
        "create_rule" => json!({"trigger": "booked", "channels": ["sms"]}),
        "create_webhook_endpoint" => json!({"url": "http://127.0.0.1:9/hook", "events": ["plan.at_risk"]}),
        "create_key" => json!({"name": "more", "role": "owner"}),
        "create_organization" => json!({"name": "Mallory", "default_language": "en", "country": "GB"}),
        _ if !needed => return None,
        other => panic!("{other} takes a body: give it a case here"),
    })
}

async fn no_body_reaches_another_location(fixture: &Fixture) -> Result<()> {
    let Fixture { product, ids, ours, .. } = fixture;
    let slots = fixture.our_slots().await?;
    let our_slot = |at: usize| slots[at]["slot_id"].clone();
    let booked =
        fixture.post("/v1/appointments", json!({"slot_id": our_slot(0), "patient": patient("Ours", "+33612345678")}));
    let booked = booked.await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    let before = all_lists(product, ids).await?;
    let (theirs, patient_id) = (&ids["location"], booked.text("/patient_id"));
    let plan = |patient: &str, locations: Value| {
        json!({"patient_id": patient, "plan_template_id": ids["plan_template"], "condition_code": "neck-pain",
            "location_ids": locations, "start_on": "2026-01-05"})
    };
    let wait = |more: Value| {
        let mut body = json!({"patient_id": patient_id, "service_id": ids["service"], "from": from_now(2).unwrap_or_default(),
            "to": from_now(4).unwrap_or_default(), "location_ids": [ours.location]});
        body.as_object_mut().into_iter().for_each(|body| body.extend(more.as_object().cloned().unwrap_or_default()));
        body
    };
    let roster = |location: &str| json!({"location_id": location, "effective_from": "2026-01-01", "weekly": []});
    let ada = patient("Example", "+447700900199");
    let our_rosters = format!("/v1/practitioners/{}/rosters", ours.practitioner);
    let reschedule = format!("/v1/appointments/{}/reschedule", booked.text("/id"));
    let session = product.get(&format!("/v1/plans/{}", ids["plan"])).await?.text("/sessions/0/id");
    for (name, path, body, status) in [
        ("hold", "/v1/holds", json!({"slot_id": ids["slot"]}), 404),
        ("holds", "/v1/holds", json!({"slot_ids": [our_slot(10), ids["slot"]]}), 404),
        ("book", "/v1/appointments", json!({"slot_id": ids["slot"], "patient": ada}), 404),
        ("book their hold", "/v1/appointments", json!({"hold_id": ids["hold"], "patient": ada}), 404),
        ("book for theirs", "/v1/appointments", json!({"slot_id": our_slot(20), "patient_id": ids["patient"]}), 404),
        (
            "book their session",
            "/v1/appointments",
            json!({"slot_id": our_slot(20), "patient_id": patient_id, "plan_session_id": session}),
            403,
        ),
        ("reschedule", &reschedule, json!({"slot_id": ids["slot"]}), 404),
        ("plan", "/v1/plans", plan(&patient_id, json!([theirs])), 404),
        ("plan at both", "/v1/plans", plan(&patient_id, json!([ours.location, theirs])), 404),
        ("plan for theirs", "/v1/plans", plan(&ids["patient"], json!([ours.location])), 404),
        ("wait", "/v1/waitlist", wait(json!({"location_ids": [theirs]})), 404),
        ("wait anywhere", "/v1/waitlist", wait(json!({"location_ids": []})), 422),
        ("wait for their slot", "/v1/waitlist", wait(json!({"slot_id": ids["slot"]})), 404),
        ("wait for theirs", "/v1/waitlist", wait(json!({"patient_id": ids["patient"]})), 404),
        ("wait to replace theirs", "/v1/waitlist", wait(json!({"appointment_id": ids["appointment"]})), 404),
        ("wait for their session", "/v1/waitlist", wait(json!({"plan_session_id": session})), 403),
        ("roster", &our_rosters, roster(theirs), 404),
        (
            "their practitioner's roster",
            &format!("/v1/practitioners/{}/rosters", ids["practitioner"]),
            roster(theirs),
            404,
        ),
    ] {
        let answer = fixture.post(path, body).await?;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
    }
    assert_eq!(all_lists(product, ids).await?, before, "nothing has changed");
    Ok(())
}

async fn no_query_reaches_another_location(fixture: &Fixture) -> Result<()> {
    let Fixture { ids, ours, .. } = fixture;
    let theirs = &ids["location"];
    let window = format!("service_id={}&from={}&to={}", ids["service"], from_now(2)?, from_now(4)?);
    let start =
        format!("service_id={}&practitioner_id={}&starts_at={}", ids["service"], ids["practitioner"], from_now(2)?);
    for (path, status) in [
        (format!("/v1/slots?{window}&location_id={theirs}"), 404),
        (format!("/v1/slots?{window}&location_id={}&location_id={theirs}", ours.location), 404),
        (format!("/v1/slots/days?{window}&location_id={theirs}"), 404),
        (format!("/v1/slots/next?{window}&location_id={theirs}"), 404),
        (format!("/v1/slots/watch?{window}&location_id={theirs}"), 404),
        (format!("/v1/slots?{window}&patient_id={}", ids["patient"]), 404),
        (format!("/v1/slots?{window}&moving={}", ids["appointment"]), 404),
        (format!("/v1/slots/explain?{start}&location_id={theirs}"), 404),
        (format!("/v1/slots/explain?{start}"), 200),
        (format!("/v1/appointments?location_id={theirs}"), 200),
        (format!("/v1/appointments?patient_id={}", ids["patient"]), 200),
        (format!("/v1/plans?patient_id={}", ids["patient"]), 200),
        ("/v1/patients?query=Example".to_owned(), 200),
    ] {
        let answer = fixture.get(&path).await?;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.body);
        fixture.assert_nothing_elsewhere(&path, &answer);
    }
    Ok(())
}

async fn the_keys_own_location_is_all_its_own(fixture: &Fixture) -> Result<()> {
    let Fixture { product, ids, ours, .. } = fixture;
    let caller = fixture.get("/v1/caller").await?;
    assert_eq!(caller.body["location_ids"], json!([ours.location]));
    let location = format!("/v1/locations/{}", ours.location);
    let locations = fixture.get("/v1/locations").await?;
    assert_eq!(locations.body["data"].as_array().map(Vec::len), Some(1), "{}", locations.body);
    let slots = fixture.our_slots().await?;
    assert!(!slots.is_empty() && slots.iter().all(|slot| slot["location_id"] == ours.location.as_str()));
    let slot = |at: usize| slots[at]["slot_id"].clone();
    let hold = fixture.post("/v1/holds", json!({"slot_id": slot(10)})).await?;
    let ada = patient("Held", "+33612345679");
    let booked = fixture.post("/v1/appointments", json!({"hold_id": hold.text("/id"), "patient": ada})).await?;
    assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);
    let created = fixture.post("/v1/patients", patient("Unbooked", "+33612345680")).await?;
    let unbooked = created.text("/id");
    let visit = json!({"slot_id": slot(30), "patient_id": unbooked});
    let (one, person) = (format!("/v1/appointments/{}", booked.text("/id")), format!("/v1/patients/{unbooked}"));
    let plan = json!({"patient_id": unbooked, "plan_template_id": ids["plan_template"], "condition_code": "neck-pain",
        "location_ids": [ours.location], "start_on": "2026-01-05"});
    let wait = json!({"patient_id": unbooked, "service_id": ours.service, "location_ids": [ours.location],
        "from": from_now(2)?, "to": from_now(4)?});
    for (method, path, body, status) in [
        (Method::GET, location.clone(), None, 200),
        (Method::PATCH, location.clone(), Some(json!({"name": "Paris"})), 200),
        (Method::GET, format!("{location}/rooms"), None, 200),
        (Method::POST, format!("{location}/calendar"), Some(json!({})), 200),
        (Method::GET, person.clone(), None, 200),
        (Method::PATCH, person.clone(), Some(json!({"given_name": "Eva"})), 200),
        (Method::GET, format!("{person}/consents"), None, 200),
        (Method::POST, "/v1/appointments".into(), Some(visit), 201),
        (Method::GET, one.clone(), None, 200),
        (Method::POST, format!("{one}/confirm"), None, 200),
        (Method::POST, format!("{one}/reschedule"), Some(json!({"slot_id": slot(50)})), 200),
        (Method::POST, format!("{one}/cancel"), Some(json!({"reason_code": "patient_ill"})), 200),
        (Method::POST, "/v1/plans".into(), Some(plan), 201),
        (Method::POST, "/v1/waitlist".into(), Some(wait), 201),
    ] {
        let answer = fixture.send(method.clone(), &path, body).await?;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.body);
    }
    for (list, least) in [("appointments", 2), ("plans", 1), ("waitlist", 1), ("patients", 2)] {
        let answer = fixture.get(&format!("/v1/{list}")).await?;
        let count = answer.body["data"].as_array().map(Vec::len).unwrap_or_default();
        assert!(count >= least, "{list}: {}", answer.body);
        fixture.assert_nothing_elsewhere(list, &answer);
    }
    // A patient of both locations is seen, without the visits elsewhere.
    let theirs = json!({"slot_id": ids["slot"], "patient_id": unbooked});
    assert_eq!(product.post("/v1/appointments", theirs).await?.status, StatusCode::CREATED);
    let seen = fixture.get(&person).await?;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(!seen.body.to_string().contains(&ids["location"]), "{}", seen.body);
    Ok(())
}

async fn a_limit_to_no_location_is_refused(fixture: &Fixture) -> Result<()> {
    for location_ids in [json!([]), json!(["loc_00000000000000000000000000"]), json!(["everything"]), json!([7])] {
        let body = json!({"name": "desk", "role": "reception", "location_ids": location_ids});
        let refused = fixture.product.post("/v1/keys", body).await?;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{location_ids}: {}", refused.body);
        assert!(refused.text("/errors/0/pointer").starts_with("/location_ids"), "{}", refused.body);
    }
    let arguments = ["keys", "create", "--name", "x", "--role", "reception", "--location", &fixture.ours.location];
    let (made, printed) = fixture.product.command(&arguments).await?;
    assert!(made, "{printed}");
    let key = printed.lines().find(|line| line.starts_with("mrd_")).unwrap_or_default().to_owned();
    let listed = fixture.product.send(Method::GET, "/v1/locations", &key, &[], None).await?;
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1), "{}", listed.body);
    let behind_a_proxy = [("via", "1.1 proxy")];
    let metrics = fixture.product.send(Method::GET, "/metrics", &fixture.key, &behind_a_proxy, None).await?;
    assert_eq!(metrics.status, StatusCode::FORBIDDEN, "metrics span locations");
    let all = fixture.product.send(Method::GET, "/v1/locations", ADMIN, &[], None).await?;
    assert_eq!(all.body["data"].as_array().map(Vec::len), Some(2), "{}", all.body);
    Ok(())
}

async fn all(apart: bool) -> Result<()> {
    let fixture = Fixture::new(apart).await?;
    no_operation_reaches_another_location(&fixture).await?;
    no_body_reaches_another_location(&fixture).await?;
    no_query_reaches_another_location(&fixture).await?;
    the_keys_own_location_is_all_its_own(&fixture).await?;
    a_limit_to_no_location_is_refused(&fixture).await
}

#[tokio::test]
async fn a_limited_key_stays_at_its_locations_in_one_process() -> Result<()> {
    all(false).await
}

#[tokio::test]
async fn a_limited_key_stays_at_its_locations_apart() -> Result<()> {
    all(true).await
}
