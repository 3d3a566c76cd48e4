//! Holds: slots kept for a while.

use axum::http::Method;
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::booking::{CreateHoldRequest, ReleaseHoldRequest};

use super::{slots::Slot, time};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, handler},
};

/// A hold to make: of one slot, or of several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHold {
    /// The slot to keep; this or `slot_ids`.
    #[serde(default)]
    #[schema(max_length = 200, nullable = false)]
    slot_id: Option<String>,
    /// The slots to keep.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 60, nullable = false)]
    slot_ids: Option<Vec<String>>,
    /// How long; 600 without it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1800, nullable = false)]
    ttl_seconds: Option<u32>,
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hold {
    id: String,
    /// From then on it blocks nobody.
    #[schema(format = DateTime)]
    expires_at: String,
    slots: Vec<Slot>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::BookingsWrite]);
    vec![
        Operation::new(
            "create_hold",
            Method::POST,
            "/v1/holds",
            "holds",
            "Keeps slots for a while",
            access,
            handler!(create),
        )
        .body("NewHold")
        .answer(201, "Hold"),
        Operation::new(
            "release_hold",
            Method::DELETE,
            "/v1/holds/{id}",
            "holds",
            "Frees a hold at once",
            access,
            handler!(release),
        )
        .no_content(),
    ]
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let new: NewHold = call.read()?;
    let slot_ids = match (new.slot_id, new.slot_ids) {
        (Some(slot), None) => vec![slot],
        (None, Some(slots)) => slots,
        _ => return Err(Fault::violation("/slot_id", "missing", "give either slot_id or slot_ids")),
    };
    let request =
        CreateHoldRequest { slot_ids, ttl_seconds: new.ttl_seconds.unwrap_or(0), channel: call.channel(None) };
    let response = call.inner.booking.clone().create_hold(call.context().forward(request)).await?;
    let hold = response.get_ref();
    let shown = Hold {
        id: hold.id.clone(),
        expires_at: time::utc(hold.expires_at_us),
        slots: hold.slots.iter().map(Slot::from).collect(),
    };
    let reply = Reply::json(201, &shown)?.location(format!("/v1/holds/{}", shown.id)).target(&shown.id);
    Ok(reply.after(&response))
}

async fn release(call: Call) -> Result<Reply, Fault> {
    let id = call.part("id");
    let request = ReleaseHoldRequest { id: id.clone() };
    let response = call.inner.booking.clone().release_hold(call.context().request(request)).await?;
    Ok(Reply::empty(204).target(&id).after(&response))
}
