//! Displaced appointments: those whose ground a change of the directory has taken away.
//!
//! Level-triggered: what should be flagged is computed from what is, and told to booking where it differs. A roster
//! that changes in the same instant as a booking ends in the same state as one that changes a minute later.

use std::sync::Arc;

use calendar::{Span, tick};
use domain::{
    id::{AppointmentId, OrganizationId},
    time::{Interval, from_micros},
};
use jiff::{SignedDuration, Timestamp};
use rpc::Context;
use uuid::Uuid;
use wire::booking::{SetDisplacedRequest, set_displaced_request::Item};

use crate::{
    Inner,
    model::Model,
    projection::{Booked, Projection},
};

const ITEMS_MAX: usize = 1000;
const WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Whether a booked visit still has its ground: its practitioner works there then, holds the certificate, and its
/// room is in use.
pub(crate) fn stands(model: &Model, booked: &Booked) -> bool {
    let found = (|| {
        let service = model.service_ever(booked.service)?;
        let (place, at) = model.place(booked.location)?;
        let (person, who) = model.person(booked.practitioner)?;
        let seat = model.seat(place, person)?;
        let minutes = |count: u32| SignedDuration::from_mins(i64::from(count));
        let start = from_micros(booked.starts_at_us)?.checked_sub(minutes(service.prep_minutes)).ok()?;
        let end = from_micros(booked.ends_at_us)?.checked_add(minutes(service.cleanup_minutes)).ok()?;
        let works = seat.roster.all(Span::touching(Interval::new(start, end)?));
        let day = at.zone.date(tick::floor(from_micros(booked.starts_at_us)?));
        let certified = service.required_certificate.as_ref().is_none_or(|code| who.holds(code, day).1);
        let room = booked.room.is_none_or(|room| at.rooms.iter().any(|(id, _)| *id == room));
        Some(works && certified && room)
    })();
    found.unwrap_or(false)
}

/// The appointments ahead that stand before a change and no longer after it, earliest first.
pub(crate) fn between(projection: &Projection, before: &Model, after: &Model, now: Timestamp) -> Vec<String> {
    let mut fallen: Vec<(i64, Uuid)> = ahead(projection, now)
        .filter(|(_, booked)| stands(before, booked) && !stands(after, booked))
        .map(|(id, booked)| (booked.starts_at_us, *id))
        .collect();
    fallen.sort_unstable();
    fallen.into_iter().map(|(_, id)| AppointmentId::new(id).to_string()).collect()
}

fn ahead(projection: &Projection, now: Timestamp) -> impl Iterator<Item = (&Uuid, &Booked)> {
    let now_us = now.as_microsecond();
    projection.booked.iter().filter(move |(_, booked)| booked.status.is_ahead() && booked.starts_at_us > now_us)
}

/// Tells booking of every appointment of an organisation whose flag is wrong.
pub(crate) async fn reconcile(inner: &Arc<Inner>, organization: Uuid) {
    let items = {
        let now = inner.clock.now();
        let Some(org) = inner.orgs.get(organization) else { return };
        let Some(model) = org.model(now) else { return };
        let projection = org.projection(now);
        ahead(&projection, now).filter_map(|(id, booked)| wrong(&model, *id, booked)).collect::<Vec<_>>()
    };
    tell(inner, organization, items).await;
}

/// Tells booking of one appointment if its flag is wrong.
pub(crate) async fn reconcile_one(inner: &Arc<Inner>, organization: Uuid, id: Uuid) {
    let item = {
        let now = inner.clock.now();
        let Some(org) = inner.orgs.get(organization) else { return };
        let Some(model) = org.model(now) else { return };
        let projection = org.projection(now);
        projection
            .booked
            .get(&id)
            .filter(|booked| booked.status.is_ahead())
            .and_then(|booked| wrong(&model, id, booked))
    };
    tell(inner, organization, item.into_iter().collect()).await;
}

fn wrong(model: &Model, id: Uuid, booked: &Booked) -> Option<Item> {
    let displaced = !stands(model, booked);
    (displaced != booked.displaced).then(|| Item {
        appointment_id: AppointmentId::new(id).to_string(),
        displaced,
        seen_version: booked.version,
    })
}

async fn tell(inner: &Arc<Inner>, organization: Uuid, items: Vec<Item>) {
    for part in items.chunks(ITEMS_MAX) {
        let ctx = Context::new(OrganizationId::new(organization), "availability", WITHIN);
        let request = SetDisplacedRequest { items: part.to_vec() };
        if let Err(status) = inner.booking.clone().set_displaced(ctx.request(request)).await {
            tracing::warn!(code = ?status.code(), "booking could not be told of displaced appointments; tried again later");
        }
    }
}
