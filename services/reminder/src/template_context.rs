//! Loads what a template needs to know of a visit or an offer.

use domain::{id::OfferId, time::from_micros};
use jiff::{Zoned, tz::TimeZone};
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::{
    availability::{DescribeVisitRequest, DescribeVisitResponse},
    booking::{Appointment, GetContactResponse, GetOfferRequest, OfferContact, PatientDetails},
};

use crate::{
    Inner,
    appointment::Changed,
    templates::{LanguagePreferences, TemplateContext},
};

/// Stands in stored texts for the token of a link, which is made again at each send.
pub(crate) const TOKEN: &str = "[token]";

/// A text as it is stored: without the token of its link.
pub(crate) fn without_token(text: &str, token: &str) -> String {
    if token.is_empty() { text.to_owned() } else { text.replace(token, TOKEN) }
}

/// The names of a visit's location, service and practitioner, from availability.
pub(crate) async fn describe_visit(
    inner: &Inner,
    ctx: &Context,
    appointment: &Appointment,
) -> Result<DescribeVisitResponse, Fault> {
    let request = ctx.request(describe_visit_request(appointment));
    Ok(inner.availability.clone().describe_visit(request).await?.into_inner())
}

/// The request of [`describe_visit`].
pub(crate) fn describe_visit_request(appointment: &Appointment) -> DescribeVisitRequest {
    DescribeVisitRequest {
        service_id: appointment.service_id.clone(),
        location_id: appointment.location_id.clone(),
        practitioner_id: appointment.practitioner_id.clone(),
    }
}

/// An offer and its patient in the form of an appointment and its contact, with the time at which the offer expires. An open
/// offer has the status `booked`, another one `cancelled`; the manage token is the offer's.
pub(crate) async fn offer_contact(
    inner: &Inner,
    ctx: &Context,
    offer: Uuid,
) -> Result<(GetContactResponse, i64), Fault> {
    let request = GetOfferRequest { id: OfferId::new(offer).to_string() };
    let OfferContact { offer, patient } =
        inner.waitlist.clone().get_offer_contact(ctx.request(request)).await?.into_inner();
    let offer = offer.unwrap_or_default();
    let slot = offer.slot.unwrap_or_default();
    let appointment = Appointment {
        id: offer.id,
        version: offer.version,
        status: if offer.status == "open" { "booked".to_owned() } else { "cancelled".to_owned() },
        service_id: slot.service_id,
        practitioner_id: slot.practitioner_id,
        location_id: slot.location_id,
        starts_at_us: slot.starts_at_us,
        ends_at_us: slot.ends_at_us,
        time_zone: slot.time_zone,
        patient_id: offer.patient_id,
        manage_token: offer.token,
        ..Appointment::default()
    };
    let contact = GetContactResponse { appointment: Some(appointment), patient, plan: None };
    Ok((contact, offer.expires_at_us))
}

/// The context for a message about an offer; its link accepts or declines the offer.
pub(crate) fn for_offer(
    inner: &Inner,
    appointment: &Appointment,
    details: &PatientDetails,
    visit: DescribeVisitResponse,
    start: Zoned,
    expires_at_us: i64,
) -> TemplateContext {
    let base = inner.config.public_url.as_deref();
    let offer_url = base.map(|base| format!("{base}/o/{}", appointment.manage_token));
    TemplateContext {
        manage_url: offer_url.unwrap_or_default(),
        expires_at: local_time(expires_at_us, &appointment.time_zone),
        ..for_visit(inner, appointment, details, visit, start)
    }
}

/// The context for a message about a visit; `date` is the local start, or the last day for booking.
pub(crate) fn for_visit(
    inner: &Inner,
    appointment: &Appointment,
    details: &PatientDetails,
    visit: DescribeVisitResponse,
    date: Zoned,
) -> TemplateContext {
    TemplateContext {
        patient_given_name: details.given_name.clone(),
        clinic: visit.location_name,
        organization: visit.organization_name,
        service: visit.service_name,
        practitioner: format!("{} {}", visit.practitioner_given_name, visit.practitioner_family_name),
        phone: visit.location_phone,
        address: visit.location_address,
        manage_url: manage_url(inner, &appointment.manage_token),
        accepts_replies: inner.config.receives_replies(),
        count: 1,
        visits: vec![],
        expires_at: None,
        changed: Changed::default(),
        today: inner.clock.now().to_zoned(date.time_zone().clone()).date(),
        date,
    }
}

/// The languages of a patient and of their organisation.
pub(crate) fn language_preferences<'a>(
    details: &'a PatientDetails,
    visit: &'a DescribeVisitResponse,
) -> LanguagePreferences<'a> {
    LanguagePreferences {
        patient: &details.language,
        organization: &visit.default_language,
        country: &visit.country,
        ..LanguagePreferences::default()
    }
}

/// An instant on the wall clock of an IANA zone; UTC for an unknown zone, `None` for an instant out of range.
pub(crate) fn local_time(at_us: i64, time_zone: &str) -> Option<Zoned> {
    let zone = domain::time::zone(time_zone).unwrap_or(TimeZone::UTC);
    Some(from_micros(at_us)?.to_zoned(zone))
}

fn manage_url(inner: &Inner, token: &str) -> String {
    match &inner.config.public_url {
        Some(base) if !token.is_empty() => format!("{base}/m/{token}"),
        _ => String::new(),
    }
}
