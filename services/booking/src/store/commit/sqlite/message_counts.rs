//! Counts of the bookings of a day that cause messages.

use sqlx::{SqliteConnection, query_scalar};

use crate::store::{
    batch::{Batch, CommitError},
    visitors::DAY_US,
};

const ADD: &str = r#"
    INSERT INTO message_counts (organization_id, subject, day, count)
    VALUES ($1, $2, $3, 1)
    ON CONFLICT (organization_id, subject, day) DO UPDATE SET count = message_counts.count + 1
    RETURNING count
"#;

/// Adds one to each count of the batch. Refuses the batch where one exceeds its most.
pub(super) async fn add(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for count in &batch.message_counts {
        let add = query_scalar(ADD).bind(batch.organization_id).bind(&count.subject).bind(batch.now_us / DAY_US);
        let now: i64 = add.fetch_one(&mut *conn).await?;
        if now > count.most {
            let kind = count.subject.split(':').next().unwrap_or_default();
            return Err(CommitError::MessageLimit(kind.to_owned()));
        }
    }
    Ok(())
}
