//! The directory: ten kinds of entry with one life, so one set of handlers.

mod impact;

use axum::http::Method;
use domain::directory::{Body, Kind};
use rpc::Fault;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::{
    availability::{
        ArchiveEntryRequest, CreateEntryRequest, Entry, GetEntryRequest, ListEntriesRequest, UpdateEntryRequest,
        WriteEntryResponse,
    },
    common::KeepAppointments,
    convert::directory as convert,
};

pub(crate) use self::impact::{Impact, Opening, Rezoned};
use super::{CURSOR, LIMIT, busy::SkippedComponent, next_cursor, time};
use crate::{
    auth::Scope,
    call::{Call, Reply, read},
    operation::{Access, Handler, Operation, Param, Type, handler},
};

/// What every entry has beside its own fields.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryHead {
    id: String,
    version: i64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// When it went out of use, if it did.
    #[schema(format = DateTime)]
    archived_at: Option<String>,
}

/// The schemas of the kinds' bodies.
pub(crate) const BODIES: [&str; 11] = [
    "Location",
    "Room",
    "Equipment",
    "Closure",
    "Practitioner",
    "Certificate",
    "Roster",
    "TimeOff",
    "Service",
    "PlanTemplate",
    "Busy",
];

/// A kind of entry in the public interface.
struct Face {
    kind: Kind,
    path: &'static str,
    name: &'static str,
    schema: &'static str,
    entry: &'static str,
    page: &'static str,
}

const FACES: [Face; 10] = [
    face(Kind::Location, "/v1/locations", "location", ["Location", "LocationEntry", "LocationPage"]),
    face(Kind::Room, "/v1/locations/{parent_id}/rooms", "room", ["Room", "RoomEntry", "RoomPage"]),
    face(
        Kind::Equipment,
        "/v1/locations/{parent_id}/equipment",
        "equipment",
        ["Equipment", "EquipmentEntry", "EquipmentPage"],
    ),
    face(Kind::Closure, "/v1/locations/{parent_id}/closures", "closure", ["Closure", "ClosureEntry", "ClosurePage"]),
    face(
        Kind::Practitioner,
        "/v1/practitioners",
        "practitioner",
        ["Practitioner", "PractitionerEntry", "PractitionerPage"],
    ),
    face(
        Kind::Certificate,
        "/v1/practitioners/{parent_id}/certificates",
        "certificate",
        ["Certificate", "CertificateEntry", "CertificatePage"],
    ),
    face(Kind::Roster, "/v1/practitioners/{parent_id}/rosters", "roster", ["Roster", "RosterEntry", "RosterPage"]),
    face(
        Kind::TimeOff,
        "/v1/practitioners/{parent_id}/time_off",
        "time_off",
        ["TimeOff", "TimeOffEntry", "TimeOffPage"],
    ),
    face(Kind::Service, "/v1/services", "service", ["Service", "ServiceEntry", "ServicePage"]),
    face(
        Kind::PlanTemplate,
        "/v1/plan_templates",
        "plan_template",
        ["PlanTemplate", "PlanTemplateEntry", "PlanTemplatePage"],
    ),
];

