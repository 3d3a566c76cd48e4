// One text for both engines: included by `sqlite.rs` and by `postgres.rs`, each with its own `Db` and `Store`.
// What a transaction has to write of appointments and plans, put together: an import of 100,000 visits is some hundred
// statements, and not some hundred thousand. Whatever reads these tables flushes first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use runtime::Ids;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{super::rows::OwnedAppointmentRow, Db, queries::these, transactions::Tx};
use crate::planning::{Appointment, Known, Planned};

const SAVE: &str = "INSERT INTO appointments (organization_id, id, version, status, \
     service_id, practitioner_id, patient_id, location_id, starts_at_us, ends_at_us, time_zone, visit_version, \
     told_starts_at_us, told_location_id, told_practitioner_id, told_service_id, seen_at_us, plan_session_id, \
     booked_at_us, confirmed_at_us) ";
const SAVE_AGAIN: &str = " ON CONFLICT (organization_id, id) DO UPDATE SET version = excluded.version, \
     status = excluded.status, service_id = excluded.service_id, practitioner_id = excluded.practitioner_id, \
     patient_id = excluded.patient_id, location_id = excluded.location_id, starts_at_us = excluded.starts_at_us, \
     ends_at_us = excluded.ends_at_us, time_zone = excluded.time_zone, visit_version = excluded.visit_version, \
     seen_at_us = excluded.seen_at_us, plan_session_id = excluded.plan_session_id, \
     confirmed_at_us = excluded.confirmed_at_us";
/// What is read of an appointment, by name since the statement is kept.
const OWNED: &str = "organization_id, id, version, status, service_id, practitioner_id, patient_id, location_id, \
     starts_at_us, ends_at_us, time_zone, visit_version, told_starts_at_us, told_location_id, \
     told_practitioner_id, told_service_id, plan_session_id, booked_at_us, confirmed_at_us";
const PLAN: &str = "INSERT INTO messages (organization_id, id, appointment_id, appointment_version, rule_id, trigger, \
     channel, status, reason, base_at_us, due_at_us, wake_at_us, starts_at_us, location_id, time_zone, created_at_us, \
     updated_at_us, changed) ";
// What a rule took back, it can plan again; whatever else became of a message stays.
const PLAN_AGAIN: &str = " ON CONFLICT (organization_id, appointment_id, appointment_version, rule_id, channel) \
     DO UPDATE SET status = 'scheduled', reason = '', base_at_us = excluded.base_at_us, due_at_us = excluded.due_at_us, \
     wake_at_us = excluded.wake_at_us, fence = messages.fence + 1, updated_at_us = excluded.updated_at_us, \
     tries = 0, next_way = '', provider_rank = 0, instead_of = NULL \
     WHERE messages.status = 'suppressed' AND messages.reason IN ('rule_changed', 'rule_archived')";
/// Rows of one statement: what it is given is bounded by both engines.
const ROWS_MAX: usize = 500;

/// Organisation and id.
type Key = (Uuid, Uuid);

/// Organisation, appointment, its version, rule and channel: what makes a message one.
type MessageKey = (Uuid, Uuid, i64, Uuid, &'static str);

/// A message that is planned and not yet written.
struct New {
    id: Uuid,
    planned: Planned,
    about: Appointment,
}

/// What is read and has to be written.
pub(super) struct Writes<'a> {
    pub(super) now_us: i64,
    ids: &'a Ids,
    known: HashMap<Key, Known>,
    unsaved: BTreeSet<Key>,
    new: BTreeMap<MessageKey, New>,
    /// New messages so far.
    pub(super) planned: u64,
}

