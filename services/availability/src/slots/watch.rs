//! `WatchAvailability`: the open slots of a query, and then each slot that opens or closes.
//!
//! A change that affects the query triggers a new search, whose result is compared with the last one. Changes in quick
//! succession are one search, so that a watcher of a busy chain costs a few searches a second.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use domain::claim::Kind;
use rpc::{Code, Context, Fault};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::Status;
use uuid::Uuid;
use wire::availability::{AvailabilityChange, SearchSlotsRequest, Slot};

use super::{query::SlotQuery, request};
use crate::{Inner, changes::ChangeNotice, index::Location, organisations::Organisation};

const DAYS_MAX: i64 = 62;
const SLOTS_MAX: usize = 5000;
const MICROS_PER_DAY: i64 = 86_400_000_000;
/// The least time between two searches, in real time.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// The longest time between two searches, in real time: the notice that a start needs ends without any change.
const REFRESH_EVERY: Duration = Duration::from_secs(15);

/// The stream of a watcher.
pub(crate) type AvailabilityStream = Pin<Box<dyn Stream<Item = Result<AvailabilityChange, Status>> + Send>>;

/// The open slots by their ids.
type SlotsById = BTreeMap<String, Slot>;

struct Watcher {
    inner: Arc<Inner>,
    organisation: Arc<Organisation>,
    ctx: Context,
    request: SearchSlotsRequest,
}

/// Begins to watch a query.
///
/// # Errors
/// The faults of the request; `overloaded` where too many watch already.
pub(crate) async fn watch(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: SearchSlotsRequest,
) -> Result<AvailabilityStream, Fault> {
    let permit = inner.watchers.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Fault::new(Code::Overloaded, "too many watch already; ask again now and then"))?;
    let organisation = inner.organisations.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let watcher = Watcher { inner: inner.clone(), organisation, ctx: ctx.clone(), request };
    // Subscribed before the first search, so that no change between the two is missed.
    let mut changes = watcher.organisation.changes.subscribe();
    let (mut known, first) = watcher.search(&SlotsById::new()).await?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        let _permit = permit;
        let mut next = Ok(first);
        while sender.send(next.map_err(Status::from)).await.is_ok() {
            next = loop {
                tokio::select! {
                    () = watcher.wait_for_change(&mut changes) => {}
                    () = sender.closed() => return,
                    () = watcher.inner.draining.begun() => return,
                }
                match watcher.search(&known).await {
                    Ok((_, change)) if change.came.is_empty() && change.went.is_empty() => {}
                    Ok((open, change)) => {
                        known = open;
                        break Ok(change);
                    }
                    Err(fault) => break Err(fault),
                }
            };
            if next.is_err() {
                let _ = sender.send(next.map_err(Status::from)).await;
                return;
            }
        }
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

impl Watcher {
    /// The open slots, and how they differ from the known ones.
    async fn search(&self, known: &SlotsById) -> Result<(SlotsById, AvailabilityChange), Fault> {
        let revision = self.inner.revision(&self.ctx);
        let query = self.query()?;
        let page = query.page(&self.organisation, SLOTS_MAX + 1).await;
        if page.slots.len() > SLOTS_MAX {
            let detail = format!("more than {SLOTS_MAX} slots are open; watch fewer locations, practitioners or days");
            return Err(Fault::violation("to", "too_many", &detail));
        }
        let slots = page.slots.iter().map(|open| query.to_wire(open));
        let open: SlotsById = slots.map(|slot| (slot.slot_id.clone(), slot)).collect();
        let came = open.iter().filter(|(id, slot)| known.get(*id) != Some(*slot)).map(|(_, slot)| slot.clone());
        let went = known.keys().filter(|id| !open.contains_key(*id)).cloned();
        let mut came: Vec<Slot> = came.collect();
        came.sort_by_key(|slot| slot.starts_at_us);
        let change = AvailabilityChange { came, went: went.collect(), revision };
        Ok((open, change))
    }

    fn query(&self) -> Result<SlotQuery, Fault> {
        let mut query = request::read(&self.organisation, &self.request, self.inner.clock.now())?;
        if self.request.to_us - self.request.from_us > DAYS_MAX * MICROS_PER_DAY {
            let detail = format!("at most {DAYS_MAX} days after `from`");
            return Err(Fault::violation("to", "too_long", &detail));
        }
        query.rewind();
        Ok(query)
    }

    /// Waits for a change that may affect the query and for those that follow it closely, or until a refresh is due.
    async fn wait_for_change(&self, changes: &mut broadcast::Receiver<ChangeNotice>) {
        let refresh_at = tokio::time::Instant::now() + REFRESH_EVERY;
        // The search reports why the query has become invalid.
        let Ok(query) = self.query() else { return };
        loop {
            // An error means that notices were missed.
            let Ok(Ok(notice)) = tokio::time::timeout_at(refresh_at, changes.recv()).await else { return };
            if notice.affects(query.kernel.window, |kind, resource| query.concerns(kind, resource)) {
                debounce().await;
                while let Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) = changes.try_recv() {}
                return;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "watching limits real work, whatever the simulated clock shows")]
async fn debounce() {
    tokio::time::sleep(DEBOUNCE).await;
}

impl SlotQuery {
    /// Whether a resource's claims can change the answer.
    fn concerns(&self, kind: Kind, resource: Uuid) -> bool {
        match kind {
            Kind::Practitioner => self.index.practitioner(resource).is_some_and(|(at, _)| self.wants(at)),
            Kind::Room => self.at_any_location(|location| location.rooms.iter().any(|(id, _)| *id == resource)),
            Kind::Equipment => self.at_any_location(|location| location.units.iter().any(|(id, _, _)| *id == resource)),
            Kind::Patient | Kind::Needling => self.patient == Some(resource),
            // A claim on a place does not name its group's service.
            Kind::Place => self.service.capacity > 1,
        }
    }

    fn at_any_location(&self, holds: impl Fn(&Location) -> bool) -> bool {
        self.locations.iter().any(|number| holds(&self.index.locations[*number as usize]))
    }
}
