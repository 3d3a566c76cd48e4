//! A dialect of the gateway: its operations, the body of its errors and its document. `v1` is one; the router, the
//! dispatch and the bodies' checks know dialects through this type alone.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rpc::{Code, Fault};
use serde_json::Value;

use crate::{auth, operation::Operation, reply, schema::Schemas};

/// A dialect.
pub(crate) struct Interface {
    /// The beginnings of its paths, without a slash at the end.
    pub(crate) base_paths: &'static [&'static str],
    pub(crate) operations: Vec<Arc<Operation>>,
    /// Writes a fault in the dialect's own form.
    pub(crate) error_body: WriteError,
    /// `None` for a dialect without programs among its clients.
    pub(crate) document: Option<Document>,
    /// The schemas of the request bodies.
    pub(crate) schemas: Arc<Schemas>,
}

/// Writes a fault for its reader.
pub(crate) type WriteError = Box<dyn Fn(Fault, &Reader) -> ErrorBody + Send + Sync>;

/// What a refused request says of its reader, for dialects that write in several languages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reader {
    pub(crate) uri: Uri,
    pub(crate) accept_language: Option<HeaderValue>,
}

impl Reader {
    /// The reader of the answer to a request.
    pub(crate) fn of(request: &Request) -> Self {
        let accept_language = request.headers().get(header::ACCEPT_LANGUAGE).cloned();
        Self { uri: request.uri().clone(), accept_language }
    }
}

/// The body of an error.
pub(crate) struct ErrorBody {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// The description of a dialect for its clients, such as an OpenAPI document.
pub(crate) struct Document {
    pub(crate) path: &'static str,
    pub(crate) json: Value,
}

impl Interface {
    /// The response to a refused or failed request whose reader does not matter.
    pub(crate) fn error(&self, fault: Fault) -> Response {
        self.error_for(fault, &Reader::default())
    }

    /// The response to a refused or failed request.
    pub(crate) fn error_for(&self, fault: Fault, reader: &Reader) -> Response {
        let fault = fault.for_clients();
        let code = fault.code;
        let status = StatusCode::from_u16(code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = fault.retry_after.map(|delay| delay.as_secs().max(1));
        let is_invalid_token = fault.metadata.contains_key(auth::CHALLENGE);
        let ErrorBody { media_type, bytes } = (self.error_body)(fault, reader);
        let mut response = (status, bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        reply::page_headers(media_type, headers);
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if code == Code::Unauthenticated {
            let challenge = if is_invalid_token { r#"Bearer error="invalid_token""# } else { "Bearer" };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use rpc::Code;

    use super::*;

    /// Repetition of anything below 500 is refused again, unless its fault says otherwise.
    #[test]
    fn what_may_pass_always_says_when_to_try_again() {
        let interface = crate::v1::interface().unwrap();
        for code in Code::ALL {
            let rest = interface.error(Fault::new(*code, "mend it"));
            let later = rest.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().parse::<u64>());
            let may_pass = [503, 504].contains(&rest.status().as_u16());
            assert_eq!(later.is_some_and(|seconds| seconds.is_ok_and(|seconds| seconds > 0)), may_pass, "{code:?}");
            let grpc = Fault::from_status(
                &tonic::Status::from_header_map(crate::grpc::refuse(Fault::new(*code, "mend it")).headers()).unwrap(),
            );
            assert_eq!(grpc.retry_after.is_some(), may_pass, "{code:?} over gRPC");
        }
    }
}
