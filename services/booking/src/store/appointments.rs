//! Appointments.

use serde::Serialize;
use sql::Failure;
use sqlx::{QueryBuilder, query_as, query_scalar};
use uuid::Uuid;

use super::{Store, push_in};

/// An appointment. Its `Debug` shows no note and no reason: they are about a patient.
#[derive(Clone, PartialEq, Serialize, sql::FromRow)]
pub(crate) struct AppointmentRow {
    #[serde(skip)]
    pub(crate) organization_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) status: String,
    pub(crate) service_id: Uuid,
    pub(crate) practitioner_id: Uuid,
    pub(crate) location_id: Uuid,
    pub(crate) room_id: Option<Uuid>,
    pub(crate) group_id: Option<Uuid>,
    pub(crate) starts_at_us: i64,
    pub(crate) ends_at_us: i64,
    pub(crate) time_zone: String,
    /// The wall clock at the start that the patient knows, `YYYY-MM-DDTHH:MM`.
    pub(crate) starts_local: String,
    pub(crate) patient_id: Uuid,
    pub(crate) plan_session_id: Option<Uuid>,
    pub(crate) displaced: bool,
    pub(crate) confirmed_at_us: Option<i64>,
    pub(crate) cancel_reason_code: Option<String>,
    pub(crate) cancel_reason: Option<String>,
    pub(crate) cancel_by: Option<String>,
    pub(crate) cancel_late: Option<bool>,
    pub(crate) rescheduled_late: bool,
    pub(crate) note: String,
    pub(crate) previous_starts_at_us: Option<i64>,
    pub(crate) link_generation: i32,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    /// `online`, `staff`, or empty where that is not known.
    pub(crate) channel: String,
    /// The caller that booked it.
    pub(crate) created_by: String,
    pub(crate) arrived_at_us: Option<i64>,
    pub(crate) started_at_us: Option<i64>,
    pub(crate) completed_at_us: Option<i64>,
    pub(crate) cancelled_at_us: Option<i64>,
    pub(crate) external_id: String,
    /// JSON of the clinic's own pairs.
    pub(crate) custom: String,
    pub(crate) noshow_at_us: Option<i64>,
    /// JSON of the claims that a cancelled or missed appointment had.
    pub(crate) freed_claims: Option<String>,
}

impl std::fmt::Debug for AppointmentRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AppointmentRow({}, version {}, {})", self.id, self.version, self.status)
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    Start,
    Change,
}

impl Order {
    fn column(self) -> &'static str {
        match self {
            Self::Start => "starts_at_us",
            Self::Change => "updated_at_us",
        }
    }

    /// The number by which a row is ordered.
    pub(crate) fn key(self, row: &AppointmentRow) -> i64 {
        match self {
            Self::Start => row.starts_at_us,
            Self::Change => row.updated_at_us,
        }
    }
}

/// The appointments of a list. Empty lists and `None` do not filter.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppointmentFilter {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) locations: Vec<Uuid>,
    pub(crate) practitioners: Vec<Uuid>,
    pub(crate) services: Vec<Uuid>,
    pub(crate) rooms: Vec<Uuid>,
    pub(crate) patient: Option<Uuid>,
    /// Fulfils one of these sessions of plans.
    pub(crate) plan_sessions: Vec<Uuid>,
    pub(crate) external_id: Option<String>,
    pub(crate) statuses: Vec<String>,
    /// Starts at or after.
    pub(crate) from_us: Option<i64>,
    /// Starts before.
    pub(crate) to_us: Option<i64>,
    pub(crate) displaced: Option<bool>,
    /// Changed at or after.
    pub(crate) updated_since_us: Option<i64>,
    /// The wall clock at the start begins with this date, `YYYY-MM-DD`.
    pub(crate) date: Option<String>,
    pub(crate) order: Order,
    /// Number of the order and id of the last appointment of the page before.
    pub(crate) after: Option<(i64, Uuid)>,
    pub(crate) limit: i64,
}

/// `SELECT` of all columns of [`AppointmentRow`], with further clauses.
macro_rules! select_appointments {
    ($clauses:literal) => {
        concat!(
            r#"
            SELECT organization_id, id, version, status, service_id, practitioner_id, location_id, room_id, group_id,
                   starts_at_us, ends_at_us, time_zone, starts_local, patient_id, plan_session_id, displaced,
                   confirmed_at_us, cancel_reason_code, cancel_reason, cancel_by, cancel_late, rescheduled_late, note,
                   previous_starts_at_us, link_generation, created_at_us, updated_at_us, channel, created_by,
                   arrived_at_us, started_at_us, completed_at_us, cancelled_at_us, external_id, custom,
                   noshow_at_us, freed_claims
            FROM appointments
            "#,
            $clauses
        )
    };
}
pub(super) use select_appointments;

const SELECT_APPOINTMENT: &str = select_appointments!("WHERE organization_id = $1 AND id = $2");
const SELECT_OF_ORGANIZATION: &str = select_appointments!("WHERE organization_id = ");
const SELECT_BY_END: &str = select_appointments!(
    r#"
    WHERE ends_at_us >= $1 AND (ends_at_us > $1 OR id > $2)
    ORDER BY ends_at_us, id
    LIMIT $3
    "#
);
const COUNT_PRIOR: &str = r#"
    SELECT count(*)
    FROM appointments
    WHERE organization_id = $1 AND patient_id = $2 AND service_id = $3 AND ends_at_us <= $4
      AND status IN ('booked', 'arrived', 'checked-in', 'fulfilled')
"#;

/// The statements of this file, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SELECT_APPOINTMENT, SELECT_BY_END, COUNT_PRIOR];

