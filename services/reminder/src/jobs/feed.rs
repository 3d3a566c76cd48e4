//! Following booking's feed: a snapshot first, then the changes; after a cut, on from the stored position; after a lost
//! position, a new snapshot.
//!
//! What is derived and the position after it are one transaction, which moves the position only from where this process
//! read on. Several processes may follow at once: whoever loses that race stands by, and takes over when the position
//! stands still.

use std::{sync::Arc, time::Duration};

use domain::{
    appointment::Status,
    id::{AppointmentId, LocationId, OfferId, OrganizationId, PatientId, PlanSessionId, PractitionerId, ServiceId},
};
use jiff::civil::Date;
use rpc::{Code, Context, Fault};
use runtime::Shutdown;
use sql::{Failure, feed::Position};
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::Streaming;
use uuid::Uuid;
use wire::booking::{
    AppointmentState, Change as Wire, ChangeBatch, OfferState, PlanState, SnapshotRequest, SubscribeChangesRequest,
    change::Owner,
};

use super::history;
use crate::{
    Inner,
    planning::{Appointment, Change, Event, Offered, Risk, Visit},
    rate::RateLimiter,
    store::{Applied, Batch, Progress, Step},
    webhooks::event::{self, WebhookEvent},
    write,
};

pub(crate) const CALL_WITHIN: Duration = Duration::from_secs(55);
/// A feed that says nothing for so long is taken as cut; it beats every second.
const SILENCE_MAX: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(5);
/// How often a process that stands by looks, and how long the position may stand still before it takes over.
const STAND_BY_EVERY: Duration = Duration::from_secs(1);
const STAND_STILL_MAX: u32 = 5;
/// In a busy time changes are applied this often, and so many times without a wait after a quiet time.
const PERIOD: Duration = Duration::from_millis(50);
const BURST: u32 = 4;
/// Nor more changes at once than about so many.
const GATHERED_MAX: usize = 500;
/// After so many changes of no matter here, the position is stored all the same.
const SKIPPED_MAX: usize = 1000;

/// Why following ended.
pub(crate) enum End {
    Cut(Fault),
    /// Another process follows.
    Elsewhere,
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Cut(fault)
    }
}

impl From<tonic::Status> for End {
    fn from(status: tonic::Status) -> Self {
        Self::Cut(status.into())
    }
}

impl From<Failure> for End {
    fn from(error: Failure) -> Self {
        Self::Cut(write::failure(error))
    }
}

