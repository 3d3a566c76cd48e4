//! The fake's routes and its connections, which it can close.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Extension, Form, Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::Engine as _;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{ACCOUNT_SID, AUTH_TOKEN, Behaviour, Message, Received, Shared};

/// Cancelling it closes the connection that a request came on.
#[derive(Clone)]
struct Connection(CancellationToken);

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new()
        .route("/2010-04-01/Accounts/{account}/Messages.json", post(send).get(list))
        .route("/2010-04-01/Accounts/{account}/Messages/{file}", get(message))
        .with_state(shared);
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let cut = CancellationToken::new();
        let service = TowerToHyperService::new(router.clone().layer(Extension(Connection(cut.clone()))));
        connections.spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            tokio::select! {
                // The client sees the error on its side.
                _ = builder.serve_connection(TokioIo::new(stream), service) => {}
                () = cut.cancelled() => {}
            }
        });
    }
}

async fn send(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<String>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let authorized = is_authorized(&account, &headers);
    // Subscribed before the request counts as received, so that no later release is missed.
    let mut released = shared.released.subscribe();
    let authorization = authorization(&headers).to_owned();
    let behaviour = shared.arrived(Received { account, authorization, authorized, form: form.clone() });
    if !authorized {
        return unauthorized();
    }
    if let Some(refusal) = missing(&form) {
        return refusal;
    }
    let accept = || (StatusCode::CREATED, Json(Message::accept(&shared, &form).json())).into_response();
    match behaviour {
        Behaviour::Accept => accept(),
        Behaviour::Refuse(status, code) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            fault(status, code, "The request was refused.")
        }
        Behaviour::Busy(seconds) => {
            let mut response = fault(StatusCode::TOO_MANY_REQUESTS, 20_429, "Too Many Requests");
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
        Behaviour::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "something broke").into_response(),
        Behaviour::Stall => {
            let answer = accept();
            // An error means that the fake was dropped.
            let _ = released.changed().await;
            answer
        }
        Behaviour::AcceptThenHangUp => {
            accept();
            hang_up(&connection).await
        }
        Behaviour::HangUp => hang_up(&connection).await,
    }
}

async fn hang_up(connection: &Connection) -> Response {
    connection.0.cancel();
    std::future::pending().await
}

async fn list(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if !is_authorized(&account, &headers) {
        return unauthorized();
    }
    let asked = |name: &str, value: &str| query.get(name).is_none_or(|wanted| wanted == value);
    let mut messages: Vec<Value> = shared
        .lock()
        .messages
        .iter()
        .filter(|message| asked("To", &message.to) && asked("From", &message.from))
        .map(Message::json)
        .collect();
    // Newest first, like the provider.
    messages.reverse();
    let uri = format!("/2010-04-01/Accounts/{account}/Messages.json");
    let size = messages.len();
    Json(json!({"messages": messages, "page": 0, "page_size": size, "next_page_uri": null, "uri": uri})).into_response()
}

async fn message(
    State(shared): State<Arc<Shared>>,
    Path((account, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !is_authorized(&account, &headers) {
        return unauthorized();
    }
    let sid = file.trim_end_matches(".json");
    match shared.lock().messages.iter().find(|message| message.sid == sid) {
        Some(message) => Json(message.json()).into_response(),
        None => fault(StatusCode::NOT_FOUND, 20_404, "The requested resource was not found."),
    }
}

/// The fields that the provider requires.
fn missing(form: &HashMap<String, String>) -> Option<Response> {
    let refuse = |code, message| Some(fault(StatusCode::BAD_REQUEST, code, message));
    let given = |name: &str| form.get(name).is_some_and(|value| !value.is_empty());
    match () {
        () if !given("To") => refuse(21_604, "A 'To' phone number is required."),
        () if !given("From") && !given("MessagingServiceSid") => refuse(21_603, "A 'From' phone number is required."),
        () if !given("Body") => refuse(21_602, "Message body is required."),
        () => None,
    }
}

fn authorization(headers: &HeaderMap) -> &str {
    headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_authorized(account: &str, headers: &HeaderMap) -> bool {
    let expected = base64::engine::general_purpose::STANDARD.encode(format!("{ACCOUNT_SID}:{AUTH_TOKEN}"));
    let (scheme, credentials) = authorization(headers).split_once(' ').unwrap_or_default();
    account == ACCOUNT_SID && scheme.eq_ignore_ascii_case("basic") && credentials == expected
}

fn unauthorized() -> Response {
    fault(StatusCode::UNAUTHORIZED, 20_003, "Authentication Error - invalid username")
}

fn fault(status: StatusCode, code: u32, message: &str) -> Response {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({"code": code, "message": message, "more_info": more_info, "status": status.as_u16()});
    (status, Json(body)).into_response()
}
