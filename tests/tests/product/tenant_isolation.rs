//! Organisations are isolated: each operation of `/openapi.json` that takes an id answers another organisation's id like an
//! unknown one, and changes nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, Product, calendar, from_now, patient, service, sms};
use serde_json::{Value, json};
use testkit::sms::FakeProvider;

/// Webhooks of this machine, and offers at any hour.
pub(super) const PRIVATE: [&str; 6] = [
    "--set",
    "reminder.webhooks.private_addresses=true",
    "--set",
    "booking.waitlist.ask_from=00:00",
    "--set",
    "booking.waitlist.ask_until=24:00",
];

/// An id of each kind, by its name in the cases.
pub(super) type Ids = BTreeMap<&'static str, String>;

/// Creates an entry of each kind in the default organisation.
pub(super) async fn create_each_kind(product: &Product) -> Result<Ids> {
    let make = async |path: String, body: Value| -> Result<String> {
        let made = product.post(&path, body).await?;
        made.body["id"].as_str().map(str::to_owned).with_context(|| format!("{path}: {}", made.body))
    };
    let clinic = product.clinic("Europe/London", service()).await?;
    let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
    let slot = |at: usize| slots[at]["slot_id"].clone();
    let (location, practitioner) =
        (format!("/v1/locations/{}", clinic.location), format!("/v1/practitioners/{}", clinic.practitioner));
    let roster = product.get(&format!("{practitioner}/rosters")).await?.text("/data/0/id");
    let room = product.get(&format!("{location}/rooms")).await?.text("/data/0/id");
    let mut ids = Ids::from([("location", clinic.location.clone()), ("practitioner", clinic.practitioner.clone())]);
    ids.extend([("service", clinic.service.clone()), ("roster", roster), ("room", room)]);
    let dates = json!({"starts_on": "2099-01-01", "ends_on": "2099-01-02", "reason": "holiday"});
    ids.insert("closure", make(format!("{location}/closures"), dates).await?);
    let kit = json!({"name": "Stimulator", "type": "electrostimulation-unit", "units": 1});
    ids.insert("equipment", make(format!("{location}/equipment"), kit).await?);
    let certificate =
        json!({"code": "acupuncture", "issuer": "Board", "jurisdiction": "GB", "valid_from": "2020-01-01"});
    ids.insert("certificate", make(format!("{practitioner}/certificates"), certificate).await?);
    let off = json!({"starts_at": from_now(100)?, "ends_at": from_now(101)?, "reason": "leave"});
    ids.insert("time_off", make(format!("{practitioner}/time_off"), off).await?);
    let busy = product.post(&format!("{practitioner}/busy"), calendar("")).await?;
    ids.insert("busy", busy.text("/id"));
    let phase = json!({"service_id": clinic.service, "sessions": {"least": 1, "most": 3},
        "gap_days": {"least": 3, "ideal": 5, "most": 7}});
    let template = json!({"code": "short", "name": "Short", "course": "acute", "phases": [phase]});
    ids.insert("plan_template", make("/v1/plan_templates".into(), template).await?);
    ids.insert("patient", make("/v1/patients".into(), patient("Example", "+447700900123")).await?);
    ids.insert("hold", make("/v1/holds".into(), json!({"slot_id": slot(0)})).await?);
    let booking = json!({"slot_id": slot(10), "patient_id": ids["patient"]});
    ids.insert("appointment", make("/v1/appointments".into(), booking).await?);
    ids.insert("proposed_change", proposed_change(product, &ids["patient"], slot(40)).await?);
    ids.insert("slot", slot(20).as_str().context("a slot id")?.to_owned());
    let plan = json!({"patient_id": ids["patient"], "plan_template_id": ids["plan_template"],
        "condition_code": "neck-pain", "location_ids": [ids["location"]], "start_on": "2026-01-05"});
    ids.insert("plan", make("/v1/plans".into(), plan).await?);
    let rule = json!({"trigger": "booked", "channels": ["sms"]});
    ids.insert("rule", make("/v1/reminder_rules".into(), rule).await?);
    ids.insert("key", make("/v1/keys".into(), json!({"name": "web", "scopes": ["slots:read"]})).await?);
    // Nothing listens there, so deliveries wait.
    let endpoint = json!({"url": "http://127.0.0.1:9/hook", "events": ["plan.at_risk"]});
    ids.insert("webhook_endpoint", make("/v1/webhook_endpoints".into(), endpoint).await?);
    let test = format!("/v1/webhook_endpoints/{}/test", ids["webhook_endpoint"]);
    ids.insert("webhook_delivery", make(test, json!({})).await?);
    let path = format!("/v1/webhook_endpoints/{}", ids["webhook_endpoint"]);
    let failed = testkit::poll::until("an attempt", std::time::Duration::from_secs(30), || async {
        product.get(&path).await.ok()?.body["failing_since"].as_str().map(drop)
    });
    failed.await;
    let path = format!("/v1/messages?appointment_id={}", ids["appointment"]);
    let message = testkit::poll::until("a message", std::time::Duration::from_secs(30), || async {
        let list = product.get(&path).await.ok()?;
        Some(list.body.pointer("/data/0/id")?.as_str()?.to_owned())
    });
    ids.insert("message", message.await);
    let waiting = json!({"patient_id": make("/v1/patients".into(), patient("Waiting", "+447700900125")).await?,
        "service_id": clinic.service, "from": from_now(2)?, "to": from_now(4)?});
    ids.insert("wait", make("/v1/waitlist".into(), waiting).await?);
    let path = format!("/v1/waitlist/{}", ids["wait"]);
    let offer = testkit::poll::until("an offer", std::time::Duration::from_secs(30), || async {
        Some(product.get(&path).await.ok()?.body.pointer("/offers/0/id")?.as_str()?.to_owned())
    });
    ids.insert("offer", offer.await);
    ids.insert("verification", make("/v1/verifications".into(), json!({"phone": "+447700900126"})).await?);
    sms::write(product, "+447700900123", "see you", 1).await?;
    ids.insert("inbox", product.get("/v1/inbox").await?.text("/data/0/id"));
    Ok(ids)
}

