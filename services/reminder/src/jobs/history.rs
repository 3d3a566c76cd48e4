//! What had ended before the snapshot: booking's snapshot begins with what is ahead, and reports look back.
//!
//! It is read afterwards, part by part, by the process that follows the feed; each part and the place after it are one
//! transaction. Whatever the feed has told meanwhile is newer, and stays. Until all is read, a report says since when it
//! knows.

use std::{collections::BTreeMap, sync::Arc};

use domain::id::{AppointmentId, OrganizationId};
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::booking::{Appointment, AppointmentState, Change as Wire, GetContactsRequest, HistoryRequest};

use super::feed::{self, End};
use crate::{
    Inner,
    planning::{Change, Event, Risk},
    store::{History, Progress},
    write,
};

/// How far back visits are read: as long as a report's longest period.
const BACK_US: i64 = crate::reports::DAYS_MAX as i64 * 86_400_000_000;
/// What ended a little after reading began is read too: booking's clock is not quite ours, and a visit that comes twice is
/// stored once.
const OVERLAP_US: i64 = 3_600_000_000;
/// Visits that are asked for at a time.
const ASKED_MAX: usize = 100;

/// Reads all that is left to read.
pub(crate) async fn fill(inner: &Arc<Inner>) -> Result<(), End> {
    let now_us = inner.clock.now_us();
    let History { begun_at_us, place } = match inner.store.history().await? {
        Some(history) => history,
        None => {
            inner.store.begin_history(now_us).await?;
            History { begun_at_us: now_us, place: Some(String::new()) }
        }
    };
    let (mut place, mut count) = (place, 0);
    while let Some(cursor) = place {
        let request = HistoryRequest {
            ended_from_us: begun_at_us - BACK_US,
            ended_to_us: begun_at_us + OVERLAP_US,
            cursor,
            limit: 0,
        };
        // It spans organisations, and names none in particular.
        let ctx = Context::new(OrganizationId::new(Uuid::nil()), "reminder", feed::CALL_WITHIN);
        let part = inner.feed.clone().history(ctx.request(request)).await?.into_inner();
        count += part.changes.len();
        let next = (!part.next_cursor.is_empty()).then_some(part.next_cursor);
        let changes = feed::read(&part.changes, Some(Event::Past));
        feed::apply(inner, (&changes, &[], &[], &[]), Progress::History(next.as_deref())).await?;
        if next.is_none() {
            tracing::info!(visits = count, "the visits from before the snapshot are read");
        }
        place = next;
    }
    Ok(())
}

/// From when on all visits are known, by when they ended.
pub(crate) async fn known_from_us(inner: &Inner) -> Result<i64, Fault> {
    Ok(match inner.store.history().await.map_err(write::failure)? {
        Some(History { begun_at_us, place: None }) => begun_at_us - BACK_US,
        Some(History { begun_at_us, .. }) => begun_at_us,
        None => inner.clock.now_us(),
    })
}

/// The visits on which invitations hang, where they were never seen here: the last visit of a plan at risk has mostly ended.
pub(crate) async fn behind(inner: &Inner, risks: &[Risk]) -> Result<Vec<Change>, Fault> {
    let visits: Vec<_> = risks.iter().map(|risk| (risk.organization, risk.visit)).collect();
    let mut unseen = BTreeMap::<Uuid, Vec<Uuid>>::new();
    for (organization, visit) in inner.store.unseen(&visits).await.map_err(write::failure)? {
        unseen.entry(organization).or_default().push(visit);
    }
    let mut changes = Vec::new();
    for (organization, visits) in unseen {
        let ctx = Context::new(OrganizationId::new(organization), "reminder", feed::CALL_WITHIN);
        for some in visits.chunks(ASKED_MAX) {
            let appointment_ids = some.iter().map(|id| AppointmentId::new(*id).to_string()).collect();
            let request = GetContactsRequest { appointment_ids, with_plan: false };
            let found = inner.booking.clone().get_contacts(ctx.request(request)).await?.into_inner().contacts;
            let standing = found.into_iter().filter_map(|contact| contact.appointment);
            let past =
                |visit: Appointment| feed::one(&wire(ctx.organization, &visit), &state(&visit), Some(Event::Past));
            changes.extend(standing.filter_map(past));
        }
    }
    Ok(changes)
}

fn wire(organization: OrganizationId, visit: &Appointment) -> Wire {
    Wire {
        organization_id: organization.to_string(),
        version: visit.version,
        changed_at_us: visit.updated_at_us,
        ..Wire::default()
    }
}

fn state(visit: &Appointment) -> AppointmentState {
    AppointmentState {
        id: visit.id.clone(),
        status: visit.status.clone(),
        service_id: visit.service_id.clone(),
        practitioner_id: visit.practitioner_id.clone(),
        location_id: visit.location_id.clone(),
        starts_at_us: visit.starts_at_us,
        ends_at_us: visit.ends_at_us,
        time_zone: visit.time_zone.clone(),
        patient_id: visit.patient_id.clone(),
        plan_session_id: visit.plan_session_id.clone(),
        confirmed_at_us: visit.confirmed_at_us,
        ..AppointmentState::default()
    }
}