const fn face(kind: Kind, path: &'static str, name: &'static str, schemas: [&'static str; 3]) -> Face {
    Face { kind, path, name, schema: schemas[0], entry: schemas[1], page: schemas[2] }
}

pub(super) const DRY_RUN: Param = Param::new("dry_run", Type::Boolean, "Only say what it would displace");
const KEEPS: [&str; 2] = ["keep_wall_time", "keep_instant"];
/// Only a location has a time zone.
const APPOINTMENTS: Param = Param::new(
    "appointments",
    Type::Word(&KEEPS),
    "For another `time_zone` while appointments are ahead, which is 409 `has_appointments` without it: `keep_wall_time` moves \
     all of them to the same time of day in the new zone, or none where one cannot move (409 `appointments_clash`); \
     `keep_instant` leaves them where they are. Patients whose time changes are told. A dry run lists them",
);
pub(super) const ARCHIVED: Param = Param::new("archived", Type::Boolean, "Archived entries too");

/// A handler for each kind, since a handler is a plain function.
macro_rules! for_each_kind {
    ($function:ident) => {
        [
            handler_of!($function, Location),
            handler_of!($function, Room),
            handler_of!($function, Equipment),
            handler_of!($function, Closure),
            handler_of!($function, Practitioner),
            handler_of!($function, Certificate),
            handler_of!($function, Roster),
            handler_of!($function, TimeOff),
            handler_of!($function, Service),
            handler_of!($function, PlanTemplate),
        ]
    };
}
macro_rules! handler_of {
    ($function:ident, $kind:ident) => {{
        async fn handle(call: Call) -> Result<Reply, Fault> {
            $function(call, Kind::$kind).await
        }
        let handler: Handler = handler!(handle);
        handler
    }};
}

pub(crate) fn operations() -> Vec<Operation> {
    let (lists, creates, gets) = (for_each_kind!(list), for_each_kind!(create), for_each_kind!(get));
    let (patches, archives) = (for_each_kind!(patch), for_each_kind!(archive));
    let public = Access::Scopes(&[Scope::SlotsRead]);
    let write = Access::Scopes(&[Scope::DirectoryWrite]);
    let mut operations = Vec::new();
    for (at, face) in FACES.iter().enumerate() {
        let one = format!("{}/{{id}}", face.path);
        let name = face.name;
        let operation = |verb: &str, method, path: &str, summary: &str, access, handler| {
            let summary = format!("{summary} {}", name.replace('_', " "));
            Operation::new(&format!("{verb}_{name}"), method, path, "directory", &summary, access, handler)
        };
        // Certificates, rosters and time off are the staff's business; a time off's reason is a person's.
        let read = if matches!(face.kind, Kind::Certificate | Kind::Roster | Kind::TimeOff) { write } else { public };
        operations.extend([
            operation("list", Method::GET, face.path, "Lists each", read, lists[at])
                .params(&[ARCHIVED, LIMIT, CURSOR])
                .answer(200, face.page),
            operation("create", Method::POST, face.path, "Adds a", write, creates[at])
                .params(&[DRY_RUN])
                .body(face.schema)
                .answer(201, face.entry),
            operation("get", Method::GET, &one, "Shows one", read, gets[at]).answer(200, face.entry),
            operation("patch", Method::PATCH, &one, "Changes a", write, patches[at])
                .params(if face.kind == Kind::Location { &[DRY_RUN, APPOINTMENTS] } else { &[DRY_RUN] })
                .body("MergePatch")
                .answer(200, face.entry),
            operation("archive", Method::DELETE, &one, "Takes out of use a", write, archives[at])
                .params(&[DRY_RUN])
                .answer(200, face.entry),
        ]);
    }
    operations
}

fn schema_of(kind: Kind) -> &'static str {
    FACES.iter().find(|face| face.kind == kind).map(|face| face.schema).unwrap_or_default()
}

/// The fields of an entry's own, as JSON.
fn fields(body: &Body) -> Result<Value, Fault> {
    let tagged = serde_json::to_value(body).map_err(Fault::internal)?;
    Ok(tagged.get("body").cloned().unwrap_or_default())
}

fn body_of(kind: Kind, fields: &Value) -> Result<Body, Fault> {
    read(&json!({"kind": kind.as_str(), "body": fields})).map_err(|mut fault: Fault| {
        for violation in &mut fault.violations {
            violation.pointer = violation.pointer.strip_prefix("/body").unwrap_or(&violation.pointer).to_owned();
        }
        fault
    })
}

/// An entry as answers show it: head and fields side by side.
fn shown(entry: Entry) -> Result<Value, Fault> {
    let head = EntryHead {
        id: entry.id,
        version: entry.version,
        created_at: time::utc(entry.created_at_us),
        updated_at: time::utc(entry.updated_at_us),
        archived_at: time::optional(entry.archived_at_us, ""),
    };
    let body = convert::body_from_wire(entry.body.unwrap_or_default())
        .map_err(|_| Fault::internal("a stored entry is not valid"))?;
    let mut shown = serde_json::to_value(head).map_err(Fault::internal)?;
    if let (Value::Object(shown), Value::Object(fields)) = (&mut shown, fields(&body)?) {
        shown.extend(fields);
    }
    Ok(shown)
}

/// What a write answers; a dry run tells what it would open too.
pub(super) fn written(
    status: u16,
    dry_run: bool,
    response: tonic::Response<WriteEntryResponse>,
) -> Result<Reply, Fault> {
    written_with(status, dry_run, KeepAppointments::Unspecified, response)
}

