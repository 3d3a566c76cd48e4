//! Measures how far each follower of the feed is behind, and names the transaction that holds the feed up.
//!
//! On PostgreSQL a transaction that stays open anywhere in the cluster keeps later changes from followers that take them in
//! order. Nothing else shows it: bookings go on, and reminders are late.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use runtime::Shutdown;
use sql::Failure;

use crate::{Inner, store::feed_age::Holder};

/// Interval of the measurements, in real time.
const INTERVAL: Duration = Duration::from_secs(1);
/// A follower that is further behind gets a note in `/readyz` and a line in the log.
const NOTED_US: i64 = 5_000_000;
const SECOND_US: i64 = 1_000_000;
const PART: &str = "feed";

pub(super) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut names, mut is_noted) = (BTreeSet::new(), false);
    while shutdown.until(ticks.tick()).await.is_some() {
        match measure(inner, &mut names).await {
            Ok(note) => {
                if let Some(note) = note.as_ref().filter(|_| !is_noted) {
                    tracing::warn!("{note}");
                }
                is_noted = note.is_some();
                inner.readiness.note(PART, note);
            }
            Err(error) => tracing::warn!(%error, "the age of the feed's positions cannot be read; trying again"),
        }
    }
}

/// Publishes the age of each follower's position; answers the note about the one that is furthest behind.
async fn measure(inner: &Inner, names: &mut BTreeSet<String>) -> Result<Option<String>, Failure> {
    let mut ages: BTreeMap<String, i64> = names.iter().map(|name| (name.clone(), 0)).collect();
    for (name, position) in inner.followers.positions() {
        let next_us = inner.store.next_change_us(position).await?;
        let age_us = next_us.map_or(0, |next_us| inner.clock.now_us().saturating_sub(next_us).max(0));
        let known = ages.entry(name).or_default();
        *known = age_us.max(*known);
    }
    for (name, age_us) in &ages {
        let age = Duration::from_micros(age_us.unsigned_abs());
        metrics::gauge!("booking_feed_age_seconds", "follower" => name.clone()).set(age.as_secs_f64());
        names.insert(name.clone());
    }
    let behind = ages.into_iter().max_by_key(|(_, age_us)| *age_us).filter(|(_, age_us)| *age_us >= NOTED_US);
    let Some((name, age_us)) = behind else { return Ok(None) };
    let cause = cause(inner.store.feed_holder().await?);
    Ok(Some(format!("{name} is {} s behind the newest change: {cause}", age_us / SECOND_US)))
}

fn cause(holder: Option<Holder>) -> String {
    let Some(Holder { pid, age_seconds, application_name }) = holder else {
        return "no open transaction holds the feed up, so the follower reads slowly".to_owned();
    };
    let Some(pid) = pid else {
        return "a prepared transaction of the PostgreSQL cluster holds the feed up; see pg_prepared_xacts".to_owned();
    };
    let application = application_name.filter(|name| !name.is_empty());
    let application = application.map(|name| format!(" ({name})")).unwrap_or_default();
    let age = age_seconds.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
    format!(
        "the PostgreSQL process {pid}{application} has had a transaction open{age}; end it with pg_terminate_backend"
    )
}
