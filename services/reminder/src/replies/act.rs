//! What is done with a reply.

use domain::id::{AppointmentId, OfferId};
use jiff::Zoned;
use rpc::{Code, Context, Fault};
use wire::booking::{
    GetContactRequest, GetContactResponse, GetOfferRequest, RecordCheckInRequest, RecordReplyConsentRequest,
    Transition, TransitionAppointmentRequest,
};

use super::{
    ASKED_WITHIN_US, CHANNEL, CONVERSATION_US, Dealt, Heard, TOLD_MAX, Told,
    matching::{Match, find},
    parse::{Meaning, Said},
};
use crate::{
    Inner,
    rules::{Asks, Template},
    store::Address,
    template_context, write,
};

/// From this answer on, to how it is, the clinic is alerted.
const PAIN: u8 = 7;
/// The trigger of a message that offers a free time.
const OFFER: &str = "waitlist_offer";
/// Visits that a question names.
const NAMED_MAX: usize = 3;

pub(super) async fn act(inner: &Inner, ctx: &Context, heard: &Heard, said: Said) -> Result<Dealt, Fault> {
    let now_us = inner.clock.now_us();
    let told = conversation(inner, ctx, heard, now_us).await?;
    let last = told.first().cloned();
    match said.meaning {
        Meaning::Stop => {
            consent(inner, ctx, heard, false).await?;
            let attention = if said.read_on { "opted_out" } else { "" };
            return Ok(Dealt { outcome: "done", attention, about: last, block: Some(true), ..Dealt::default() });
        }
        Meaning::Start => return start(inner, ctx, heard, last).await,
        Meaning::Help => return help(inner, ctx, last, now_us).await,
        Meaning::Accept | Meaning::Decline => {
            let offer = told.iter().find(|one| one.trigger == OFFER);
            return match offer {
                Some(offer) => self::offer(inner, ctx, said.meaning, offer).await,
                None => Ok(Dealt { attention: "not_understood", about: last, ..Dealt::default() }),
            };
        }
        _ => {}
    }
    match find(&told, said, now_us) {
        Match::Visit(meaning, one) => visit(inner, ctx, meaning, one).await,
        Match::Score(score, one) => self::score(inner, ctx, score, one).await,
        Match::Several(_, visits) => several(inner, ctx, heard, &visits, now_us).await,
        Match::Outdated(_, one) => {
            let reply = text(inner, ctx, "reply_outdated", one, &[]).await?;
            Ok(Dealt { attention: "outdated", about: Some(one.clone()), reply: Some(reply), ..Dealt::default() })
        }
        Match::Nothing => Ok(Dealt { attention: "not_understood", about: last, ..Dealt::default() }),
    }
}

/// What a number was told, the newest first.
async fn conversation(inner: &Inner, ctx: &Context, heard: &Heard, now_us: i64) -> Result<Vec<Told>, Fault> {
    let organization = ctx.organization.uuid();
    let rows = inner.store.told(organization, &heard.from, now_us - CONVERSATION_US, TOLD_MAX).await;
    let mut told = Vec::new();
    for row in rows.map_err(write::failure)? {
        let rule = inner.store.rule(organization, row.rule_id).await.map_err(write::failure)?;
        let asks_score = rule.is_some_and(|rule| rule.body.asks == Some(Asks::Score));
        told.push(row.read(asks_score, now_us));
    }
    Ok(told)
}

async fn consent(inner: &Inner, ctx: &Context, heard: &Heard, given: bool) -> Result<u32, Fault> {
    let request = RecordReplyConsentRequest {
        channel: CHANNEL.as_str().to_owned(),
        address: heard.from.clone(),
        given,
        how: "reply".to_owned(),
        kind: String::new(),
    };
    Ok(inner.booking.clone().record_reply_consent(ctx.forward(request)).await?.into_inner().changed)
}

/// Gives back what a stop word took. Whoever never stopped meant something else.
async fn start(inner: &Inner, ctx: &Context, heard: &Heard, last: Option<Told>) -> Result<Dealt, Fault> {
    let address = Address::of(ctx.organization.uuid(), CHANNEL.as_str(), &heard.from);
    let blocked = !inner.store.blocked(&[address]).await.map_err(write::failure)?.is_empty();
    let changed = consent(inner, ctx, heard, true).await?;
    if blocked || changed > 0 {
        return Ok(Dealt { outcome: "done", about: last, block: Some(false), ..Dealt::default() });
    }
    Ok(Dealt { attention: "not_understood", about: last, ..Dealt::default() })
}

