//! Verifications, which prove that a telephone number or an e-mail address belongs to whoever gives it.

use axum::http::Method;
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::reminder::{CheckVerificationRequest, StartVerificationRequest};

use super::time;
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Operation, handler},
    reply::Reply,
};

/// A telephone number or an e-mail address to prove.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVerification {
    /// The number, which gets a text; this or `email`. With its country code, or as it is dialled in the organisation's
    /// country.
    #[serde(default)]
    #[schema(max_length = 40, nullable = false)]
    phone: Option<String>,
    /// The address, which gets an e-mail.
    #[serde(default)]
    #[schema(max_length = 254, nullable = false)]
    email: Option<String>,
    /// The language of the message, a BCP 47 tag; the organisation's without it.
    #[serde(default)]
    #[schema(max_length = 35, nullable = false)]
    language: Option<String>,
}

/// A verification that has begun: the code is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verification {
    id: String,
    /// From then on the code proves nothing.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// The code of a message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerificationCode {
    /// Its six digits.
    #[schema(min_length = 1, max_length = 20)]
    code: String,
}

/// A proved telephone number or address.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProvedVerification {
    /// The token for the bodies that take a `verification`.
    verification: String,
    /// From then on the token proves nothing.
    #[schema(format = DateTime)]
    expires_at: String,
}

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, path: &str, summary: &str, handler| {
        let access = Access::Scopes(&[Scope::BookingsWrite]);
        Operation::new(id, Method::POST, path, "verifications", summary, access, handler).replayed_by_gateway()
    };
    vec![
        operation(
            "start_verification",
            "/v1/verifications",
            "Sends a code of six digits to a telephone number or an e-mail address",
            handler!(start),
        )
        .json_body("NewVerification")
        .answer(202, "Verification"),
        operation(
            "check_verification",
            "/v1/verifications/{id}/check",
            "Checks the code: the answer proves the number or address for half an hour",
            handler!(check),
        )
        .json_body("VerificationCode")
        .answer(200, "ProvedVerification"),
    ]
}

async fn start(call: Call) -> Result<Reply, Fault> {
    let new: NewVerification = call.parse_body()?;
    let request = StartVerificationRequest {
        phone: new.phone.unwrap_or_default(),
        email: new.email.unwrap_or_default(),
        language: new.language.unwrap_or_default(),
    };
    let request = call.context().request(request);
    let started = call.inner.reminder.clone().start_verification(request).await?.into_inner();
    let verification = Verification { id: started.id, expires_at: time::utc(started.expires_at_us) };
    Ok(Reply::json(202, &verification)?.target(&verification.id))
}

async fn check(call: Call) -> Result<Reply, Fault> {
    let body: VerificationCode = call.parse_body()?;
    let id = call.path_param("id");
    let request = call.context().request(CheckVerificationRequest { id: id.clone(), code: body.code });
    let proved = call.inner.reminder.clone().check_verification(request).await?.into_inner();
    let expires_at = time::utc(proved.expires_at_us);
    Ok(Reply::json(200, &ProvedVerification { verification: proved.verification, expires_at })?.target(&id))
}
