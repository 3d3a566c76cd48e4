//! Answers that the gateway keeps for idempotency keys: those of its own writes, and of requests whose answer no service
//! keeps.
//!
//! A kept answer is sealed with AES-256-GCM. Its key is made of the caller's own API key, the idempotency key and a random
//! salt, so that the database alone opens none of them: one may hold an API key that is shown this once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use hmac::{Hmac, KeyInit, Mac};
use rpc::{Code, Fault, Idempotency};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    Inner, auth,
    call::{Call, Reply},
    failure,
    operation::Handler,
    store::AnswerRow,
};

/// How long an answer is kept.
const KEPT_US: i64 = 24 * 3600 * 1_000_000;
const SALT: usize = 32;
/// Says what a sealing key is for, so that the same secrets make no key of another kind.
const PURPOSE: &[u8] = b"meridian kept answer 1";

/// The requests with an idempotency key that are running in this process: organisation, caller, operation, key.
#[derive(Default)]
pub(crate) struct Running(Mutex<HashSet<Name>>);

type Name = (uuid::Uuid, String, String, String);

/// Takes a request out of the running ones when it ends, however it ends.
struct Guard(Arc<Inner>, Name);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

/// What is sealed of an answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    body: Option<String>,
    version: Option<i64>,
    location: Option<String>,
    revision: Option<String>,
    patient: Option<String>,
    target: Option<String>,
}

/// A request with an idempotency key.
pub(crate) struct Keyed {
    inner: Arc<Inner>,
    name: Name,
    fingerprint: String,
    /// The caller's own API key.
    secret: String,
}

/// Handles a request once for each idempotency key; without a key, each time.
///
/// # Errors
/// `idempotency_key_reused` where the key came with another request, `idempotency_in_progress` while that one runs.
pub(crate) async fn once(call: Call, handler: Handler) -> Result<Reply, Fault> {
    let Some(keyed) = Keyed::of(&call)? else { return handler(call).await };
    let _running = keyed.begin()?;
    if let Some(reply) = keyed.replay().await? {
        return Ok(reply);
    }
    let reply = handler(call).await?;
    if reply.kept {
        return Ok(reply);
    }
    match keyed.inner.store.keep_answer(&keyed.sealed(&reply)?).await {
        Ok(()) => Ok(reply),
        // Another process was faster: its answer counts.
        Err(sql::Failure::Duplicate(_)) => keyed.replayed().await,
        Err(other) => Err(failure(other)),
    }
}

impl Keyed {
    /// The request, where it has an idempotency key.
    pub(crate) fn of(call: &Call) -> Result<Option<Self>, Fault> {
        let Some(Idempotency { key, fingerprint }) = call.idempotency.clone() else { return Ok(None) };
        let secret = auth::bearer(&call.headers).ok_or_else(|| Fault::internal("a kept operation is open to all"))?;
        let name = (call.caller.organization.uuid(), call.caller.name.clone(), call.action.clone(), key);
        Ok(Some(Self { inner: call.inner.clone(), name, fingerprint, secret: secret.to_owned() }))
    }

    fn begin(&self) -> Result<Guard, Fault> {
        if self.inner.running.0.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name.clone()) {
            return Ok(Guard(self.inner.clone(), self.name.clone()));
        }
        let detail = "wait for the answer to the first request with this key";
        Err(Fault::new(Code::IdempotencyInProgress, detail).retry_after(Duration::from_secs(1)))
    }

    /// The kept answer, where there is one.
    async fn replay(&self) -> Result<Option<Reply>, Fault> {
        let (organization, caller, action, key) = &self.name;
        let since_us = self.inner.clock.now_us() - KEPT_US;
        let row = self.inner.store.answer(*organization, caller, action, key, since_us).await.map_err(failure)?;
        let Some(row) = row else { return Ok(None) };
        // Sealed with another secret: the installation's own key has changed since.
        let opened = (row.fingerprint == self.fingerprint).then(|| self.open(&row)).flatten();
        let Some(kept) = opened else {
            let detail = "this key came with another request before; use a new key for a new request";
            return Err(Fault::new(Code::IdempotencyKeyReused, detail));
        };
        let Kept { status, body, version, location, revision, patient, target } = kept;
        let body = body.map(String::into_bytes);
        let reply = Reply { body, version, location, revision, patient, target, ..Reply::empty(status) };
        Ok(Some(Reply { kept: true, replayed: true, ..reply }))
    }

    /// The answer of the request that was faster.
    pub(crate) async fn replayed(&self) -> Result<Reply, Fault> {
        self.replay().await?.ok_or_else(|| Fault::internal("a replay has no answer"))
    }

    /// The answer as it is kept.
    pub(crate) fn sealed(&self, reply: &Reply) -> Result<AnswerRow, Fault> {
        let body = reply.body.clone().map(String::from_utf8).transpose().map_err(Fault::internal)?;
        let kept = Kept {
            status: reply.status,
            body,
            version: reply.version,
            location: reply.location.clone(),
            revision: reply.revision.clone(),
            patient: reply.patient.clone(),
            target: reply.target.clone(),
        };
        let mut sealed = serde_json::to_vec(&kept).map_err(Fault::internal)?;
        let salt = self.inner.ids.bytes::<SALT>();
        let key = self.sealing_key(&salt).ok_or_else(|| Fault::internal("an answer cannot be sealed"))?;
        key.seal_in_place_append_tag(nonce(), self.associated(), &mut sealed).map_err(Fault::internal)?;
        let (organization_id, caller, action, key) = self.name.clone();
        let (fingerprint, created_at_us) = (self.fingerprint.clone(), self.inner.clock.now_us());
        Ok(AnswerRow { organization_id, caller, action, key, fingerprint, salt: salt.to_vec(), sealed, created_at_us })
    }

    fn open(&self, row: &AnswerRow) -> Option<Kept> {
        let mut sealed = row.sealed.clone();
        let plain = self.sealing_key(&row.salt)?.open_in_place(nonce(), self.associated(), &mut sealed).ok()?;
        serde_json::from_slice(plain).ok()
    }

    fn sealing_key(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).ok()?;
        for part in [PURPOSE, salt, self.name.3.as_bytes()] {
            mac.update(part);
        }
        UnboundKey::new(&AES_256_GCM, &mac.finalize().into_bytes()).ok().map(LessSafeKey::new)
    }

    /// An answer of one request does not open as that of another.
    fn associated(&self) -> Aad<&[u8]> {
        Aad::from(self.fingerprint.as_bytes())
    }
}

impl AnswerRow {
    /// Answers from before this are forgotten.
    pub(crate) fn forgotten_before_us(&self) -> i64 {
        self.created_at_us - KEPT_US
    }
}

/// Each sealing key has a salt of its own and seals once, so one nonce is enough.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