/// Says where to call; who was asked how it is, is called.
async fn help(inner: &Inner, ctx: &Context, last: Option<Told>, now_us: i64) -> Result<Dealt, Fault> {
    let Some(last) = last else { return Ok(Dealt { attention: "call_back", ..Dealt::default() }) };
    let asked = last.asks_score && now_us - last.sent_at_us <= 4 * 86_400_000_000;
    let reply = text(inner, ctx, if asked { "reply_pain" } else { "reply_help" }, &last, &[]).await?;
    let attention = if asked { "call_back" } else { "" };
    Ok(Dealt { outcome: "done", attention, about: Some(last), reply: Some(reply), ..Dealt::default() })
}

/// Confirms or calls off through booking's own policy, or says where to move it.
async fn visit(inner: &Inner, ctx: &Context, meaning: Meaning, one: &Told) -> Result<Dealt, Fault> {
    let about = Some(one.clone());
    let transition = match meaning {
        Meaning::Confirm => Transition::Confirm,
        Meaning::Cancel => Transition::Cancel,
        _ => {
            let reply = Some(text(inner, ctx, "reply_move", one, &[]).await?);
            return Ok(Dealt { outcome: "done", about, reply, ..Dealt::default() });
        }
    };
    let appointment = contact(inner, ctx, one).await?.appointment.ok_or_else(Fault::not_found)?;
    if appointment.starts_at_us != one.starts_at_us {
        return refused(inner, ctx, one).await;
    }
    let request = TransitionAppointmentRequest {
        id: appointment.id.clone(),
        transition: transition.into(),
        // What was read is what is decided on: a move in between is no longer what the patient answered.
        if_version: appointment.version,
        reason_code: if transition == Transition::Cancel { "pat".to_owned() } else { String::new() },
        reason: String::new(),
        by: "patient".to_owned(),
    };
    match inner.booking.clone().transition_appointment(ctx.forward(request)).await.map_err(Fault::from) {
        Ok(_) => {}
        Err(fault) if matches!(fault.code, Code::InvalidTransition | Code::VersionMismatch) => {
            return refused(inner, ctx, one).await;
        }
        Err(fault) => return Err(fault),
    }
    // A cancellation is told by the rules, as every other one is.
    let reply = match transition {
        Transition::Confirm => Some(text(inner, ctx, "reply_confirmed", one, &[]).await?),
        _ => None,
    };
    Ok(Dealt { outcome: "done", about, reply, ..Dealt::default() })
}

async fn refused(inner: &Inner, ctx: &Context, one: &Told) -> Result<Dealt, Fault> {
    let reply = Some(text(inner, ctx, "reply_outdated", one, &[]).await?);
    Ok(Dealt { attention: "refused", about: Some(one.clone()), reply, ..Dealt::default() })
}

async fn score(inner: &Inner, ctx: &Context, score: u8, one: &Told) -> Result<Dealt, Fault> {
    let request = RecordCheckInRequest {
        appointment_id: AppointmentId::new(one.appointment).to_string(),
        score: u32::from(score),
    };
    inner.plans.clone().record_check_in(ctx.forward(request)).await?;
    let (name, attention) = if score >= PAIN { ("reply_pain", "pain") } else { ("reply_score", "") };
    let reply = Some(text(inner, ctx, name, one, &[]).await?);
    Ok(Dealt { outcome: "done", attention, about: Some(one.clone()), score: Some(score), reply, block: None })
}

