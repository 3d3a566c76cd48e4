//! Appointments from before the snapshot: booking's snapshot begins with the upcoming ones, and reports look back.
//!
//! The follower of the feed reads them page by page; each page and the cursor after it are one transaction. Changes from
//! the feed are newer and stay. Until all is read, a report names the instant since which it knows appointments.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    sync::Arc,
};

use domain::id::{AppointmentId, OrganizationId};
use rpc::{Code, Context, Fault};
use service::{db_error, feed_client::pause};
use uuid::Uuid;
use wire::booking::{Appointment, AppointmentState, Change as Wire, GetContactsRequest, HistoryRequest};

use super::{
    commit::Progress,
    feed::{self, FollowError},
};
use crate::{
    Inner,
    planning::{
        Change, Event, PlanAtRisk,
        apply::Changes,
        wire::{appointment_change, appointment_changes},
    },
    reports::HISTORY_US,
    store::positions::HistoryRow,
};

/// The history ends a little after reading began, since booking's clock is not quite ours; an appointment that comes twice
/// is stored once.
const OVERLAP_US: i64 = 3_600_000_000;
/// Appointments of one request.
const REQUEST_MAX: usize = 100;
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);
const CALL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(55);

/// Reads the history, again when that fails, and never ends by itself.
pub(super) async fn read_until_done(inner: &Arc<Inner>) -> Result<Infallible, FollowError> {
    while let Err(error) = read(inner).await {
        match error {
            // A booking service from before there was a history.
            FollowError::Failed(fault) if fault.code == Code::Unimplemented => break,
            FollowError::Failed(fault) => {
                tracing::warn!(code = fault.code.as_str(), "appointments that have ended cannot be read yet");
            }
            FollowError::FollowedElsewhere => return Err(error),
        }
        pause(RETRY_PAUSE).await;
    }
    std::future::pending().await
}

/// Reads the pages that are left.
async fn read(inner: &Arc<Inner>) -> Result<(), FollowError> {
    let now_us = inner.clock.now_us();
    let HistoryRow { begun_at_us, mut cursor } = match inner.store.history().await? {
        Some(history) => history,
        None => {
            inner.store.insert_history(now_us).await?;
            HistoryRow { begun_at_us: now_us, cursor: Some(String::new()) }
        }
    };
    let mut count = 0;
    while let Some(page) = cursor {
        let request = HistoryRequest {
            ended_from_us: begun_at_us - HISTORY_US,
            ended_to_us: begun_at_us + OVERLAP_US,
            cursor: page,
            limit: 0,
        };
        let request = inner.feed.context().request(request);
        let page = inner.feed.client().history(request).await?.into_inner();
        count += page.changes.len();
        let next = (!page.next_cursor.is_empty()).then_some(page.next_cursor);
        let appointments = appointment_changes(&page.changes, Some(Event::Past));
        let changes = Changes { appointments: &appointments, ..Changes::default() };
        feed::apply(inner, changes, &[], Progress::History(next.as_deref())).await?;
        if next.is_none() {
            tracing::info!(appointments = count, "the appointments from before the snapshot are read");
        }
        cursor = next;
    }
    Ok(())
}

/// The last appointments of plans at risk that are not stored: most of them have ended.
pub(super) async fn last_appointments(inner: &Inner, plans: &[PlanAtRisk]) -> Result<Vec<Change>, Fault> {
    let keys: Vec<_> = plans.iter().map(|plan| (plan.organization, plan.last_appointment)).collect();
    let known = inner.store.known_appointments(&keys).await.map_err(db_error::fault)?;
    let known: HashSet<_> = known.into_iter().collect();
    let mut unknown = BTreeMap::<Uuid, Vec<Uuid>>::new();
    for (organization, appointment) in keys.into_iter().filter(|key| !known.contains(key)) {
        unknown.entry(organization).or_default().push(appointment);
    }
    let mut changes = Vec::new();
    for (organization, appointments) in unknown {
        let ctx = Context::new(OrganizationId::new(organization), "reminder", CALL_TIMEOUT);
        for some in appointments.chunks(REQUEST_MAX) {
            let appointment_ids = some.iter().map(|id| AppointmentId::new(*id).to_string()).collect();
            let request = GetContactsRequest { appointment_ids, with_plan: false };
            let contacts = inner.booking.clone().get_contacts(ctx.request(request)).await?.into_inner().contacts;
            let appointments = contacts.into_iter().filter_map(|contact| contact.appointment);
            let past = |appointment: Appointment| {
                let change = change_of(ctx.organization, &appointment);
                appointment_change(&change, &state_of(&appointment), Some(Event::Past))
            };
            changes.extend(appointments.filter_map(past));
        }
    }
    Ok(changes)
}

fn change_of(organization: OrganizationId, appointment: &Appointment) -> Wire {
    Wire {
        organization_id: organization.to_string(),
        version: appointment.version,
        changed_at_us: appointment.updated_at_us,
        ..Wire::default()
    }
}

fn state_of(appointment: &Appointment) -> AppointmentState {
    AppointmentState {
        id: appointment.id.clone(),
        status: appointment.status.clone(),
        service_id: appointment.service_id.clone(),
        practitioner_id: appointment.practitioner_id.clone(),
        location_id: appointment.location_id.clone(),
        starts_at_us: appointment.starts_at_us,
        ends_at_us: appointment.ends_at_us,
        time_zone: appointment.time_zone.clone(),
        patient_id: appointment.patient_id.clone(),
        plan_session_id: appointment.plan_session_id.clone(),
        confirmed_at_us: appointment.confirmed_at_us,
        ..AppointmentState::default()
    }
}
