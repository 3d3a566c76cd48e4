//! The organisations in memory: the index of each one's directory, and its occupancy.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use calendar::Span;
use domain::id::OrganizationId;
use jiff::Timestamp;
use tokio::sync::broadcast;
use uuid::Uuid;
use wire::booking::Change;

use crate::{
    changes::{self, ChangeNotice},
    config::Travel,
    index::{Index, directory::Directory, is_current, span_at},
    occupancy::{self, Occupancy},
};

/// All organisations of this replica.
pub(crate) struct Organisations {
    travel: Travel,
    all: RwLock<HashMap<Uuid, Arc<Organisation>>>,
}

/// One organisation. Its bookings may arrive before its directory.
pub(crate) struct Organisation {
    index: RwLock<Option<Arc<Index>>>,
    occupancy: RwLock<Occupancy>,
    /// Notices of changes, for watchers.
    pub(crate) changes: broadcast::Sender<ChangeNotice>,
    /// Serialises this process's changes of the directory, so that only another process can make a change stale.
    pub(crate) write_lock: tokio::sync::Mutex<()>,
}

impl Organisations {
    pub(crate) fn new(travel: Travel) -> Self {
        Self { travel, all: RwLock::default() }
    }

    /// The organisation's directory; `None` for an unknown organisation.
    pub(crate) fn directory(&self, organization: Uuid) -> Option<Arc<Directory>> {
        Some(self.get(organization)?.latest_index()?.directory.clone())
    }

    /// Indexes a directory unless a newer one is known.
    pub(crate) fn publish(&self, organization: Uuid, directory: Directory, now: Timestamp) {
        let organisation = self.get_or_insert(organization, now);
        let previous = organisation.latest_index();
        if previous.as_ref().is_none_or(|previous| previous.directory.version < directory.version) {
            let index = Index::new(Arc::new(directory), span_at(now), self.travel, previous.as_deref());
            organisation.publish(Arc::new(index));
        }
    }

    pub(crate) fn get(&self, organization: Uuid) -> Option<Arc<Organisation>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(&organization).cloned()
    }

    fn get_or_insert(&self, organization: Uuid, now: Timestamp) -> Arc<Organisation> {
        if let Some(organisation) = self.get(organization) {
            return organisation;
        }
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Organisation {
                index: RwLock::default(),
                occupancy: RwLock::new(Occupancy::new(span_at(now))),
                changes: changes::channel(),
                write_lock: tokio::sync::Mutex::default(),
            })
        };
        all.entry(organization).or_insert_with(new).clone()
    }

    /// The ids of all organisations.
    pub(crate) fn ids(&self) -> Vec<Uuid> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Applies a change of the feed; returns the organisation and the owner unless the change was known already.
    pub(crate) fn apply(&self, change: &Change, now: Timestamp) -> Option<(Uuid, Uuid)> {
        let organization = organization_of(change)?;
        let organisation = self.get_or_insert(organization, now);
        let mut occupancy = organisation.occupancy.write().unwrap_or_else(PoisonError::into_inner);
        let watched = organisation.changes.receiver_count() > 0;
        let owner = occupancy::owner(change)?;
        let before = if watched { occupancy.claims_of(owner).to_vec() } else { vec![] };
        occupancy.apply(change)?;
        if watched {
            let notice = ChangeNotice::of(&before, occupancy.claims_of(owner));
            drop(occupancy);
            organisation.notify(notice);
        }
        Some((organization, owner))
    }

    /// Replaces the occupancy of every organisation by a snapshot of bookings.
    pub(crate) fn replace(&self, mut snapshot: Snapshot, now: Timestamp) {
        for organization in self.ids() {
            snapshot.occupancy_of(organization);
        }
        for (organization, occupancy) in snapshot.all {
            let organisation = self.get_or_insert(organization, now);
            *organisation.occupancy.write().unwrap_or_else(PoisonError::into_inner) = occupancy;
            organisation.notify(ChangeNotice::Everything);
        }
    }

    /// Moves every index and occupancy on to the present day.
    pub(crate) fn advance_to(&self, now: Timestamp) {
        for organisation in self.ids().into_iter().filter_map(|id| self.get(id)) {
            let span = span_at(now);
            if let Some(previous) = organisation.latest_index().filter(|index| index.span != span) {
                let index = Index::new(previous.directory.clone(), span, previous.travel, None);
                organisation.publish(Arc::new(index));
            }
            let stale = organisation.occupancy.read().unwrap_or_else(PoisonError::into_inner).span() != span;
            if stale {
                organisation.occupancy.write().unwrap_or_else(PoisonError::into_inner).rebase(span);
            }
        }
    }
}

/// A snapshot of bookings, as far as it has been received.
pub(crate) struct Snapshot {
    span: Span,
    all: HashMap<Uuid, Occupancy>,
}

impl Snapshot {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { span: span_at(now), all: HashMap::new() }
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        if let Some(organization) = organization_of(change) {
            self.occupancy_of(organization).apply(change);
        }
    }

    fn occupancy_of(&mut self, organization: Uuid) -> &mut Occupancy {
        self.all.entry(organization).or_insert_with(|| Occupancy::new(self.span))
    }
}

impl Organisation {
    /// The latest index, which may be a day behind; `None` where the directory is not loaded.
    pub(crate) fn latest_index(&self) -> Option<Arc<Index>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The index for the present day: rebuilt here where the background job is more than a day late.
    pub(crate) fn index(&self, now: Timestamp) -> Option<Arc<Index>> {
        let latest = self.latest_index()?;
        if is_current(latest.span, now) {
            return Some(latest);
        }
        self.publish(Arc::new(Index::new(latest.directory.clone(), span_at(now), latest.travel, None)));
        self.latest_index()
    }

    /// Publishes an index unless one of a newer directory is published.
    pub(crate) fn publish(&self, index: Arc<Index>) {
        let mut latest = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if latest.as_ref().is_none_or(|latest| latest.directory.version <= index.directory.version) {
            *latest = Some(index);
            drop(latest);
            self.notify(ChangeNotice::Everything);
        }
    }

    /// Sends a notice to the watchers, if there are any.
    fn notify(&self, notice: ChangeNotice) {
        let _ = self.changes.send(notice);
    }

    /// The occupancy, without expired holds.
    pub(crate) fn occupancy(&self, now: Timestamp) -> RwLockReadGuard<'_, Occupancy> {
        let now_us = now.as_microsecond();
        let read = self.occupancy.read().unwrap_or_else(PoisonError::into_inner);
        if !read.has_expired(now_us) && is_current(read.span(), now) {
            return read;
        }
        drop(read);
        let mut write = self.occupancy.write().unwrap_or_else(PoisonError::into_inner);
        write.expire(now_us);
        if !is_current(write.span(), now) {
            write.rebase(span_at(now));
        }
        drop(write);
        self.occupancy.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn organization_of(change: &Change) -> Option<Uuid> {
    let parsed = change.organization_id.parse::<OrganizationId>();
    parsed.map_err(|_| tracing::warn!("a change of the feed names no organisation")).ok().map(OrganizationId::uuid)
}
