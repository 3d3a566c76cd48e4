//! Appointments that have ended, in parts.

use rpc::Fault;
use service::db_error;
use uuid::Uuid;
use wire::booking::{HistoryPart, HistoryRequest};

use super::change::appointment_snapshot;
use crate::Inner;

/// Appointments in a part.
const PART_MAX: u32 = 1000;

/// One part.
///
/// # Errors
/// `validation_failed` for a limit out of range and for a malformed cursor.
pub(crate) async fn part(inner: &Inner, request: HistoryRequest) -> Result<HistoryPart, Fault> {
    let limit = if request.limit == 0 { PART_MAX } else { request.limit };
    if limit > PART_MAX {
        return Err(Fault::violation("/limit", "out_of_range", "at most 1000"));
    }
    let after = match request.cursor.as_str() {
        // No id is less than nil, so appointments that end at the bound itself are included.
        "" => (request.ended_from_us, Uuid::nil()),
        text => {
            parse_cursor(text).ok_or_else(|| Fault::violation("/cursor", "invalid_cursor", "send the last one back"))?
        }
    };
    let mut rows = inner.store.appointments_by_end(after, i64::from(limit)).await.map_err(db_error::fault)?;
    let is_full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let found = rows.len();
    rows.retain(|row| row.ends_at_us <= request.ended_to_us);
    let last = rows.last().filter(|_| is_full && rows.len() == found);
    let next_cursor = last.map(|row| format!("{}.{}", row.ends_at_us, row.id)).unwrap_or_default();
    Ok(HistoryPart { changes: rows.iter().map(|row| appointment_snapshot(row, &[])).collect(), next_cursor })
}

fn parse_cursor(text: &str) -> Option<(i64, Uuid)> {
    let (ends_at_us, id) = text.split_once('.')?;
    Some((ends_at_us.parse().ok()?, id.parse().ok()?))
}
