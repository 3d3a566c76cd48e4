//! What a text needs to know of a visit.

use domain::time::from_micros;
use jiff::{Zoned, tz::TimeZone};
use rpc::{Context, Fault};
use wire::{
    availability::{DescribeVisitRequest, DescribeVisitResponse},
    booking::{Appointment, PatientDetails},
};

use crate::{
    Inner,
    render::{self, Lang, Words},
};

/// The names of a visit's place, service and people.
pub(crate) async fn visit(
    inner: &Inner,
    ctx: &Context,
    appointment: &Appointment,
) -> Result<DescribeVisitResponse, Fault> {
    let ask = DescribeVisitRequest {
        service_id: appointment.service_id.clone(),
        location_id: appointment.location_id.clone(),
        practitioner_id: appointment.practitioner_id.clone(),
    };
    Ok(inner.availability.clone().describe_visit(ctx.request(ask)).await?.into_inner())
}

/// The language that a patient is written to in.
pub(crate) fn lang(details: &PatientDetails, visit: &DescribeVisitResponse) -> Lang {
    render::choose(&details.language, &visit.default_language)
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
        about,
    }
}

fn manage_url(inner: &Inner, token: &str) -> String {
    match &inner.config.public_url {
        Some(base) if !token.is_empty() => format!("{base}/v1/manage/{token}"),
        _ => String::new(),
    }
}
