//! Organisations cannot see each other: every operation of `/openapi.json` that takes an id answers a foreign id as it
//! answers one that does not exist, and changes nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Answer, House, calendar, from_now, patient, service, sms};
use serde_json::{Value, json};
use testkit::sms::FakeProvider;

/// Webhooks of this machine, and offers at any hour.
const PRIVATE: [&str; 6] = [
    "--set",
    "reminder.webhooks.private_addresses=true",
    "--set",
    "booking.waitlist.ask_from=00:00",
    "--set",
    "booking.waitlist.ask_until=24:00",
];

/// One of everything that has an id, by the name that the cases use.
type Things = BTreeMap<&'static str, String>;

/// Makes one of everything in the default organisation.
async fn one_of_everything(house: &House) -> Result<Things> {
    let make = async |path: String, body: Value| -> Result<String> {
        let made = house.post(&path, body).await?;
        made.body["id"].as_str().map(str::to_owned).with_context(|| format!("{path}: {}", made.body))
    };
    let clinic = house.clinic("Europe/London", service()).await?;
    let slots = house.slots(&clinic, (2, 4), &clinic.revision).await?;
    let slot = |at: usize| slots[at]["slot_id"].clone();
    let (place, person) =
        (format!("/v1/locations/{}", clinic.location), format!("/v1/practitioners/{}", clinic.practitioner));
    let roster = house.get(&format!("{person}/rosters")).await?.text("/data/0/id");
    let room = house.get(&format!("{place}/rooms")).await?.text("/data/0/id");
    let mut things =
        Things::from([("location", clinic.location.clone()), ("practitioner", clinic.practitioner.clone())]);
    things.extend([("service", clinic.service.clone()), ("roster", roster), ("room", room)]);
    let dates = json!({"starts_on": "2099-01-01", "ends_on": "2099-01-02", "reason": "holiday"});
    things.insert("closure", make(format!("{place}/closures"), dates).await?);
    let kit = json!({"name": "Stimulator", "type": "electrostimulation-unit", "units": 1});
    things.insert("equipment", make(format!("{place}/equipment"), kit).await?);
    let certificate =
        json!({"code": "acupuncture", "issuer": "Board", "jurisdiction": "GB", "valid_from": "2020-01-01"});
    things.insert("certificate", make(format!("{person}/certificates"), certificate).await?);
    let off = json!({"starts_at": from_now(100)?, "ends_at": from_now(101)?, "reason": "leave"});
    things.insert("time_off", make(format!("{person}/time_off"), off).await?);
    let busy = house.post(&format!("{person}/busy"), calendar("")).await?;
    things.insert("busy", busy.text("/id"));
    let phase = json!({"service_id": clinic.service, "sessions": {"least": 1, "most": 3},
        "gap_days": {"least": 3, "ideal": 5, "most": 7}});
    let template = json!({"code": "short", "name": "Short", "course": "acute", "phases": [phase]});
    things.insert("plan_template", make("/v1/plan_templates".into(), template).await?);
    things.insert("patient", make("/v1/patients".into(), patient("Example", "+447700900123")).await?);
    things.insert("hold", make("/v1/holds".into(), json!({"slot_id": slot(0)})).await?);
    let booking = json!({"slot_id": slot(10), "patient_id": things["patient"]});
    things.insert("appointment", make("/v1/appointments".into(), booking).await?);
    things.insert("proposed_change", proposed_change(house, &things["patient"], slot(40)).await?);
    things.insert("slot", slot(20).as_str().context("a slot id")?.to_owned());
    let plan = json!({"patient_id": things["patient"], "plan_template_id": things["plan_template"],
        "condition_code": "neck-pain", "location_ids": [things["location"]], "start_on": "2026-01-05"});
    things.insert("plan", make("/v1/plans".into(), plan).await?);
    let rule = json!({"trigger": "booked", "channels": ["sms"]});
    things.insert("rule", make("/v1/reminder_rules".into(), rule).await?);
    things.insert("key", make("/v1/keys".into(), json!({"name": "web", "scopes": ["slots:read"]})).await?);
    // Nobody is there: what is told waits.
    let endpoint = json!({"url": "http://127.0.0.1:9/hook", "events": ["plan.at_risk"]});
    things.insert("webhook_endpoint", make("/v1/webhook_endpoints".into(), endpoint).await?);
    let test = format!("/v1/webhook_endpoints/{}/test", things["webhook_endpoint"]);
    things.insert("webhook_delivery", make(test, json!({})).await?);
    let path = format!("/v1/webhook_endpoints/{}", things["webhook_endpoint"]);
    let failed = testkit::poll::until("an attempt", std::time::Duration::from_secs(30), || async {
        house.get(&path).await.ok()?.body["failing_since"].as_str().map(drop)
    });
    failed.await;
    let path = format!("/v1/messages?appointment_id={}", things["appointment"]);
    let message = testkit::poll::until("a message", std::time::Duration::from_secs(30), || async {
        let list = house.get(&path).await.ok()?;
        Some(list.body.pointer("/data/0/id")?.as_str()?.to_owned())
    });
    things.insert("message", message.await);
    let waiting = json!({"patient_id": make("/v1/patients".into(), patient("Waiting", "+447700900125")).await?,
        "service_id": clinic.service, "from": from_now(2)?, "to": from_now(4)?});
    things.insert("wait", make("/v1/waitlist".into(), waiting).await?);
    let path = format!("/v1/waitlist/{}", things["wait"]);
    let offer = testkit::poll::until("an offer", std::time::Duration::from_secs(30), || async {
        Some(house.get(&path).await.ok()?.body.pointer("/offers/0/id")?.as_str()?.to_owned())
    });
    things.insert("offer", offer.await);
    sms::write(house, "+447700900123", "see you", 1).await?;
    things.insert("inbox", house.get("/v1/inbox").await?.text("/data/0/id"));
    Ok(things)
}

