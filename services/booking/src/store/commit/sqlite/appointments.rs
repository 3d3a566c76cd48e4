//! Appointments and their manage links.

use sqlx::{SqliteConnection, query};
use uuid::Uuid;

use super::require_row;
use crate::store::{
    appointments::AppointmentRow,
    batch::{Batch, CommitError},
};

const UPSERT: &str = r#"
    INSERT INTO appointments
        (organization_id, id, version, status, service_id, practitioner_id, location_id, room_id, group_id,
         starts_at_us, ends_at_us, time_zone, starts_local, patient_id, plan_session_id, displaced,
         confirmed_at_us, cancel_reason_code, cancel_reason, cancel_by, cancel_late, rescheduled_late, note,
         previous_starts_at_us, link_generation, created_at_us, updated_at_us, channel, created_by, arrived_at_us,
         started_at_us, completed_at_us, cancelled_at_us, external_id, custom, noshow_at_us, freed_claims)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
            $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37)
    ON CONFLICT (organization_id, id) DO UPDATE
    SET version = excluded.version, status = excluded.status, practitioner_id = excluded.practitioner_id,
        location_id = excluded.location_id, room_id = excluded.room_id, group_id = excluded.group_id,
        starts_at_us = excluded.starts_at_us, ends_at_us = excluded.ends_at_us, time_zone = excluded.time_zone,
        starts_local = excluded.starts_local, displaced = excluded.displaced,
        confirmed_at_us = excluded.confirmed_at_us, cancel_reason_code = excluded.cancel_reason_code,
        cancel_reason = excluded.cancel_reason, cancel_by = excluded.cancel_by, cancel_late = excluded.cancel_late,
        rescheduled_late = excluded.rescheduled_late, note = excluded.note,
        previous_starts_at_us = excluded.previous_starts_at_us, link_generation = excluded.link_generation,
        updated_at_us = excluded.updated_at_us, arrived_at_us = excluded.arrived_at_us,
        started_at_us = excluded.started_at_us, completed_at_us = excluded.completed_at_us,
        cancelled_at_us = excluded.cancelled_at_us, external_id = excluded.external_id, custom = excluded.custom,
        noshow_at_us = excluded.noshow_at_us, freed_claims = excluded.freed_claims
    WHERE appointments.version = excluded.version - 1
"#;
const DELETE_LINK: &str = "DELETE FROM manage_links WHERE organization_id = $1 AND appointment_id = $2";
const INSERT_LINK: &str = r#"
    INSERT INTO manage_links (token_hash, organization_id, appointment_id, expires_at_us)
    VALUES ($1, $2, $3, $4)
"#;

pub(super) async fn upsert(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for appointment in &batch.appointments {
        upsert_row(conn, batch.organization_id, appointment).await?;
    }
    Ok(())
}

async fn upsert_row(conn: &mut SqliteConnection, organization: Uuid, row: &AppointmentRow) -> Result<(), CommitError> {
    let upserted = query(UPSERT)
        .bind(organization)
        .bind(row.id)
        .bind(row.version)
        .bind(&row.status)
        .bind(row.service_id)
        .bind(row.practitioner_id)
        .bind(row.location_id)
        .bind(row.room_id)
        .bind(row.group_id)
        .bind(row.starts_at_us)
        .bind(row.ends_at_us)
        .bind(&row.time_zone)
        .bind(&row.starts_local)
        .bind(row.patient_id)
        .bind(row.plan_session_id)
        .bind(row.displaced)
        .bind(row.confirmed_at_us)
        .bind(&row.cancel_reason_code)
        .bind(&row.cancel_reason)
        .bind(&row.cancel_by)
        .bind(row.cancel_late)
        .bind(row.rescheduled_late)
        .bind(&row.note)
        .bind(row.previous_starts_at_us)
        .bind(row.link_generation)
        .bind(row.created_at_us)
        .bind(row.updated_at_us)
        .bind(&row.channel)
        .bind(&row.created_by)
        .bind(row.arrived_at_us)
        .bind(row.started_at_us)
        .bind(row.completed_at_us)
        .bind(row.cancelled_at_us)
        .bind(&row.external_id)
        .bind(&row.custom)
        .bind(row.noshow_at_us)
        .bind(&row.freed_claims)
        .execute(conn)
        .await?;
    require_row(upserted.rows_affected())
}

/// Replaces the manage links of appointments.
pub(super) async fn replace_links(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    let organization = batch.organization_id;
    for link in &batch.links {
        query(DELETE_LINK).bind(organization).bind(link.appointment_id).execute(&mut *conn).await?;
        let insert = query(INSERT_LINK).bind(&link.token_hash.0).bind(organization);
        insert.bind(link.appointment_id).bind(link.expires_at_us).execute(&mut *conn).await?;
    }
    Ok(())
}
