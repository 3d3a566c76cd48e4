//! The unsubscribe link of e-mails (RFC 8058): a page with one button, and the POST that mail programs send.

use axum::http::Method;
use rpc::Fault;
use web::{Clinic, Template, Unsubscribe};
use wire::reminder::{UnsubscribeRequest, UnsubscribeState};

use crate::{
    call::Call,
    operation::{Access, Body, Content, Operation, handler},
    page_frame::{self, LANGUAGE, Languages},
    reply::Reply,
};

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, summary: &str, handler| {
        Operation::new(id, method, "/v1/unsubscribe/{token}", "messages", summary, Access::Open, handler)
            .content(Content::Html)
    };
    let page_summary = "Returns the unsubscribe page of a link; it changes nothing";
    let unsubscribe = operation(
        "unsubscribe",
        Method::POST,
        "Unsubscribes by the link of an e-mail (RFC 8058)",
        handler!(unsubscribe),
    );
    vec![
        operation("unsubscribe_page", Method::GET, page_summary, handler!(show)).params(&[LANGUAGE]),
        unsubscribe.body(Body::Form).optional_body().params(&[LANGUAGE]),
    ]
}

async fn show(call: Call) -> Result<Reply, Fault> {
    show_at(call, "/v1/unsubscribe").await
}

async fn unsubscribe(mut call: Call) -> Result<Reply, Fault> {
    let state = end(&mut call).await?;
    page(&call, &state, "/v1/unsubscribe")
}

/// The page of the call's link, which is read below this path.
///
/// # Errors
/// `not_found` for an unknown link.
pub(crate) async fn show_at(mut call: Call, path: &str) -> Result<Reply, Fault> {
    let request = UnsubscribeRequest { token: call.path_param("token") };
    let state = call.inner.reminder.clone().get_unsubscribe(call.context().request(request)).await?.into_inner();
    act(&mut call, &state)?;
    page(&call, &state, path)
}

/// Ends the e-mails of the call's link.
///
/// # Errors
/// `not_found` for an unknown link.
pub(crate) async fn end(call: &mut Call) -> Result<UnsubscribeState, Fault> {
    let request = UnsubscribeRequest { token: call.path_param("token") };
    let state = call.inner.reminder.clone().unsubscribe(call.context().request(request)).await?.into_inner();
    act(call, &state)?;
    // A reminder service of an older version does not set `ended`.
    Ok(UnsubscribeState { ended: true, ..state })
}

fn act(call: &mut Call, state: &UnsubscribeState) -> Result<(), Fault> {
    call.act_as_patient(state.organization_id.parse().map_err(Fault::internal)?);
    Ok(())
}

fn page(call: &Call, state: &UnsubscribeState, path: &str) -> Result<Reply, Fault> {
    let languages = Languages { patient: &state.language, ..Languages::of(call) };
    let clinic = Clinic { name: state.clinic.clone(), phone: state.phone.clone() };
    let clinic = Some(clinic).filter(|clinic| !clinic.name.is_empty());
    let path = format!("{path}/{}", call.path_param("token"));
    let page = Unsubscribe {
        frame: page_frame::frame(&call.inner.public_url, languages, &path, clinic),
        is_marketing: state.what == "marketing",
        has_ended: state.ended,
    };
    Ok(Reply::html(200, page.render().map_err(Fault::internal)?))
}
