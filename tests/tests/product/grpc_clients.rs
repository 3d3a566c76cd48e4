//! gRPC for clients at the gateway, by an independent implementation: Python's `grpcio` with reflection.

use std::path::Path;

use anyhow::{Context, Result};
use scenarios::{Product, service};
use serde_json::{Value, json};

const PACKAGE: &str = "grpcio-reflection==1.85.1";

/// Calls the methods of its input in turn, by descriptors that it asks the server for, and prints the answers.
const CLIENT: &str = r#"
import collections, json, sys, grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

class Details(collections.namedtuple('Details', 'method timeout metadata credentials wait_for_ready compression'),
              grpc.ClientCallDetails):
    pass

class WithKey(grpc.StreamStreamClientInterceptor):
    def __init__(self, key):
        self.metadata = [('authorization', 'Bearer ' + key)]
    def intercept_stream_stream(self, go_on, details, requests):
        return go_on(Details(details.method, 10, self.metadata, None, None, None), requests)

given = json.load(sys.stdin)
channel = grpc.insecure_channel(given['target'])
database = ProtoReflectionDescriptorDatabase(grpc.intercept_channel(channel, WithKey(given['key'])))
out = {'services': sorted(database.get_services()), 'answers': []}
pool = descriptor_pool.DescriptorPool(database)

def raw(message):
    return message

def call(path, metadata, request, stream):
    service, name = path.split('/')
    try:
        method = pool.FindServiceByName(service).FindMethodByName(name)
        message = json_format.ParseDict(request, message_factory.GetMessageClass(method.input_type)())
        send, read = message.SerializeToString(), message_factory.GetMessageClass(method.output_type).FromString
    except (KeyError, grpc.RpcError):
        send, read = b'', raw
    metadata = [tuple(pair) for pair in metadata]
    try:
        if stream:
            answers = channel.unary_stream('/' + path, raw, read)(send, timeout=20, metadata=metadata)
            answer, answered = next(answers), []
            answers.cancel()
        else:
            answer, finished = channel.unary_unary('/' + path, raw, read).with_call(send, timeout=20, metadata=metadata)
            answered = finished.initial_metadata()
        return {'code': 'OK', 'answer': json_format.MessageToDict(answer, preserving_proto_field_name=True),
                'metadata': {key: value for key, value in answered if isinstance(value, str)}}
    except grpc.RpcError as error:
        trailing = {key: value for key, value in error.trailing_metadata() or [] if isinstance(value, str)}
        return {'code': error.code().name, 'detail': error.details(), 'metadata': trailing}

for one in given['calls']:
    out['answers'].append(call(one['method'], one.get('metadata', []), one.get('request', {}), one.get('stream', False)))
print(json.dumps(out))
"#;

const BOOK: &str = "meridian.booking.v1.Booking/BookAppointment";
const LIST: &str = "meridian.booking.v1.Booking/ListAppointments";
const SEARCH: &str = "meridian.availability.v1.Search/SearchSlots";
const WATCH: &str = "meridian.availability.v1.Search/WatchAvailability";
const TRANSITION: &str = "meridian.booking.v1.Booking/TransitionAppointment";

/// Runs the client; returns the names of the services, and the answers in order.
async fn run(product: &Product, key: &str, calls: Vec<Value>) -> Result<(Vec<String>, Vec<Value>)> {
    let target = product.url.trim_start_matches("http://");
    let input = json!({"target": target, "key": key, "calls": calls}).to_string();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let work = move || testkit::python::run(&folder, PACKAGE, CLIENT, input.as_bytes());
    let output: Value = serde_json::from_str(&tokio::task::spawn_blocking(work).await??)?;
    let services = serde_json::from_value(output["services"].clone())?;
    Ok((services, output["answers"].as_array().cloned().context("answers")?))
}

async fn key(product: &Product, scopes: &[&str]) -> Result<String> {
    Ok(product.post("/v1/keys", json!({"name": "grpc", "scopes": scopes})).await?.text("/key"))
}

/// A call with this key and further metadata.
fn call(key: &str, method: &str, more: &[(&str, &str)], request: Value) -> Value {
    let mut metadata = vec![("authorization", format!("Bearer {key}"))];
    metadata.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    json!({"method": method, "metadata": metadata, "request": request})
}

fn patient() -> Value {
    json!({"given_name": "Ada", "family_name": "Moreau", "phone": "+14035550100"})
}

fn search(clinic: &scenarios::Clinic) -> Result<Value> {
    let us = |days| -> Result<i64> { Ok(scenarios::from_now(days)?.parse::<jiff::Timestamp>()?.as_microsecond()) };
    Ok(json!({"service_id": clinic.service, "from_us": us(2)?.to_string(), "to_us": us(4)?.to_string(), "limit": 2}))
}

