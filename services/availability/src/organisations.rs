//! The organisations in memory: each one's directory with its model, and its projection.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use calendar::Span;
use domain::{
    directory::Body,
    id::{AppointmentId, OrganizationId},
};
use jiff::Timestamp;
use tokio::sync::broadcast;
use uuid::Uuid;
use wire::{availability::Opening, booking::Change};

use crate::{
    changes::{self, News},
    config::Travel,
    directory::impact,
    displacement,
    index::{
        Model,
        directory::{Directory, Entry},
        serves, span_at,
    },
    occupancy::{self, Projection},
};

/// All organisations of this replica.
pub(crate) struct Orgs {
    travel: Travel,
    all: RwLock<HashMap<Uuid, Arc<Org>>>,
}

/// One organisation. Bookings may be known before the directory is.
pub(crate) struct Org {
    model: RwLock<Option<Arc<Model>>>,
    projection: RwLock<Projection>,
    /// What has changed, for those who watch.
    pub(crate) news: broadcast::Sender<News>,
    /// Who changes the directory: one at a time in this process, so that only another process can make a change stale.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl Orgs {
    pub(crate) fn new(travel: Travel) -> Self {
        Self { travel, all: RwLock::default() }
    }

    /// The organisation's directory; `None` for an unknown organisation.
    pub(crate) fn directory(&self, organization: Uuid) -> Option<Arc<Directory>> {
        Some(self.get(organization)?.present()?.directory.clone())
    }

    /// Puts a directory in place unless a newer one is there.
    pub(crate) fn publish(&self, organization: Uuid, directory: Directory, now: Timestamp) {
        let org = self.get_or_new(organization, now);
        let before = org.present();
        if before.as_ref().is_none_or(|before| before.directory.version < directory.version) {
            org.install(Arc::new(Model::new(Arc::new(directory), span_at(now), self.travel, before.as_deref())));
        }
    }

    pub(crate) fn get(&self, organization: Uuid) -> Option<Arc<Org>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(&organization).cloned()
    }

    fn get_or_new(&self, organization: Uuid, now: Timestamp) -> Arc<Org> {
        if let Some(org) = self.get(organization) {
            return org;
        }
        let mut orgs = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let projection = RwLock::new(Projection::new(span_at(now)));
            let (news, turn) = (changes::channel(), tokio::sync::Mutex::default());
            Arc::new(Org { model: RwLock::default(), projection, news, turn })
        };
        orgs.entry(organization).or_insert_with(new).clone()
    }

    /// Every organisation's id.
    pub(crate) fn ids(&self) -> Vec<Uuid> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Applies a change of the feed; answers the organisation and the owner where it was news.
    pub(crate) fn apply(&self, change: &Change, now: Timestamp) -> Option<(Uuid, Uuid)> {
        let organization = organization(change)?;
        let org = self.get_or_new(organization, now);
        let mut projection = org.projection.write().unwrap_or_else(PoisonError::into_inner);
        let watched = org.news.receiver_count() > 0;
        let owner = occupancy::owner(change)?;
        let before = if watched { projection.claims_of(owner).to_vec() } else { vec![] };
        projection.apply(change)?;
        if watched {
            let news = News::of(&before, projection.claims_of(owner));
            drop(projection);
            org.tell(news);
        }
        Some((organization, owner))
    }

    /// Puts a whole snapshot of bookings in the place of everything that the feed has told.
    pub(crate) fn replace(&self, mut fresh: Projections, now: Timestamp) {
        for organization in self.ids() {
            fresh.of(organization);
        }
        for (organization, projection) in fresh.all {
            let org = self.get_or_new(organization, now);
            *org.projection.write().unwrap_or_else(PoisonError::into_inner) = projection;
            org.tell(News::Everything);
        }
    }

    /// Moves models and calendars on to the present day.
    pub(crate) fn upkeep(&self, now: Timestamp) {
        for org in self.ids().into_iter().filter_map(|id| self.get(id)) {
            let span = span_at(now);
            if let Some(before) = org.present().filter(|model| model.span != span) {
                org.install(Arc::new(Model::new(before.directory.clone(), span, before.travel, None)));
            }
            let stale = org.projection.read().unwrap_or_else(PoisonError::into_inner).span() != span;
            if stale {
                org.projection.write().unwrap_or_else(PoisonError::into_inner).rebase(span);
            }
        }
    }
}

