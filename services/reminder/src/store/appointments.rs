//! Appointments, derived from booking's feed: ids and times, no names.

use service::{read, statement, store::Tx};
use sql::Failure;
use sql::FromRow;
use sqlx::{QueryBuilder, query_as, query_scalar};
use uuid::Uuid;

use super::{
    Store,
    batch::{Key, push_keys, with_given},
};

const COLUMNS: &str = "organization_id, id, version, status, service_id, practitioner_id, patient_id, location_id, \
     starts_at_us, ends_at_us, time_zone, visit_version, announced_starts_at_us, announced_location_id, announced_practitioner_id, \
     announced_service_id, plan_session_id, booked_at_us, confirmed_at_us";
const INSERT_APPOINTMENTS: &str = r#"
    INSERT INTO appointments
        (organization_id, id, version, status, service_id, practitioner_id, patient_id, location_id,
         starts_at_us, ends_at_us, time_zone, visit_version, announced_starts_at_us, announced_location_id,
         announced_practitioner_id, announced_service_id, seen_at_us, plan_session_id, booked_at_us, confirmed_at_us)
"#;
// A send may have changed `announced_*` since the row was read, and the first booking stays the booking.
const UPDATE_KNOWN: &str = r#"
    ON CONFLICT (organization_id, id) DO UPDATE SET
        version = excluded.version,
        status = excluded.status,
        service_id = excluded.service_id,
        practitioner_id = excluded.practitioner_id,
        patient_id = excluded.patient_id,
        location_id = excluded.location_id,
        starts_at_us = excluded.starts_at_us,
        ends_at_us = excluded.ends_at_us,
        time_zone = excluded.time_zone,
        visit_version = excluded.visit_version,
        seen_at_us = excluded.seen_at_us,
        plan_session_id = excluded.plan_session_id,
        confirmed_at_us = excluded.confirmed_at_us
"#;
const SELECT_UPCOMING: &str = r#"
    SELECT organization_id, id, version, status, service_id, practitioner_id, patient_id, location_id,
        starts_at_us, ends_at_us, time_zone, visit_version, announced_starts_at_us, announced_location_id,
        announced_practitioner_id, announced_service_id, plan_session_id, booked_at_us, confirmed_at_us
    FROM appointments
    WHERE organization_id = $1
        AND (starts_at_us, id) > ($2, $3)
        AND status IN ('pending', 'booked')
    ORDER BY starts_at_us, id
    LIMIT $4
"#;
const COUNT_BOOKED_TOGETHER: &str = r#"
    SELECT count(*)
    FROM appointments
    WHERE organization_id = $1
        AND patient_id = $2
        AND booked_at_us = $3
        AND id <> $4
        AND plan_session_id IS NOT NULL
"#;
const SELECT_NEXT_OF_SERIES: &str = r#"
    SELECT organization_id, id, version, status, service_id, practitioner_id, patient_id, location_id,
        starts_at_us, ends_at_us, time_zone, visit_version, announced_starts_at_us, announced_location_id,
        announced_practitioner_id, announced_service_id, plan_session_id, booked_at_us, confirmed_at_us
    FROM appointments
    WHERE organization_id = $1
        AND patient_id = $2
        AND booked_at_us = $3
        AND id <> $4
        AND plan_session_id IS NOT NULL
        AND status IN ('pending', 'booked')
        AND starts_at_us > $5
    ORDER BY starts_at_us, id
    LIMIT 1
"#;
const SELECT_SERIES: &str = r#"
    SELECT other.starts_at_us, other.time_zone
    FROM appointments a
    JOIN appointments other
        ON other.organization_id = a.organization_id
        AND other.patient_id = a.patient_id
        AND other.booked_at_us = a.booked_at_us
    WHERE a.organization_id = $1
        AND a.id = $2
        AND a.plan_session_id IS NOT NULL
        AND other.plan_session_id IS NOT NULL
        AND other.status IN ('pending', 'booked')
        AND other.starts_at_us > $3
    ORDER BY other.starts_at_us, other.id
    LIMIT $4
