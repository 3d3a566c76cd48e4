//! `SearchSlots`: pages of open slots, earliest first.

use std::sync::Arc;

use calendar::tick;
use rpc::{Context, Fault};
use wire::availability::{SearchSlotsRequest, SearchSlotsResponse};

use super::{query::SlotQuery, request};
use crate::{Inner, organisations::Organisation};

/// A query, its organisation, and a revision that its answer includes.
pub(super) struct Resolved {
    pub(super) organisation: Arc<Organisation>,
    pub(super) query: SlotQuery,
    pub(super) revision: String,
}

/// Resolves a search against the present index.
pub(super) fn resolve(inner: &Inner, ctx: &Context, request: &SearchSlotsRequest) -> Result<Resolved, Fault> {
    let organisation = inner.organisations.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    // The revision is read first: the answer may include more than it says, never less.
    let revision = inner.revision(ctx);
    let query = request::read(&organisation, request, inner.clock.now())?;
    Ok(Resolved { organisation, query, revision })
}

pub(crate) async fn search_slots(
    inner: &Inner,
    ctx: &Context,
    request: &SearchSlotsRequest,
) -> Result<SearchSlotsResponse, Fault> {
    let Resolved { organisation, query, revision } = resolve(inner, ctx, request)?;
    let page = query.page(&organisation, query.kernel.limit).await;
    let last = page.slots.last().filter(|_| page.more);
    Ok(SearchSlotsResponse {
        next_cursor: last.map(|last| query.cursor_after(last)).unwrap_or_default(),
        slots: page.slots.iter().map(|open| query.to_wire(open)).collect(),
        searched_until_us: tick::instant(page.searched_until).as_microsecond(),
        revision,
    })
}
