//! Every method of the contracts at the gateway's port, as every kind of caller and with another organisation's ids.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use prost::{Message, encoding};
use prost_types::{FileDescriptorSet, MethodDescriptorProto, field_descriptor_proto::Type};
use scenarios::{ADMIN, Product, service, sms};
use serde_json::json;
use testkit::sms::FakeProvider;
use tonic::{Code, transport::Endpoint};
use tower::ServiceExt;

use super::{
    key_of, make_key,
    matrix::{Caller, UNLIMITED, callers},
    operations::{Callers, callers_of},
};
use crate::tenant_isolation::{Ids, PRIVATE, all_lists, create_each_kind, unknown};

/// By hand: the methods for clients, each with the operation of REST that needs the same scopes.
const PUBLIC: [(&str, &str); 51] = [
    ("availability.v1.Directory/ListEntries", "list_location"),
    ("availability.v1.Directory/GetEntry", "get_location"),
    ("availability.v1.Search/SearchSlots", "search_slots"),
    ("availability.v1.Search/SearchDays", "search_days"),
    ("availability.v1.Search/NextSlots", "next_slots"),
    ("availability.v1.Search/ExplainSlot", "explain_slot"),
    ("availability.v1.Search/WatchAvailability", "watch_slots"),
    ("booking.v1.Booking/BookAppointment", "book_appointment"),
    ("booking.v1.Booking/GetAppointment", "get_appointment"),
    ("booking.v1.Booking/ListAppointments", "list_appointments"),
    ("booking.v1.Booking/TransitionAppointment", "cancel_appointment"),
    ("booking.v1.Booking/RevertAppointment", "revert_appointment"),
    ("booking.v1.Booking/UpdateAppointment", "patch_appointment"),
    ("booking.v1.Booking/RescheduleAppointment", "reschedule_appointment"),
    ("booking.v1.Booking/CreatePatient", "create_patient"),
    ("booking.v1.Booking/GetPatient", "get_patient"),
    ("booking.v1.Booking/UpdatePatient", "patch_patient"),
    ("booking.v1.Booking/ListPatients", "list_patients"),
    ("booking.v1.Booking/ListConsents", "list_consents"),
    ("booking.v1.Plans/CreatePlan", "create_plan"),
    ("booking.v1.Plans/GetPlan", "get_plan"),
    ("booking.v1.Plans/ListPlans", "list_plans"),
    ("booking.v1.Plans/ProposePlan", "propose_plan"),
    ("booking.v1.Plans/RepairPlan", "repair_plan"),
    ("booking.v1.Plans/BookPlan", "book_plan"),
    ("booking.v1.Plans/GetLedger", "get_ledger"),
    ("booking.v1.Plans/ReportPlans", "report_plans"),
    ("booking.v1.Waitlist/JoinWaitlist", "join_waitlist"),
    ("booking.v1.Waitlist/GetEntry", "get_wait"),
    ("booking.v1.Waitlist/ListWaitlist", "list_waitlist"),
    ("booking.v1.Waitlist/LeaveWaitlist", "leave_waitlist"),
    ("booking.v1.Waitlist/GetOffer", "get_offer"),
    ("booking.v1.Waitlist/AcceptOffer", "accept_offer"),
    ("booking.v1.Waitlist/DeclineOffer", "decline_offer"),
    ("booking.v1.Displaced/ProposeDisplaced", "propose_displaced"),
    ("booking.v1.Displaced/BookDisplaced", "book_displaced"),
    ("booking.v1.ReasonCodes/ListReasonCodes", "list_reason_codes"),
    ("booking.v1.ReasonCodes/GetReasonCode", "get_reason_code"),
    ("booking.v1.ReasonCodes/CreateReasonCode", "create_reason_code"),
    ("booking.v1.ReasonCodes/UpdateReasonCode", "patch_reason_code"),
    ("booking.v1.ReasonCodes/DeleteReasonCode", "delete_reason_code"),
    ("reminder.v1.Reminder/ListMessages", "list_messages"),
    ("reminder.v1.Reminder/GetMessage", "get_message"),
    ("reminder.v1.Reminder/RetryMessage", "retry_message"),
    ("reminder.v1.Reminder/ListRules", "list_rules"),
    ("reminder.v1.Reminder/GetRule", "get_rule"),
    ("reminder.v1.Reminder/ArchiveRule", "archive_rule"),
    ("reminder.v1.Reminder/ListInbox", "list_inbox"),
    ("reminder.v1.Reminder/MarkRead", "mark_read"),
    ("reminder.v1.Reminder/ReportReminders", "report_reminders"),
    ("reminder.v1.Webhooks/ListWebhookDeliveries", "list_webhook_deliveries"),
];

