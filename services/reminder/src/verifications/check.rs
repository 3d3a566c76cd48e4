//! Checks a code, and has booking sign the proof.

use domain::id::VerificationId;
use rpc::{Code, Context, Fault};
use service::db_error;
use subtle::ConstantTimeEq;
use wire::{
    booking::{SignVerificationRequest, SignVerificationResponse},
    reminder::{CheckVerificationRequest, CheckVerificationResponse},
};

use super::{CODE_DIGITS, code_hash, count};
use crate::Inner;

pub(crate) async fn check(
    inner: &Inner,
    ctx: &Context,
    request: CheckVerificationRequest,
) -> Result<CheckVerificationResponse, Fault> {
    let id: VerificationId = request.id.parse().map_err(|_| Fault::not_found())?;
    let code = request.code.trim();
    if code.len() != CODE_DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::violation("/code", "invalid_code", "give the six digits of the message"));
    }
    let (organization, id) = (ctx.organization.uuid(), id.uuid());
    let now_us = inner.clock.now_us();
    let taken = inner.store.take_try(organization, id, &ctx.caller, now_us).await.map_err(db_error::fault)?;
    let Some(row) = taken else {
        let known = inner.store.has_verification(organization, id, &ctx.caller).await.map_err(db_error::fault)?;
        return Err(if known { failed(0) } else { Fault::not_found() });
    };
    if !bool::from(row.code_hash.ct_eq(&code_hash(id, code))) {
        count("wrong");
        return Err(failed(row.tries_left));
    }
    let request = SignVerificationRequest { channel: row.channel, address_hash: row.address_hash };
    let signed = inner.booking.clone().sign_verification(ctx.request(request)).await?.into_inner();
    inner.store.end_verification(organization, id).await.map_err(db_error::fault)?;
    count("proved");
    let SignVerificationResponse { verification, expires_at_us } = signed;
    Ok(CheckVerificationResponse { verification, expires_at_us })
}

fn failed(tries_left: i32) -> Fault {
    let detail = match tries_left {
        0 => "the code is used up or too old; ask for another one",
        _ => "this is not the code of the message; look at it again",
    };
    Fault::new(Code::VerificationFailed, detail).with("tries_left", tries_left.to_string())
}
