//! Appointment rows for reserved slots, and what a batch writes for them. Pure.

use domain::{
    appointment::{BookingChannel, Status},
    time::Interval,
};
use jiff::tz::TimeZone;
use rpc::Context;
use uuid::Uuid;
use wire::common;

use crate::{
    feed::change,
    manage_links::LinkSigner,
    slots::reserve::ReservedSlot,
    store::{appointments::AppointmentRow, batch::Batch, claims::ClaimRow},
};

/// The JSON of no pairs.
pub(crate) const NO_PAIRS: &str = "{}";

/// The parts of a new appointment that its slot does not say.
#[derive(Debug, Clone)]
pub(crate) struct NewAppointment {
    pub(crate) id: Uuid,
    pub(crate) patient: Uuid,
    pub(crate) plan_session: Option<Uuid>,
    pub(crate) note: String,
    pub(crate) channel: &'static str,
    /// The caller that books it.
    pub(crate) created_by: String,
    pub(crate) external_id: String,
    /// JSON of the clinic's own pairs.
    pub(crate) custom: String,
}

impl NewAppointment {
    /// An appointment of a patient that a caller books, with nothing else said.
    pub(crate) fn of(id: Uuid, patient: Uuid, ctx: &Context, channel: i32) -> Self {
        Self {
            id,
            patient,
            plan_session: None,
            note: String::new(),
            channel: channel_word(channel),
            created_by: ctx.caller.clone(),
            external_id: String::new(),
            custom: NO_PAIRS.to_owned(),
        }
    }
}

/// A new appointment at a reserved slot.
pub(crate) fn new_row(
    organization: Uuid,
    new: &NewAppointment,
    reserved: &ReservedSlot,
    now_us: i64,
) -> AppointmentRow {
    let ReservedSlot { slot, claims, .. } = reserved;
    AppointmentRow {
        organization_id: organization,
        id: new.id,
        version: 1,
        status: Status::Booked.as_str().to_owned(),
        service_id: slot.slot.service.uuid(),
        practitioner_id: slot.slot.practitioner.uuid(),
        location_id: slot.slot.location.uuid(),
        room_id: claims.room,
        group_id: claims.group.as_ref().map(|(group, _)| group.id),
        starts_at_us: slot.interval.start().as_microsecond(),
        ends_at_us: slot.interval.end().as_microsecond(),
        time_zone: slot.time_zone.clone(),
        starts_local: wall_clock(slot.interval, &slot.time_zone),
        patient_id: new.patient,
        plan_session_id: new.plan_session,
        displaced: false,
        confirmed_at_us: None,
        cancel_reason_code: None,
        cancel_reason: None,
        cancel_by: None,
        cancel_late: None,
        rescheduled_late: false,
        note: new.note.clone(),
        previous_starts_at_us: None,
        link_generation: 0,
        created_at_us: now_us,
        updated_at_us: now_us,
        channel: new.channel.to_owned(),
        created_by: new.created_by.clone(),
        arrived_at_us: None,
        started_at_us: None,
        completed_at_us: None,
        cancelled_at_us: None,
        external_id: new.external_id.clone(),
        custom: new.custom.clone(),
        noshow_at_us: None,
        freed_claims: None,
    }
}

/// An appointment as it is after its move to a reserved slot.
pub(crate) fn moved_row(old: &AppointmentRow, reserved: &ReservedSlot, late: bool, now_us: i64) -> AppointmentRow {
    let ReservedSlot { slot, claims, .. } = reserved;
    AppointmentRow {
        version: old.version + 1,
        status: Status::Booked.as_str().to_owned(),
        practitioner_id: slot.slot.practitioner.uuid(),
        location_id: slot.slot.location.uuid(),
        room_id: claims.room,
        group_id: claims.group.as_ref().map(|(group, _)| group.id),
        starts_at_us: slot.interval.start().as_microsecond(),
        ends_at_us: slot.interval.end().as_microsecond(),
        time_zone: slot.time_zone.clone(),
        starts_local: wall_clock(slot.interval, &slot.time_zone),
        displaced: false,
        confirmed_at_us: None,
        rescheduled_late: late || old.rescheduled_late,
        previous_starts_at_us: Some(old.starts_at_us),
        updated_at_us: now_us,
        ..old.clone()
    }
}

/// Adds to a batch an appointment that has a new time: its row, its manage link and its change.
pub(crate) fn put(batch: &mut Batch, links: &LinkSigner, row: AppointmentRow, claims: &[ClaimRow], event: &str) {
    batch.links.push(links.link(&row));
    batch.changes.push(change::of_appointment(&row, claims, event));
    batch.appointments.push(row);
}

/// Adds to a batch that the claims of an appointment go, and its place in a group session with them.
pub(crate) fn release(batch: &mut Batch, old: &AppointmentRow) {
    batch.release.push(old.id);
    if let Some(group) = old.group_id {
        batch.leave_group = Some(change::leave_group(group));
    }
}

/// The public word of a channel on the wire; empty for an unspecified one.
fn channel_word(channel: i32) -> &'static str {
    match common::BookingChannel::try_from(channel) {
        Ok(common::BookingChannel::Online) => BookingChannel::Online.as_str(),
        Ok(common::BookingChannel::Staff) => BookingChannel::Staff.as_str(),
        _ => "",
    }
}

/// The wall clock at the start of an interval, to the minute.
fn wall_clock(interval: Interval, time_zone: &str) -> String {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    interval.start().to_zoned(zone).strftime("%Y-%m-%dT%H:%M").to_string()
}