/// A method of the contracts.
struct Method {
    /// `PACKAGE.SERVICE/METHOD`, without `meridian.`.
    name: String,
    /// The text fields of its request that hold ids: their numbers and names.
    ids: Vec<(u32, String)>,
}

impl Method {
    /// A request whose ids are those of `change`.
    fn request(&self, change: impl Fn(&str) -> Option<String>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, name) in &self.ids {
            if let Some(id) = change(name) {
                encoding::string::encode(*number, &id, &mut bytes);
            }
        }
        bytes
    }

    fn is_stream(&self) -> bool {
        self.name.ends_with("/WatchAvailability")
    }
}

/// All methods of the contracts.
fn methods() -> Result<Vec<Method>> {
    let contracts = FileDescriptorSet::decode(wire::DESCRIPTORS)?;
    let messages = |name: &str| {
        contracts.file.iter().find_map(|file| {
            let own = name.strip_prefix(&format!(".{}.", file.package()))?;
            file.message_type.iter().find(|message| message.name() == own)
        })
    };
    let method = |service: String, method: &MethodDescriptorProto| -> Result<Method> {
        let request = messages(method.input_type()).context("a request")?;
        let is_id = |name: &str| name == "id" || name == "moving" || name.ends_with("_id") || name.ends_with("_ids");
        let texts = request.field.iter().filter(|field| field.r#type() == Type::String && is_id(field.name()));
        let ids = texts.map(|field| Ok((u32::try_from(field.number())?, field.name().to_owned())));
        Ok(Method { name: format!("{service}/{}", method.name()), ids: ids.collect::<Result<_>>()? })
    };
    let mut found = Vec::new();
    for file in &contracts.file {
        let Some(package) = file.package().strip_prefix("meridian.") else { continue };
        for service in &file.service {
            let name = format!("{package}.{}", service.name());
            for one in &service.method {
                found.push(method(name.clone(), one)?);
            }
        }
    }
    Ok(found)
}

/// The outcome of a call: its code, Meridian's own code or the sentence, and the answer's bytes.
async fn call(product: &Product, key: &str, method: &Method, request: &[u8]) -> Result<(Code, String, Vec<u8>)> {
    let channel = Endpoint::from_shared(product.url.clone())?.connect().await?;
    let mut framed = vec![0];
    framed.extend(u32::try_from(request.len())?.to_be_bytes());
    framed.extend(request);
    let mut builder = http::Request::post(format!("/meridian.{}", method.name))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "10S");
    if !key.is_empty() {
        builder = builder.header("authorization", format!("Bearer {key}"));
    }
    let answer = channel.oneshot(builder.body(tonic::body::Body::new(Full::new(framed.into())))?).await?;
    if let Some(status) = tonic::Status::from_header_map(answer.headers()) {
        let own = answer.headers().get("meridian-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
        return Ok((status.code(), format!("{own} {}", status.message()), vec![]));
    }
    // A stream that has begun does not end.
    if method.is_stream() {
        return Ok((Code::Ok, String::new(), vec![]));
    }
    let whole = answer.into_body().collect().await?;
    let status = whole.trailers().and_then(tonic::Status::from_header_map).context("a status")?;
    Ok((status.code(), status.message().to_owned(), whole.to_bytes().to_vec()))
}

/// The scopes that a method needs. What clients book, and patients' records, are for staff alone.
fn scopes(method: &Method) -> Option<Vec<&'static str>> {
    let (_, operation) = PUBLIC.iter().find(|(name, _)| *name == method.name)?;
    let Some(Callers::With(scopes)) = callers_of(operation) else { panic!("{operation} has no scopes") };
    let staff = ["booking.v1.Booking/", "booking.v1.Plans/", "booking.v1.Waitlist/", "booking.v1.Displaced/"];
    let of_staff = staff.iter().any(|service| method.name.starts_with(service));
    Some(scopes.iter().copied().chain(of_staff.then_some("patients:read")).collect())
}

