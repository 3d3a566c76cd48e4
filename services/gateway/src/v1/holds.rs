//! Holds, which reserve slots for a limited time.

use axum::http::Method;
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::booking::{self, CreateHoldRequest, GetHoldRequest, ListHoldsRequest, ReleaseHoldRequest};

use super::{
    CURSOR, LIMIT,
    include::{self, Included},
    next_cursor,
    slots::{Slot, references},
    time,
};
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
    /// The lifetime in seconds; 600 without it. With a front end's key at most the organisation's limit, 300 by default.
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

/// A hold that has not ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveHold {
    id: String,
    #[schema(format = DateTime)]
    expires_at: String,
    slots: Vec<Slot>,
    #[schema(format = DateTime)]
    created_at: String,
    /// The id of the key that made it; `waitlist` for one that keeps an offered slot.
    created_by: String,
}

/// A page of live holds, the first to expire first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldPage {
    data: Vec<LiveHold>,
    next_cursor: Option<String>,
}

pub(super) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::BookingsWrite]);
    vec![
        Operation::new(
            "list_holds",
            Method::GET,
            "/v1/holds",
            "holds",
            "Lists the live holds, the first to expire first",
            Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]),
            handler!(list),
        )
        .params(&[include::OF_SLOTS, LIMIT, CURSOR])
        .answer(200, "HoldPage"),
        Operation::new(
            "get_hold",
            Method::GET,
            "/v1/holds/{id}",
            "holds",
            "Reads a live hold",
            Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]),
            handler!(get),
        )
        .params(&[include::OF_SLOTS])
        .answer(200, "LiveHold"),
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
            "Releases a hold at once; with a front end's key, one of its own",
            access,
            handler!(release),
        )
        .no_content(),
    ]
}

impl From<&booking::Hold> for Hold {
    fn from(hold: &booking::Hold) -> Self {
        Self {
            id: hold.id.clone(),
            expires_at: time::utc(hold.expires_at_us),
            slots: hold.slots.iter().map(Slot::from).collect(),
        }
    }
}

impl LiveHold {
    /// A hold with the objects that the request includes.
    fn including(hold: booking::Hold, included: &Included) -> Self {
        Self {
            id: hold.id,
            expires_at: time::utc(hold.expires_at_us),
            slots: hold.slots.into_iter().map(|slot| Slot::including(slot, included)).collect(),
            created_at: time::utc(hold.created_at_us),
            created_by: hold.created_by,
        }
    }
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let request = call.context().request(ListHoldsRequest { page: call.page() });
    let answer = call.inner.booking.clone().list_holds(request).await?.into_inner();
    let slots = answer.holds.iter().flat_map(|hold| &hold.slots);
    let included = Included::load(&call, slots.flat_map(references)).await?;
    let data: Vec<LiveHold> = answer.holds.into_iter().map(|hold| LiveHold::including(hold, &included)).collect();
    let rows = data.len();
    Ok(Reply::json(200, &HoldPage { data, next_cursor: next_cursor(answer.next_cursor) })?.rows(rows))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = call.context().request(GetHoldRequest { id: call.path_param("id") });
    let hold = call.inner.booking.clone().get_hold(request).await?.into_inner();
    let included = Included::load(&call, hold.slots.iter().flat_map(references)).await?;
    let hold = LiveHold::including(hold, &included);
    Ok(Reply::json(200, &hold)?.target(&hold.id))
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
    let hold = Hold::from(response.get_ref());
    let reply = Reply::json(201, &hold)?.location(format!("/v1/holds/{}", hold.id)).target(&hold.id);
    Ok(reply.write_metadata(response.metadata()))
}

async fn release(call: Call) -> Result<Reply, Fault> {
    let id = call.path_param("id");
    let request = ReleaseHoldRequest { id: id.clone() };
    let response = call.inner.booking.clone().release_hold(call.context().request(request)).await?;
    Ok(Reply::empty(204).target(&id).write_metadata(response.metadata()))
}
