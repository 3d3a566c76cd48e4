//! The organisations in memory: each one's directory, model and projection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use calendar::Span;
use jiff::Timestamp;
use uuid::Uuid;
use wire::booking::Change;

use crate::{
    Inner,
    directory::snapshot::Directory,
    displaced,
    model::{Model, span_at},
    projection::Projection,
};

/// All organisations of this replica.
#[derive(Default)]
pub(crate) struct Orgs(RwLock<HashMap<Uuid, Arc<Org>>>);

/// One organisation.
pub(crate) struct Org {
    directory: RwLock<Option<Arc<Directory>>>,
    /// Made from the directory when it is first asked for.
    model: Mutex<Option<Arc<Model>>>,
    projection: RwLock<Projection>,
}

impl Orgs {
    /// The organisation's directory; `None` for an unknown organisation.
    pub(crate) fn directory(&self, organization: Uuid) -> Option<Arc<Directory>> {
        let org = self.get(organization)?;
        let directory = org.directory.read().unwrap_or_else(PoisonError::into_inner);
        directory.clone()
    }

    /// Puts a newer directory in place; an older one is ignored.
    pub(crate) fn publish(&self, organization: Uuid, directory: Directory) {
        let org = self.get_or_new(organization);
        let mut present = org.directory.write().unwrap_or_else(PoisonError::into_inner);
        if present.as_ref().is_none_or(|present| present.version < directory.version) {
            *present = Some(Arc::new(directory));
        }
    }

    pub(crate) fn get(&self, organization: Uuid) -> Option<Arc<Org>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&organization).cloned()
    }

    fn get_or_new(&self, organization: Uuid) -> Arc<Org> {
        if let Some(org) = self.get(organization) {
            return org;
        }
        let mut orgs = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Org {
                directory: RwLock::default(),
                model: Mutex::default(),
                projection: RwLock::new(Projection::new(Span::new(0, 0))),
            })
        };
        orgs.entry(organization).or_insert_with(new).clone()
    }

    /// Every organisation's id.
    pub(crate) fn ids(&self) -> Vec<Uuid> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Applies a change of the feed; answers the organisation and the owner where it was news.
    pub(crate) fn apply(&self, change: &Change, now: Timestamp) -> Option<(Uuid, Uuid)> {
        let organization = change.organization_id.parse::<domain::id::OrganizationId>().ok()?.uuid();
        let org = self.get_or_new(organization);
        let mut projection = org.projection.write().unwrap_or_else(PoisonError::into_inner);
        projection.rebase(span_at(now));
        projection.apply(change).map(|owner| (organization, owner))
    }

    /// Forgets everything that the feed has told, before a new snapshot is applied.
    pub(crate) fn forget(&self, now: Timestamp) {
        for id in self.ids() {
            if let Some(org) = self.get(id) {
                *org.projection.write().unwrap_or_else(PoisonError::into_inner) = Projection::new(span_at(now));
            }
        }
    }

    /// The appointments that stand on `before` and no longer on `after`, earliest first.
    pub(crate) fn displaced_by(
        &self,
        inner: &Inner,
        organization: Uuid,
        before: &Arc<Directory>,
        after: &Directory,
    ) -> Vec<String> {
        let Some(org) = self.get(organization) else { return vec![] };
        let now = inner.clock.now();
        let projection = org.projection.read().unwrap_or_else(PoisonError::into_inner);
        if projection.booked.is_empty() {
            return vec![];
        }
        let before = Model::new(before.clone(), span_at(now));
        let after = Model::new(Arc::new(after.clone()), span_at(now));
        displaced::between(&projection, &before, &after, now)
    }
}

impl Org {
    /// The model of the present directory and day.
    pub(crate) fn model(&self, now: Timestamp) -> Option<Arc<Model>> {
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let span = span_at(now);
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = model.as_ref()
            && model.directory.version == directory.version
            && model.span == span
        {
            return Some(model.clone());
        }
        let made = Arc::new(Model::new(directory, span));
        *model = Some(made.clone());
        Some(made)
    }

    /// What is taken, expired holds left out.
    pub(crate) fn projection(&self, now: Timestamp) -> RwLockReadGuard<'_, Projection> {
        let now_us = now.as_microsecond();
        let read = self.projection.read().unwrap_or_else(PoisonError::into_inner);
        if !read.has_expired(now_us) {
            return read;
        }
        drop(read);
        self.projection.write().unwrap_or_else(PoisonError::into_inner).expire(now_us);
        self.projection.read().unwrap_or_else(PoisonError::into_inner)
    }
}