/// Books with an e-mail address that differs from the patient's record; returns the id of the proposed change.
async fn proposed_change(product: &Product, id: &str, slot: Value) -> Result<String> {
    let mut details = patient("Example", "+447700900123");
    details["email"] = json!("other@example.org");
    product.post("/v1/appointments", json!({"slot_id": slot, "patient": details})).await?;
    Ok(product.get(&format!("/v1/patients/{id}")).await?.text("/proposed_changes/0/id"))
}

/// The kind of the id at the end of an operation's path.
pub(super) fn kind_of(path: &str) -> &'static str {
    let after = path.trim_start_matches("/v1/");
    for (beginning, kind) in [
        ("locations/{parent_id}/rooms/", "room"),
        ("locations/{parent_id}/equipment/", "equipment"),
        ("locations/{parent_id}/closures/", "closure"),
        ("locations/", "location"),
        ("practitioners/{parent_id}/certificates/", "certificate"),
        ("practitioners/{parent_id}/rosters/", "roster"),
        ("practitioners/{parent_id}/time_off/", "time_off"),
        ("practitioners/{parent_id}/busy/", "busy"),
        ("practitioners/", "practitioner"),
        ("services/", "service"),
        ("plan_templates/", "plan_template"),
        ("patients/{parent_id}/proposed_changes/", "proposed_change"),
        ("patients/", "patient"),
        ("plans/", "plan"),
        ("holds/", "hold"),
        ("appointments/", "appointment"),
        ("messages/", "message"),
        ("inbox/", "inbox"),
        ("waitlist/", "wait"),
        ("verifications/", "verification"),
        ("offers/", "offer"),
        ("reminder_rules/", "rule"),
        ("webhook_endpoints/{parent_id}/deliveries/", "webhook_delivery"),
        ("webhook_endpoints/", "webhook_endpoint"),
        ("keys/", "key"),
    ] {
        if after.starts_with(beginning) {
            return kind;
        }
    }
    panic!("{path} takes an id: say here which")
}

