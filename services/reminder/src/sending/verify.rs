//! The check before a message leaves: whether its text still holds, and whether the patient wants it. No I/O.

use domain::{
    appointment::Status,
    id::LocationId,
    patient::{Channel, ConsentKind},
};
use wire::booking::{Appointment, GetContactResponse, PatientDetails};

use crate::{appointment::Visit, rules::Trigger};

/// The result of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// Send the message to this address.
    Send(&'a str),
    /// Take it back, with the reason.
    Suppress(&'static str),
}

/// Verifies a message against the appointment, the plan and the patient now.
pub(super) fn verify<'a>(
    trigger: Trigger,
    channel: Channel,
    visit: Visit,
    contact: &'a GetContactResponse,
    too_late: bool,
    consent: ConsentKind,
) -> Verdict<'a> {
    let (Some(appointment), Some(patient)) = (&contact.appointment, &contact.patient) else {
        return Verdict::Suppress("gone");
    };
    let outdated = match trigger {
        Trigger::PlanSessionUnbooked => {
            let stands = contact.plan.as_ref().is_some_and(|plan| plan.at_risk);
            if stands { too_late.then_some("too_late") } else { Some("superseded") }
        }
        _ => outdated(trigger, visit, appointment, too_late),
    };
    if let Some(reason) = outdated {
        return Verdict::Suppress(reason);
    }
    match &patient.details {
        Some(details) => reachable(channel, details, consent),
        None => Verdict::Suppress("gone"),
    }
}

/// The reason for which the text no longer holds, or is of no use.
fn outdated(trigger: Trigger, visit: Visit, appointment: &Appointment, too_late: bool) -> Option<&'static str> {
    let Ok(status) = appointment.status.parse::<Status>() else { return Some("gone") };
    match (trigger, status) {
        (Trigger::Cancelled, Status::Cancelled)
        | (Trigger::AfterCompleted, Status::Fulfilled)
        | (Trigger::Missed, Status::Noshow) => {}
        (Trigger::Cancelled | Trigger::AfterCompleted | Trigger::Missed, _) => return Some("superseded"),
        (Trigger::WaitlistOffer, Status::Cancelled) => return Some("superseded"),
        (_, Status::Cancelled) => return Some("cancelled"),
        (_, status) if !status.is_upcoming() => return Some("visit_begun"),
        _ => {}
    }
    let location = appointment.location_id.parse::<LocationId>().ok().map(LocationId::uuid);
    let same = appointment.starts_at_us == visit.starts_at_us && location == Some(visit.location);
    if !same {
        return Some("superseded");
    }
    too_late.then_some("too_late")
}