/// Follows until draining begins.
pub(crate) async fn run(inner: &Arc<Inner>, shutdown: &Shutdown) {
    let mut pause = PAUSE_FIRST;
    let mut lost = false;
    loop {
        let Some(outcome) = shutdown.until(follow(inner, lost, &mut pause)).await else { return };
        let Err(end) = outcome;
        lost = false;
        match end {
            End::Elsewhere => {
                tracing::info!("another process follows the feed; this one stands by");
                if shutdown.until(stand_by(inner)).await.is_none() {
                    return;
                }
            }
            End::Cut(fault) => {
                lost = fault.code == Code::FeedPositionLost;
                tracing::info!(code = fault.code.as_str(), "the feed of bookings was cut; it is taken up again");
                if shutdown.until(wait(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(PAUSE_LAST);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a lost connection heals in real time, whatever the clock shows")]
async fn wait(pause: Duration) {
    tokio::time::sleep(pause).await;
}

async fn follow(inner: &Arc<Inner>, lost: bool, pause: &mut Duration) -> Result<std::convert::Infallible, End> {
    // The feed spans organisations; its calls name none in particular.
    let ctx = Context::new(OrganizationId::new(Uuid::nil()), "reminder", CALL_WITHIN);
    let stored = match inner.store.position().await? {
        Some(position) if !lost && position.parse::<Position>().is_ok() => position,
        standing => snapshot(inner, &ctx, standing).await?,
    };
    inner.applied.send_replace(stored.parse().ok());
    // What has ended is read beside the feed, which must not wait for it.
    tokio::try_join!(past(inner), tail(inner, &ctx, stored, pause)).map(|(never, _)| never)
}

/// Reads what has ended, again where that fails, and never ends by itself.
async fn past(inner: &Arc<Inner>) -> Result<std::convert::Infallible, End> {
    while let Err(end) = history::fill(inner).await {
        match end {
            // A booking service from before there was a history.
            End::Cut(fault) if fault.code == Code::Unimplemented => break,
            End::Cut(fault) => tracing::warn!(code = fault.code.as_str(), "visits that have ended cannot be read yet"),
            End::Elsewhere => return Err(end),
        }
        wait(PAUSE_LAST).await;
    }
    std::future::pending().await
}

/// The changes from a position on, as they come.
async fn tail(
    inner: &Arc<Inner>,
    ctx: &Context,
    mut stored: String,
    pause: &mut Duration,
) -> Result<std::convert::Infallible, End> {
    let request = SubscribeChangesRequest { position: stored.clone(), early: false };
    let mut batches = inner.feed.clone().subscribe_changes(ctx.request(request)).await?.into_inner();
    let (mut skipped, mut pace, mut at) = (0, RateLimiter::new(PERIOD, BURST), Instant::now());
    loop {
        let batch = gathered(&mut batches, at).await?;
        *pause = PAUSE_FIRST;
        let (mut changes, risks) = (read(&batch.changes, None), risks(&batch.changes, None));
        let events = event::from_changes(&batch.changes);
        let offers = offers(&batch.changes);
        skipped += batch.changes.len();
        // Whatever is of matter here is news to webhooks, too.
        if !changes.is_empty() || !risks.is_empty() || !events.is_empty() || skipped >= SKIPPED_MAX {
            changes.extend(history::behind(inner, &risks).await?);
            let step = Step { from: Some(&stored), to: &batch.position };
            apply(inner, (&changes, &risks, &offers, &events), Progress::Feed(step)).await?;
            stored.clone_from(&batch.position);
            (skipped, at) = (0, pace.acquire(Instant::now()));
            let now_us = inner.clock.now_us();
            for change in &changes {
                let lag_us = now_us.saturating_sub(change.changed_at_us).max(0).unsigned_abs();
                metrics::histogram!("reminder_feed_lag_seconds").record(Duration::from_micros(lag_us));
            }
        }
        inner.applied.send_replace(batch.position.parse().ok());
    }
}

/// What comes until then, at least the next batch, as one: what is planned together costs little more than one plan.
async fn gathered(batches: &mut Streaming<ChangeBatch>, until: Instant) -> Result<ChangeBatch, Fault> {
    let silent = || Fault::new(Code::Unavailable, "the feed fell silent");
    let next = tokio::time::timeout(SILENCE_MAX, batches.next()).await.map_err(|_| silent())?;
    let mut batch = next.ok_or_else(silent)??;
    while batch.changes.len() < GATHERED_MAX {
        let Ok(next) = tokio::time::timeout_at(until, batches.next()).await else { break };
        let next = next.ok_or_else(silent)??;
        batch.changes.extend(next.changes);
        batch.position = next.position;
    }
    Ok(batch)
}

/// Takes a snapshot, part by part. Each part is a step of its own, to a place that is none in the feed: of several
/// processes that begin at once one goes on, and the others stand by. A snapshot that breaks off is taken again from its
/// beginning, to no other effect.
async fn snapshot(inner: &Arc<Inner>, ctx: &Context, mut standing: Option<String>) -> Result<String, End> {
    let id = inner.ids.uuid(inner.clock.now());
    // What ended while the position was lost is in no snapshot.
    inner.store.forget_history().await?;
    let mut parts = inner.feed.clone().snapshot(ctx.request(SnapshotRequest::default())).await?.into_inner();
    let mut count = 0;
    while let Some(part) = parts.next().await {
        let part = part?;
        let mut changes = read(&part.changes, Some(Event::Snapshot));
        let risks = risks(&part.changes, Some(inner.clock.now_us()));
        changes.extend(history::behind(inner, &risks).await?);
        count += part.changes.len();
        let last = !part.position.is_empty();
        let place = if last { part.position } else { format!("snapshot {id} {count}") };
        let step = Step { from: standing.as_deref(), to: &place };
        apply(inner, (&changes, &risks, &[], &[]), Progress::Feed(step)).await?;
        if last {
            tracing::info!(changes = count, "the snapshot of bookings is applied");
            return Ok(place);
        }
        standing = Some(place);
    }
    Err(Fault::new(Code::Unavailable, "the snapshot broke off").into())
}

pub(crate) async fn apply(
    inner: &Arc<Inner>,
    (changes, risks, offers, events): (&[Change], &[Risk], &[Offered], &[WebhookEvent]),
    step: Progress<'_>,
) -> Result<(), End> {
    let batch = Batch {
        changes,
        risks,
        offers,
        events,
        step,
        now_us: inner.clock.now_us(),
        settle_us: i64::from(inner.config.settle_seconds) * 1_000_000,
        ids: &inner.ids,
    };
    match sql::retry_serialization(|| inner.ids.fraction(), || inner.store.apply(&batch)).await? {
        Applied::Here { planned } => {
            if planned > 0 {
                inner.planned.notify_waiters();
            }
            if !events.is_empty() {
                inner.deliveries_queued.notify_waiters();
            }
            Ok(())
        }
        Applied::Elsewhere => Err(End::Elsewhere),
    }
}

/// Waits until the position has stood still for a while: whoever followed may be gone.
async fn stand_by(inner: &Arc<Inner>) {
    let (mut last, mut still) = (None, 0);
    while still < STAND_STILL_MAX {
        wait(STAND_BY_EVERY).await;
        let Ok(position) = inner.store.position().await else { continue };
        still = if position == last { still + 1 } else { 0 };
        inner.applied.send_replace(position.as_deref().and_then(|text| text.parse().ok()));
        // The other's plans do not ring here.
        inner.planned.notify_waiters();
        inner.deliveries_queued.notify_waiters();
        last = position;
    }
}

/// The changes of appointments; those of holds and group sessions are of no matter here. `standing`: they say how
/// appointments stand, in this way.
pub(crate) fn read(changes: &[Wire], standing: Option<Event>) -> Vec<Change> {
    let appointments = changes.iter().filter_map(|change| match &change.owner {
        Some(Owner::Appointment(state)) => Some((change, state)),
        _ => None,
    });
    let read = |(change, state): (&Wire, &AppointmentState)| {
        let found = one(change, state, standing);
        if found.is_none() {
            tracing::error!(version = change.version, "a change of the feed cannot be read and is left out");
        }
        found
    };
    appointments.filter_map(read).collect()
}

/// The plans that are at risk now: those of which it is told, and in a snapshot, which says when, all.
fn risks(changes: &[Wire], snapshot_us: Option<i64>) -> Vec<Risk> {
    let plans = changes.iter().filter_map(|change| match &change.owner {
        Some(Owner::Plan(plan)) => Some((change, plan)),
        _ => None,
    });
    let told = plans.filter(|(change, plan)| plan.at_risk && (snapshot_us.is_some() || change.event == "plan_at_risk"));
    let read = |(change, plan): (&Wire, &PlanState)| {
        Some(Risk {
            organization: change.organization_id.parse::<OrganizationId>().ok()?.uuid(),
            visit: plan.last_appointment_id.parse::<AppointmentId>().ok()?.uuid(),
            service: plan.next_service_id.parse::<ServiceId>().ok()?.uuid(),
            book_by: plan.book_by.parse::<Date>().ok()?.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24,
            since_us: snapshot_us.unwrap_or(change.changed_at_us),
        })
    };
    told.filter_map(read).collect()
}

/// The offers that were made or have ended.
fn offers(changes: &[Wire]) -> Vec<Offered> {
    let told = changes.iter().filter_map(|change| match &change.owner {
        Some(Owner::Offer(state)) => Some((change, state)),
        _ => None,
    });
    let read = |(change, state): (&Wire, &OfferState)| {
        let visit = Appointment {
            id: state.id.parse::<OfferId>().ok()?.uuid(),
            version: change.version,
            status: Status::EnteredInError,
            service: state.service_id.parse::<ServiceId>().ok()?.uuid(),
            practitioner: state.practitioner_id.parse::<PractitionerId>().ok()?.uuid(),
            patient: state.patient_id.parse::<PatientId>().ok()?.uuid(),
            visit: Visit {
                starts_at_us: state.starts_at_us,
                location: state.location_id.parse::<LocationId>().ok()?.uuid(),
            },
            ends_at_us: state.ends_at_us,
            time_zone: state.time_zone.clone(),
            plan_session: None,
            confirmed_at_us: None,
        };
        Some(Offered {
            organization: change.organization_id.parse::<OrganizationId>().ok()?.uuid(),
            open: state.status == "open",
            visit,
            since_us: change.changed_at_us,
        })
    };
    told.filter_map(read).collect()
}

pub(crate) fn one(change: &Wire, state: &AppointmentState, standing: Option<Event>) -> Option<Change> {
    let event = match (standing, change.event.as_str()) {
        (Some(event), _) => event,
        (None, "booked") => Event::Booked,
        (None, "clock_corrected") => Event::Corrected,
        (None, _) => Event::Other,
    };
    Some(Change {
        organization: change.organization_id.parse::<OrganizationId>().ok()?.uuid(),
        event,
        changed_at_us: change.changed_at_us,
        appointment: Appointment {
            id: state.id.parse::<AppointmentId>().ok()?.uuid(),
            version: change.version,
            status: state.status.parse().ok()?,
            service: state.service_id.parse::<ServiceId>().ok()?.uuid(),
            practitioner: state.practitioner_id.parse::<PractitionerId>().ok()?.uuid(),
            patient: state.patient_id.parse::<PatientId>().ok()?.uuid(),
            visit: Visit {
                starts_at_us: state.starts_at_us,
                location: state.location_id.parse::<LocationId>().ok()?.uuid(),
            },
            ends_at_us: state.ends_at_us,
            time_zone: state.time_zone.clone(),
            plan_session: state.plan_session_id.parse::<PlanSessionId>().ok().map(PlanSessionId::uuid),
            confirmed_at_us: (state.confirmed_at_us != 0).then_some(state.confirmed_at_us),
        },
        moved_from_us: (state.previous_starts_at_us != 0).then_some(state.previous_starts_at_us),
    })
}