"#;
const UPDATE_ANNOUNCED: &str = r#"
    UPDATE appointments
    SET announced_starts_at_us = g_starts,
        announced_location_id = g_location,
        announced_practitioner_id = coalesce(g_practitioner, announced_practitioner_id),
        announced_service_id = coalesce(g_service, announced_service_id)
    FROM given
    WHERE organization_id = g_organization
        AND id = g_appointment
        AND (announced_starts_at_us <> g_starts OR announced_location_id <> g_location OR g_practitioner IS NOT NULL)
"#;

/// Every statement of this file whose text is fixed, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [SELECT_UPCOMING, COUNT_BOOKED_TOGETHER, SELECT_NEXT_OF_SERIES, SELECT_SERIES];

/// An appointment. `announced_…` is the arrangement of the last message to the patient, or of the booking.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct AppointmentRow {
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) status: String,
    pub(crate) service_id: Uuid,
    pub(crate) practitioner_id: Uuid,
    pub(crate) patient_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) time_zone: String,
    /// The version at which the present time, location, practitioner and service became true.
    pub(crate) visit_version: i64,
    pub(crate) announced_starts_at_us: i64,
    pub(crate) announced_location_id: Uuid,
    pub(crate) announced_practitioner_id: Uuid,
    pub(crate) announced_service_id: Uuid,
    /// The session of a plan that the appointment is.
    pub(crate) plan_session_id: Option<Uuid>,
    /// `None` when the booking was not seen.
    pub(crate) booked_at_us: Option<i64>,
    pub(crate) confirmed_at_us: Option<i64>,
}

/// The arrangement that a message announces to its patient.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announcement {
    pub(crate) organization: Uuid,
    pub(crate) appointment: Uuid,
    pub(crate) starts_at_us: i64,
    pub(crate) location: Uuid,
    /// `None` when the message does not name the practitioner and the service.
    pub(crate) practitioner: Option<Uuid>,
    pub(crate) service: Option<Uuid>,
}

/// The patient and the moment of a booking of several appointments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeriesKey {
    pub(crate) organization: Uuid,
    pub(crate) patient: Uuid,
    pub(crate) booked_at_us: i64,
}

impl Store {
    /// Those of these appointments that are stored.
    pub(crate) async fn known_appointments(&self, keys: &[Key]) -> Result<Vec<Key>, Failure> {
        if keys.is_empty() {
            return Ok(vec![]);
        }
        read!(self.database.across(), "reminder.known_appointments", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new("SELECT organization_id, id FROM appointments WHERE ");
            push_keys(&mut query, keys);
            query.build_query_as().persistent(sql::is_kept(keys.len())).fetch_all(pool).await
        })
    }

    /// Starts and time zones of the appointments after an instant that were booked together with this one for a plan, the
    /// earliest first.
    pub(crate) async fn series(
        &self,
        organization: Uuid,
        appointment: Uuid,
        after_us: i64,
        limit: i64,
    ) -> Result<Vec<(i64, String)>, Failure> {
        read!(self.database.of(organization), "reminder.series", |pool| query_as(SELECT_SERIES)
            .bind(organization)
            .bind(appointment)
            .bind(after_us)
            .bind(limit)
            .fetch_all(pool)
            .await)
    }
}

/// Reads appointments and locks them, so that no send announces an arrangement meanwhile.
pub(crate) async fn lock_appointments(tx: &mut Tx, keys: &[Key], now_us: i64) -> Result<Vec<AppointmentRow>, Failure> {
    statement!(tx, "reminder.lock_appointments", |conn: Engine| {
        let mut query = QueryBuilder::<Engine>::new("UPDATE appointments SET seen_at_us = ");
        query.push_bind(now_us).push(" WHERE ");
        push_keys(&mut query, keys);
        query.push(" RETURNING ").push(COLUMNS);
        query.build_query_as().persistent(sql::is_kept(keys.len())).fetch_all(conn).await
    })
}

