//! Appointments: one file for each action.

mod blocked;
pub(crate) mod book;
pub(crate) mod booking;
pub(crate) mod contact;
pub(crate) mod derived;
pub(crate) mod displace;
pub(crate) mod links;
pub(crate) mod list;
pub(crate) mod of_patients;
pub(crate) mod permission;
pub(crate) mod record;
pub(crate) mod reschedule;
pub(crate) mod revert;
pub(crate) mod transition;
pub(crate) mod update;
pub(crate) mod view;

use domain::{id::AppointmentId, time::from_micros};
use rpc::{Context, Fault};
use service::db_error;

use crate::{
    Inner,
    store::{appointments::AppointmentRow, claims::ClaimRow},
};

/// Most characters of a note, and of a reason in words.
pub(crate) const NOTE_MAX: usize = 2000;

/// Loads an appointment of the caller's organisation.
pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<AppointmentRow, Fault> {
    let id: AppointmentId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.appointment(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    found.ok_or_else(Fault::not_found)
}

/// The claims that an appointment owns. A change that leaves them as they are repeats them in the feed.
pub(crate) async fn claims_of(inner: &Inner, row: &AppointmentRow) -> Result<Vec<ClaimRow>, Fault> {
    inner.store.claims_of(row.organization_id, row.id).await.map_err(db_error::fault)
}

/// The start of an appointment.
pub(crate) fn starts_at(row: &AppointmentRow) -> jiff::Timestamp {
    from_micros(row.starts_at_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