/// A body that the operation takes; panics for one that needs a body and has no case.
pub(super) fn body(operation: &str, needed: bool) -> Option<Value> {
    Some(match operation {
        "create_room" => json!({"name": "Room", "type": "treatment-room"}),
        "check_verification" => json!({"code": "123456"}),
        "create_equipment" => json!({"name": "Kit", "type": "kit", "units": 1}),
        "create_closure" => json!({"starts_on": "2099-02-01", "ends_on": "2099-02-02", "reason": "holiday"}),
        "create_certificate" => json!({"code": "x", "issuer": "B", "jurisdiction": "GB", "valid_from": "2020-01-01"}),
        "create_time_off" => {
            json!({"starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-01-02T00:00:00Z", "reason": "leave"})
        }
        "import_busy" => calendar(""),
        "create_roster" => json!({"location_id": "LOCATION", "effective_from": "2026-01-01", "weekly": []}),
        "review_plan" => json!({"nprs": 3, "psfs": [{"activity": "walk", "score": 5}], "decision": "continue"}),
        "book_plan" => json!({"proposal_id": "prop_01kaztbq1qe00b2v1b5qj6d9ya"}),
        "cancel_appointment" => json!({"reason_code": "patient_ill"}),
        "reschedule_appointment" => json!({"slot_id": "SLOT"}),
        "record_consent" => json!({"channel": "sms", "kind": "marketing", "given": true, "how": "phone"}),
        "patch_patient" => json!({"given_name": "Mallory"}),
        "patch_rule" => json!({"channels": ["email"]}),
        "patch_certificate" => json!({"issuer": "Mallory"}),
        "patch_closure" | "patch_time_off" => json!({"reason": "Mallory"}),
        "patch_roster" => json!({"cycle_weeks": 1}),
        "patch_practitioner" => json!({"given_name": "Mallory"}),
        "patch_appointment" => json!({"note": "Mallory"}),
        patch if patch.starts_with("patch_") => json!({"name": "Mallory"}),
        _ if !needed => return None,
        other => panic!("{other} takes an id and a body: give it a case here"),
    })
}

/// An unused id of the same kind.
pub(super) fn unknown(id: &str) -> String {
    let (kept, _) = id.split_at(id.len() - 6);
    format!("{kept}zzzzzz")
}

/// The answer without the ids that the caller sent.
fn normalized(answer: &Answer, ids: &Ids) -> String {
    let mut body = answer.body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("trace_id");
    }
    let mut text = format!("{} {body}", answer.status);
    for id in ids.values() {
        text = text.replace(id, "ID").replace(&unknown(id), "ID");
    }
    text
}

/// The operations whose path has an id of an organisation's entry: method, path, operation id, whether a body is required.
async fn operations(product: &Product) -> Result<Vec<(Method, String, String, bool)>> {
    let openapi = product.get("/openapi.json").await?.body;
    let mut found = Vec::new();
    for (path, methods) in openapi["paths"].as_object().context("paths")? {
        // A link and a provider's callback carry their own authorisation and no organisation.
        if !path.contains("id}")
            || path.starts_with("/v1/providers/")
            || path.starts_with("/v1/manage/")
            || path.starts_with("/v1/offer_links/")
        {
            continue;
        }
        for (method, operation) in methods.as_object().context("methods")? {
            let id = operation["operationId"].as_str().context("an operation id")?.to_owned();
            let needed = operation.pointer("/requestBody/required") == Some(&json!(true));
            found.push((Method::from_bytes(method.to_uppercase().as_bytes())?, path.clone(), id, needed));
        }
    }
    Ok(found)
}

#[tokio::test]
async fn a_foreign_id_is_answered_as_an_unknown_one_by_every_operation() -> Result<()> {
    for is_apart in [false, true] {
        let provider = FakeProvider::start().await?;
        let settings = sms::settings(&provider);
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain(PRIVATE).collect();
        let product = if is_apart { Product::apart(&settings).await? } else { Product::embedded(&settings).await? };
        answer_foreign_ids_as_unknown(&product).await?;
    }
    Ok(())
}

