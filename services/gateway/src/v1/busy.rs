//! A practitioner's busy times, imported from other calendars.

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
    call::Call,
    operation::{Access, Body, Operation, handler},
    params::{Param, Type},
    reply::Reply,
};

/// The URL of a calendar.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CalendarAddress {
    /// Fetched now and then regularly; `https://`, `http://` or `webcal://`, on the public internet.
    #[schema(min_length = 8, max_length = 2000)]
    url: String,
}

const SOURCE: Param = Param::new(
    "source",
    Type::Text(64),
    "The name of the calendar; `calendar` without it. An import replaces the previous one of the same name",
);

const LENIENT: Param = Param::new(
    "lenient",
    Type::Boolean,
    "Skips components that cannot be parsed and lists them in `skipped`; without it, one fault refuses the file",
);

/// The largest calendar file in bytes, which holds more than a year of a full calendar.
const FILE_BYTES_MAX: usize = 2 << 20;

/// A component of a calendar file that an import skipped.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SkippedComponent {
    /// `VEVENT`, `VFREEBUSY`, or `VCALENDAR` for the calendar itself.
    #[schema(example = "VEVENT")]
    component: String,
    /// The line on which it begins, or the line of the property that cannot be parsed.
    #[schema(example = 214)]
    line: u32,
    /// The code with which a strict import refuses the file.
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
    let resource = format!("{path}/{{id}}");
    let write = Access::Scopes(&[Scope::DirectoryWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "directory", summary, write, handler)
    };
    vec![
        operation("list_busy", Method::GET, path, "Lists the imported busy times by source", handler!(list))
            .params(&[ARCHIVED, LIMIT, CURSOR])
            .answer(200, "BusyPage"),
        operation(
            "import_busy",
            Method::POST,
            path,
            "Imports the busy times of an iCalendar file or URL",
            handler!(import),
        )
        .params(&[SOURCE, LENIENT, DRY_RUN])
        .body(Body::Calendar { url_schema: "CalendarAddress" })
        .body_limit(FILE_BYTES_MAX, "export fewer months")
        .answer(200, "ImportedBusy"),
        operation("get_busy", Method::GET, &resource, "Returns the busy times of one source", handler!(get))
            .answer(200, "BusyEntry"),
        operation("archive_busy", Method::DELETE, &resource, "Archives a source of busy times", handler!(archive))
            .params(&[DRY_RUN])
            .answer(200, "BusyEntry"),
    ]
}

async fn import(call: Call) -> Result<Reply, Fault> {
    let source = call.params.text_or_empty("source");
    let dry_run = call.params.flag("dry_run").unwrap_or(false);
    let address: Option<CalendarAddress> = if call.body.is_object() { Some(call.parse_body()?) } else { None };
    let request = ImportBusyRequest {
        practitioner_id: call.path_param("parent_id"),
        source: if source.is_empty() { "calendar".to_owned() } else { source },
        calendar: call.body.as_str().unwrap_or_default().to_owned(),
        url: address.map(|address| address.url).unwrap_or_default(),
        lenient: call.params.flag("lenient").unwrap_or(false),
        dry_run,
    };
    directory::write_reply(
        200,
        dry_run,
        call.inner.directory.clone().import_busy(call.context().forward(request)).await?,
    )
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