/// Whether the patient can be reached on a channel and has agreed to it.
fn reachable(channel: Channel, details: &PatientDetails, consent: ConsentKind) -> Verdict<'_> {
    let preferred = details.reminder_channel.as_str();
    if !preferred.is_empty() && preferred != channel.as_str() {
        return Verdict::Suppress("other_channel_preferred");
    }
    let (address, none) = match channel {
        Channel::Sms => (details.phone.as_str(), "no_phone"),
        Channel::Email => (details.email.as_str(), "no_email"),
    };
    if address.is_empty() {
        return Verdict::Suppress(none);
    }
    let agreed =
        details.consents.iter().any(|given| given.kind == consent.as_str() && given.channel == channel.as_str());
    if agreed { Verdict::Send(address) } else { Verdict::Suppress("no_consent") }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use wire::booking::{Consent, Patient, PlanNow};

    use super::*;

    const START: i64 = 1_000_000_000;

    fn location() -> LocationId {
        LocationId::new(Uuid::from_u128(5))
    }

    fn visit() -> Visit {
        Visit { starts_at_us: START, location: location().uuid() }
    }

    fn consent(channel: &str, kind: &str) -> Consent {
        Consent { channel: channel.into(), kind: kind.into() }
    }

    fn contact() -> GetContactResponse {
        GetContactResponse {
            appointment: Some(Appointment {
                status: "booked".into(),
                starts_at_us: START,
                location_id: location().to_string(),
                ..Appointment::default()
            }),
            patient: Some(Patient {
                details: Some(PatientDetails {
                    phone: "+15005550009".into(),
                    email: "a@example.org".into(),
                    consents: vec![consent("sms", "service"), consent("email", "service")],
                    ..PatientDetails::default()
                }),
                ..Patient::default()
            }),
            plan: None,
        }
    }

    fn sms(contact: &GetContactResponse) -> Verdict<'_> {
        verify(Trigger::BeforeStart, Channel::Sms, visit(), contact, false, ConsentKind::Service)
    }

    fn with_patient(change: impl FnOnce(&mut PatientDetails)) -> GetContactResponse {
        let mut contact = contact();
        change(contact.patient.as_mut().unwrap().details.as_mut().unwrap());
        contact
    }

    fn with_visit(change: impl FnOnce(&mut Appointment)) -> GetContactResponse {
        let mut contact = contact();
        change(contact.appointment.as_mut().unwrap());
        contact
    }

    #[test]
    fn a_text_that_holds_is_sent_to_the_channels_address() {
        assert_eq!(sms(&contact()), Verdict::Send("+15005550009"));
        let contact = contact();
        let email = verify(Trigger::Booked, Channel::Email, visit(), &contact, false, ConsentKind::Service);
        assert_eq!(email, Verdict::Send("a@example.org"));
    }

    #[test]
    fn a_text_that_no_longer_holds_is_taken_back() {
        for (status, reason) in [
            ("cancelled", "cancelled"),
            ("arrived", "visit_begun"),
            ("checked-in", "visit_begun"),
            ("fulfilled", "visit_begun"),
            ("noshow", "visit_begun"),
            ("entered-in-error", "visit_begun"),
        ] {
            assert_eq!(sms(&with_visit(|visit| visit.status = status.into())), Verdict::Suppress(reason), "{status}");
        }
        assert_eq!(sms(&with_visit(|visit| visit.starts_at_us += 1)), Verdict::Suppress("superseded"));
        let elsewhere = LocationId::new(Uuid::from_u128(6)).to_string();
        assert_eq!(sms(&with_visit(|visit| visit.location_id = elsewhere)), Verdict::Suppress("superseded"));
        let contact = contact();
        let late = verify(Trigger::BeforeStart, Channel::Sms, visit(), &contact, true, ConsentKind::Service);
        assert_eq!(late, Verdict::Suppress("too_late"));
    }

    #[test]
    fn a_cancellation_is_sent_while_it_holds_and_before_the_start() {
        let off = with_visit(|visit| visit.status = "cancelled".into());
        let sent = |contact, too_late| {
            verify(Trigger::Cancelled, Channel::Sms, visit(), contact, too_late, ConsentKind::Service)
        };
        assert_eq!(sent(&off, false), Verdict::Send("+15005550009"));
        assert_eq!(sent(&off, true), Verdict::Suppress("too_late"));
        assert_eq!(sent(&contact(), false), Verdict::Suppress("superseded"));
    }

    #[test]
    fn an_invitation_is_sent_while_the_plan_is_at_risk() {
        let of = |plan| GetContactResponse { plan, ..contact() };
        let now = |at_risk| of(Some(PlanNow { at_risk, ..PlanNow::default() }));
        for (contact, too_late, expected) in [
            (now(true), false, Verdict::Send("+15005550009")),
            (now(true), true, Verdict::Suppress("too_late")),
            (now(false), false, Verdict::Suppress("superseded")),
            (of(None), false, Verdict::Suppress("superseded")),
        ] {
            assert_eq!(
                verify(Trigger::PlanSessionUnbooked, Channel::Sms, visit(), &contact, too_late, ConsentKind::Service),
                expected
            );
        }
    }

    #[test]
    fn a_message_after_an_appointment_needs_its_status() {
        for (trigger, status) in [(Trigger::AfterCompleted, "fulfilled"), (Trigger::Missed, "noshow")] {
            let over = with_visit(|visit| visit.status = status.into());
            let sent =
                |contact, too_late| verify(trigger, Channel::Sms, visit(), contact, too_late, ConsentKind::Service);
            assert_eq!(sent(&over, false), Verdict::Send("+15005550009"), "{trigger}");
            assert_eq!(sent(&over, true), Verdict::Suppress("too_late"), "{trigger}");
            assert_eq!(sent(&contact(), false), Verdict::Suppress("superseded"), "{trigger}");
        }
    }

    #[test]
    fn a_patient_is_reached_only_where_they_agreed() {
        assert_eq!(sms(&with_patient(|details| details.phone.clear())), Verdict::Suppress("no_phone"));
        let marketing = |details: &mut PatientDetails| details.consents = vec![consent("sms", "marketing")];
        assert_eq!(sms(&with_patient(marketing)), Verdict::Suppress("no_consent"));
        let other = |details: &mut PatientDetails| details.consents = vec![consent("email", "service")];
        assert_eq!(sms(&with_patient(other)), Verdict::Suppress("no_consent"));
        let prefers = |details: &mut PatientDetails| details.reminder_channel = "email".into();
        assert_eq!(sms(&with_patient(prefers)), Verdict::Suppress("other_channel_preferred"));
        let same = |details: &mut PatientDetails| details.reminder_channel = "sms".into();
        assert_eq!(sms(&with_patient(same)), Verdict::Send("+15005550009"));
        let no_email = with_patient(|details| details.email.clear());
        let email = verify(Trigger::Booked, Channel::Email, visit(), &no_email, false, ConsentKind::Service);
        assert_eq!(email, Verdict::Suppress("no_email"));
    }
}