/// Calls every operation with the ids of one organisation as another one: with the installation's key, and with a key of its
/// own.
pub(super) async fn answer_foreign_ids_as_unknown(product: &Product) -> Result<()> {
    let ids = create_each_kind(product).await?;
    let organization = json!({"name": "Other", "default_language": "en", "country": "GB"});
    let other = product.post("/v1/organizations", organization).await?.text("/id");
    let as_other = [("meridian-organization", other.as_str())];
    let all = json!({"name": "all", "scopes": ["admin"]});
    let other_key = product.send(Method::POST, "/v1/keys", ADMIN, &as_other, Some(all)).await?.text("/key");
    let before = all_lists(product, &ids).await?;

    let operations = operations(product).await?;
    assert!(operations.len() > 40, "the list is taken from the product: {}", operations.len());
    for (method, path, operation, needed) in operations {
        let foreign = &ids[kind_of(&path)];
        let parent = match path.split('/').nth(2) {
            Some("locations") => "location",
            Some("patients") => "patient",
            Some("webhook_endpoints") => "webhook_endpoint",
            _ => "practitioner",
        };
        let fill = |change: fn(&str) -> String| {
            let path = path.replace("{parent_id}", &change(&ids[parent])).replace("{id}", &change(foreign));
            let text = body(&operation, needed).map(|body| body.to_string());
            let text =
                text.map(|text| text.replace("LOCATION", &change(&ids["location"])).replace("SLOT", &ids["slot"]));
            (path, text.and_then(|text| serde_json::from_str(&text).ok()))
        };
        let send = async |(path, body): (String, Option<Value>)| {
            product.send(method.clone(), &path, ADMIN, &as_other, body).await
        };
        let (of_other, of_none) = (send(fill(str::to_owned)).await?, send(fill(unknown)).await?);
        assert_eq!(normalized(&of_other, &ids), normalized(&of_none, &ids), "{operation}");
        let (path, body) = fill(str::to_owned);
        let with_own_key = product.send(method.clone(), &path, &other_key, &[], body).await?;
        let is_of_installation = path.starts_with("/v1/keys");
        assert!(is_of_installation || normalized(&with_own_key, &ids) == normalized(&of_none, &ids), "{operation}");
        assert!(!is_of_installation || with_own_key.status == StatusCode::FORBIDDEN, "{operation}");
        // Releasing an unknown hold succeeds without effect; a list under an unknown parent may be empty.
        let harmless = operation == "release_hold" || of_other.body["data"] == json!([]);
        assert!(
            of_other.status == StatusCode::NOT_FOUND || harmless,
            "{operation}: {} {}",
            of_other.status,
            of_other.body
        );
    }
    assert_eq!(all_lists(product, &ids).await?, before, "nothing of the organisation has changed");
    Ok(())
}

