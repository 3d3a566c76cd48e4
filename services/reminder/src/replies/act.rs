//! Acts on a parsed reply: consent, confirmation, cancellation, score, offer, or the inbox.

use domain::{
    id::{AppointmentId, OfferId},
    message::Trigger,
};
use jiff::Zoned;
use rpc::{Code, Context, Fault};
use service::db_error;
use wire::booking::{
    GetContactRequest, GetContactResponse, GetOfferRequest, RecordCheckInRequest, RecordReplyConsentRequest,
    Transition, TransitionAppointmentRequest,
};

use super::{
    ASK_ONCE_WITHIN_US, CONVERSATION_US, Handled, REPLY_CHANNEL, SENT_MESSAGES_MAX, SentMessage,
    matching::{Match, match_reply},
    parse::{Meaning, ParsedReply},
};
use crate::{
    Inner, address_hash,
    providers::inbound::InboundMessage,
    rules::{Question, Rule},
    store::blocked::Address,
    template_context,
    templates::Template,
};

/// A score from which on the clinic is alerted.
const ALERT_SCORE: u8 = 7;
/// A question about scores counts as open for this long.
const SCORE_QUESTION_US: i64 = 4 * 86_400_000_000;
/// Visits that the question "which visit?" names.
const NAMED_VISITS_MAX: usize = 3;

pub(super) async fn act(
    inner: &Inner,
    ctx: &Context,
    message: &InboundMessage,
    reply: ParsedReply,
) -> Result<Handled, Fault> {
    let now_us = inner.clock.now_us();
    let sent = sent_messages(inner, ctx, message, now_us).await?;
    let last = sent.first().cloned();
    let not_understood =
        |answers: Option<SentMessage>| Handled { attention: "not_understood", answers, ..Handled::default() };
    match reply.meaning {
        Meaning::Stop => {
            record_consent(inner, ctx, message, false).await?;
            let attention = if reply.needs_review { "opted_out" } else { "" };
            return Ok(Handled { outcome: "done", attention, answers: last, block: Some(true), ..Handled::default() });
        }
        Meaning::Start => return opt_in(inner, ctx, message, last).await,
        Meaning::Help => return help(inner, ctx, last, now_us).await,
        Meaning::Accept | Meaning::Decline => {
            return match sent.iter().find(|message| message.trigger == Trigger::WaitlistOffer.as_str()) {
                Some(offer) => answer_offer(inner, ctx, reply.meaning, offer).await,
                None => Ok(not_understood(last)),
            };
        }
        _ => {}
    }
    match match_reply(&sent, reply, now_us) {
        Match::Visit(meaning, sent) => change_visit(inner, ctx, meaning, sent).await,
        Match::Score(score, sent) => record_score(inner, ctx, score, sent).await,
        Match::Ambiguous(visits) => ask_which_visit(inner, ctx, message, &visits, now_us).await,
        Match::Outdated(sent) => outdated(inner, ctx, "outdated", sent).await,
        Match::Nothing => Ok(not_understood(last)),
    }
}

/// The messages that the sender got, the newest first.
async fn sent_messages(
    inner: &Inner,
    ctx: &Context,
    message: &InboundMessage,
    now_us: i64,
) -> Result<Vec<SentMessage>, Fault> {
    let (organization, after_us) = (ctx.organization.uuid(), now_us - CONVERSATION_US);
    let rows = inner.store.sent_messages(organization, &message.from, after_us, SENT_MESSAGES_MAX).await;
    let mut sent = Vec::new();
    for row in rows.map_err(db_error::fault)? {
        let rule = inner.store.rule(organization, row.rule_id).await.map_err(db_error::fault)?;
        let rule = rule.map(Rule::from_row).transpose().map_err(db_error::fault)?;
        let asks_score = rule.is_some_and(|rule| rule.body.asks == Some(Question::Score));
        sent.push(SentMessage::new(row, asks_score, now_us));
    }
    Ok(sent)
}

/// Records consent at booking; the answer is how many patients it changed.
async fn record_consent(inner: &Inner, ctx: &Context, message: &InboundMessage, given: bool) -> Result<u32, Fault> {
    let request = RecordReplyConsentRequest {
        channel: REPLY_CHANNEL.as_str().to_owned(),
        address: message.from.clone(),
        given,
        how: "reply".to_owned(),
        kind: String::new(),
    };
    Ok(inner.booking.clone().record_reply_consent(ctx.forward(request)).await?.into_inner().changed)
}

