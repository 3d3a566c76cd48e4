//! One write: its idempotency key, its answer, and the reasons for which it is not made.

use prost::Message;
use rpc::{Code, Context, Fault};
pub(crate) use service::idempotency::{Begun, KeyGuard, Remember};
use service::{db_error, idempotency, store::Tx};
use sql::Failure;
use tonic::Response;

use crate::Inner;

/// Why a write was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// It has changed since it was read.
    #[error("it has changed since it was read")]
    Stale,
    /// The idempotency key was used at the same moment.
    #[error("the idempotency key is used already")]
    Replay,
    /// A rule of the service forbids it.
    #[error("{0}")]
    Fault(Box<Fault>),
    /// The database failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl sql::AsFailure for Refusal {
    fn as_failure(&self) -> Option<&Failure> {
        match self {
            Self::Failure(failure) => Some(failure),
            _ => None,
        }
    }
}

/// Begins a write: its kept answer, or a guard to hold until the write ends.
///
/// # Errors
/// `idempotency_in_progress` while the first request with this key runs; `idempotency_key_reused` when the key came with
/// another request.
pub(crate) async fn begin<T: Message + Default>(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
) -> Result<Begun<T>, Fault> {
    idempotency::begin(&inner.running_keys, &inner.store.database, &inner.keyring, ctx, route, replayed).await
}

/// The answer to keep for a request; `None` without a key.
///
/// # Errors
/// When it cannot be sealed.
pub(crate) fn remember(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
    answer: &impl Message,
    revision: &str,
) -> Result<Option<Remember>, Fault> {
    idempotency::remember(&inner.keyring, ctx, route, answer, revision)
}

/// Keeps the answer of a write in its transaction.
///
/// # Errors
/// [`Refusal::Replay`] when another request with the same key was faster.
pub(crate) async fn insert(tx: &mut Tx, answer: Option<&Remember>, now_us: i64) -> Result<(), Refusal> {
    match idempotency::insert(tx, answer, now_us).await {
        Err(Failure::Duplicate(_)) => Err(Refusal::Replay),
        inserted => Ok(inserted?),
    }
}

/// The answer after a refused write: that of another request with the same key, or the refusal as a fault.
pub(crate) async fn refused<T: Message + Default>(
    inner: &Inner,
    ctx: &Context,
    route: &'static str,
    refusal: Refusal,
) -> Result<Response<T>, Fault> {
    let (database, keyring) = (&inner.store.database, &inner.keyring);
    match refusal {
        Refusal::Replay => idempotency::replay_winner(database, keyring, ctx, route, replayed).await,
        // Another process may have made the write with the same key.
        Refusal::Stale => idempotency::replay(database, keyring, ctx, route, replayed).await?.ok_or_else(stale),
        Refusal::Fault(fault) => Err(*fault),
        Refusal::Failure(failure) => Err(db_error::fault(failure)),
    }
}

/// The answer to a write. Its revision is how far booking's feed is applied here; before the first snapshot there is none.
pub(crate) fn answer<T>(message: T, revision: &str, replayed: bool) -> Response<T> {
    let mut response = rpc::respond(message, revision, replayed);
    if revision.is_empty() {
        response.metadata_mut().remove("meridian-revision");
    }
    response
}

/// The fault of a write that was made from an old version.
pub(crate) fn stale() -> Fault {
    Fault::new(Code::VersionMismatch, "it has changed since it was read; read it again and decide anew")
}

fn replayed<T>(message: T, revision: &str) -> Result<Response<T>, Fault> {
    Ok(answer(message, revision, true))
}
