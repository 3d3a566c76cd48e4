//! The pages that patients open from the links in their messages, and the start page. A second dialect beside `v1`: it makes
//! the same calls and answers with HTML of the crate `web`.
//!
//! GET changes nothing. A form is a POST, which is answered with 303 to a page or with a page that says what is wrong. The
//! link's token is the permission and there are no cookies, so there is nothing to forge.

pub(crate) mod assets;
mod cancel;
mod link;
mod offers;
mod problem;
mod reschedule;
pub(crate) mod start;
mod unsubscribe;
mod visit;

use std::sync::Arc;

use axum::http::Method;
use rpc::Fault;
use serde_json::Value;
use web::Template;

use crate::{
    call::Call,
    interface::Interface,
    operation::{Access, Body, Content, Handler, Operation},
    page_frame::LANGUAGE,
    reply::Reply,
    schema::Schemas,
};

/// The dialect.
///
/// # Errors
/// Never: it has no schemas.
pub(crate) fn interface(public_url: &str) -> Result<Interface, String> {
    let operations = [
        visit::operations(),
        cancel::operations(),
        reschedule::operations(),
        offers::operations(),
        unsubscribe::operations(),
    ]
    .concat();
    let public_url = public_url.to_owned();
    Ok(Interface {
        base_paths: &["/m", "/o", "/u"],
        operations: operations.into_iter().map(Arc::new).collect(),
        error_body: Box::new(move |fault, reader| problem::error_body(&public_url, &fault, reader)),
        document: None,
        schemas: Arc::new(Schemas::compile(&Value::Null, std::iter::empty())?),
    })
}

/// A page.
fn page(id: &str, path: &str, handler: Handler) -> Operation {
    Operation::new(id, Method::GET, path, "pages", "", Access::Open, handler)
        .params(&[LANGUAGE])
        .content(Content::Html)
        .lenient()
}

/// The form of a page.
fn form(id: &str, path: &str, handler: Handler) -> Operation {
    Operation { method: Method::POST, ..page(id, path, handler) }.body(Body::Form).optional_body()
}

/// The reply with a page.
fn html(status: u16, page: &impl Template) -> Result<Reply, Fault> {
    Ok(Reply::html(status, page.render().map_err(Fault::internal)?))
}

/// A field of a form; empty without it.
fn field<'a>(call: &'a Call, name: &str) -> &'a str {
    call.form.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str())
}

/// The version of the appointment that a form's page showed.
///
/// # Errors
/// `validation_failed` for another text than a version.
fn version(call: &Call) -> Result<i64, Fault> {
    let version = field(call, "version").parse().ok().filter(|version| *version > 0);
    version.ok_or_else(|| Fault::violation("/version", "invalid_value", "send the form of the page as it is"))
}