/// Reverses an opt-out; a sender who never opted out meant something else.
async fn opt_in(
    inner: &Inner,
    ctx: &Context,
    message: &InboundMessage,
    last: Option<SentMessage>,
) -> Result<Handled, Fault> {
    let channel = REPLY_CHANNEL.as_str().to_owned();
    let address = Address { organization: ctx.organization.uuid(), channel, hash: address_hash(&message.from) };
    let blocked = !inner.store.blocked(&[address]).await.map_err(db_error::fault)?.is_empty();
    let changed = record_consent(inner, ctx, message, true).await?;
    if blocked || changed > 0 {
        return Ok(Handled { outcome: "done", answers: last, block: Some(false), ..Handled::default() });
    }
    Ok(Handled { attention: "not_understood", answers: last, ..Handled::default() })
}

/// Names the clinic's phone number. A patient whom the last message asked for a score gets a call instead.
async fn help(inner: &Inner, ctx: &Context, last: Option<SentMessage>, now_us: i64) -> Result<Handled, Fault> {
    let Some(last) = last else { return Ok(Handled { attention: "call_back", ..Handled::default() }) };
    let asked = last.asks_score && now_us - last.sent_at_us <= SCORE_QUESTION_US;
    let response = response_text(inner, ctx, if asked { "reply_pain" } else { "reply_help" }, &last, &[]).await?;
    let attention = if asked { "call_back" } else { "" };
    Ok(Handled { outcome: "done", attention, answers: Some(last), response: Some(response), ..Handled::default() })
}

/// Confirms or cancels the visit under booking's own policy, or says where to move it.
async fn change_visit(inner: &Inner, ctx: &Context, meaning: Meaning, sent: &SentMessage) -> Result<Handled, Fault> {
    let answers = Some(sent.clone());
    let transition = match meaning {
        Meaning::Confirm => Transition::Confirm,
        Meaning::Cancel => Transition::Cancel,
        _ => {
            let response = Some(response_text(inner, ctx, "reply_move", sent, &[]).await?);
            return Ok(Handled { outcome: "done", answers, response, ..Handled::default() });
        }
    };
    let appointment = get_contact(inner, ctx, sent).await?.appointment.ok_or_else(Fault::not_found)?;
    if appointment.starts_at_us != sent.starts_at_us {
        return outdated(inner, ctx, "refused", sent).await;
    }
    let request = TransitionAppointmentRequest {
        id: appointment.id.clone(),
        transition: transition.into(),
        // The patient answered this version; a move since then refuses the transition.
        if_version: appointment.version,
        reason_code: if transition == Transition::Cancel { "pat".to_owned() } else { String::new() },
        reason: String::new(),
        by: "patient".to_owned(),
    };
    match inner.booking.clone().transition_appointment(ctx.forward(request)).await.map_err(Fault::from) {
        Ok(_) => {}
        Err(fault) if matches!(fault.code, Code::InvalidTransition | Code::VersionMismatch) => {
            return outdated(inner, ctx, "refused", sent).await;
        }
        Err(fault) => return Err(fault),
    }
    // The organisation's rules announce a cancellation.
    let response = match transition {
        Transition::Confirm => Some(response_text(inner, ctx, "reply_confirmed", sent, &[]).await?),
        _ => None,
    };
    Ok(Handled { outcome: "done", answers, response, ..Handled::default() })
}

/// Tells the patient that the visit is no longer what the message said.
async fn outdated(inner: &Inner, ctx: &Context, attention: &'static str, sent: &SentMessage) -> Result<Handled, Fault> {
    let response = Some(response_text(inner, ctx, "reply_outdated", sent, &[]).await?);
    Ok(Handled { attention, answers: Some(sent.clone()), response, ..Handled::default() })
}

async fn record_score(inner: &Inner, ctx: &Context, score: u8, sent: &SentMessage) -> Result<Handled, Fault> {
    let request = RecordCheckInRequest {
        appointment_id: AppointmentId::new(sent.appointment).to_string(),
        score: u32::from(score),
    };
    inner.plans.clone().record_check_in(ctx.forward(request)).await?;
    let (template, attention) = if score >= ALERT_SCORE { ("reply_pain", "pain") } else { ("reply_score", "") };
    let response = Some(response_text(inner, ctx, template, sent, &[]).await?);
    Ok(Handled { outcome: "done", attention, answers: Some(sent.clone()), score: Some(score), response, block: None })
}

