//! Calendars that are kept elsewhere, read again and again.
//!
//! What cannot be read changes nothing but that it is said: the practitioner's times stay as they were the last time that
//! all was well.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{
    directory::{Body, Busy, Kind},
    id::OrganizationId,
};
use jiff::{SignedDuration, Timestamp};
use rpc::Context;
use runtime::Shutdown;
use tokio::task::JoinSet;
use uuid::Uuid;
use wire::common::KeepAppointments;

use crate::{
    Inner,
    directory::{
        import::{Calendar, Problem},
        write::{Change, make},
    },
    index::directory::{Directory, Entry},
};

/// How often it is looked whether any is due, in real time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many are read at a time.
const AT_ONCE: usize = 8;
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// Reads what is due until draining begins.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut read_at: HashMap<Uuid, Timestamp> = HashMap::new();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.until(ticks.tick()).await.is_some() {
        let due = due(inner, &mut read_at);
        for some in due.chunks(AT_ONCE) {
            let mut reading = JoinSet::new();
            for (organization, directory, entry) in some.iter().cloned() {
                reading.spawn(read(inner.clone(), organization, directory, entry));
            }
            if shutdown.until(reading.join_all()).await.is_none() {
                return;
            }
        }
    }
}

type Due = (OrganizationId, Arc<Directory>, Arc<Entry>);

/// The calendars that have not been read for as long as is set; noted as read now.
fn due(inner: &Inner, read_at: &mut HashMap<Uuid, Timestamp>) -> Vec<Due> {
    let (now, every) = (inner.clock.now(), SignedDuration::from_mins(i64::from(inner.calendars.poll_minutes)));
    let mut due = Vec::new();
    for organization in inner.orgs.ids() {
        let Some(directory) = inner.orgs.directory(organization) else { continue };
        let followed =
            directory.live(Kind::Busy).filter(|entry| matches!(&entry.body, Body::Busy(busy) if busy.url.is_some()));
        for entry in followed {
            let written = domain::time::from_micros(entry.updated_at_us).unwrap_or(now);
            let last = read_at.get(&entry.id).copied().unwrap_or(written);
            if now.duration_since(last) >= every {
                read_at.insert(entry.id, now);
                due.push((OrganizationId::new(organization), directory.clone(), entry.clone()));
            }
        }
    }
    due
}

async fn read(inner: Arc<Inner>, organization: OrganizationId, directory: Arc<Directory>, entry: Arc<Entry>) {
    let (Body::Busy(busy), Some(practitioner)) = (&entry.body, entry.parent) else { return };
    let url = busy.url.clone().unwrap_or_default();
    let calendar = Calendar { directory: &directory, organization, practitioner, lenient: busy.lenient };
    let read = calendar.fetched(&inner, &url).await.map(|read| read.times);
    metrics::counter!("availability_calendars_read_total", "outcome" => if read.is_ok() { "read" } else { "failed" })
        .increment(1);
    let Some(now) = after(busy, read) else { return };
    if now.problem.is_some() && now.problem != busy.problem {
        // Never the address: it may hold a secret.
        let problem = now.problem.as_deref().unwrap_or_default();
        tracing::warn!(calendar = %domain::id::BusyId::new(entry.id), problem, "a calendar elsewhere cannot be read");
    }
    if now == *busy {
        return;
    }
    let ctx = Context::new(organization, "availability", WRITE_WITHIN);
    let change = Change::Update {
        kind: Kind::Busy,
        id: entry.id,
        parent: entry.parent,
        body: Body::Busy(now),
        if_version: entry.version,
        keep: KeepAppointments::Unspecified,
    };
    // Whoever changed or withdrew it meanwhile was right: the next time begins from there.
    if let Err(fault) = make(&inner, &ctx, "PollBusy", change, false).await {
        tracing::info!(code = fault.code.as_str(), "a calendar that was read again could not be written");
    }
}

/// The entry as it is after reading; `None` where nothing is to be said.
fn after(busy: &Busy, read: Result<Vec<domain::directory::BusyTime>, Problem>) -> Option<Busy> {
    Some(match read {
        Ok(times) => Busy { times, problem: None, ..busy.clone() },
        Err(problem) => Busy { problem: Some(problem.code()?), ..busy.clone() },
    })
}
