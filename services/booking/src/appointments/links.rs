//! The manage links of appointments: resolved and revoked.

use std::sync::Arc;

use domain::{
    appointment::{Actor, Transition},
    id::{AppointmentId, OrganizationId},
};
use rpc::{Code, Context, Fault};
use service::{db_error, idempotency::Begun};
use tonic::Response;
use wire::booking::{
    Appointment, ResolveManageLinkRequest, ResolveManageLinkResponse, RevokeManageLinkRequest,
    RevokeManageLinksRequest, RevokeManageLinksResponse,
};

use super::{claims_of, load, permission::check_transition, record, view};
use crate::{
    Inner,
    commit::{self, begin},
    manage_links::hash,
    patients,
    store::{appointments::AppointmentRow, batch::Batch},
};

const REVOKE_ROUTE: &str = "RevokeManageLink";
const REVOKE_ALL_ROUTE: &str = "RevokeManageLinks";

/// The appointment that a link is for.
///
/// # Errors
/// `not_found` for an unknown or revoked token, `link_expired` for an old one; `invalid_transition` where the caller asks
/// to move an appointment that its patient may not move.
pub(crate) async fn resolve(
    inner: &Inner,
    request: ResolveManageLinkRequest,
) -> Result<ResolveManageLinkResponse, Fault> {
    let found = inner.store.manage_link(&hash(&request.token)).await.map_err(db_error::fault)?;
    let link = found.ok_or_else(Fault::not_found)?;
    let now_us = inner.clock.now_us();
    if link.expires_at_us <= now_us {
        return Err(Fault::new(Code::LinkExpired, "the link has expired; call the clinic"));
    }
    if request.to_move {
        let found = inner.store.appointment(link.organization_id, link.appointment_id).await;
        let row = found.map_err(db_error::fault)?.ok_or_else(Fault::not_found)?;
        check_transition(&row, Transition::Reschedule, Actor::Patient, now_us)?;
    }
    Ok(ResolveManageLinkResponse {
        organization_id: OrganizationId::new(link.organization_id).to_string(),
        appointment_id: AppointmentId::new(link.appointment_id).to_string(),
        expires_at_us: link.expires_at_us,
    })
}

/// Revokes the link of an appointment; the answer has its next one.
pub(crate) async fn revoke(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RevokeManageLinkRequest,
) -> Result<Response<Appointment>, Fault> {
    let _guard = match begin(inner, ctx, REVOKE_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    commit::retry_stale(async || {
        let old = load(inner, ctx, &request.id).await?;
        if request.if_version != 0 && request.if_version != old.version {
            return Err(commit::version_mismatch());
        }
        let row = next_generation(inner, old);
        let answer = view::to_wire_with_link(&inner.links, &row);
        let batch = replacing(inner, ctx, vec![row]).await?;
        commit::answer(inner, ctx, REVOKE_ROUTE, batch, answer).await
    })
    .await
}

/// Revokes the links of all of a patient's appointments.
pub(crate) async fn revoke_all(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RevokeManageLinksRequest,
) -> Result<Response<RevokeManageLinksResponse>, Fault> {
    let _guard = match begin(inner, ctx, REVOKE_ALL_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let patient = patients::load(inner, ctx, &request.patient_id).await?;
    commit::retry_stale(async || {
        let (organization, now_us) = (ctx.organization.uuid(), inner.clock.now_us());
        let ids = inner.store.appointments_with_link(organization, patient.id, now_us).await;
        let ids = ids.map_err(db_error::fault)?;
        let mut rows = inner.store.appointments_by_id(organization, &ids).await.map_err(db_error::fault)?;
        // In one order, so that two such writes never wait for each other.
        rows.sort_unstable_by_key(|row| row.id);
        let rows: Vec<AppointmentRow> = rows.into_iter().map(|row| next_generation(inner, row)).collect();
        let answer = RevokeManageLinksResponse { revoked: u32::try_from(rows.len()).unwrap_or(u32::MAX) };
        let batch = replacing(inner, ctx, rows).await?;
        commit::answer(inner, ctx, REVOKE_ALL_ROUTE, batch, answer).await
    })
    .await
}

fn next_generation(inner: &Inner, old: AppointmentRow) -> AppointmentRow {
    AppointmentRow {
        version: old.version + 1,
        link_generation: old.link_generation.saturating_add(1),
        updated_at_us: inner.clock.now_us(),
        ..old
    }
}

/// The batch that replaces the links of appointments by those of their present generation.
async fn replacing(inner: &Inner, ctx: &Context, rows: Vec<AppointmentRow>) -> Result<Batch, Fault> {
    let mut batch = Batch::new(ctx.organization.uuid(), inner.clock.now_us());
    for row in rows {
        let claims = claims_of(inner, &row).await?;
        // The change carries the new version without the link: consumers compare versions.
        record::put(&mut batch, &inner.links, row, &claims, "link_revoked");
    }
    Ok(batch)
}