#[tokio::test]
async fn a_python_client_books_and_lists_and_its_calls_are_audited() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let key = key(&product, &["slots:read", "bookings:write", "patients:read"]).await?;
        let fresh = [("meridian-revision", clinic.revision.as_str())];
        let mut watch = call(&key, WATCH, &fresh, search(&clinic)?);
        watch["stream"] = json!(true);
        let (services, found) = run(&product, &key, vec![call(&key, SEARCH, &fresh, search(&clinic)?), watch]).await?;
        assert!(services.contains(&"meridian.booking.v1.Booking".to_owned()), "{services:?}");
        assert!(!services.iter().any(|service| service.ends_with(".Feed")), "the feed is for roles: {services:?}");
        let slot = found[0]["answer"]["slots"][0]["slot_id"].as_str().with_context(|| format!("{found:?}"))?;
        assert_eq!(
            found[1]["answer"]["came"][0]["slot_id"], slot,
            "the stream begins with all open slots: {}",
            found[1]
        );

        let request = json!({"slot_id": slot, "patient": patient()});
        // What a client says about its organisation and its name counts for nothing.
        let forged = [
            ("idempotency-key", "first"),
            ("meridian-organization", "org_00000000000000000000000001"),
            ("meridian-caller", "admin"),
            ("meridian-fingerprint", "mine"),
        ];
        let book = call(&key, BOOK, &forged, request.clone());
        let other = call(&key, BOOK, &forged, json!({"slot_id": slot, "patient": patient(), "note": "another"}));
        let list = call(&key, LIST, &forged[1..], json!({}));
        let (_, answers) = run(&product, &key, vec![book.clone(), book, other, list]).await?;
        let id = answers[0]["answer"]["id"].as_str().with_context(|| format!("{answers:?}"))?;
        assert_eq!(answers[1]["answer"], answers[0]["answer"], "the same call with the same key has one effect");
        assert_eq!(answers[1]["metadata"]["meridian-replayed"], "true");
        assert_eq!(answers[2]["metadata"]["meridian-code"], "idempotency_key_reused", "{}", answers[2]);
        assert_eq!(answers[3]["answer"]["appointments"][0]["id"], id);
        assert_eq!(answers[3]["answer"]["appointments"].as_array().map(Vec::len), Some(1));

        // A key acts for staff, whatever the request says.
        let cancel =
            json!({"id": id, "transition": "TRANSITION_CANCEL", "reason_code": "patient_ill", "by": "patient"});
        let (_, cancelled) = run(&product, &key, vec![call(&key, TRANSITION, &[], cancel)]).await?;
        assert_eq!(cancelled[0]["answer"]["cancellation"]["by"], "staff", "{}", cancelled[0]);

        let rest = product.get(&format!("/v1/appointments/{id}")).await?;
        let audited = testkit::poll::until("the audit log", std::time::Duration::from_secs(30), || async {
            let log = product.get("/v1/audit?limit=100").await.ok()?;
            let lines = log.body["data"].as_array()?.clone();
            lines.into_iter().find(|line| line["action"] == "book_appointment" && line["target"] == id)
        })
        .await;
        assert_eq!(audited["patient_id"], rest.body["patient_id"]);
        assert!(audited["caller"].as_str().is_some_and(|caller| caller.starts_with("key_")), "{audited}");
    }
    Ok(())
}

#[tokio::test]
async fn a_python_client_is_refused_as_one_of_rest_is() -> Result<()> {
    for product in [Product::embedded(&[]).await?, Product::apart(&[]).await?] {
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let staff = key(&product, &["slots:read", "bookings:write", "patients:read"]).await?;
        let visitor = key(&product, &["slots:read", "bookings:write"]).await?;
        let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
        let book = json!({"slot_id": slots[0]["slot_id"], "patient": patient()});
        let mut moving = search(&clinic)?;
        moving["patient_id"] = json!("pat_00000000000000000000000001");
        let rosters = json!({"kind": "ENTRY_KIND_ROSTER", "parent_id": clinic.practitioner});
        let calls = vec![
            json!({"method": BOOK, "request": book}),
            call("mrd_invented_key_of_nobody", BOOK, &[], book.clone()),
            call(&visitor, LIST, &[], json!({})),
            call(&visitor, BOOK, &[], book),
            call(&visitor, SEARCH, &[], moving),
            call(&visitor, "meridian.availability.v1.Directory/ListEntries", &[], rosters),
            call(&staff, "meridian.booking.v1.Feed/SubscribeChanges", &[], json!({})),
            call(&staff, "meridian.booking.v1.Booking/GetContacts", &[], json!({})),
            call(&staff, "meridian.invented.v1.Service/Method", &[], json!({})),
            call(
                &staff,
                "meridian.booking.v1.Booking/GetAppointment",
                &[],
                json!({"id": "appt_00000000000000000000000001"}),
            ),
            call(&staff, LIST, &[], json!({"patient_id": "x".repeat(300_000)})),
        ];
        let (_, answers) = run(&product, &staff, calls).await?;
        let codes: Vec<&str> = answers.iter().filter_map(|answer| answer["code"].as_str()).collect();
        let expected = [
            "UNAUTHENTICATED",
            "UNAUTHENTICATED",
            "PERMISSION_DENIED",
            "PERMISSION_DENIED",
            "PERMISSION_DENIED",
            "PERMISSION_DENIED",
            "UNIMPLEMENTED",
            "UNIMPLEMENTED",
            "UNIMPLEMENTED",
            "NOT_FOUND",
            "RESOURCE_EXHAUSTED",
        ];
        assert_eq!(codes, expected, "{answers:?}");
        assert!(answers[2]["detail"].as_str().is_some_and(|detail| detail.contains("patients:read")), "{}", answers[2]);
        let listed = product.get("/v1/appointments").await?;
        assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(0), "nothing was booked");
        let health = json!({"method": "grpc.health.v1.Health/Check"});
        let (_, health) = run(&product, &staff, vec![health]).await?;
        assert_eq!(health[0]["code"], "OK", "health needs no key: {}", health[0]);
    }
    Ok(())
}
