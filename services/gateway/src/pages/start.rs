//! The start page, for browsers.

use axum::{extract::Request, response::Response};
use rpc::Fault;
use web::Start;

use super::html;
use crate::{Inner, interface::Reader, page_frame};

/// The start page.
pub(crate) fn show(inner: &Inner, request: &Request) -> Response {
    let page = Start { frame: page_frame::frame_for(&inner.public_url, &Reader::of(request)) };
    let reply: Result<_, Fault> = html(200, &page);
    reply.map_or_else(|fault| inner.default_interface().error(fault), |reply| reply.into_response())
}