/// The code with which a method refuses a caller; `None` if it may call it.
fn refusal(caller: &Caller, needed: Option<&[&str]>) -> Option<Code> {
    let Some(needed) = needed else { return Some(Code::Unimplemented) };
    let Some(scopes) = &caller.scopes else { return Some(Code::Unauthenticated) };
    let has = |scope: &&str| scopes.contains(scope) || scopes.contains(&"admin");
    if needed.iter().all(has) { None } else { Some(Code::PermissionDenied) }
}

#[test]
fn each_public_method_is_one_of_the_contracts() {
    let all: BTreeSet<String> = methods().unwrap().into_iter().map(|method| method.name).collect();
    let unknown: Vec<_> = PUBLIC.iter().filter(|(name, _)| !all.contains(*name)).collect();
    assert!(unknown.is_empty() && all.len() > PUBLIC.len(), "{unknown:?}");
}

#[tokio::test]
async fn every_method_refuses_every_caller_that_may_not_call_it() -> Result<()> {
    for product in [Product::embedded(&UNLIMITED).await?, Product::apart(&UNLIMITED).await?] {
        let callers = callers(&product).await?;
        let clinic = product.clinic("Europe/London", service()).await?;
        let limited = json!({"name": "limited", "role": "owner", "location_ids": [clinic.location]});
        let (_, limited) = make_key(&product, limited, &[]).await?;
        for method in methods()? {
            let needed = scopes(&method);
            for caller in &callers {
                let (code, detail, _) = call(&product, &caller.key, &method, &[]).await?;
                let case = format!("{} as {}: {detail}", method.name, caller.name);
                match refusal(caller, needed.as_deref()) {
                    Some(expected) => assert_eq!(code, expected, "{case}"),
                    None => assert!(
                        ![Code::Unimplemented, Code::Unauthenticated, Code::PermissionDenied, Code::Internal]
                            .contains(&code),
                        "{case} {code:?}"
                    ),
                }
            }
            // The bytes of an answer cannot be cut to some locations.
            let (code, ..) = call(&product, &limited, &method, &[]).await?;
            let expected = if needed.is_some() { Code::PermissionDenied } else { Code::Unimplemented };
            assert_eq!(code, expected, "{} with a limited key", method.name);
        }
    }
    Ok(())
}

/// The kinds whose ids may stand in a field.
fn kinds<'a>(field: &str, ids: &'a Ids) -> Vec<&'a str> {
    let kind = field.trim_end_matches("_id").trim_end_matches("_ids");
    let kind = if kind == "moving" { "appointment" } else { kind };
    ids.keys().copied().filter(|known| *known == kind || field == "id" || field == "parent_id").collect()
}

#[tokio::test]
async fn every_method_answers_foreign_ids_as_unknown_ones() -> Result<()> {
    for apart in [false, true] {
        let provider = FakeProvider::start().await?;
        let settings = sms::settings(&provider);
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain(PRIVATE).chain(UNLIMITED).collect();
        let product = if apart { Product::apart(&settings).await? } else { Product::embedded(&settings).await? };
        let ids = create_each_kind(&product).await?;
        let organization = json!({"name": "Other", "default_language": "en", "country": "GB"});
        let other = product.post("/v1/organizations", organization).await?.text("/id");
        let (_, key) = key_of(&product, &["admin"], &[("meridian-organization", &other)]).await?;
        assert_ne!(key, ADMIN);
        let before = all_lists(&product, &ids).await?;
        let mut cases = 0;
        for method in methods()?.iter().filter(|method| scopes(method).is_some() && !method.is_stream()) {
            for kind in ids.keys() {
                let asked = |change: fn(&str) -> String| {
                    method.request(|field| kinds(field, &ids).contains(kind).then(|| change(&ids[kind])))
                };
                let (theirs, nobodys) = (asked(str::to_owned), asked(unknown));
                if theirs.is_empty() {
                    continue;
                }
                let theirs = call(&product, &key, method, &theirs).await?;
                assert_eq!(theirs, call(&product, &key, method, &nobodys).await?, "{} with a {kind}", method.name);
                cases += 1;
            }
        }
        assert!(cases > 300, "{cases}");
        assert_eq!(all_lists(&product, &ids).await?, before, "nothing of the first organisation has changed");
    }
    Ok(())
}
