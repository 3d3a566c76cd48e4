//! Holds, which reserve slots for a limited time.

use axum::http::Method;
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::booking::{CreateHoldRequest, ReleaseHoldRequest};

use super::{slots::Slot, time};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Operation, handler},
    reply::Reply,
};

/// A hold to create, of one slot or of several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHold {
    /// The slot to hold; this or `slot_ids`.
    #[serde(default)]
    #[schema(max_length = 200, nullable = false)]
    slot_id: Option<String>,
    /// The slots to hold.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 60, nullable = false)]
    slot_ids: Option<Vec<String>>,
    /// The lifetime in seconds; 600 without it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1800, nullable = false)]
    ttl_seconds: Option<u32>,
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hold {
    id: String,
    /// From then on it blocks no booking.
    #[schema(format = DateTime)]
    expires_at: String,
    slots: Vec<Slot>,
}

pub(super) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::BookingsWrite]);
    vec![
        Operation::new(
            "create_hold",
            Method::POST,
            "/v1/holds",
            "holds",
            "Holds slots for a limited time",
            access,
            handler!(create),
        )
        .json_body("NewHold")
        .answer(201, "Hold"),
        Operation::new(
            "release_hold",
            Method::DELETE,
            "/v1/holds/{id}",
            "holds",
            "Releases a hold at once",
            access,
            handler!(release),
        )
        .no_content(),
    ]
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let new: NewHold = call.parse_body()?;
    let slot_ids = match (new.slot_id, new.slot_ids) {
        (Some(slot), None) => vec![slot],
        (None, Some(slots)) => slots,
        _ => return Err(Fault::violation("/slot_id", "missing", "give either slot_id or slot_ids")),
    };
    let request =
        CreateHoldRequest { slot_ids, ttl_seconds: new.ttl_seconds.unwrap_or(0), channel: call.booking_channel(None) };
    let response = call.inner.booking.clone().create_hold(call.context().forward(request)).await?;
    let created = response.get_ref();
    let hold = Hold {
        id: created.id.clone(),
        expires_at: time::utc(created.expires_at_us),
        slots: created.slots.iter().map(Slot::from).collect(),
    };
    let reply = Reply::json(201, &hold)?.location(format!("/v1/holds/{}", hold.id)).target(&hold.id);
    Ok(reply.write_metadata(response.metadata()))
}

async fn release(call: Call) -> Result<Reply, Fault> {
    let id = call.path_param("id");
    let request = ReleaseHoldRequest { id: id.clone() };
    let response = call.inner.booking.clone().release_hold(call.context().request(request)).await?;
    Ok(Reply::empty(204).target(&id).write_metadata(response.metadata()))
}
