//! The directory of one organisation at one version, in memory. Pure.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use domain::{
    directory::{Body, Kind},
    fault::Faults,
};
use uuid::Uuid;

use crate::store::EntryRow;

/// An entry of the directory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) parent: Option<Uuid>,
    pub(crate) version: i64,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    pub(crate) archived_at_us: Option<i64>,
    pub(crate) body: Body,
}

impl Entry {
    /// Whether the entry is in use: not archived.
    pub(crate) fn live(&self) -> bool {
        self.archived_at_us.is_none()
    }

    /// The entry's row.
    pub(crate) fn to_row(&self) -> Result<EntryRow, serde_json::Error> {
        Ok(EntryRow {
            id: self.id,
            kind: self.body.kind().as_str().to_owned(),
            parent_id: self.parent,
            version: self.version,
            created_at_us: self.created_at_us,
            updated_at_us: self.updated_at_us,
            archived_at_us: self.archived_at_us,
            body: serde_json::to_string(&self.body)?,
        })
    }

    /// The entry of a row.
    pub(crate) fn from_row(row: &EntryRow) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id: row.id,
            parent: row.parent_id,
            version: row.version,
            created_at_us: row.created_at_us,
            updated_at_us: row.updated_at_us,
            archived_at_us: row.archived_at_us,
            body: serde_json::from_str(&row.body)?,
        })
    }
}

const KINDS: usize = Kind::ALL.len();

/// All entries of one organisation. A clone shares the unchanged lists: a write copies the list of one kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    pub(crate) version: i64,
    kinds: [Arc<BTreeMap<Uuid, Arc<Entry>>>; KINDS],
}

impl Directory {
    pub(crate) fn new(version: i64, entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut directory = Self { version, ..Self::default() };
        for entry in entries {
            directory.put(entry);
        }
        directory
    }

    /// The directory at its next version, with one entry added or replaced.
    pub(crate) fn with(&self, entry: Entry) -> Self {
        let mut next = self.clone();
        next.version += 1;
        next.put(entry);
        next
    }

    fn put(&mut self, entry: Entry) {
        Arc::make_mut(&mut self.kinds[entry.body.kind() as usize]).insert(entry.id, Arc::new(entry));
    }

    /// The entry of a kind with this id.
    pub(crate) fn get(&self, kind: Kind, id: Uuid) -> Option<&Arc<Entry>> {
        self.kinds[kind as usize].get(&id)
    }

    /// The entries of a kind after an id, oldest first.
    pub(crate) fn list(&self, kind: Kind, after: Option<Uuid>) -> impl Iterator<Item = &Arc<Entry>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.kinds[kind as usize].range((from, Bound::Unbounded)).map(|(_, entry)| entry)
    }

    /// The entries of a kind that are in use, oldest first.
    pub(crate) fn live(&self, kind: Kind) -> impl Iterator<Item = &Arc<Entry>> {
        self.list(kind, None).filter(|entry| entry.live())
    }

    /// Another entry in use with busy times of the same practitioner from the same source.
    pub(crate) fn same_source(&self, entry: &Entry) -> Option<&Arc<Entry>> {
        let Body::Busy(busy) = &entry.body else { return None };
        self.live(Kind::Busy).find(|other| {
            let same = matches!(&other.body, Body::Busy(other) if other.source == busy.source);
            same && other.parent == entry.parent && other.id != entry.id
        })
    }

    /// Adds the faults of an entry against the others: unknown references, a duplicate code or source.
    pub(crate) fn check(&self, entry: &Entry, faults: &mut Faults) {
        for (pointer, kind, id) in entry.body.references() {
            let known = self.get(kind, id).is_some_and(|found| found.live()) && id != entry.id;
            let detail = format!("there is no {} in use with this id", kind.as_str());
            faults.check(known, pointer, "unknown_reference", detail);
        }
        let detail = "the practitioner has a calendar of this name; import it again or choose another name";
        faults.check(self.same_source(entry).is_none(), "/source", "duplicate", detail);
        let Some(code) = code_of(&entry.body) else { return };
        let duplicate = self
            .live(entry.body.kind())
            .any(|other| other.id != entry.id && code_of(&other.body).is_some_and(|it| it == code));
        faults.check(!duplicate, "/code", "duplicate", "another entry in use has this code; choose another one");
    }
}

fn code_of(body: &Body) -> Option<&str> {
    match body {
        Body::Service(service) => Some(&service.code),
        Body::PlanTemplate(template) => Some(&template.code),
        _ => None,
    }
}
