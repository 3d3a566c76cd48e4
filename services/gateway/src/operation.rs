//! An operation of the public interface: one entry says its path, who may call it, its parameters, its body and its
//! answer. The router, the check of scopes, the reading of parameters and `/openapi.json` are all made from it, so
//! they cannot disagree.

use axum::http::Method;
use futures::future::BoxFuture;
use rpc::Fault;
use serde_json::Value;

use crate::{
    auth::Scope,
    call::{Call, Reply},
};

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever holds a manage link, or a provider with its signature.
    Open,
    /// Keys that have all of these scopes.
    Scopes(&'static [Scope]),
    /// The installation's own key.
    Installation,
}

/// What a query parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// An id with this prefix.
    Id(&'static str),
    /// RFC 3339 with an offset.
    Instant,
    /// `YYYY-MM-DD`.
    Date,
    /// A whole number in a range.
    Integer(i64, i64),
    /// A number in a range.
    Number(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// `latitude,longitude`.
    Point,
    /// `HH:MM`.
    WallTime,
    /// Days `mo` to `su`, separated by commas.
    Days,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any text up to so many characters.
    Text(usize),
}

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) holds: Type,
    pub(crate) required: bool,
    /// Whether it may be given several times.
    pub(crate) repeats: bool,
    pub(crate) about: &'static str,
}

impl Param {
    /// An optional parameter that is given once.
    pub(crate) const fn new(name: &'static str, holds: Type, about: &'static str) -> Self {
        Self { name, holds, required: false, repeats: false, about }
    }

    /// It must be given.
    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// It may be given several times.
    pub(crate) const fn repeats(self) -> Self {
        Self { repeats: true, ..self }
    }
}

/// What handles an operation.
pub(crate) type Handler = fn(Call) -> BoxFuture<'static, Result<Reply, Fault>>;

/// An operation.
#[derive(Clone)]
pub(crate) struct Operation {
    /// Unique; also the action in the audit log.
    pub(crate) id: String,
    pub(crate) method: Method,
    /// With `{name}` for parts that vary.
    pub(crate) path: String,
    pub(crate) tag: &'static str,
    pub(crate) summary: String,
    pub(crate) access: Access,
    pub(crate) params: Vec<Param>,
    /// The schema of the body.
    pub(crate) body: Option<&'static str>,
    /// The largest body where it is another than elsewhere, in bytes, and how to send less.
    pub(crate) body_bytes: Option<(usize, &'static str)>,
    /// Whether the body may be left out.
    pub(crate) body_optional: bool,
    /// The status and schema of the answer; none for an answer without content.
    pub(crate) answer: (u16, Option<&'static str>),
    /// Whether the answer can be had as CSV too.
    pub(crate) csv: bool,
    /// Whether it answers with server-sent events, each with the schema's content.
    pub(crate) events: bool,
    /// Whether the gateway keeps the answer for an idempotency key; else the service does that is called.
    pub(crate) keeps: bool,
    /// Documents in `/openapi.json` what this table cannot say of it.
    pub(crate) more: Option<fn(&mut Value)>,
    pub(crate) handler: Handler,
}

impl Operation {
    /// An operation with a JSON answer.
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
            body_bytes: None,
            body_optional: false,
            answer: (200, None),
            csv: false,
            events: false,
            keeps: false,
            more: None,
            handler,
        }
    }

    pub(crate) fn params(mut self, params: &[Param]) -> Self {
        self.params.extend_from_slice(params);
        self
    }

    pub(crate) fn body(mut self, schema: &'static str) -> Self {
        self.body = Some(schema);
        self
    }

    /// It may have a body of so many bytes; who sends more is advised so.
    pub(crate) fn body_bytes(mut self, most: usize, advice: &'static str) -> Self {
        self.body_bytes = Some((most, advice));
        self
    }

    pub(crate) fn answer(mut self, status: u16, schema: &'static str) -> Self {
        self.answer = (status, Some(schema));
        self
    }

    /// No service keeps the answer for an idempotency key, so the gateway does.
    pub(crate) fn keeps(self) -> Self {
        Self { keeps: true, ..self }
    }

    pub(crate) fn no_content(self) -> Self {
        self.no_body(204)
    }

    pub(crate) fn no_body(mut self, status: u16) -> Self {
        self.answer = (status, None);
        self
    }
}

/// Makes a handler of an async function.
macro_rules! handler {
    ($function:path) => {
        |call| Box::pin($function(call))
    };
}
pub(crate) use handler;
