//! Stored answers for idempotency keys: those of the gateway's own writes, and of requests whose answer no service stores.
//!
//! A stored answer is sealed with AES-256-GCM. Its key is derived from the caller's own API key, the idempotency key and a
//! random salt, so that the database alone opens no answer: one may hold a new API key, which is returned only once. That of
//! a person, who has no key, is derived from a secret of the installation.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rpc::{Code, Fault, Idempotency};
use serde::{Deserialize, Serialize};
use service::{db_error, idempotency::KeyGuard};
use sha2::Sha256;

use crate::{
    Inner, auth,
    call::Call,
    operation::Handler,
    reply::Reply,
    store::answers::{self, AnswerRow},
};

/// The bytes of a salt.
const SALT_BYTES: usize = 32;
/// Separates sealing keys from other keys that are derived from the same secrets. It is part of every stored answer.
const PURPOSE: &[u8] = b"meridian kept answer 1";

/// Organisation, caller, operation id and idempotency key.
type RequestKey = (uuid::Uuid, String, String, String);

/// The sealed part of a stored answer.
#[derive(Serialize, Deserialize)]
struct StoredAnswer {
    status: u16,
    body: Option<String>,
    version: Option<i64>,
    location: Option<String>,
    revision: Option<String>,
    patient: Option<String>,
    target: Option<String>,
}

/// A request with an idempotency key.
pub(crate) struct IdempotentRequest {
    inner: Arc<Inner>,
    request_key: RequestKey,
    fingerprint: String,
    /// Of the caller alone: its own API key, or a secret that is derived for a person.
    secret: Vec<u8>,
}

/// Handles a request once for each idempotency key. A request without a key is always handled.
///
/// # Errors
/// `idempotency_key_reused` where the key came with another request, `idempotency_in_progress` while the first request runs.
pub(crate) async fn handle_once(call: Call, handler: Handler) -> Result<Reply, Fault> {
    let Some(request) = IdempotentRequest::new(&call)? else { return handler(call).await };
    let _running = request.begin()?;
    if let Some(reply) = request.replay().await? {
        return Ok(reply);
    }
    let reply = handler(call).await?;
    if reply.stored {
        return Ok(reply);
    }
    match request.inner.store.insert_answer(&request.seal(&reply)?).await {
        Ok(()) => Ok(reply),
        // Another process has stored its answer first.
        Err(sql::Failure::Duplicate(_)) => request.replay_first().await,
        Err(error) => Err(db_error::fault(error)),
    }
}

impl IdempotentRequest {
    /// `None` for a request without an idempotency key.
    pub(crate) fn new(call: &Call) -> Result<Option<Self>, Fault> {
        let Some(Idempotency { key, fingerprint }) = call.idempotency.clone() else { return Ok(None) };
        let secret = secret_of(call)?;
        let request_key = (call.caller.organization.uuid(), call.caller.name.clone(), call.operation_id.clone(), key);
        Ok(Some(Self { inner: call.inner.clone(), request_key, fingerprint, secret }))
    }

    /// Refuses the key while its first request runs in this process.
    fn begin(&self) -> Result<KeyGuard, Fault> {
        let (organization, caller, operation_id, key) = &self.request_key;
        self.inner.running_keys.enter(*organization, caller, operation_id, key)
    }

    /// The stored answer, if there is one.
    async fn replay(&self) -> Result<Option<Reply>, Fault> {
        let (organization, caller, action, key) = &self.request_key;
        let since_us = self.inner.clock.now_us() - answers::LIFETIME_US;
        let row = self
            .inner
            .store
            .find_answer(*organization, caller, action, key, since_us)
            .await
            .map_err(db_error::fault)?;
        let Some(row) = row else { return Ok(None) };
        // An answer that was sealed with another API key does not open: the installation's own key has changed since.
        let opened = (row.fingerprint == self.fingerprint).then(|| self.open(&row)).flatten();
        let Some(stored) = opened else {
            let detail = "this key came with another request before; use a new key for a new request";
            return Err(Fault::new(Code::IdempotencyKeyReused, detail));
        };
        let StoredAnswer { status, body, version, location, revision, patient, target } = stored;
        let body = body.map(String::into_bytes);
        let reply = Reply { body, version, location, revision, patient, target, ..Reply::empty(status) };
        Ok(Some(Reply { stored: true, replayed: true, ..reply }))
    }

    /// The answer of the first request, which has been stored.
    pub(crate) async fn replay_first(&self) -> Result<Reply, Fault> {
        self.replay().await?.ok_or_else(|| Fault::internal("the answer of a duplicate request is missing"))
    }

    /// Seals an answer for the database.
    pub(crate) fn seal(&self, reply: &Reply) -> Result<AnswerRow, Fault> {
        let body = reply.body.clone().map(String::from_utf8).transpose().map_err(Fault::internal)?;
        let stored = StoredAnswer {
            status: reply.status,
            body,
            version: reply.version,
            location: reply.location.clone(),
            revision: reply.revision.clone(),
            patient: reply.patient.clone(),
            target: reply.target.clone(),
        };
        let mut sealed = serde_json::to_vec(&stored).map_err(Fault::internal)?;
        let salt = self.inner.ids.bytes::<SALT_BYTES>();
        let key = self.sealing_key(&salt).ok_or_else(|| Fault::internal("an answer cannot be sealed"))?;
        key.seal_in_place_append_tag(nonce(), self.associated_data(), &mut sealed).map_err(Fault::internal)?;
        let (organization_id, caller, action, key) = self.request_key.clone();
        let (fingerprint, created_at_us) = (self.fingerprint.clone(), self.inner.clock.now_us());
        Ok(AnswerRow { organization_id, caller, action, key, fingerprint, salt: salt.to_vec(), sealed, created_at_us })
    }

    fn open(&self, row: &AnswerRow) -> Option<StoredAnswer> {
        let mut sealed = row.sealed.clone();
        let plain = self.sealing_key(&row.salt)?.open_in_place(nonce(), self.associated_data(), &mut sealed).ok()?;
        serde_json::from_slice(plain).ok()
    }

    fn sealing_key(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        for part in [PURPOSE, salt, self.request_key.3.as_bytes()] {
            mac.update(part);
        }
        UnboundKey::new(&AES_256_GCM, &mac.finalize().into_bytes()).ok().map(LessSafeKey::new)
    }

    /// Binds an answer to its request: it does not open for another fingerprint.
    fn associated_data(&self) -> Aad<&[u8]> {
        Aad::from(self.fingerprint.as_bytes())
    }
}

/// The secret that seals a caller's answers. A person's token changes within minutes, so theirs is derived from the
/// installation's own secret and their name.
fn secret_of(call: &Call) -> Result<Vec<u8>, Fault> {
    if call.caller.is_person() {
        let mut mac = Hmac::<Sha256>::new_from_slice(&call.inner.person_key).map_err(Fault::internal)?;
        mac.update(call.caller.name.as_bytes());
        return Ok(mac.finalize().into_bytes().to_vec());
    }
    let key = auth::bearer(&call.headers).map(|key| key.as_bytes().to_vec());
    key.ok_or_else(|| Fault::internal("an operation that the gateway replays has no caller"))
}

/// A constant nonce is safe: each sealing key has its own salt and seals once.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