/// A snapshot of bookings, as far as it has come.
pub(crate) struct Projections {
    span: Span,
    all: HashMap<Uuid, Projection>,
}

impl Projections {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { span: span_at(now), all: HashMap::new() }
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        if let Some(organization) = organization(change) {
            self.of(organization).apply(change);
        }
    }

    fn of(&mut self, organization: Uuid) -> &mut Projection {
        self.all.entry(organization).or_insert_with(|| Projection::new(self.span))
    }
}

impl Org {
    /// The model that stands, if the directory is known.
    pub(crate) fn present(&self) -> Option<Arc<Model>> {
        self.model.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The model, made anew where upkeep has not come for longer than a day.
    pub(crate) fn model(&self, now: Timestamp) -> Option<Arc<Model>> {
        let present = self.present()?;
        if serves(present.span, now) {
            return Some(present);
        }
        self.install(Arc::new(Model::new(present.directory.clone(), span_at(now), present.travel, None)));
        self.present()
    }

    /// Puts a model in place unless one of a newer directory is there.
    pub(crate) fn install(&self, model: Arc<Model>) {
        let mut present = self.model.write().unwrap_or_else(PoisonError::into_inner);
        if present.as_ref().is_none_or(|present| present.directory.version <= model.directory.version) {
            *present = Some(model);
            drop(present);
            self.tell(News::Everything);
        }
    }

    /// Tells those who watch, if anybody does.
    fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }

    /// What is taken, expired holds left out.
    pub(crate) fn projection(&self, now: Timestamp) -> RwLockReadGuard<'_, Projection> {
        let now_us = now.as_microsecond();
        let read = self.projection.read().unwrap_or_else(PoisonError::into_inner);
        if !read.has_expired(now_us) && serves(read.span(), now) {
            return read;
        }
        drop(read);
        let mut write = self.projection.write().unwrap_or_else(PoisonError::into_inner);
        write.expire(now_us);
        if !serves(write.span(), now) {
            write.rebase(span_at(now));
        }
        drop(write);
        self.projection.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The starts that there are on the next model and not on the present one.
    pub(crate) fn opened_by(&self, present: &Arc<Model>, next: &Arc<Model>, now: Timestamp) -> Vec<Opening> {
        impact::opened(&self.projection(now), present, next, now)
    }

    /// The appointments ahead that the sessions of a service have beyond its places; none for another entry.
    pub(crate) fn beyond(&self, entry: &Entry, now: Timestamp) -> Vec<String> {
        let Body::Service(service) = &entry.body else { return vec![] };
        let beyond = self.projection(now).beyond(entry.id, service.capacity, now.as_microsecond());
        beyond.into_iter().map(|id| AppointmentId::new(id).to_string()).collect()
    }

    /// The appointments that stand on the present model and no longer on the next one, earliest first; those that move with
    /// the change, by their new starts.
    pub(crate) fn displaced_by(
        &self,
        present: &Model,
        next: &Model,
        starts: &HashMap<Uuid, i64>,
        now: Timestamp,
    ) -> Vec<String> {
        displacement::between(&self.projection(now), present, next, starts, now)
    }
}

fn organization(change: &Change) -> Option<Uuid> {
    let parsed = change.organization_id.parse::<OrganizationId>();
    parsed.map_err(|_| tracing::warn!("a change of the feed names no organisation")).ok().map(OrganizationId::uuid)
}