/// Accepts or declines an offer.
async fn answer_offer(inner: &Inner, ctx: &Context, meaning: Meaning, sent: &SentMessage) -> Result<Handled, Fault> {
    let request = GetOfferRequest { id: OfferId::new(sent.appointment).to_string() };
    let mut waitlist = inner.waitlist.clone();
    let answer = match meaning {
        Meaning::Accept => waitlist.accept_offer(ctx.request(request)).await.map(drop),
        _ => waitlist.decline_offer(ctx.request(request)).await.map(drop),
    };
    let answers = Some(sent.clone());
    let (outcome, template) = match (answer.map_err(Fault::from), meaning) {
        // The organisation's rules announce the booking.
        (Ok(()), Meaning::Accept) => return Ok(Handled { outcome: "done", answers, ..Handled::default() }),
        (Ok(()), _) => ("done", "reply_offer_declined"),
        (Err(fault), _) if fault.code.is_failure() => return Err(fault),
        (Err(_), _) => ("late", "reply_offer_gone"),
    };
    let response = Some(response_text(inner, ctx, template, sent, &[]).await?);
    Ok(Handled { outcome, answers, response, ..Handled::default() })
}

/// Asks once which visit the reply means; the next ambiguous reply goes to the inbox.
async fn ask_which_visit(
    inner: &Inner,
    ctx: &Context,
    message: &InboundMessage,
    visits: &[&SentMessage],
    now_us: i64,
) -> Result<Handled, Fault> {
    let Some(first) = visits.first() else { return Err(Fault::internal("an ambiguous reply matches no visit")) };
    let answers = Some((*first).clone());
    let (organization, after_us) = (ctx.organization.uuid(), now_us - ASK_ONCE_WITHIN_US);
    if inner.store.was_asked_since(organization, &message.from, after_us).await.map_err(db_error::fault)? {
        return Ok(Handled { attention: "ambiguous", answers, ..Handled::default() });
    }
    let response = Some(response_text(inner, ctx, "reply_which", first, visits).await?);
    Ok(Handled { outcome: "asked", answers, response, ..Handled::default() })
}

async fn get_contact(inner: &Inner, ctx: &Context, sent: &SentMessage) -> Result<GetContactResponse, Fault> {
    let appointment_id = AppointmentId::new(sent.appointment).to_string();
    let request = GetContactRequest { appointment_id, with_plan: false };
    Ok(inner.booking.clone().get_contact(ctx.request(request)).await?.into_inner())
}

/// Renders a shipped template in the patient's language; `visits` fill its list of visits.
async fn response_text(
    inner: &Inner,
    ctx: &Context,
    template: &str,
    sent: &SentMessage,
    visits: &[&SentMessage],
) -> Result<String, Fault> {
    let (contact, expires_at_us) = if sent.trigger == Trigger::WaitlistOffer.as_str() {
        let (contact, expires_at_us) = template_context::offer_contact(inner, ctx, sent.appointment).await?;
        (contact, Some(expires_at_us))
    } else {
        (get_contact(inner, ctx, sent).await?, None)
    };
    let (appointment, patient) = (contact.appointment.unwrap_or_default(), contact.patient.unwrap_or_default());
    let details = patient.details.unwrap_or_default();
    let visit = template_context::describe_visit(inner, ctx, &appointment).await?;
    let start = local_start(sent).ok_or_else(|| Fault::internal("a sent message has no time"))?;
    let mut context = match expires_at_us {
        Some(at_us) => template_context::for_offer(inner, &appointment, &details, visit.clone(), start, at_us),
        None => template_context::for_visit(inner, &appointment, &details, visit.clone(), start),
    };
    context.visits = visits.iter().take(NAMED_VISITS_MAX).filter_map(|visit| local_start(visit)).collect();
    let languages = template_context::language_preferences(&details, &visit);
    let rendered = inner.templates.render(&Template::default(), template, REPLY_CHANNEL, &languages, &context);
    let text = rendered.map_err(|error| Fault::internal(error.to_string()))?.text;
    Ok(template_context::without_token(&text, &appointment.manage_token))
}

fn local_start(sent: &SentMessage) -> Option<Zoned> {
    template_context::local_time(sent.starts_at_us, &sent.time_zone)
}
