//! Fetches calendars on other servers at their interval.
//!
//! A calendar that cannot be read keeps the practitioner's last known times; its entry says what is wrong.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{
    directory::{Body, Busy, BusyTime, Kind},
    id::{BusyId, OrganizationId},
};
use rpc::Context;
use runtime::Shutdown;
use tokio::{task::JoinSet, time::MissedTickBehavior};
use uuid::Uuid;
use wire::common::KeepAppointments;

use crate::{
    Inner,
    directory::{
        import::{CalendarReader, ImportError},
        write::{EntryChange, apply},
    },
    index::directory::{Directory, Entry},
};

/// The interval between two looks for due calendars, in real time.
const INTERVAL: Duration = Duration::from_secs(1);
const CONCURRENT_MAX: usize = 8;
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches due calendars until draining begins.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut read_at = HashMap::new();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.until(ticks.tick()).await.is_some() {
        let due = due_calendars(inner, &mut read_at);
        for batch in due.chunks(CONCURRENT_MAX) {
            let mut reads = JoinSet::new();
            for (organization, directory, entry) in batch.iter().cloned() {
                reads.spawn(refresh(inner.clone(), organization, directory, entry));
            }
            if shutdown.until(reads.join_all()).await.is_none() {
                return;
            }
        }
    }
}

type DueCalendar = (OrganizationId, Arc<Directory>, Arc<Entry>);

/// The calendars whose interval has passed; they count as read from now on. `read_at` holds readings of
/// `Clock::elapsed_us`, so that a clock that is set back delays no calendar.
fn due_calendars(inner: &Inner, read_at: &mut HashMap<Uuid, i64>) -> Vec<DueCalendar> {
    let (now_us, elapsed_us) = (inner.clock.now_us(), inner.clock.elapsed_us());
    let interval_us = i64::from(inner.calendars.poll_minutes) * 60_000_000;
    let mut due = Vec::new();
    for organization in inner.organisations.ids() {
        let Some(directory) = inner.organisations.directory(organization) else { continue };
        let fetched =
            directory.live(Kind::Busy).filter(|entry| matches!(&entry.body, Body::Busy(busy) if busy.url.is_some()));
        for entry in fetched {
            let age_us = now_us.saturating_sub(entry.updated_at_us).max(0);
            let last_us = read_at.entry(entry.id).or_insert_with(|| elapsed_us.saturating_sub(age_us));
            if elapsed_us.saturating_sub(*last_us) >= interval_us {
                *last_us = elapsed_us;
                due.push((OrganizationId::new(organization), directory.clone(), entry.clone()));
            }
        }
    }
    due
}

/// Fetches one calendar and writes its entry where that differs.
async fn refresh(inner: Arc<Inner>, organization: OrganizationId, directory: Arc<Directory>, entry: Arc<Entry>) {
    let (Body::Busy(busy), Some(practitioner)) = (&entry.body, entry.parent) else { return };
    let url = busy.url.clone().unwrap_or_default();
    let reader = CalendarReader { directory: &directory, organization, practitioner, lenient: busy.lenient };
    let times = reader.fetch(&inner, &url).await.map(|calendar| calendar.times);
    metrics::counter!("availability_calendars_read_total", "outcome" => if times.is_ok() { "read" } else { "failed" })
        .increment(1);
    let Some(next) = updated(busy, times) else { return };
    if next.problem.is_some() && next.problem != busy.problem {
        // Without the address, which may hold a secret.
        let problem = next.problem.as_deref().unwrap_or_default();
        let calendar = BusyId::new(entry.id);
        tracing::warn!(organization_id = %organization, %calendar, problem, "a calendar cannot be fetched");
    }
    if next == *busy {
        return;
    }
    let ctx = Context::new(organization, "availability", WRITE_TIMEOUT);
    let change = EntryChange::Update {
        kind: Kind::Busy,
        id: entry.id,
        parent: entry.parent,
        body: Body::Busy(next),
        if_version: entry.version,
        keep: KeepAppointments::Unspecified,
    };
    // An entry that has been changed or archived meanwhile wins; the next fetch starts from there.
    if let Err(fault) = apply(&inner, &ctx, "PollBusy", change, false).await {
        let (calendar, code) = (BusyId::new(entry.id), fault.code.as_str());
        tracing::info!(organization_id = %organization, %calendar, code, "a fetched calendar was not written");
    }
}

/// The entry's body after a fetch; `None` after an internal failure, which says nothing about the calendar.
fn updated(busy: &Busy, times: Result<Vec<BusyTime>, ImportError>) -> Option<Busy> {
    Some(match times {
        Ok(times) => Busy { times, problem: None, ..busy.clone() },
        Err(error) => Busy { problem: Some(error.code()?), ..busy.clone() },
    })
}