/// Something that the patient says at a booking and that differs from their record.
async fn proposed_change(house: &House, id: &str, slot: Value) -> Result<String> {
    let mut said = patient("Example", "+447700900123");
    said["email"] = json!("other@example.org");
    house.post("/v1/appointments", json!({"slot_id": slot, "patient": said})).await?;
    Ok(house.get(&format!("/v1/patients/{id}")).await?.text("/proposed_changes/0/id"))
}

/// The thing that a path's last varying part names, by the operation's path.
fn named(path: &str) -> &'static str {
    let after = path.trim_start_matches("/v1/");
    for (beginning, thing) in [
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
        ("offers/", "offer"),
        ("reminder_rules/", "rule"),
        ("webhook_endpoints/{parent_id}/deliveries/", "webhook_delivery"),
        ("webhook_endpoints/", "webhook_endpoint"),
        ("keys/", "key"),
    ] {
        if after.starts_with(beginning) {
            return thing;
        }
    }
    panic!("{path} takes an id: say here which")
}

/// A body that the operation takes; panics for one that needs a body and has no case.
fn body(operation: &str, needed: bool) -> Option<Value> {
    Some(match operation {
        "create_room" => json!({"name": "Room", "type": "treatment-room"}),
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

/// An id of the same kind that nothing has: another random part.
fn unknown(id: &str) -> String {
    let (kept, _) = id.split_at(id.len() - 6);
    format!("{kept}zzzzzz")
}

/// What a caller can tell one answer from another by, apart from the id that they sent themselves.
fn seen(answer: &Answer, things: &Things) -> String {
    let mut body = answer.body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("trace_id");
    }
    let mut text = format!("{} {body}", answer.status);
    for id in things.values() {
        text = text.replace(id, "ID").replace(&unknown(id), "ID");
    }
    text
}

/// Every operation whose path takes an id that belongs to an organisation: method, path, operation, body needed.
async fn operations(house: &House) -> Result<Vec<(Method, String, String, bool)>> {
    let openapi = house.get("/openapi.json").await?.body;
    let mut found = Vec::new();
    for (path, methods) in openapi["paths"].as_object().context("paths")? {
        // A link and a provider's call-back carry their own right; no organisation stands beside them.
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
    let provider = FakeProvider::start().await?;
    let settings = sms::settings(&provider);
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(PRIVATE).collect();
    let house = House::embedded(&settings).await?;
    let things = one_of_everything(&house).await?;
    let organization = json!({"name": "Other", "default_language": "en", "country": "GB"});
    let other = house.post("/v1/organizations", organization).await?.text("/id");
    let as_other = [("meridian-organization", other.as_str())];
    let before = everything(&house, &things).await?;

    let operations = operations(&house).await?;
    assert!(operations.len() > 40, "the list is taken from the product: {}", operations.len());
    for (method, path, operation, needed) in operations {
        let foreign = &things[named(&path)];
        let parent = match path.split('/').nth(2) {
            Some("locations") => "location",
            Some("patients") => "patient",
            Some("webhook_endpoints") => "webhook_endpoint",
            _ => "practitioner",
        };
        let fill = |change: fn(&str) -> String| {
            let path = path.replace("{parent_id}", &change(&things[parent])).replace("{id}", &change(foreign));
            let text = body(&operation, needed).map(|body| body.to_string());
            let text = text
                .map(|text| text.replace("LOCATION", &change(&things["location"])).replace("SLOT", &things["slot"]));
            (path, text.and_then(|text| serde_json::from_str(&text).ok()))
        };
        let send = async |(path, body): (String, Option<Value>)| {
            house.send(method.clone(), &path, ADMIN, &as_other, body).await
        };
        let (of_other, of_none) = (send(fill(str::to_owned)).await?, send(fill(unknown)).await?);
        assert_eq!(seen(&of_other, &things), seen(&of_none, &things), "{operation}");
        // Ending a hold that is gone changes nothing and is no fault; a list under an unknown parent may be empty.
        let harmless = operation == "release_hold" || of_other.body["data"] == json!([]);
        assert!(
            of_other.status == StatusCode::NOT_FOUND || harmless,
            "{operation}: {} {}",
            of_other.status,
            of_other.body
        );
    }
    assert_eq!(everything(&house, &things).await?, before, "nothing of the organisation has changed");
    Ok(())
}

#[tokio::test]
async fn a_foreign_id_in_a_query_or_a_body_tells_nothing_either() -> Result<()> {
    let provider = FakeProvider::start().await?;
    let settings = sms::settings(&provider);
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(PRIVATE).collect();
    let house = House::embedded(&settings).await?;
    let things = one_of_everything(&house).await?;
    let organization = json!({"name": "Other", "default_language": "en", "country": "GB"});
    let other = house.post("/v1/organizations", organization).await?.text("/id");
    let as_other = [("meridian-organization", other.as_str())];
    let (from, to) = (from_now(2)?, from_now(4)?);
    let window = format!("from={from}&to={to}");
    let mut requests: Vec<(Method, String, Option<Value>)> = ["slots", "slots/days", "slots/next"]
        .iter()
        .flat_map(|face| {
            let one = format!("/v1/{face}?service_id=<service>&{window}");
            [one.clone(), format!("{one}&location_id=<location>"), format!("{one}&practitioner_id=<practitioner>")]
        })
        .map(|path| (Method::GET, path, None))
        .collect();
    let explain = format!("/v1/slots/explain?service_id=<service>&practitioner_id=<practitioner>&starts_at={from}");
    for path in [
        // First: what follows is about these ids and so comes into the caller's own log.
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
        ("/v1/appointments", json!({"slot_id": things["slot"], "patient_id": "<patient>"})),
        ("/v1/displaced/book", json!({"moves": [{"appointment_id": "<appointment>", "slot_id": things["slot"]}]})),
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
            things.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("<{name}>"), &change(id)))
        };
        let send = async |change: fn(&str) -> String| -> Result<Answer> {
            let body = body.as_ref().map(|body| serde_json::from_str(&fill(&body.to_string(), change))).transpose()?;
            house.send(method.clone(), &fill(&path, change), ADMIN, &as_other, body).await
        };
        let (of_other, of_none) = (send(str::to_owned).await?, send(unknown).await?);
        let shown = |answer: &Answer| {
            let mut text = seen(answer, &things);
            // The revision of the answer moves on by itself; what it was computed from is not about the id.
            if let Some(revision) = answer.body["revision"].as_str() {
                text = text.replace(revision, "REVISION");
            }
            text
        };
        assert!(!of_other.status.is_success() || method == Method::GET, "{path}: {}", of_other.body);
        assert_eq!(shown(&of_other), shown(&of_none), "{method} {path}");
    }
    Ok(())
}

/// Everything as its own organisation sees it.
async fn everything(house: &House, things: &Things) -> Result<String> {
    let (place, person) = (&things["location"], &things["practitioner"]);
    let mut text = String::new();
    for path in [
        "/v1/locations".to_owned(),
        format!("/v1/locations/{place}/rooms"),
        format!("/v1/locations/{place}/equipment"),
        format!("/v1/locations/{place}/closures"),
        "/v1/practitioners".to_owned(),
        format!("/v1/practitioners/{person}/certificates"),
        format!("/v1/practitioners/{person}/rosters"),
        format!("/v1/practitioners/{person}/time_off"),
        format!("/v1/practitioners/{person}/busy"),
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
        let list = house.get(&path).await?;
        assert_eq!(list.status, StatusCode::OK, "{path}: {}", list.body);
        text.push_str(&list.body.to_string());
    }
    Ok(text)
}