impl Store {
    pub(crate) async fn appointment(&self, organization: Uuid, id: Uuid) -> Result<Option<AppointmentRow>, Failure> {
        service::read!(self.database.of(organization), "booking.appointment", |pool| {
            query_as(SELECT_APPOINTMENT).bind(organization).bind(id).fetch_optional(pool).await
        })
    }

    /// The appointments with these ids that exist, in no order.
    pub(crate) async fn appointments_by_id(
        &self,
        organization: Uuid,
        ids: &[Uuid],
    ) -> Result<Vec<AppointmentRow>, Failure> {
        if ids.is_empty() {
            return Ok(vec![]);
        }
        service::read!(self.database.of(organization), "booking.appointments_by_id", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_OF_ORGANIZATION);
            query.push_bind(organization);
            push_in(&mut query, "id", ids);
            query.build_query_as().persistent(sql::is_kept(ids.len())).fetch_all(pool).await
        })
    }

    /// Appointments of all organisations that end after an instant and an id, by their end and id.
    pub(crate) async fn appointments_by_end(
        &self,
        after: (i64, Uuid),
        limit: i64,
    ) -> Result<Vec<AppointmentRow>, Failure> {
        service::read!(self.database.across(), "booking.appointments_by_end", |pool| {
            query_as(SELECT_BY_END).bind(after.0).bind(after.1).bind(limit).fetch_all(pool).await
        })
    }

    /// By the number of the order and id.
    pub(crate) async fn list_appointments(
        &self,
        organization: Uuid,
        filter: &AppointmentFilter,
    ) -> Result<Vec<AppointmentRow>, Failure> {
        service::read!(self.database.of(organization), "booking.list_appointments", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_OF_ORGANIZATION);
            query.push_bind(organization);
            push_in(&mut query, "id", &filter.ids);
            push_in(&mut query, "location_id", &filter.locations);
            push_in(&mut query, "practitioner_id", &filter.practitioners);
            push_in(&mut query, "service_id", &filter.services);
            push_in(&mut query, "room_id", &filter.rooms);
            push_in(&mut query, "patient_id", filter.patient.as_slice());
            push_in(&mut query, "plan_session_id", &filter.plan_sessions);
            push_in(&mut query, "external_id", filter.external_id.as_slice());
            push_in(&mut query, "status", &filter.statuses);
            if let Some(from_us) = filter.from_us {
                query.push(" AND starts_at_us >= ").push_bind(from_us);
            }
            if let Some(to_us) = filter.to_us {
                query.push(" AND starts_at_us < ").push_bind(to_us);
            }
            if let Some(displaced) = filter.displaced {
                query.push(" AND displaced = ").push_bind(displaced);
            }
            if let Some(updated_since_us) = filter.updated_since_us {
                query.push(" AND updated_at_us >= ").push_bind(updated_since_us);
            }
            if let Some(date) = &filter.date {
                query.push(" AND substr(starts_local, 1, 10) = ").push_bind(date.clone());
            }
            let column = filter.order.column();
            if let Some((number, id)) = filter.after {
                query
                    .push(format_args!(" AND ({column}, id) > ("))
                    .push_bind(number)
                    .push(", ")
                    .push_bind(id)
                    .push(")");
            }
            query.push(format_args!(" ORDER BY {column}, id LIMIT ")).push_bind(filter.limit);
            query.build_query_as().fetch_all(pool).await
        })
    }

    /// Whether a patient has an appointment of a service that ends by an instant and was neither cancelled nor missed.
    pub(crate) async fn has_prior_visit(
        &self,
        organization: Uuid,
        patient: Uuid,
        service: Uuid,
        before_us: i64,
    ) -> Result<bool, Failure> {
        let count: i64 = service::read!(self.database.of(organization), "booking.has_prior_visit", |pool| {
            query_scalar(COUNT_PRIOR)
                .bind(organization)
                .bind(patient)
                .bind(service)
                .bind(before_us)
                .fetch_one(pool)
                .await
        })?;
        Ok(count > 0)
    }

    /// For each patient the first appointment that starts at or after an instant, and the last one that started before it;
    /// cancelled and missed ones are left out.
    pub(crate) async fn adjacent_appointments(
        &self,
        organization: Uuid,
        patients: &[Uuid],
        at_us: i64,
    ) -> Result<Vec<AppointmentRow>, Failure> {
        const NEXT: (&str, &str, &str) = (">=", "'pending', 'booked', 'arrived', 'checked-in'", "ASC");
        const LAST: (&str, &str, &str) = ("<", "'pending', 'booked', 'arrived', 'checked-in', 'fulfilled'", "DESC");
        if patients.is_empty() {
            return Ok(vec![]);
        }
        service::read!(self.database.of(organization), "booking.adjacent_appointments", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_OF_ORGANIZATION);
            query.push_bind(organization).push(" AND id IN (");
            for (at, (comparison, statuses, order)) in [NEXT, LAST].into_iter().enumerate() {
                query.push(if at == 0 { "" } else { " UNION ALL " });
                query.push("SELECT (SELECT a.id FROM appointments a WHERE a.organization_id = ");
                query.push_bind(organization).push(" AND a.patient_id = p.id AND a.starts_at_us ");
                query.push(comparison).push(" ").push_bind(at_us);
                query.push(format_args!(" AND a.status IN ({statuses}) ORDER BY a.starts_at_us {order} LIMIT 1)"));
                query.push(" FROM patients p WHERE p.organization_id = ").push_bind(organization);
                push_in(&mut query, "p.id", patients);
            }
            query.push(")");
            query.build_query_as().persistent(sql::is_kept(patients.len())).fetch_all(pool).await
        })
    }
}
