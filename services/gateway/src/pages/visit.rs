//! The page of a visit, its confirmation, and its file for a calendar.

use rpc::Fault;
use web::{Notice, State, words::Words};
use wire::booking::{Transition, TransitionAppointmentRequest};

use super::{form, link::Link, page, version};
use crate::{
    call::Call,
    ics,
    operation::{Content, Operation, handler},
    params::{Param, Type},
    reply::Reply,
    v1::{calendars, manage},
};

/// The parameter that says what a form has done.
pub(super) const DONE: &str = "done";
pub(super) const CONFIRMED: &str = "confirmed";
pub(super) const MOVED: &str = "moved";
pub(super) const CANCELLED: &str = "cancelled";

pub(super) fn operations() -> Vec<Operation> {
    let done = Param::new(DONE, Type::Text(20), "What a form has done");
    vec![
        page("visit_page", "/m/{token}", handler!(show)).params(&[done]),
        form("visit_page_confirm", "/m/{token}/confirm", handler!(confirm)),
        page("visit_page_calendar", "/m/{token}/visit.ics", handler!(calendar)).content(Content::Calendar),
    ]
}

async fn show(mut call: Call) -> Result<Reply, Fault> {
    let link = Link::open(&mut call).await?;
    let notice = notice(&link, &call);
    link.page(&call, 200, notice)
}

/// What the address says was done, if the visit agrees: anyone can write an address.
fn notice(link: &Link, call: &Call) -> Option<Notice> {
    let (appointment, state) = (&link.appointment, link.state(call));
    match (call.params.text(DONE)?, state) {
        (CONFIRMED, State::Ahead) if appointment.confirmed_at_us != 0 => Some(Notice::Confirmed),
        (MOVED, State::Ahead) if appointment.rescheduled_from_us != 0 => Some(Notice::Moved),
        (CANCELLED, State::Cancelled) => Some(Notice::Cancelled),
        _ => None,
    }
}

async fn confirm(mut call: Call) -> Result<Reply, Fault> {
    let if_version = version(&call)?;
    let link = Link::open(&mut call).await?;
    let (id, transition) = (link.appointment.id.clone(), Transition::Confirm as i32);
    let request = TransitionAppointmentRequest { id, transition, if_version, ..Default::default() };
    match manage::change(&call, &link.ctx, request).await {
        Ok(_) => Ok(link.done(&call, CONFIRMED)),
        Err(fault) => {
            Link::refused(call, fault, if_version, CONFIRMED, |appointment| appointment.confirmed_at_us != 0).await
        }
    }
}

async fn calendar(mut call: Call) -> Result<Reply, Fault> {
    let link = Link::open(&mut call).await?;
    let (described, organization) = (&link.words.described, call.caller.organization);
    let words = Words::of(link.words.locale(&call).language());
    let summary = (words.visit.calendar_entry)(&described.location_name);
    let event = calendars::titled_event(&link.appointment, described, organization, summary);
    Ok(link.audited(Reply::calendar(ics::write(&described.location_name, &[event]))))
}