/// Takes what was offered, or leaves it to the next.
async fn offer(inner: &Inner, ctx: &Context, meaning: Meaning, one: &Told) -> Result<Dealt, Fault> {
    let request = GetOfferRequest { id: OfferId::new(one.appointment).to_string() };
    let mut waitlist = inner.waitlist.clone();
    let answer = match meaning {
        Meaning::Accept => waitlist.accept_offer(ctx.request(request)).await.map(drop),
        _ => waitlist.decline_offer(ctx.request(request)).await.map(drop),
    };
    let (contact, expires_at_us) = template_context::offer(inner, ctx, one.appointment).await?;
    let about = Some(one.clone());
    match (answer.map_err(Fault::from), meaning) {
        // The rules tell of the booking, as of every other one.
        (Ok(()), Meaning::Accept) => Ok(Dealt { outcome: "done", about, ..Dealt::default() }),
        (Ok(()), _) => {
            let reply = Some(rendered(inner, ctx, "reply_offer_declined", one, contact, Some(expires_at_us)).await?);
            Ok(Dealt { outcome: "done", about, reply, ..Dealt::default() })
        }
        (Err(fault), _) if matches!(fault.code, Code::Unavailable | Code::DeadlineExceeded) => Err(fault),
        (Err(_), _) => {
            let reply = Some(rendered(inner, ctx, "reply_offer_gone", one, contact, Some(expires_at_us)).await?);
            Ok(Dealt { outcome: "late", about, reply, ..Dealt::default() })
        }
    }
}

/// Asks which visit is meant, once; after that a person looks.
async fn several(inner: &Inner, ctx: &Context, heard: &Heard, visits: &[&Told], now_us: i64) -> Result<Dealt, Fault> {
    let first = visits.first().map(|one| (*one).clone());
    let asked = inner.store.asked_since(ctx.organization.uuid(), &heard.from, now_us - ASKED_WITHIN_US).await;
    if asked.map_err(write::failure)? {
        return Ok(Dealt { attention: "ambiguous", about: first, ..Dealt::default() });
    }
    let Some(one) = visits.first() else { return Err(Fault::internal("several visits are none")) };
    let reply = Some(text(inner, ctx, "reply_which", one, visits).await?);
    Ok(Dealt { outcome: "asked", about: first, reply, ..Dealt::default() })
}

async fn contact(inner: &Inner, ctx: &Context, one: &Told) -> Result<GetContactResponse, Fault> {
    let appointment_id = AppointmentId::new(one.appointment).to_string();
    let request = GetContactRequest { appointment_id, with_plan: false };
    Ok(inner.booking.clone().get_contact(ctx.request(request)).await?.into_inner())
}

/// A shipped text in the patient's language; `visits` are those that it names.
async fn text(inner: &Inner, ctx: &Context, name: &str, one: &Told, visits: &[&Told]) -> Result<String, Fault> {
    if one.trigger == OFFER {
        let (contact, expires_at_us) = template_context::offer(inner, ctx, one.appointment).await?;
        return rendered(inner, ctx, name, one, contact, Some(expires_at_us)).await;
    }
    let contact = contact(inner, ctx, one).await?;
    if visits.is_empty() {
        return rendered(inner, ctx, name, one, contact, None).await;
    }
    let named = visits.iter().take(NAMED_MAX);
    let named = named.filter_map(|one| template_context::local(one.starts_at_us, &one.time_zone)).collect();
    rendered_with(inner, ctx, name, one, contact, None, named).await
}

async fn rendered(
    inner: &Inner,
    ctx: &Context,
    name: &str,
    one: &Told,
    contact: GetContactResponse,
    expires_at_us: Option<i64>,
) -> Result<String, Fault> {
    rendered_with(inner, ctx, name, one, contact, expires_at_us, vec![]).await
}

async fn rendered_with(
    inner: &Inner,
    ctx: &Context,
    name: &str,
    one: &Told,
    contact: GetContactResponse,
    expires_at_us: Option<i64>,
    visits: Vec<Zoned>,
) -> Result<String, Fault> {
    let (appointment, patient) = (contact.appointment.unwrap_or_default(), contact.patient.unwrap_or_default());
    let details = patient.details.unwrap_or_default();
    let visit = template_context::visit(inner, ctx, &appointment).await?;
    let about = template_context::local(one.starts_at_us, &one.time_zone)
        .ok_or_else(|| Fault::internal("a visit has no time"))?;
    let mut words = match expires_at_us {
        Some(at_us) => template_context::offer_words(inner, &appointment, &details, visit.clone(), about, at_us),
        None => template_context::words(inner, &appointment, &details, visit.clone(), about),
    };
    words.visits = visits;
    let languages = template_context::languages(&details, &visit);
    let rendered = inner.texts.render(&Template::default(), name, CHANNEL, &languages, &words);
    Ok(rendered.map_err(|error| Fault::internal(error.to_string()))?.text)
}
