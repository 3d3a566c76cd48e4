//! A question that is followed: what is open, and then each slot that comes or goes.
//!
//! What is open is computed anew where news touches the question, and compared. Many changes in a short while are one
//! computation, so that a busy chain costs a watcher no more than a few of them a second.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use domain::claim::Kind;
use rpc::{Code, Context, Fault};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::Status;
use wire::availability::{AvailabilityChange, SearchSlotsRequest, Slot};

use super::query::Ask;
use crate::{Inner, changes::News, organisations::Org};

const DAYS_MAX: i64 = 62;
const SLOTS_MAX: usize = 5000;
/// Computed no more often than this, in real time.
const SETTLE: Duration = Duration::from_millis(100);
/// Without news it is computed so often all the same: time passes, and with it the notice that a start needs. In real
/// time.
const AGAIN: Duration = Duration::from_secs(15);

/// The stream that a watcher gets.
pub(crate) type Changes = Pin<Box<dyn Stream<Item = Result<AvailabilityChange, Status>> + Send>>;

/// What is open, by the slot's id.
type Open = BTreeMap<String, Slot>;

/// One who watches.
struct Watcher {
    inner: Arc<Inner>,
    org: Arc<Org>,
    ctx: Context,
    request: SearchSlotsRequest,
}

/// Begins to follow a question.
pub(crate) async fn watch(inner: &Arc<Inner>, ctx: &Context, request: SearchSlotsRequest) -> Result<Changes, Fault> {
    let place = inner.watchers.clone().try_acquire_owned();
    let place = place.map_err(|_| Fault::new(Code::Overloaded, "too many watch already; ask again now and then"))?;
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let watcher = Watcher { inner: inner.clone(), org, ctx: ctx.clone(), request };
    // Listened to before the first look, so that nothing is missed between the two.
    let mut news = watcher.org.news.subscribe();
    let (mut known, first) = watcher.look(&Open::new()).await?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        let _place = place;
        let mut next = Ok(first);
        while sender.send(next.map_err(Status::from)).await.is_ok() {
            next = loop {
                tokio::select! {
                    () = watcher.concerned(&mut news) => {}
                    () = sender.closed() => return,
                    () = watcher.inner.draining.begun() => return,
                }
                match watcher.look(&known).await {
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
    /// What is open now, and how that differs from what was known.
    async fn look(&self, known: &Open) -> Result<(Open, AvailabilityChange), Fault> {
        let revision = self.inner.revision(&self.ctx);
        let ask = self.ask()?;
        let page = ask.page(&self.org, SLOTS_MAX + 1).await;
        if page.open.len() > SLOTS_MAX {
            let detail = "more than 5000 slots are open; watch fewer locations, practitioners or days";
            return Err(Fault::violation("to", "too_many", detail));
        }
        let open: Open =
            page.open.iter().map(|open| ask.shown(open)).map(|slot| (slot.slot_id.clone(), slot)).collect();
        let came = open.iter().filter(|(id, slot)| known.get(*id) != Some(*slot)).map(|(_, slot)| slot.clone());
        let went = known.keys().filter(|id| !open.contains_key(*id)).cloned();
        let mut came: Vec<Slot> = came.collect();
        came.sort_by_key(|slot| slot.starts_at_us);
        let change = AvailabilityChange { came, went: went.collect(), revision };
        Ok((open, change))
    }

    fn ask(&self) -> Result<Ask, Fault> {
        let mut ask = Ask::read(&self.org, &self.request, self.inner.clock.now())?;
        if self.request.to_us - self.request.from_us > DAYS_MAX * 86_400_000_000 {
            return Err(Fault::violation("to", "too_long", "at most 62 days after `from`"));
        }
        ask.query.after = None;
        Ok(ask)
    }

    /// Waits until there is news that may touch the question, and until what else comes with it has come; or until it is
    /// time to look again.
    async fn concerned(&self, news: &mut broadcast::Receiver<News>) {
        let again = tokio::time::Instant::now() + AGAIN;
        // Without a question that makes sense there is nothing to wait for: looking says what is wrong.
        let Ok(ask) = self.ask() else { return };
        loop {
            let told = match tokio::time::timeout_at(again, news.recv()).await {
                Ok(Ok(told)) => told,
                // Some were missed, or it is time.
                _ => return,
            };
            if told.touches(ask.query.window, |kind, resource| ask.concerns(kind, resource)) {
                settle().await;
                while let Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) = news.try_recv() {}
                return;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a watcher's machine works in real time, whatever the clock shows")]
async fn settle() {
    tokio::time::sleep(SETTLE).await;
}

impl Ask {
    /// Whether a resource's time can change the answer.
    fn concerns(&self, kind: Kind, resource: uuid::Uuid) -> bool {
        match kind {
            Kind::Practitioner => self.model.person(resource).is_some_and(|(at, _)| self.wants(at)),
            Kind::Room => self.at_a_place(|place| place.rooms.iter().any(|(id, _)| *id == resource)),
            Kind::Equipment => self.at_a_place(|place| place.units.iter().any(|(id, _, _)| *id == resource)),
            Kind::Patient | Kind::Needling => self.patient == Some(resource),
            // Whose group it is does not show.
            Kind::Place => self.service.capacity > 1,
        }
    }

    fn at_a_place(&self, holds: impl Fn(&crate::index::Place) -> bool) -> bool {
        self.places.iter().any(|at| holds(&self.model.places[*at as usize]))
    }
}
