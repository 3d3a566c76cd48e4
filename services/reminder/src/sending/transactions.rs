//! What commits together when messages are sent: the claim before a send, and its result after it.

use std::collections::{HashMap, HashSet};

use service::store::Tx;
use sql::Failure;
use uuid::Uuid;

use crate::{
    planning::{EndedMessage, plan_fallbacks},
    store::{
        Store,
        appointments::update_announced,
        attempts::{insert_attempts, record_attempts},
        blocked::insert_blocked,
        sends::{
            Finish, NewSend, SendResult, claim_messages, finish_messages, lock_free, lock_subject_of, record_results,
        },
    },
};

/// What became of a send that was to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It begins, as this attempt.
    Attempt(i32),
    /// The lease is lost, or a newer version of the appointment is known.
    Refused,
    /// Another transaction holds the message or its appointment.
    Locked,
}

/// Begins sends, the last check before messages leave. Waits for no lock; all or nothing when it fails.
pub(crate) async fn begin_sends(store: &Store, sends: &[NewSend]) -> Result<Vec<Claim>, Failure> {
    let mut tx = store.across().begin().await?;
    let free = lock_free(&mut tx, sends).await?;
    let unlocked: Vec<_> = sends.iter().filter(|send| free.contains(&send.message.id)).cloned().collect();
    let claimed = claim(&mut tx, &unlocked).await?;
    tx.commit().await?;
    let claim_of = |send: &NewSend| match claimed.get(&send.message.id) {
        Some(attempt) => Claim::Attempt(*attempt),
        None if free.contains(&send.message.id) => Claim::Refused,
        None => Claim::Locked,
    };
    Ok(sends.iter().map(claim_of).collect())
}

/// Begins one send and waits for the lock on its appointment. Answers the number of the attempt.
pub(crate) async fn begin_send(store: &Store, send: &NewSend) -> Result<Option<i32>, Failure> {
    let mut tx = store.of(send.message.organization_id).begin().await?;
    lock_subject_of(&mut tx, &send.message).await?;
    let claimed = claim(&mut tx, std::slice::from_ref(send)).await?;
    tx.commit().await?;
    Ok(claimed.get(&send.message.id).copied())
}

/// Claims messages, inserts their attempts and stores what they announce.
async fn claim(tx: &mut Tx, sends: &[NewSend]) -> Result<HashMap<Uuid, i32>, Failure> {
    let claimed = claim_messages(tx, sends).await?;
    let begun: Vec<_> = sends.iter().filter_map(|send| Some((send, *claimed.get(&send.message.id)?))).collect();
    insert_attempts(tx, &begun).await?;
    let announcements: Vec<_> = begun.iter().filter_map(|(send, _)| send.announcement).collect();
    update_announced(tx, &announcements).await?;
    Ok(claimed)
}

/// Records the results of attempts; `false` for each message of which something newer is known.
pub(crate) async fn record(store: &Store, results: &[SendResult]) -> Result<Vec<bool>, Failure> {
    let mut tx = store.across().begin().await?;
    let recorded = record_results(&mut tx, results).await?;
    record_attempts(&mut tx, results).await?;
    for result in results {
        if let Some(address) = &result.block {
            insert_blocked(&mut tx, address, result.now_us).await?;
        }
    }
    let ended = results.iter().map(|result| EndedMessage {
        key: (result.message.organization_id, result.message.id),
        status: result.status,
        reason: result.reason,
        fallback_id: result.fallback_id,
        now_us: result.now_us,
    });
    plan_fallbacks(&mut tx, &with_ids(ended, &recorded)).await?;
    tx.commit().await?;
    Ok(results.iter().map(|result| recorded.contains(&result.message.id)).collect())
}

/// Ends leased messages without a send, and plans their fallbacks; `false` for each whose lease is lost.
pub(crate) async fn finish(store: &Store, finishes: &[Finish]) -> Result<Vec<bool>, Failure> {
    let mut tx = store.across().begin().await?;
    let finished = finish_messages(&mut tx, finishes).await?;
    let ended = finishes.iter().map(|finish| EndedMessage {
        key: (finish.message.organization_id, finish.message.id),
        status: finish.status,
        reason: finish.reason,
        fallback_id: finish.fallback_id,
        now_us: finish.now_us,
    });
    plan_fallbacks(&mut tx, &with_ids(ended, &finished)).await?;
    tx.commit().await?;
    Ok(finishes.iter().map(|finish| finished.contains(&finish.message.id)).collect())
}

fn with_ids<'a>(ended: impl Iterator<Item = EndedMessage<'a>>, ids: &HashSet<Uuid>) -> Vec<EndedMessage<'a>> {
    ended.filter(|message| ids.contains(&message.key.1)).collect()
}
