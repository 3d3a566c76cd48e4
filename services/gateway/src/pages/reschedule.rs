//! The move of a visit to another open time of its service at its location: days and times, the question, the answer.

mod slots;

use domain::slot::Slot;
use jiff::Timestamp;
use rpc::{Code, Fault};
use web::{MoveCheck, MovePage, MoveRefused, Notice};
use wire::{
    availability::DescribeVisitRequest,
    booking::{RescheduleAppointmentRequest, SlotTaken},
};

use self::slots::{DATE, FROM, SLOT};
use super::{
    field, form, html,
    link::{Link, WordsOf},
    page, version,
    visit::MOVED,
};
use crate::{
    call::Call,
    operation::{Operation, handler},
    params::{Param, Type},
    reply::Reply,
    v1::manage,
};

const REST: &str = "/move";

pub(super) fn operations() -> Vec<Operation> {
    let params = [
        Param::new(FROM, Type::Date, "The first day to show"),
        Param::new(DATE, Type::Date, "The day whose times to show"),
        Param::new(SLOT, Type::Text(200), "The time to ask about"),
    ];
    let path = "/m/{token}/move";
    vec![
        page("visit_page_choose", path, handler!(show)).params(&params),
        form("visit_page_move", path, handler!(move_visit)),
    ]
}

async fn show(mut call: Call) -> Result<Reply, Fault> {
    let link = Link::open(&mut call).await?;
    if !link.may(&call).reschedule {
        return Ok(link.audited(Reply::see_other(link.address(&call, ""))));
    }
    match call.params.text(SLOT).map(str::to_owned) {
        Some(slot) => check(&call, &link, &slot).await,
        None => choose(&call, &link).await,
    }
}

async fn choose(call: &Call, link: &Link) -> Result<Reply, Fault> {
    let found = slots::find(call, link).await?;
    let page = MovePage {
        frame: link.frame(call, REST),
        path: link.path.clone(),
        visit: link.visit(call),
        days: found.days,
        times_title: found.times_title,
        groups: found.groups,
        later: found.later,
        first: found.first,
    };
    Ok(link.audited(html(200, &page)?))
}

/// Asks whether to move the visit to a slot. Booking checks the slot when the form comes.
async fn check(call: &Call, link: &Link, slot_id: &str) -> Result<Reply, Fault> {
    let appointment = &link.appointment;
    let slot: Option<Slot> = slot_id.parse().ok();
    let slot = slot.filter(|slot| {
        slot.service.to_string() == appointment.service_id && slot.location.to_string() == appointment.location_id
    });
    let Some(slot) = slot else { return Ok(link.audited(Reply::see_other(link.address(call, REST)))) };
    let visit = DescribeVisitRequest {
        service_id: appointment.service_id.clone(),
        location_id: appointment.location_id.clone(),
        practitioner_id: slot.practitioner.to_string(),
    };
    let words = WordsOf::load(call, &link.ctx, visit, &appointment.patient_id).await?;
    let micros = Timestamp::as_microsecond;
    let moved = words.visit(call, (micros(slot.starts_at), micros(slot.ends_at())), &appointment.time_zone);
    let rest = format!("{REST}?{SLOT}={slot}");
    let date = moved.starts_at.date();
    let page = MoveCheck {
        frame: link.frame(call, &rest),
        path: link.path.clone(),
        visit: link.visit(call),
        version: appointment.version,
        moved,
        slot_id: slot.to_string(),
        other: link.address(call, &format!("{REST}?{FROM}={date}&{DATE}={date}")),
    };
    Ok(link.audited(html(200, &page)?))
}

async fn move_visit(mut call: Call) -> Result<Reply, Fault> {
    let if_version = version(&call)?;
    let slot_id = field(&call, SLOT_FIELD).to_owned();
    let link = Link::open(&mut call).await?;
    let id = link.appointment.id.clone();
    let request = RescheduleAppointmentRequest { id, slot_id: slot_id.clone(), if_version, ..Default::default() };
    match manage::move_to(&call, &link.ctx, request).await {
        Ok(_) => Ok(link.done(&call, MOVED)),
        Err(fault) if is_about_time(fault.code) => refuse(&call, &link, &fault).await,
        Err(fault) => Link::refused(call, fault, if_version, MOVED, |appointment| appointment.slot_id == slot_id).await,
    }
}

/// The field of the form that holds the slot.
const SLOT_FIELD: &str = "slot_id";

/// Whether a fault is about the new time, so that another one may do. The rules of booking answer with 409 and 422.
fn is_about_time(code: Code) -> bool {
    let is_rule = [409, 422].contains(&code.http());
    is_rule && !matches!(code, Code::InvalidTransition | Code::IdempotencyInProgress | Code::IdempotencyKeyReused)
}

/// The page that says that the visit keeps its time, and what is open now.
async fn refuse(call: &Call, link: &Link, fault: &Fault) -> Result<Reply, Fault> {
    if !link.may(call).reschedule {
        return link.page(call, 409, Some(Notice::Closed));
    }
    let nearest = fault.extra::<SlotTaken>().map(|taken| taken.alternatives).unwrap_or_default();
    let page = MoveRefused {
        frame: link.frame(call, REST),
        path: link.path.clone(),
        visit: link.visit(call),
        nearest: slots::nearest(call, link, nearest).await?,
    };
    Ok(link.audited(html(409, &page)?))
}
