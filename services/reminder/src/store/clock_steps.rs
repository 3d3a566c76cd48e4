//! Rows that wait for an instant, after the clock was set back.
//!
//! `wake_at_us` is wall time, since processes share it. Where it means a duration (a retry, a lease, a message about an
//! event of just now) it must not grow by the step. These statements change nothing twice, so every process runs them.

use service::{statement, store::Tx};
use sql::Failure;
use sqlx::query;

/// A row that was written later than now was written before the step: its waiting time goes on from now. A reminder that
/// waits for its hour before the visit keeps it.
const SHIFT_MESSAGES: &str = r#"
    UPDATE messages
    SET wake_at_us = wake_at_us - (updated_at_us - $1),
        due_at_us = CASE WHEN trigger = 'before_start' THEN due_at_us ELSE due_at_us - (updated_at_us - $1) END,
        updated_at_us = $1
    WHERE wake_at_us IS NOT NULL
        AND status = 'scheduled'
        AND updated_at_us > $1
        AND NOT (trigger = 'before_start' AND wake_at_us = due_at_us)
"#;
/// No lease, and no wait of a message that is due, lasts longer than a lease. The check before the send postpones again
/// what waits for a time of day.
const CAP_MESSAGES: &str = r#"
    UPDATE messages
    SET wake_at_us = $2
    WHERE wake_at_us > $2 AND (status = 'sending' OR (status = 'scheduled' AND due_at_us <= $1))
"#;
const CAP_UNKNOWN: &str = "UPDATE messages SET wake_at_us = $1 WHERE wake_at_us > $1 AND status = 'unknown'";
const SHIFT_DELIVERIES: &str = r#"
    UPDATE webhook_deliveries
    SET wake_at_us = wake_at_us - (updated_at_us - $1),
        since_us = CASE WHEN since_us > $1 THEN $1 ELSE since_us END,
        updated_at_us = $1
    WHERE wake_at_us IS NOT NULL AND status = 'pending' AND updated_at_us > $1
"#;
/// A delivery that another one woke has no other mark of that moment.
const SHIFT_WOKEN_DELIVERIES: &str = r#"
    UPDATE webhook_deliveries
    SET wake_at_us = wake_at_us - (since_us - $1), since_us = $1
    WHERE wake_at_us IS NOT NULL AND status = 'pending' AND since_us > $1
"#;

/// Every statement of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 5] =
    [SHIFT_MESSAGES, CAP_MESSAGES, CAP_UNKNOWN, SHIFT_DELIVERIES, SHIFT_WOKEN_DELIVERIES];

/// Shortens the waits of messages and deliveries that a clock set back has lengthened. `lease_us` is the longest lease,
/// `unknown_us` the longest wait of a message with an unknown outcome. Answers how many rows changed.
pub(crate) async fn shorten_waits(tx: &mut Tx, now_us: i64, lease_us: i64, unknown_us: i64) -> Result<u64, Failure> {
    let statements = [
        (SHIFT_MESSAGES, vec![now_us]),
        (CAP_MESSAGES, vec![now_us, now_us.saturating_add(lease_us)]),
        (CAP_UNKNOWN, vec![now_us.saturating_add(unknown_us)]),
        (SHIFT_DELIVERIES, vec![now_us]),
        (SHIFT_WOKEN_DELIVERIES, vec![now_us]),
    ];
    let mut changed = 0;
    for (statement, instants) in statements {
        changed += statement!(tx, "reminder.shorten_waits", |conn| {
            let bound = instants.iter().fold(query(statement), |query, instant| query.bind(*instant));
            bound.execute(conn).await.map(|done| done.rows_affected())
        })?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use domain::appointment::Status;
    use testkit::database::Database;

    use super::{
        super::tests::{Bed, HOUR, NOW, START, booked, suite},
        *,
    };
    use crate::{
        planning::Event,
        sending::transactions::{self, Claim},
        store::bulk_tests::new_send,
    };

    const LEASE_US: i64 = 120_000_000;
    const UNKNOWN_US: i64 = 600_000_000;
    /// The rows are written at `NOW`; then the clock is set back by an hour.
    const BACK: i64 = NOW - HOUR;

    async fn set_back(bed: &Bed) -> u64 {
        let mut tx = bed.store.across().begin().await.unwrap();
        let changed = shorten_waits(&mut tx, BACK, LEASE_US, UNKNOWN_US).await.unwrap();
        tx.commit().await.unwrap();
        changed
    }

    async fn due(bed: &Bed, at_us: i64) -> usize {
        bed.store.due(at_us, 100, &[]).await.unwrap().len()
    }

    async fn messages_about_a_booking_leave_at_once_and_reminders_keep_their_hour(bed: Bed) {
        bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
        assert_eq!(due(&bed, BACK).await, 0);
        assert_eq!(set_back(&bed).await, 2);
        assert_eq!(due(&bed, BACK).await, 2, "the text and the e-mail about the booking");
        let first_reminder_us = START - 72 * HOUR;
        assert_eq!([due(&bed, first_reminder_us - 1).await, due(&bed, first_reminder_us).await], [2, 3]);
        assert_eq!(set_back(&bed).await, 0, "a second process changes nothing");
    }

    async fn no_lease_and_no_unknown_outcome_lasts_longer_than_it_may(bed: Bed) {
        bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
        // Leased by a process that is gone, once before and once after its send began.
        let leased = bed.lease_all(NOW, 10, &[]).await;
        let begun = transactions::begin_sends(&bed.store, &[new_send(&leased[0], 1)]).await.unwrap();
        assert_eq!(begun, [Claim::Attempt(1)]);
        set_back(&bed).await;
        let ended_us = BACK + LEASE_US;
        assert_eq!([due(&bed, ended_us - 1).await, due(&bed, ended_us).await], [0, 1]);
        assert_eq!(bed.store.expire_sends(ended_us, ended_us + HOUR, &[]).await.unwrap().len(), 1);
        set_back(&bed).await;
        let known_us = BACK + UNKNOWN_US;
        assert_eq!([due(&bed, known_us - 1).await, due(&bed, known_us).await], [1, 2]);
    }

    suite! {
        messages_about_a_booking_leave_at_once_and_reminders_keep_their_hour
        no_lease_and_no_unknown_outcome_lasts_longer_than_it_may
    }
}