/// The same, where a location's time zone may have changed.
fn written_with(
    status: u16,
    dry_run: bool,
    keep: KeepAppointments,
    response: tonic::Response<WriteEntryResponse>,
) -> Result<Reply, Fault> {
    let (metadata, answer, extensions) = response.into_parts();
    let entry = answer.entry.unwrap_or_default();
    let (id, version) = (entry.id.clone(), entry.version);
    let service = id.starts_with("svc_");
    let mut body = shown(entry)?;
    let opened = dry_run.then(|| answer.opened.into_iter().map(Opening::from).collect());
    let over_capacity = service.then_some(answer.over_capacity);
    let zone = body.get("time_zone").and_then(Value::as_str).unwrap_or_default();
    let rezoned: Vec<Rezoned> = answer.rezoned.iter().map(|it| Rezoned::new(it, zone, keep)).collect();
    let appointments = Some(rezoned).filter(|rezoned| !rezoned.is_empty());
    let skipped = answer.skipped.into_iter().map(SkippedComponent::from).collect();
    let impact = Impact { displaced: answer.displaced, over_capacity, opened, appointments, skipped };
    if let (Value::Object(body), Value::Object(impact)) =
        (&mut body, serde_json::to_value(impact).map_err(Fault::internal)?)
    {
        body.extend(impact);
    }
    let reply = Reply::json(status, &body)?.version(version).target(&id);
    Ok(reply.after(&tonic::Response::from_parts(metadata, (), extensions)))
}

pub(super) async fn list(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListEntriesRequest {
        kind: convert::kind_to_wire(kind) as i32,
        parent_id: call.part("parent_id"),
        limit: params.number("limit"),
        cursor: params.text_or_empty("cursor"),
        archived: params.flag("archived").unwrap_or(false),
    };
    let answer = call.inner.directory.clone().list_entries(call.context().request(request)).await?.into_inner();
    let data = answer.entries.into_iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    Reply::json(200, &json!({"data": data, "next_cursor": next_cursor(answer.next_cursor)}))
}

pub(super) async fn get(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let entry = find(&call, kind).await?;
    let version = entry.version;
    Ok(Reply::json(200, &shown(entry)?)?.version(version))
}

async fn find(call: &Call, kind: Kind) -> Result<Entry, Fault> {
    let request = GetEntryRequest {
        kind: convert::kind_to_wire(kind) as i32,
        id: call.part("id"),
        parent_id: call.part("parent_id"),
    };
    Ok(call.inner.directory.clone().get_entry(call.context().request(request)).await?.into_inner())
}

async fn create(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let body = body_of(kind, &call.body)?;
    let dry_run = call.params.flag("dry_run").unwrap_or(false);
    let request =
        CreateEntryRequest { parent_id: call.part("parent_id"), body: Some(convert::body_to_wire(&body)), dry_run };
    let response = call.inner.directory.clone().create_entry(call.context().forward(request)).await?;
    let id = response.get_ref().entry.as_ref().map(|entry| entry.id.clone()).unwrap_or_default();
    let path = FACES.iter().find(|face| face.kind == kind).map(|face| face.path).unwrap_or_default();
    let path = format!("{}/{id}", path.replace("{parent_id}", &call.part("parent_id")));
    Ok(written(201, dry_run, response)?.location(path))
}

async fn patch(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let present = find(&call, kind).await?;
    let version = present.version;
    let body = convert::body_from_wire(present.body.unwrap_or_default())
        .map_err(|_| Fault::internal("a stored entry is not valid"))?;
    let mut merged = fields(&body)?;
    merge(&mut merged, &call.body);
    call.inner.schemas.check_merged(schema_of(kind), &call.body, &merged)?;
    let body = body_of(kind, &merged)?;
    let if_version = match call.if_version()? {
        0 => version,
        version => version,
    };
    let dry_run = call.params.flag("dry_run").unwrap_or(false);
    let keep = match call.params.text("appointments") {
        Some("keep_wall_time") => KeepAppointments::WallTime,
        Some(_) => KeepAppointments::Instant,
        None => KeepAppointments::Unspecified,
    };
    let request = UpdateEntryRequest {
        id: call.part("id"),
        parent_id: call.part("parent_id"),
        body: Some(convert::body_to_wire(&body)),
        if_version,
        dry_run,
        appointments: keep.into(),
    };
    let response = call.inner.directory.clone().update_entry(call.context().request(request)).await?;
    written_with(200, dry_run, keep, response)
}

pub(super) async fn archive(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let dry_run = call.params.flag("dry_run").unwrap_or(false);
    let request = ArchiveEntryRequest {
        kind: convert::kind_to_wire(kind) as i32,
        id: call.part("id"),
        parent_id: call.part("parent_id"),
        if_version: call.if_version()?,
        dry_run,
    };
    written(200, dry_run, call.inner.directory.clone().archive_entry(call.context().request(request)).await?)
}

/// JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_follows_the_examples_of_rfc_7396() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{target} and {patch}");
        }
    }
}