#[tokio::test]
async fn a_foreign_id_in_a_query_or_a_body_reveals_nothing() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let settings = sms::settings(&provider);
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(PRIVATE).collect();
    let product = Product::embedded(&settings).await?;
    let ids = create_each_kind(&product).await?;
    let organization = json!({"name": "Other", "default_language": "en", "country": "GB"});
    let other = product.post("/v1/organizations", organization).await?.text("/id");
    let as_other = [("meridian-organization", other.as_str())];
    let (from, to) = (from_now(2)?, from_now(4)?);
    let window = format!("from={from}&to={to}");
    let mut requests: Vec<(Method, String, Option<Value>)> = ["slots", "slots/days", "slots/next"]
        .iter()
        .flat_map(|endpoint| {
            let one = format!("/v1/{endpoint}?service_id=<service>&{window}");
            [one.clone(), format!("{one}&location_id=<location>"), format!("{one}&practitioner_id=<practitioner>")]
        })
        .map(|path| (Method::GET, path, None))
        .collect();
    let explain = format!("/v1/slots/explain?service_id=<service>&practitioner_id=<practitioner>&starts_at={from}");
    for path in [
        // First, because the later requests enter these ids into the caller's own audit log.
        "/v1/audit?patient_id=<patient>",
        explain.as_str(),
        "/v1/appointments?location_id=<location>",
        "/v1/appointments?practitioner_id=<practitioner>",
        "/v1/appointments?patient_id=<patient>",
        "/v1/plans?patient_id=<patient>",
        "/v1/messages?appointment_id=<appointment>",
    ] {
        requests.push((Method::GET, path.to_owned(), None));
    }
    let ada = patient("Example", "+447700900124");
    for (path, body) in [
        ("/v1/appointments", json!({"hold_id": "<hold>", "patient": ada})),
        ("/v1/appointments", json!({"slot_id": ids["slot"], "patient_id": "<patient>"})),
        ("/v1/displaced/book", json!({"moves": [{"appointment_id": "<appointment>", "slot_id": ids["slot"]}]})),
        (
            "/v1/plans",
            json!({"patient_id": "<patient>", "plan_template_id": "<plan_template>", "condition_code": "neck-pain",
            "location_ids": ["<location>"], "start_on": "2026-01-05"}),
        ),
        (
            "/v1/plan_templates",
            json!({"code": "x", "name": "X", "course": "acute", "phases": [{"service_id": "<service>",
            "sessions": {"least": 1, "most": 1}, "gap_days": {"least": 1, "ideal": 1, "most": 1}}]}),
        ),
    ] {
        requests.push((Method::POST, path.to_owned(), Some(body)));
    }
    for (method, path, body) in requests {
        let fill = |text: &str, change: fn(&str) -> String| {
            ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("<{name}>"), &change(id)))
        };
        let send = async |change: fn(&str) -> String| -> Result<Answer> {
            let body = body.as_ref().map(|body| serde_json::from_str(&fill(&body.to_string(), change))).transpose()?;
            product.send(method.clone(), &fill(&path, change), ADMIN, &as_other, body).await
        };
        let (of_other, of_none) = (send(str::to_owned).await?, send(unknown).await?);
        let comparable = |answer: &Answer| {
            let mut text = normalized(answer, &ids);
            // The revision of the answer advances by itself.
            if let Some(revision) = answer.body["revision"].as_str() {
                text = text.replace(revision, "REVISION");
            }
            text
        };
        assert!(!of_other.status.is_success() || method == Method::GET, "{path}: {}", of_other.body);
        assert_eq!(comparable(&of_other), comparable(&of_none), "{method} {path}");
    }
    Ok(())
}

/// All lists as the organisation itself reads them.
pub(super) async fn all_lists(product: &Product, ids: &Ids) -> Result<String> {
    let (location, practitioner) = (&ids["location"], &ids["practitioner"]);
    let mut text = String::new();
    for path in [
        "/v1/locations".to_owned(),
        format!("/v1/locations/{location}/rooms"),
        format!("/v1/locations/{location}/equipment"),
        format!("/v1/locations/{location}/closures"),
        "/v1/practitioners".to_owned(),
        format!("/v1/practitioners/{practitioner}/certificates"),
        format!("/v1/practitioners/{practitioner}/rosters"),
        format!("/v1/practitioners/{practitioner}/time_off"),
        format!("/v1/practitioners/{practitioner}/busy"),
        "/v1/services".to_owned(),
        "/v1/plan_templates".to_owned(),
        "/v1/patients".to_owned(),
        "/v1/plans".to_owned(),
        "/v1/appointments".to_owned(),
        "/v1/reminder_rules".to_owned(),
        "/v1/waitlist".to_owned(),
        "/v1/inbox".to_owned(),
        "/v1/webhook_endpoints".to_owned(),
        "/v1/keys".to_owned(),
    ] {
        let list = product.get(&path).await?;
        assert_eq!(list.status, StatusCode::OK, "{path}: {}", list.body);
        text.push_str(&list.body.to_string());
    }
    Ok(text)
}
