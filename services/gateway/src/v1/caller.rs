//! The caller itself: what its key or its token permits, so that a front end offers no more.

use axum::http::Method;
use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Operation, handler},
    reply::Reply,
};

/// The caller of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallerDetails {
    /// A key's id, `admin`, or `oidc:` and a person's subject, as the audit log has it.
    id: String,
    /// The name of a person.
    name: Option<String>,
    /// The organisation in which the caller acts.
    organization_id: String,
    /// All permissions. `admin` includes the others.
    scopes: Vec<Scope>,
    /// The locations to which the key is limited; null for all.
    location_ids: Option<Vec<String>>,
}

pub(super) fn operations() -> Vec<Operation> {
    let summary = "Shows the caller: who it is, its organisation and its permissions";
    let operation =
        Operation::new("get_caller", Method::GET, "/v1/caller", "keys", summary, Access::Scopes(&[]), handler!(get));
    vec![operation.answer(200, "CallerDetails").public()]
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let caller = call.caller;
    let details = CallerDetails {
        scopes: caller.scopes().to_vec(),
        location_ids: caller.locations.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect()),
        organization_id: caller.organization.to_string(),
        id: caller.name,
        name: caller.display_name,
    };
    Reply::json(200, &details)
}