impl<'a> Writes<'a> {
    pub(super) fn new(now_us: i64, ids: &'a Ids) -> Self {
        let (known, unsaved, new) = (HashMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { now_us, ids, known, unsaved, new, planned: 0 }
    }

    /// Reads appointments and locks them: what a message tells meanwhile must not be missed.
    pub(super) async fn read(&mut self, tx: &mut Tx, appointments: &[Key]) -> Result<(), sqlx::Error> {
        for some in appointments.chunks(ROWS_MAX) {
            let mut query = QueryBuilder::<Db>::new("UPDATE appointments SET seen_at_us = ");
            query.push_bind(self.now_us).push(" WHERE ");
            these(&mut query, some);
            query.push(" RETURNING ").push(OWNED);
            let rows: Vec<OwnedAppointmentRow> =
                query.build_query_as().persistent(sql::is_kept(some.len())).fetch_all(&mut **tx).await?;
            for row in rows {
                let key = (row.organization_id, row.row.id);
                self.known.insert(key, row.row.read()?);
            }
        }
        Ok(())
    }

    /// An appointment that was read or saved here.
    pub(super) fn known(&self, organization: Uuid, id: Uuid) -> Option<&Known> {
        self.known.get(&(organization, id))
    }

    pub(super) fn save(&mut self, organization: Uuid, known: Known) {
        let key = (organization, known.appointment.id);
        self.known.insert(key, known);
        self.unsaved.insert(key);
    }

    /// Plans messages; those that are planned already stay as they are.
    pub(super) fn plan(&mut self, organization: Uuid, about: &Appointment, planned: Vec<Planned>) {
        let now = jiff::Timestamp::from_microsecond(self.now_us).unwrap_or_default();
        for planned in planned {
            let key = (organization, about.id, planned.version, planned.rule, planned.channel.as_str());
            let (id, about) = (self.ids.uuid(now), about.clone());
            self.new.entry(key).or_insert(New { id, planned, about });
        }
    }

    /// Writes what was put together so far.
    pub(super) async fn flush(&mut self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        let unsaved: Vec<_> = std::mem::take(&mut self.unsaved).into_iter().collect();
        for some in unsaved.chunks(ROWS_MAX) {
            self.save_some(tx, some).await?;
        }
        let new: Vec<_> = std::mem::take(&mut self.new).into_iter().collect();
        for some in new.chunks(ROWS_MAX) {
            self.planned += plan_some(tx, some, self.now_us).await?;
        }
        Ok(())
    }

    async fn save_some(&self, tx: &mut Tx, some: &[Key]) -> Result<(), sqlx::Error> {
        let known = some.iter().filter_map(|key| Some((key.0, self.known.get(key)?)));
        let mut query = QueryBuilder::<Db>::new(SAVE);
        query.push_values(known, |mut row, (organization, known)| {
            let now = &known.appointment;
            row.push_bind(organization).push_bind(now.id).push_bind(now.version).push_bind(now.status.as_str());
            row.push_bind(now.service).push_bind(now.practitioner).push_bind(now.patient);
            row.push_bind(now.visit.location).push_bind(now.visit.starts_at_us).push_bind(now.ends_at_us);
            row.push_bind(&now.time_zone).push_bind(known.visit_version).push_bind(known.told.visit.starts_at_us);
            row.push_bind(known.told.visit.location).push_bind(known.told.practitioner).push_bind(known.told.service);
            row.push_bind(self.now_us).push_bind(now.plan_session);
            row.push_bind(known.booked_at_us).push_bind(now.confirmed_at_us);
        });
        query.push(SAVE_AGAIN);
        query.build().persistent(sql::is_kept(some.len())).execute(&mut **tx).await?;
        Ok(())
    }
}

async fn plan_some(tx: &mut Tx, some: &[(MessageKey, New)], now_us: i64) -> Result<u64, sqlx::Error> {
    let mut query = QueryBuilder::<Db>::new(PLAN);
    query.push_values(some, |mut row, (key, New { id, planned, about })| {
        row.push_bind(key.0).push_bind(*id).push_bind(about.id).push_bind(planned.version).push_bind(planned.rule);
        row.push_bind(planned.trigger.as_str()).push_bind(planned.channel.as_str()).push("'scheduled', ''");
        row.push_bind(planned.base_at_us).push_bind(planned.due_at_us).push_bind(planned.due_at_us);
        row.push_bind(about.visit.starts_at_us).push_bind(about.visit.location).push_bind(&about.time_zone);
        row.push_bind(now_us).push_bind(now_us).push_bind(planned.changed.letters());
    });
    query.push(PLAN_AGAIN);
    Ok(query.build().persistent(sql::is_kept(some.len())).execute(&mut **tx).await?.rows_affected())
}
