//! The events of webhooks and of the public stream: one for each change, with ids and times and no names.

use jiff::civil::Date;
use serde::Serialize;

use crate::{
    appointment::Status,
    id::{
        AppointmentId, GroupId, LocationId, OfferId, OrganizationId, PatientId, PlanId, PlanSessionId, PractitionerId,
        RoomId, ServiceId, WaitlistId,
    },
    words::words,
};
#[cfg(feature = "schema")]
use crate::{plan, waitlist};

words! {
    /// The kind of an event.
    pub enum Kind as "EventType" {
        /// An appointment was booked.
        Booked = "appointment.booked",
        /// Its patient confirmed it.
        Confirmed = "appointment.confirmed",
        /// It was cancelled.
        Cancelled = "appointment.cancelled",
        /// It has a new time or place.
        Rescheduled = "appointment.rescheduled",
        /// Its patient arrived.
        Arrived = "appointment.arrived",
        /// The visit began.
        Started = "appointment.started",
        /// The visit was completed.
        Completed = "appointment.completed",
        /// The patient did not come.
        NoShow = "appointment.no_show",
        /// Its last transition was taken back.
        Reverted = "appointment.reverted",
        /// A change of the directory displaced it.
        Displaced = "appointment.displaced",
        /// The appointment is no longer displaced.
        Replaced = "appointment.replaced",
        /// A care plan changed.
        PlanChanged = "plan.changed",
        /// A care plan has a session to book and the last day for it is near.
        PlanAtRisk = "plan.at_risk",
        /// A patient joined the waitlist.
        WaitlistJoined = "waitlist.joined",
        /// A waitlist entry was withdrawn.
        WaitlistLeft = "waitlist.left",
        /// A waitlist entry expired.
        WaitlistExpired = "waitlist.expired",
        /// A free slot was offered.
        OfferMade = "offer.made",
        /// An offer was accepted.
        OfferAccepted = "offer.accepted",
        /// An offer was declined.
        OfferDeclined = "offer.declined",
        /// An offer expired.
        OfferExpired = "offer.expired",
        /// An offer was withdrawn.
        OfferWithdrawn = "offer.withdrawn",
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Event))]
pub struct Event {
    /// The kind of the event.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// When the change was made, in UTC.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub timestamp: String,
    /// The resource after the change.
    pub data: Data,
}

/// A resource after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventData))]
#[serde(untagged)]
pub enum Data {
    /// An appointment.
    Appointment(AppointmentData),
    /// A care plan.
    Plan(PlanData),
    /// A waitlist entry.
    Waitlist(WaitlistData),
    /// An offer to a patient on the waitlist.
    Offer(OfferData),
}

/// An appointment after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventAppointment))]
pub struct AppointmentData {
    /// The organisation.
    pub organization_id: OrganizationId,
    /// The appointment.
    pub appointment_id: AppointmentId,
    /// The appointment's version, which rises with each change.
    pub version: i64,
    /// The appointment's status.
    pub status: Status,
    /// RFC 3339 with the location's offset.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub starts_at: String,
    /// RFC 3339 with the location's offset.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub ends_at: String,
    /// IANA time zone of the location.
    pub time_zone: String,
    /// The service.
    pub service_id: ServiceId,
    /// The practitioner.
    pub practitioner_id: PractitionerId,
    /// The location.
    pub location_id: LocationId,
    /// The room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub room_id: Option<RoomId>,
    /// The patient.
    pub patient_id: PatientId,
    /// The session of a care plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub plan_session_id: Option<PlanSessionId>,
    /// The group session in which it is a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub group_id: Option<GroupId>,
    /// Whether a change of the directory has displaced it.
    pub displaced: bool,
    /// The start before the last reschedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false, format = DateTime))]
    pub previous_starts_at: Option<String>,
    /// The cancellation of a cancelled appointment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub cancellation: Option<CancellationData>,
}

/// The cancellation of an appointment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventCancellation))]
pub struct CancellationData {
    /// The reason code; none when the caller gave no code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub reason_code: Option<String>,
    /// `patient` or `staff`.
    pub by: String,
    /// Whether the patient gave too little notice.
    pub late: bool,
}

/// A care plan after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventPlan))]
pub struct PlanData {
    /// The organisation.
    pub organization_id: OrganizationId,
    /// The plan.
    pub plan_id: PlanId,
    /// The plan's version, which rises with each change.
    pub version: i64,
    /// The plan's status.
    #[cfg_attr(feature = "schema", schema(value_type = plan::Status))]
    pub status: String,
    /// The patient.
    pub patient_id: PatientId,
    /// Whether a session is left, no session is booked, and the last day for it is near or past.
    pub at_risk: bool,
    /// The next session to book.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub next_plan_session_id: Option<PlanSessionId>,
    /// The service of that session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub next_service_id: Option<ServiceId>,
    /// The patient's location.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub location_id: Option<LocationId>,
    /// The last day on which that session keeps its gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false, value_type = Option<String>, format = Date))]
    pub book_by: Option<Date>,
}

/// A waitlist entry after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventWaitlist))]
pub struct WaitlistData {
    /// The organisation.
    pub organization_id: OrganizationId,
    /// The entry.
    pub waitlist_id: WaitlistId,
    /// The entry's version, which rises with each change.
    pub version: i64,
    /// The entry's status.
    #[cfg_attr(feature = "schema", schema(value_type = waitlist::EntryStatus))]
    pub status: String,
    /// The patient.
    pub patient_id: PatientId,
    /// The service.
    pub service_id: ServiceId,
    /// The session of a care plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub plan_session_id: Option<PlanSessionId>,
}

/// An offer after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventOffer))]
pub struct OfferData {
    /// The organisation.
    pub organization_id: OrganizationId,
    /// The offer.
    pub offer_id: OfferId,
    /// The offer's version, which rises with each change.
    pub version: i64,
    /// The offer's status.
    #[cfg_attr(feature = "schema", schema(value_type = waitlist::OfferStatus))]
    pub status: String,
    /// The waitlist entry.
    pub waitlist_id: WaitlistId,
    /// The patient.
    pub patient_id: PatientId,
    /// The service.
    pub service_id: ServiceId,
    /// The practitioner.
    pub practitioner_id: PractitionerId,
    /// The location.
    pub location_id: LocationId,
    /// RFC 3339 with the location's offset.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub starts_at: String,
    /// RFC 3339 with the location's offset.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub expires_at: String,
    /// IANA time zone of the location.
    pub time_zone: String,
}
