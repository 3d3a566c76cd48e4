//! A practitioner's busy times from calendars that are kept elsewhere.

use axum::http::Method;
use domain::directory::Kind;
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::availability::{ImportBusyRequest, Skipped};

use super::{
    CURSOR, LIMIT,
    directory::{self, ARCHIVED, DRY_RUN},
};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, Param, Type, handler},
};

/// Where a calendar is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CalendarAddress {
    /// It is read now and again and again; `https://`, `http://` or `webcal://`, on the public internet.
    #[schema(min_length = 8, max_length = 2000)]
    url: String,
}

const SOURCE: Param =
    Param::new("source", Type::Text(64), "Which calendar it is; `calendar` if left out. It replaces what came before");

const LENIENT: Param = Param::new(
    "lenient",
    Type::Boolean,
    "Take what can be read and list the rest in `skipped`; without it one fault refuses the whole file",
);

/// The largest calendar file, in bytes: more than a year of a full calendar.
pub(crate) const FILE_BYTES_MAX: usize = 2 << 20;

/// Something of a calendar file that was left out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SkippedComponent {
    /// `VEVENT`, `VFREEBUSY`, or `VCALENDAR` for the frame of the file.
    #[schema(example = "VEVENT")]
    component: String,
    /// The line on which it begins, or that of the property that cannot be read.
    #[schema(example = 214)]
    line: u32,
    /// As an import that is not lenient names it.
    #[schema(example = "unknown_time_zone")]
    code: String,
    detail: String,
}

impl From<Skipped> for SkippedComponent {
    fn from(skipped: Skipped) -> Self {
        let Skipped { component, line, code, detail } = skipped;
        Self { component, line, code, detail }
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let path = "/v1/practitioners/{parent_id}/busy";
    let one = format!("{path}/{{id}}");
    let write = Access::Scopes(&[Scope::DirectoryWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "directory", summary, write, handler)
    };
    vec![
        operation("list_busy", Method::GET, path, "Lists imported busy time by its source", handler!(list))
            .params(&[ARCHIVED, LIMIT, CURSOR])
            .answer(200, "BusyPage"),
        operation(
            "import_busy",
            Method::POST,
            path,
            "Takes over the busy times of an iCalendar file, or of the one at an address",
            handler!(import),
        )
        .params(&[SOURCE, LENIENT, DRY_RUN])
        .body("Calendar")
        .body_bytes(FILE_BYTES_MAX, "export fewer months")
        .answer(200, "ImportedBusy"),
        operation("get_busy", Method::GET, &one, "Shows the busy time of one source", handler!(get))
            .answer(200, "BusyEntry"),
        operation("archive_busy", Method::DELETE, &one, "Takes a source of busy time out of use", handler!(archive))
            .params(&[DRY_RUN])
            .answer(200, "BusyEntry"),
    ]
}

async fn import(call: Call) -> Result<Reply, Fault> {
    let source = call.params.text_or_empty("source");
    let dry_run = call.params.flag("dry_run").unwrap_or(false);
    let address: Option<CalendarAddress> = if call.body.is_object() { Some(call.read()?) } else { None };
    let request = ImportBusyRequest {
        practitioner_id: call.part("parent_id"),
        source: if source.is_empty() { "calendar".to_owned() } else { source },
        calendar: call.body.as_str().unwrap_or_default().to_owned(),
        url: address.map(|address| address.url).unwrap_or_default(),
        lenient: call.params.flag("lenient").unwrap_or(false),
        dry_run,
    };
    directory::written(200, dry_run, call.inner.directory.clone().import_busy(call.context().forward(request)).await?)
}

async fn list(call: Call) -> Result<Reply, Fault> {
    directory::list(call, Kind::Busy).await
}

async fn get(call: Call) -> Result<Reply, Fault> {
    directory::get(call, Kind::Busy).await
}

async fn archive(call: Call) -> Result<Reply, Fault> {
    directory::archive(call, Kind::Busy).await
}
