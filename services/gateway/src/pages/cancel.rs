//! The cancellation of a visit: the question for the reason, and the answer to it.

use domain::{appointment::Status, reason::CausedBy};
use locale::Language;
use rpc::Fault;
use web::{Cancel, Reason, words::Words};
use wire::{
    booking::{ListReasonCodesRequest, ReasonCode, Transition, TransitionAppointmentRequest},
    common::Page,
};

use super::{field, form, html, link::Link, page, version, visit::CANCELLED};
use crate::{
    call::Call,
    operation::{Operation, handler},
    reply::Reply,
    v1::manage,
};

/// The most reason codes that are read.
const REASONS_MAX: u32 = 200;

pub(super) fn operations() -> Vec<Operation> {
    let path = "/m/{token}/cancel";
    vec![page("visit_page_ask_to_cancel", path, handler!(show)), form("visit_page_cancel", path, handler!(cancel))]
}

async fn show(mut call: Call) -> Result<Reply, Fault> {
    let link = Link::open(&mut call).await?;
    if !link.may(&call).cancel {
        return Ok(link.audited(Reply::see_other(link.address(&call, ""))));
    }
    let reasons = reasons(&call, &link).await?;
    ask(&call, &link, reasons, false)
}

fn ask(call: &Call, link: &Link, reasons: Vec<Reason>, is_missing: bool) -> Result<Reply, Fault> {
    let page = Cancel {
        frame: link.frame(call, "/cancel"),
        path: link.path.clone(),
        visit: link.visit(call),
        version: link.appointment.version,
        reasons,
        is_missing,
    };
    Ok(link.audited(html(if is_missing { 422 } else { 200 }, &page)?))
}

async fn cancel(mut call: Call) -> Result<Reply, Fault> {
    let if_version = version(&call)?;
    let link = Link::open(&mut call).await?;
    let reason_code = field(&call, "reason_code").to_owned();
    let reasons = reasons(&call, &link).await?;
    if link.may(&call).cancel && !reasons.iter().any(|reason| reason.code == reason_code) {
        return ask(&call, &link, reasons, true);
    }
    let (id, transition) = (link.appointment.id.clone(), Transition::Cancel as i32);
    let request = TransitionAppointmentRequest { id, transition, if_version, reason_code, ..Default::default() };
    match manage::change(&call, &link.ctx, request).await {
        Ok(_) => Ok(link.done(&call, CANCELLED)),
        Err(fault) => {
            let is_cancelled = |status: &str| status.parse() == Ok(Status::Cancelled);
            Link::refused(call, fault, if_version, CANCELLED, |appointment| is_cancelled(&appointment.status)).await
        }
    }
}

/// The reasons that a patient may give: the product's in the patient's words, then the clinic's own.
async fn reasons(call: &Call, link: &Link) -> Result<Vec<Reason>, Fault> {
    let request = ListReasonCodesRequest { page: Some(Page { limit: REASONS_MAX, cursor: String::new() }) };
    let codes = call.inner.reasons.clone().list_reason_codes(link.ctx.request(request)).await?.into_inner();
    Ok(choose(codes.reason_codes, link.words.locale(call).language()))
}

fn choose(codes: Vec<ReasonCode>, language: Language) -> Vec<Reason> {
    let shipped = &Words::of(language).cancel.reasons;
    let is_patients =
        |code: &ReasonCode| code.body.as_ref().is_some_and(|body| body.caused_by == CausedBy::Patient.as_str());
    let place = |code: &str| shipped.iter().position(|(known, _)| *known == code).unwrap_or(shipped.len());
    let mut chosen: Vec<(usize, Reason)> = codes
        .into_iter()
        .filter(is_patients)
        .filter_map(|code| {
            let at = place(&code.code);
            let name = match (shipped.get(at), code.updated_at_us) {
                (Some((_, words)), 0) => (*words).to_owned(),
                // The product's other codes are for desks and for other systems.
                (None, 0) => return None,
                _ => name(&code, language)?,
            };
            Some((at, Reason { code: code.code, name }))
        })
        .collect();
    chosen.sort_by_key(|(at, _)| *at);
    chosen.into_iter().map(|(_, reason)| reason).collect()
}

/// The clinic's name of a reason: in the reader's language, in English, or in any.
fn name(code: &ReasonCode, language: Language) -> Option<String> {
    let names = &code.body.as_ref()?.names;
    let of = |language| names.iter().find(|(tag, _)| Language::of(tag) == Some(language)).map(|(_, name)| name);
    of(language).or_else(|| of(Language::En)).or_else(|| names.values().min()).cloned()
}
