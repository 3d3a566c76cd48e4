//! An operation of a dialect: one entry declares its path, access, parameters, body and answer. The router, the check of
//! scopes, the parameters' parser and the OpenAPI document are derived from it, so that they cannot disagree.

use axum::http::Method;
use futures::future::BoxFuture;
use rpc::Fault;
use serde_json::Value;

use crate::{auth::Scope, call::Call, params::Param, reply::Reply};

/// The callers of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everyone: the path holds a signed link, or the body is signed by a provider.
    Open,
    /// Keys that have all of these scopes.
    Scopes(&'static [Scope]),
    /// The installation's own key.
    Installation,
}

/// The body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// JSON of the schema with this name.
    Json(&'static str),
    /// A JSON merge patch (RFC 7396); the handler checks the merged resource.
    MergePatch,
    /// A provider's form or JSON, which its service reads.
    Form,
    /// An iCalendar file, or JSON of the schema `url_schema` with the file's URL.
    Calendar { url_schema: &'static str },
}

impl Body {
    /// The name of the schema that a JSON body must satisfy.
    pub(crate) fn schema(self) -> Option<&'static str> {
        match self {
            Self::Json(schema) | Self::Calendar { url_schema: schema } => Some(schema),
            Self::MergePatch | Self::Form => None,
        }
    }
}

/// The content of a successful answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Empty,
    /// JSON of the schema with this name.
    Json(&'static str),
    /// The same, or CSV if the request accepts it.
    JsonOrCsv(&'static str),
    /// The same, or NDJSON of the list's entries.
    JsonCsvOrNdjson(&'static str),
    /// Server-sent events whose data is JSON of this schema.
    Events(&'static str),
    Html,
    Calendar,
}

/// A size limit of bodies that differs from the configured one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyLimit {
    pub(crate) bytes: usize,
    /// How to send less.
    pub(crate) advice: &'static str,
}

/// The function that handles an operation.
pub(crate) type Handler = fn(Call) -> BoxFuture<'static, Result<Reply, Fault>>;

/// An operation.
#[derive(Clone)]
pub(crate) struct Operation {
    /// Unique; also the action in the audit log.
    pub(crate) id: String,
    pub(crate) method: Method,
    /// With `{name}` for path parameters.
    pub(crate) path: String,
    pub(crate) tag: &'static str,
    pub(crate) summary: String,
    pub(crate) access: Access,
    pub(crate) params: Vec<Param>,
    pub(crate) body: Option<Body>,
    pub(crate) body_limit: Option<BodyLimit>,
    /// Whether the body may be omitted.
    pub(crate) body_optional: bool,
    pub(crate) status: u16,
    pub(crate) content: Content,
    /// Whether its answer holds no personal data, so that reads are not recorded.
    pub(crate) is_public: bool,
    /// Whether the gateway stores the answer for an idempotency key; otherwise the called service stores it.
    pub(crate) replayed_by_gateway: bool,
    /// Whether its answers carry an `ETag` of their bytes, by which a client asks whether they have changed.
    pub(crate) revalidates: bool,
    /// Adds to the OpenAPI document what this table cannot express.
    pub(crate) describe: Option<fn(&mut Value)>,
    /// Whether it ignores unknown parameters of the query.
    pub(crate) is_lenient: bool,
    pub(crate) handler: Handler,
}

impl Operation {
    /// An operation without parameters and body, with status 200 and no content.
    pub(crate) fn new(
        id: &str,
        method: Method,
        path: &str,
        tag: &'static str,
        summary: &str,
        access: Access,
        handler: Handler,
    ) -> Self {
        Self {
            id: id.to_owned(),
            method,
            path: path.to_owned(),
            tag,
            summary: summary.to_owned(),
            access,
            params: vec![],
            body: None,
            body_limit: None,
            body_optional: false,
            status: 200,
            content: Content::Empty,
            is_public: access == Access::Scopes(&[Scope::SlotsRead]),
            replayed_by_gateway: false,
            revalidates: false,
            describe: None,
            is_lenient: false,
            handler,
        }
    }

    pub(crate) fn params(mut self, params: &[Param]) -> Self {
        self.params.extend_from_slice(params);
        self
    }

    /// Takes JSON of the schema with this name.
    pub(crate) fn json_body(self, schema: &'static str) -> Self {
        self.body(Body::Json(schema))
    }

    pub(crate) fn body(self, body: Body) -> Self {
        Self { body: Some(body), ..self }
    }

    /// The body may be omitted.
    pub(crate) fn optional_body(self) -> Self {
        Self { body_optional: true, ..self }
    }

    pub(crate) fn body_limit(self, bytes: usize, advice: &'static str) -> Self {
        Self { body_limit: Some(BodyLimit { bytes, advice }), ..self }
    }

    /// Answers with JSON of the schema with this name.
    pub(crate) fn answer(self, status: u16, schema: &'static str) -> Self {
        Self { status, ..self.content(Content::Json(schema)) }
    }

    pub(crate) fn content(self, content: Content) -> Self {
        Self { content, ..self }
    }

    pub(crate) fn no_content(self) -> Self {
        Self { status: 204, content: Content::Empty, ..self }
    }

    /// The gateway stores the answer for an idempotency key, because no service does.
    pub(crate) fn replayed_by_gateway(self) -> Self {
        Self { replayed_by_gateway: true, ..self }
    }

    /// Its answers carry an `ETag` of their bytes.
    pub(crate) fn revalidates(self) -> Self {
        Self { revalidates: true, ..self }
    }

    /// Its answer holds no personal data. Operations that need `slots:read` alone hold none either.
    pub(crate) fn public(self) -> Self {
        Self { is_public: true, ..self }
    }

    /// It ignores unknown parameters of the query, which mail programs and messengers add to links.
    pub(crate) fn lenient(self) -> Self {
        Self { is_lenient: true, ..self }
    }

    /// Whether it may change something.
    pub(crate) fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// Whether the audit log records its answers: every write, and every read of personal data.
    pub(crate) fn is_audited(&self) -> bool {
        self.is_write() || !self.is_public
    }

    /// Extends the operation's entry in the OpenAPI document.
    pub(crate) fn describe(self, describe: fn(&mut Value)) -> Self {
        Self { describe: Some(describe), ..self }
    }
}

/// Makes a [`Handler`] of an async function.
macro_rules! handler {
    ($function:path) => {
        |call| Box::pin($function(call))
    };
}
pub(crate) use handler;