/// Inserts appointments or replaces them; the announced arrangement and the booking stay.
pub(crate) async fn upsert_appointments(tx: &mut Tx, rows: &[AppointmentRow], now_us: i64) -> Result<(), Failure> {
    statement!(tx, "reminder.upsert_appointments", |conn: Engine| {
        let mut query = QueryBuilder::<Engine>::new(INSERT_APPOINTMENTS);
        query.push_values(rows, |mut values, row| {
            values.push_bind(row.organization_id).push_bind(row.id).push_bind(row.version).push_bind(&row.status);
            values.push_bind(row.service_id).push_bind(row.practitioner_id).push_bind(row.patient_id);
            values.push_bind(row.location_id).push_bind(row.starts_at_us).push_bind(row.ends_at_us);
            values.push_bind(&row.time_zone).push_bind(row.visit_version).push_bind(row.announced_starts_at_us);
            values.push_bind(row.announced_location_id).push_bind(row.announced_practitioner_id);
            values.push_bind(row.announced_service_id).push_bind(now_us).push_bind(row.plan_session_id);
            values.push_bind(row.booked_at_us).push_bind(row.confirmed_at_us);
        });
        query.push(UPDATE_KNOWN);
        query.build().persistent(sql::is_kept(rows.len())).execute(conn).await.map(drop)
    })
}

/// The upcoming appointments of an organisation after this start and id, the earliest first.
pub(crate) async fn select_upcoming(
    tx: &mut Tx,
    organization: Uuid,
    after: (i64, Uuid),
    limit: i64,
) -> Result<Vec<AppointmentRow>, Failure> {
    statement!(tx, "reminder.upcoming_appointments", |conn| query_as(SELECT_UPCOMING)
        .bind(organization)
        .bind(after.0)
        .bind(after.1)
        .bind(limit)
        .fetch_all(conn)
        .await)
}

/// The number of other plan sessions that were booked together with this one and are stored.
pub(crate) async fn count_booked_together(tx: &mut Tx, series: SeriesKey, but: Uuid) -> Result<i64, Failure> {
    statement!(tx, "reminder.count_booked_together", |conn| query_scalar(COUNT_BOOKED_TOGETHER)
        .bind(series.organization)
        .bind(series.patient)
        .bind(series.booked_at_us)
        .bind(but)
        .fetch_one(conn)
        .await)
}

/// The earliest other appointment of a series that is still to come.
pub(crate) async fn select_next_of_series(
    tx: &mut Tx,
    series: SeriesKey,
    but: Uuid,
    now_us: i64,
) -> Result<Option<AppointmentRow>, Failure> {
    statement!(tx, "reminder.next_of_series", |conn| query_as(SELECT_NEXT_OF_SERIES)
        .bind(series.organization)
        .bind(series.patient)
        .bind(series.booked_at_us)
        .bind(but)
        .bind(now_us)
        .fetch_optional(conn)
        .await)
}

/// Stores what messages announce. A change that is planned after them knows that the old arrangement may be out.
pub(crate) async fn update_announced(tx: &mut Tx, announcements: &[Announcement]) -> Result<(), Failure> {
    if announcements.is_empty() {
        return Ok(());
    }
    statement!(tx, "reminder.update_announced", |conn: Engine| {
        let columns = ["organization", "appointment", "starts", "location", "practitioner", "service"];
        let mut query = with_given::<Engine, _>(&columns, announcements, |mut row, one| {
            row.push_bind(one.organization).push_bind(one.appointment).push_bind(one.starts_at_us);
            row.push_bind(one.location).push_bind(one.practitioner).push_bind(one.service);
        });
        query.push(UPDATE_ANNOUNCED);
        query.build().persistent(sql::is_kept(announcements.len())).execute(conn).await.map(drop)
    })
}
