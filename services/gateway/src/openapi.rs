//! The paths of an OpenAPI 3.1 document, from a dialect's operations.

use axum::http::Method;
use domain::time::Day;
use serde_json::{Map, Value, json};

use crate::{
    auth::Scope,
    operation::{Access, Body, Content, Operation},
    params::{Param, Type},
};

/// The statuses of problems. Each operation lists all of them: any of them can come from any operation.
const PROBLEM_STATUSES: [u16; 16] = [400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 415, 422, 429, 500, 503, 504];

/// The `paths` of these operations. They refer to the component response `Problem` and to the component schemas that the
/// operations name.
pub(crate) fn paths<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> Map<String, Value> {
    let mut paths = Map::new();
    for operation in operations {
        let item = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        item[operation.method.as_str().to_lowercase()] = operation_object(operation);
    }
    paths
}

fn operation_object(operation: &Operation) -> Value {
    let in_path = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let in_query = operation.params.iter().map(query_parameter);
    // Forms come from providers and mail programs, which send no idempotency key.
    let idempotent = operation.method == Method::POST && operation.body != Some(Body::Form);
    // Front ends hold, book and prove numbers for their visitors.
    let for_visitor = operation.method == Method::POST && operation.access == Access::Scopes(&[Scope::BookingsWrite]);
    let in_header = idempotent.then(idempotency_key).into_iter().chain(for_visitor.then(visitor));
    let mut responses = Map::new();
    responses.insert(operation.status.to_string(), success(operation.content));
    for status in PROBLEM_STATUSES {
        responses.insert(status.to_string(), json!({"$ref": "#/components/responses/Problem"}));
    }
    let mut object = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": in_path.chain(in_query).chain(in_header).collect::<Vec<_>>(),
        "responses": responses,
    });
    match operation.access {
        Access::Open => object["security"] = json!([]),
        Access::Scopes([]) => object["description"] = json!("Needs a key or a token, with any scope."),
        Access::Scopes(scopes) => {
            let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            object["description"] = json!(format!("Needs the scope {}.", names.join(" and ")));
            object["security"] = json!([{"key": names}]);
        }
        Access::Installation => object["description"] = json!("Needs the installation's own key."),
    }
    if let Some(body) = operation.body {
        object["requestBody"] =
            json!({"required": !operation.body_optional, "content": request_content(operation, body)});
    }
    if let Some(describe) = operation.describe {
        describe(&mut object);
    }
    object
}

fn schema_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn request_content(operation: &Operation, body: Body) -> Value {
    match body {
        Body::Json(name) => json!({"application/json": {"schema": schema_ref(name)}}),
        Body::MergePatch => json!({"application/merge-patch+json": {"schema": {"type": "object"}}}),
        Body::Form => json!({
            "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
            "application/json": {"schema": {"type": "object"}},
        }),
        Body::Calendar { url_schema } => {
            let mut file = json!({"type": "string"});
            if let Some(limit) = operation.body_limit {
                file["maxLength"] = json!(limit.bytes);
            }
            json!({"text/calendar": {"schema": file}, "application/json": {"schema": schema_ref(url_schema)}})
        }
    }
}

fn idempotency_key() -> Value {
    json!({"name": "Idempotency-Key", "in": "header", "required": false,
        "description": "Of the caller's own choosing: for a day, the same request with the same key is done once and \
                        answered alike, with `Idempotency-Replayed: true`",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"}})
}

fn visitor() -> Value {
    json!({"name": "Meridian-Visitor", "in": "header", "required": false,
        "description": "With a front end's key: an opaque name of the end user, for whom limits count. Without it, the \
                        client's address counts",
        "schema": {"type": "string", "pattern": "^[!-~]{1,64}$"}})
}

fn success(content: Content) -> Value {
    let text = json!({"schema": {"type": "string"}});
    let (description, content) = match content {
        Content::Empty => return json!({"description": "Done"}),
        Content::Json(name) => ("The answer", json!({"application/json": {"schema": schema_ref(name)}})),
        Content::JsonOrCsv(name) => {
            ("The answer", json!({"application/json": {"schema": schema_ref(name)}, "text/csv": text}))
        }
        Content::JsonCsvOrNdjson(name) => (
            "The answer; of CSV and NDJSON, the header `Meridian-Next-Cursor` has the next page's cursor",
            json!({"application/json": {"schema": schema_ref(name)}, "text/csv": text, "application/x-ndjson": text}),
        ),
        Content::Events(name) => (
            "Server-sent events; the data of each is JSON of this schema",
            json!({"text/event-stream": {"itemSchema": schema_ref(name)}}),
        ),
        Content::Html => ("The page", json!({"text/html": text})),
        Content::Calendar => ("The file", json!({"text/calendar": text})),
    };
    json!({"description": description, "content": content})
}

fn query_parameter(param: &Param) -> Value {
    let value = value_schema(param.value_type);
    let schema = if param.repeated { json!({"type": "array", "items": value}) } else { value };
    json!({"name": param.name, "in": "query", "required": param.required, "description": param.description,
        "schema": schema})
}

fn value_schema(value_type: Type) -> Value {
    match value_type {
        Type::Id(prefix) => json!({"type": "string", "pattern": format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")}),
        Type::Instant => json!({"type": "string", "format": "date-time"}),
        Type::Date => json!({"type": "string", "format": "date"}),
        Type::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Type::Number(min, max) => json!({"type": "number", "minimum": min, "maximum": max}),
        Type::Boolean => json!({"type": "boolean"}),
        Type::Point => json!({"type": "string", "pattern": "^-?[0-9.]+,-?[0-9.]+$"}),
        Type::WallTime => json!({"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"}),
        Type::Days => {
            let day = Day::WORDS.join("|");
            json!({"type": "string", "pattern": format!("^({day})(,({day}))*$")})
        }
        Type::Word(words) => json!({"type": "string", "enum": words}),
        Type::Words(words) => {
            let word = words.join("|");
            json!({"type": "string", "pattern": format!("^({word})(,({word}))*$")})
        }
        Type::Text(max) => json!({"type": "string", "maxLength": max}),
    }
}
