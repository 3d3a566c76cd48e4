//! The directory: ten kinds of entry with the same operations, so one set of handlers.

mod impact;

use axum::http::Method;
use domain::{
    directory::{Body as EntryBody, Kind},
    id::LocationId,
};
use rpc::{Code, Fault};
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

pub(super) use self::impact::{Impact, Opening, Rezoned};
use super::{CURSOR, LIMIT, busy::SkippedComponent, next_cursor, time};
use crate::{
    auth::Scope,
    call::{Call, parse},
    operation::{Access, Body, Handler, Operation},
    params::{Param, Type},
    reply::Reply,
};

/// The fields that every entry has beside its body.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryHead {
    id: String,
    version: i64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// When it was archived.
    #[schema(format = DateTime)]
    archived_at: Option<String>,
}

/// The schemas of the entries' bodies.
pub(super) const BODIES: [&str; 11] = [
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

/// The routes of one kind of entry.
struct EntryRoutes {
    kind: Kind,
    path: &'static str,
    body_schema: &'static str,
    entry_schema: &'static str,
    page_schema: &'static str,
    list: Handler,
    create: Handler,
    get: Handler,
    patch: Handler,
    archive: Handler,
}

macro_rules! routes {
    ($kind:ident, $path:literal) => {
        EntryRoutes {
            kind: Kind::$kind,
            path: $path,
            body_schema: stringify!($kind),
            entry_schema: concat!(stringify!($kind), "Entry"),
            page_schema: concat!(stringify!($kind), "Page"),
            list: |call| Box::pin(list(call, Kind::$kind)),
            create: |call| Box::pin(create(call, Kind::$kind, $path)),
            get: |call| Box::pin(get(call, Kind::$kind)),
            patch: |call| Box::pin(patch(call, Kind::$kind, stringify!($kind))),
            archive: |call| Box::pin(archive(call, Kind::$kind)),
        }
    };
}

const ROUTES: [EntryRoutes; 10] = [
    routes!(Location, "/v1/locations"),
    routes!(Room, "/v1/locations/{parent_id}/rooms"),
    routes!(Equipment, "/v1/locations/{parent_id}/equipment"),
    routes!(Closure, "/v1/locations/{parent_id}/closures"),
    routes!(Practitioner, "/v1/practitioners"),
    routes!(Certificate, "/v1/practitioners/{parent_id}/certificates"),
    routes!(Roster, "/v1/practitioners/{parent_id}/rosters"),
    routes!(TimeOff, "/v1/practitioners/{parent_id}/time_off"),
    routes!(Service, "/v1/services"),
    routes!(PlanTemplate, "/v1/plan_templates"),
];

pub(super) const DRY_RUN: Param = Param::new("dry_run", Type::Boolean, "Returns the effects without the write");
pub(super) const ARCHIVED: Param = Param::new("archived", Type::Boolean, "Includes archived entries");
const KEEP_WALL_TIME: &str = "keep_wall_time";
const KEEP_INSTANT: &str = "keep_instant";
/// Of locations, whose time zone a patch may change.
const APPOINTMENTS: Param = Param::new(
    "appointments",
    Type::Word(&[KEEP_WALL_TIME, KEEP_INSTANT]),
    "How a new `time_zone` affects upcoming appointments; without it, 409 `has_appointments`. `keep_wall_time` moves all of \
     them to the same time of day in the new zone, or none if one cannot move (409 `appointments_clash`). `keep_instant` \
     moves none. Patients whose time changes are notified. A dry run lists the appointments",
);

pub(super) fn operations() -> Vec<Operation> {
    ROUTES.iter().flat_map(entry_operations).collect()
}

fn entry_operations(routes: &EntryRoutes) -> [Operation; 5] {
    let EntryRoutes { kind, path, body_schema, entry_schema, page_schema, .. } = *routes;
    let resource = format!("{path}/{{id}}");
    let name = kind.as_str();
    let label = name.replace('_', " ");
    let plural = path.rsplit('/').next().unwrap_or_default().replace('_', " ");
    let operation = |verb: &str, method, path: &str, summary: String, access, handler| {
        Operation::new(&format!("{verb}_{name}"), method, path, "directory", &summary, access, handler)
    };
    let write = Access::Scopes(&[Scope::DirectoryWrite]);
    // Certificates, rosters and time off are for staff only: they may hold personal reasons.
    let read = match kind {
        Kind::Certificate | Kind::Roster | Kind::TimeOff => write,
        _ => Access::Scopes(&[Scope::SlotsRead]),
    };
    let patch_params: &[Param] = if kind == Kind::Location { &[DRY_RUN, APPOINTMENTS] } else { &[DRY_RUN] };
    [
        operation("list", Method::GET, path, format!("Lists {plural}"), read, routes.list)
            .params(&[ARCHIVED, LIMIT, CURSOR])
            .revalidates()
            .answer(200, page_schema),
        operation("create", Method::POST, path, format!("Creates one {label}"), write, routes.create)
            .params(&[DRY_RUN])
            .json_body(body_schema)
            .answer(201, entry_schema),
        operation("get", Method::GET, &resource, format!("Returns one {label}"), read, routes.get)
            .answer(200, entry_schema),
        operation("patch", Method::PATCH, &resource, format!("Changes one {label}"), write, routes.patch)
            .params(patch_params)
            .body(Body::MergePatch)
            .answer(200, entry_schema),
        operation("archive", Method::DELETE, &resource, format!("Archives one {label}"), write, routes.archive)
            .params(&[DRY_RUN])
            .answer(200, entry_schema),
    ]
}

/// The fields of an entry's body.
fn fields(entry: &Entry) -> Result<Value, Fault> {
    let body = convert::body_from_wire(entry.body.clone().unwrap_or_default())
        .map_err(|_| Fault::internal(format!("the stored entry {} is not valid", entry.id)))?;
    let tagged = serde_json::to_value(body).map_err(Fault::internal)?;
    Ok(tagged.get("body").cloned().unwrap_or_default())
}

/// The body of an entry of this kind with these fields.
fn parse_entry(kind: Kind, fields: &Value) -> Result<EntryBody, Fault> {
    parse(&json!({"kind": kind.as_str(), "body": fields})).map_err(|mut fault: Fault| {
        for violation in &mut fault.violations {
            violation.pointer = violation.pointer.strip_prefix("/body").unwrap_or(&violation.pointer).to_owned();
        }
        fault
    })
}

/// An entry as one object with the fields of its head and its body.
fn to_json(entry: &Entry) -> Result<Value, Fault> {
    let head = EntryHead {
        id: entry.id.clone(),
        version: entry.version,
        created_at: time::utc(entry.created_at_us),
        updated_at: time::utc(entry.updated_at_us),
        archived_at: time::optional(entry.archived_at_us, ""),
    };
    let mut json = serde_json::to_value(head).map_err(Fault::internal)?;
    extend(&mut json, fields(entry)?);
    Ok(json)
}

/// Adds the members of an object to another.
fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// The reply to a write. A dry run also says which starts it would open.
pub(super) fn write_reply(
    status: u16,
    dry_run: bool,
    response: tonic::Response<WriteEntryResponse>,
) -> Result<Reply, Fault> {
    rezoning_reply(status, dry_run, KeepAppointments::Unspecified, response)
}

/// The reply to a write that may have changed a location's time zone.
fn rezoning_reply(
    status: u16,
    dry_run: bool,
    keep: KeepAppointments,
    response: tonic::Response<WriteEntryResponse>,
) -> Result<Reply, Fault> {
    let (metadata, answer, _) = response.into_parts();
    let entry = answer.entry.unwrap_or_default();
    let is_service = entry.id.starts_with("svc_");
    let mut json = to_json(&entry)?;
    let zone = json.get("time_zone").and_then(Value::as_str).unwrap_or_default();
    let rezoned: Vec<Rezoned> =
        answer.rezoned.iter().map(|appointment| Rezoned::new(appointment, zone, keep)).collect();
    let impact = Impact {
        displaced: answer.displaced,
        over_capacity: is_service.then_some(answer.over_capacity),
        opened: dry_run.then(|| answer.opened.into_iter().map(Opening::from).collect()),
        appointments: Some(rezoned).filter(|rezoned| !rezoned.is_empty()),
        skipped: answer.skipped.into_iter().map(SkippedComponent::from).collect(),
    };
    extend(&mut json, serde_json::to_value(impact).map_err(Fault::internal)?);
    Ok(Reply::json(status, &json)?.version(entry.version).target(&entry.id).write_metadata(&metadata))
}

pub(super) async fn list(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let params = &call.params;
    let request = ListEntriesRequest {
        kind: convert::kind_to_wire(kind) as i32,
        parent_id: call.path_param("parent_id"),
        limit: params.number("limit"),
        cursor: params.text_or_empty("cursor"),
        archived: params.flag("archived").unwrap_or(false),
    };
    let answer = call.inner.directory.clone().list_entries(call.context().request(request)).await?.into_inner();
    let data = answer.entries.iter().map(to_json).collect::<Result<Vec<_>, _>>()?;
    let rows = data.len();
    Ok(Reply::json(200, &json!({"data": data, "next_cursor": next_cursor(answer.next_cursor)}))?.rows(rows))
}

pub(super) async fn get(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let entry = find(&call, kind).await?;
    Ok(Reply::json(200, &to_json(&entry)?)?.version(entry.version))
}

/// The id of a location that exists; `None` for another text.
pub(super) async fn location_exists(call: &Call, id: &str) -> Result<Option<LocationId>, Fault> {
    let Ok(location) = id.parse::<LocationId>() else { return Ok(None) };
    let kind = convert::kind_to_wire(Kind::Location) as i32;
    let request = GetEntryRequest { kind, id: location.to_string(), parent_id: String::new() };
    match call.inner.directory.clone().get_entry(call.context().request(request)).await.map_err(Fault::from) {
        Ok(_) => Ok(Some(location)),
        Err(fault) if fault.code == Code::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

async fn find(call: &Call, kind: Kind) -> Result<Entry, Fault> {
    let request = GetEntryRequest {
        kind: convert::kind_to_wire(kind) as i32,
        id: call.path_param("id"),
        parent_id: call.path_param("parent_id"),
    };
    Ok(call.inner.directory.clone().get_entry(call.context().request(request)).await?.into_inner())
}

async fn create(call: Call, kind: Kind, path: &str) -> Result<Reply, Fault> {
    let body = parse_entry(kind, &call.body)?;
    let parent_id = call.path_param("parent_id");
    let dry_run = call.params.flag("dry_run").unwrap_or(false);
    let request =
        CreateEntryRequest { parent_id: parent_id.clone(), body: Some(convert::body_to_wire(&body)), dry_run };
    let response = call.inner.directory.clone().create_entry(call.context().forward(request)).await?;
    let id = response.get_ref().entry.as_ref().map(|entry| entry.id.clone()).unwrap_or_default();
    let path = format!("{}/{id}", path.replace("{parent_id}", &parent_id));
    Ok(write_reply(201, dry_run, response)?.location(path))
}

async fn patch(call: Call, kind: Kind, schema: &str) -> Result<Reply, Fault> {
    let current = find(&call, kind).await?;
    let patched: Value = call.merge_patch(schema, fields(&current)?)?;
    let body = parse_entry(kind, &patched)?;
    let dry_run = call.params.flag("dry_run").unwrap_or(false);
    let keep = match call.params.text("appointments") {
        Some(KEEP_WALL_TIME) => KeepAppointments::WallTime,
        Some(_) => KeepAppointments::Instant,
        None => KeepAppointments::Unspecified,
    };
    let request = UpdateEntryRequest {
        id: call.path_param("id"),
        parent_id: call.path_param("parent_id"),
        body: Some(convert::body_to_wire(&body)),
        if_version: call.if_match_or(current.version)?,
        dry_run,
        appointments: keep.into(),
    };
    let response = call.inner.directory.clone().update_entry(call.context().request(request)).await?;
    rezoning_reply(200, dry_run, keep, response)
}

pub(super) async fn archive(call: Call, kind: Kind) -> Result<Reply, Fault> {
    let dry_run = call.params.flag("dry_run").unwrap_or(false);
    let request = ArchiveEntryRequest {
        kind: convert::kind_to_wire(kind) as i32,
        id: call.path_param("id"),
        parent_id: call.path_param("parent_id"),
        if_version: call.if_match()?,
        dry_run,
    };
    write_reply(200, dry_run, call.inner.directory.clone().archive_entry(call.context().request(request)).await?)
}
