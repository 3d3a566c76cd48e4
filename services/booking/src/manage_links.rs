//! Manage links: a patient's own way to one appointment, without a login.
//!
//! The token is the first 16 bytes of an HMAC-SHA256 over the appointment's id and its link generation: short
//! enough for a text message, and nobody without the key can make one. The database keeps only its hash.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::id::{AppointmentId, OrganizationId};
use hmac::{Hmac, KeyInit, Mac};
use rpc::{Code, Fault};
use sha2::{Digest, Sha256};
use wire::booking::{ResolveManageLinkRequest, ResolveManageLinkResponse};

use crate::{
    Inner, commit,
    store::{
        batch::{Hex, NewLink},
        rows::AppointmentRow,
    },
};

/// The token of an appointment's manage link.
pub(crate) fn token(inner: &Inner, row: &AppointmentRow) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&inner.link_key) else { return String::new() };
    mac.update(row.organization_id.as_bytes());
    mac.update(row.id.as_bytes());
    mac.update(&row.link_generation.to_be_bytes());
    URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..16])
}

/// What is kept of an appointment's manage link.
pub(crate) fn link(inner: &Inner, row: &AppointmentRow) -> NewLink {
    NewLink {
        token_hash: Hex(hash(&token(inner, row))),
        appointment_id: row.id,
        expires_at_us: row.ends_at_us + i64::from(inner.config.link_days) * 86_400_000_000,
    }
}

pub(crate) async fn resolve(
    inner: &Inner,
    request: ResolveManageLinkRequest,
) -> Result<ResolveManageLinkResponse, Fault> {
    let found = inner.store.link(&hash(&request.token)).await.map_err(commit::failure)?;
    let row = found.ok_or_else(Fault::not_found)?;
    if row.expires_at_us <= inner.clock.now_us() {
        return Err(Fault::new(Code::LinkExpired, "the link has expired; call the clinic"));
    }
    Ok(ResolveManageLinkResponse {
        organization_id: OrganizationId::new(row.organization_id).to_string(),
        appointment_id: AppointmentId::new(row.appointment_id).to_string(),
        expires_at_us: row.expires_at_us,
    })
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
