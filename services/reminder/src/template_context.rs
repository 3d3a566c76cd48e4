//! What a text needs to know of a visit.

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
    templates::{Languages, Words},
};

/// The names of a visit's place, service and people.
pub(crate) async fn visit(
    inner: &Inner,
    ctx: &Context,
    appointment: &Appointment,
) -> Result<DescribeVisitResponse, Fault> {
    Ok(inner.availability.clone().describe_visit(ctx.request(names(appointment))).await?.into_inner())
}

/// What is asked to name a visit's place, service and people.
pub(crate) fn names(appointment: &Appointment) -> DescribeVisitRequest {
    DescribeVisitRequest {
        service_id: appointment.service_id.clone(),
        location_id: appointment.location_id.clone(),
        practitioner_id: appointment.practitioner_id.clone(),
    }
}

/// An offer and its patient, in the form of an appointment and its contact: an open offer is one that is booked, and what
/// leads to it is its own link.
pub(crate) async fn offer(inner: &Inner, ctx: &Context, offer: Uuid) -> Result<(GetContactResponse, i64), Fault> {
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

/// The words of a text about an offer.
pub(crate) fn offer_words(
    inner: &Inner,
    appointment: &Appointment,
    details: &PatientDetails,
    visit: DescribeVisitResponse,
    about: Zoned,
    expires_at_us: i64,
) -> Words {
    let base = inner.config.public_url.as_deref();
    let manage_url = base.map(|base| format!("{base}/v1/offer_links/{}", appointment.manage_token));
    let until = local(expires_at_us, &appointment.time_zone);
    Words { manage_url: manage_url.unwrap_or_default(), until, ..words(inner, appointment, details, visit, about) }
}

/// What decides how a patient is written to.
pub(crate) fn languages<'a>(details: &'a PatientDetails, visit: &'a DescribeVisitResponse) -> Languages<'a> {
    Languages {
        patient: &details.language,
        organization: &visit.default_language,
        country: &visit.country,
        ..Languages::default()
    }
}

/// An instant on the wall clock of a zone; UTC where this program's data knows no such zone.
pub(crate) fn local(at_us: i64, time_zone: &str) -> Option<Zoned> {
    let zone = domain::time::zone(time_zone).unwrap_or(TimeZone::UTC);
    Some(from_micros(at_us)?.to_zoned(zone))
}

/// The words of a text about a visit.
pub(crate) fn words(
    inner: &Inner,
    appointment: &Appointment,
    details: &PatientDetails,
    visit: DescribeVisitResponse,
    about: Zoned,
) -> Words {
    Words {
        patient_given_name: details.given_name.clone(),
        clinic: visit.location_name,
        organization: visit.organization_name,
        service: visit.service_name,
        practitioner: format!("{} {}", visit.practitioner_given_name, visit.practitioner_family_name),
        phone: visit.location_phone,
        address: visit.location_address,
        manage_url: manage_url(inner, &appointment.manage_token),
        replies: inner.config.hears_replies(),
        count: 1,
        visits: vec![],
        until: None,
        changed: Changed::default(),
        today: inner.clock.now().to_zoned(about.time_zone().clone()).date(),
        about,
    }
}

fn manage_url(inner: &Inner, token: &str) -> String {
    match &inner.config.public_url {
        Some(base) if !token.is_empty() => format!("{base}/v1/manage/{token}"),
        _ => String::new(),
    }
}
