//! `Debug` of messages with personal data, which prints only the name of the type.

use std::fmt;

macro_rules! redact {
    ($($message:ty),* $(,)?) => {
        $(impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), "(…)"))
            }
        })*
    };
}

redact! {
    crate::booking::PatientDetails,
    crate::booking::PatientStaffFields,
    crate::booking::PatientContact,
    crate::booking::PatientIdentifier,
    crate::booking::PatientBlock,
    crate::booking::ProposedChange,
    crate::booking::BookAppointmentRequest,
    crate::booking::Appointment,
    crate::booking::TransitionAppointmentRequest,
    crate::booking::ResolveManageLinkRequest,
    crate::booking::ListPatientsRequest,
    crate::booking::Plan,
    crate::booking::Review,
    crate::booking::ReviewPlanRequest,
    crate::booking::SignVerificationResponse,
    crate::reminder::Message,
    crate::reminder::ReceiveRequest,
    crate::reminder::StartVerificationRequest,
    crate::reminder::CheckVerificationRequest,
    crate::reminder::CheckVerificationResponse,
    crate::reminder::WebhookEndpoint,
    crate::reminder::WebhookEndpointBody,
}
