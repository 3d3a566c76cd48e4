//! A database failure as the fault that a caller sees.

use std::{error::Error, time::Duration};

use rpc::{Code, Fault};
use sql::{Failure, writable};

/// Pause before a caller tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The same where a person has to mend the database first.
const MENDED_AFTER: Duration = Duration::from_secs(10);

/// Maps a database failure to a fault. The log gets the whole chain of causes, the caller none of it.
///
/// | failure | fault |
/// |---|---|
/// | busy, or a serialization failure that outlasted its retries | `overloaded`, with `retry_after` |
/// | a full disk, one that fails, or a read-only database | `storage_unavailable`, with `retry_after` |
/// | a text with U+0000 | `validation_failed` |
/// | anything else | `internal` |
pub fn fault(failure: Failure) -> Fault {
    match failure {
        Failure::Busy(_) | Failure::Serialization(_) => {
            tracing::warn!(cause = %causes(&failure), "the database is busy");
            Fault::new(Code::Overloaded, "the database is busy; try again shortly").retry_after(RETRY_AFTER)
        }
        Failure::Unwritable(_) => {
            tracing::error!(cause = %causes(&failure), mend = writable::MEND, "the database takes no writes");
            let detail = "the database takes no writes for now, as its disk may be full; repeat the request later";
            Fault::new(Code::StorageUnavailable, detail).retry_after(MENDED_AFTER)
        }
        Failure::Unstorable(_) => {
            Fault::new(Code::ValidationFailed, "a text holds the character U+0000, which cannot be stored")
        }
        Failure::Duplicate(_) | Failure::Other(_) => Fault::caused_by(&failure),
    }
}

/// The messages of an error and of its sources, outermost first.
fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
