//! A fault as a page.

use rpc::{Code, Fault};
use web::{Problem, ProblemKind, Template};

use crate::{
    interface::{ErrorBody, Reader},
    page_frame, reply,
};

/// Writes a fault as a page. The page tells nothing of the link.
pub(super) fn error_body(public_url: &str, fault: &Fault, reader: &Reader) -> ErrorBody {
    let page = Problem { frame: page_frame::frame_for(public_url, reader), kind: kind(fault.code) };
    // Rendering fails only where a value fails to print, and none does.
    ErrorBody { media_type: reply::HTML, bytes: page.render().unwrap_or_default().into_bytes() }
}

fn kind(code: Code) -> ProblemKind {
    match code {
        Code::NotFound => ProblemKind::Unknown,
        Code::LinkExpired => ProblemKind::Expired,
        code if code.http() == 429 => ProblemKind::Busy,
        code if code.is_failure() => ProblemKind::Failure,
        _ => ProblemKind::Refused,
    }
}
