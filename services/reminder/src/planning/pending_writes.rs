//! The rows that one transaction writes, gathered: an import of 100,000 appointments is some hundred statements.
//! Whatever reads appointments or messages flushes first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use runtime::Ids;
use service::store::Tx;
use sql::Failure;
use uuid::Uuid;

use super::{About, PlannedMessage, StoredAppointment};
use crate::store::{
    appointments::{lock_appointments, upsert_appointments},
    batch::{Key, ROWS_MAX},
    planned_messages::{NewMessageRow, insert_messages},
};

/// Organisation, subject, its version, rule and channel: the key of a message.
type MessageKey = (Uuid, &'static str, Uuid, i64, Uuid, &'static str);

/// Appointments that were read, and rows to write.
pub(super) struct PendingWrites<'a> {
    pub(super) now_us: i64,
    ids: &'a Ids,
    known: HashMap<Key, StoredAppointment>,
    unsaved: BTreeSet<Key>,
    messages: BTreeMap<MessageKey, NewMessageRow>,
    /// New messages so far.
    pub(super) planned: u64,
}

impl<'a> PendingWrites<'a> {
    pub(super) fn new(now_us: i64, ids: &'a Ids) -> Self {
        let (known, unsaved, messages) = (HashMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { now_us, ids, known, unsaved, messages, planned: 0 }
    }

    /// Reads appointments and locks them.
    pub(super) async fn lock(&mut self, tx: &mut Tx, keys: &[Key]) -> Result<(), Failure> {
        for some in keys.chunks(ROWS_MAX) {
            for row in lock_appointments(tx, some, self.now_us).await? {
                let key = (row.organization_id, row.id);
                self.known.insert(key, StoredAppointment::from_row(row)?);
            }
        }
        Ok(())
    }

    /// An appointment that was read or saved here.
    pub(super) fn known(&self, organization: Uuid, id: Uuid) -> Option<&StoredAppointment> {
        self.known.get(&(organization, id))
    }

    pub(super) fn save(&mut self, organization: Uuid, appointment: StoredAppointment) {
        let key = (organization, appointment.appointment.id);
        self.known.insert(key, appointment);
        self.unsaved.insert(key);
    }

    /// Plans messages. A message whose key is planned already stays as it is.
    pub(super) fn plan(&mut self, organization: Uuid, about: &About<'_>, planned: Vec<PlannedMessage>) {
        let now = jiff::Timestamp::from_microsecond(self.now_us).unwrap_or_default();
        let (kind, subject) = (about.subject.kind(), about.subject.id());
        for message in planned {
            let key = (organization, kind, subject, message.version, message.rule, message.channel.as_str());
            let id = self.ids.uuid(now);
            self.messages.entry(key).or_insert_with(|| NewMessageRow {
                organization_id: organization,
                id,
                subject_kind: kind,
                subject_id: subject,
                subject_version: message.version,
                appointment_id: about.subject.appointment(),
                patient_id: about.patient,
                rule_id: message.rule,
                trigger: message.trigger.as_str(),
                channel: message.channel.as_str(),
                base_at_us: message.base_at_us,
                due_at_us: message.due_at_us,
                starts_at_us: about.visit.starts_at_us,
                location_id: about.visit.location,
                time_zone: about.time_zone.to_owned(),
                changed: message.changed.letters(),
            });
        }
    }

    /// Writes the rows gathered so far.
    pub(super) async fn flush(&mut self, tx: &mut Tx) -> Result<(), Failure> {
        let unsaved = std::mem::take(&mut self.unsaved);
        let rows = unsaved.iter().filter_map(|key| Some(self.known.get(key)?.to_row(key.0)));
        for some in rows.collect::<Vec<_>>().chunks(ROWS_MAX) {
            upsert_appointments(tx, some, self.now_us).await?;
        }
        let messages: Vec<_> = std::mem::take(&mut self.messages).into_values().collect();
        for some in messages.chunks(ROWS_MAX) {
            self.planned += insert_messages(tx, some, self.now_us).await?;
        }
        Ok(())
    }
}
