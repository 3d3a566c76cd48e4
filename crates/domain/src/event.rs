//! What the outside is told of a change: the events of webhooks and of the public stream. Ids and times, no names.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{
    appointment::Status,
    id::{
        AppointmentId, GroupId, LocationId, OfferId, OrganizationId, PatientId, PlanId, PlanSessionId, PractitionerId,
        RoomId, ServiceId, WaitlistId,
    },
};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the names are the public interface's own")]
pub enum Kind {
    #[serde(rename = "appointment.booked")]
    Booked,
    #[serde(rename = "appointment.confirmed")]
    Confirmed,
    #[serde(rename = "appointment.cancelled")]
    Cancelled,
    #[serde(rename = "appointment.rescheduled")]
    Rescheduled,
    #[serde(rename = "appointment.arrived")]
    Arrived,
    #[serde(rename = "appointment.started")]
    Started,
    #[serde(rename = "appointment.completed")]
    Completed,
    #[serde(rename = "appointment.no_show")]
    NoShow,
    #[serde(rename = "appointment.displaced")]
    Displaced,
    #[serde(rename = "appointment.replaced")]
    Replaced,
    #[serde(rename = "plan.changed")]
    PlanChanged,
    #[serde(rename = "plan.at_risk")]
    PlanAtRisk,
    #[serde(rename = "waitlist.joined")]
    WaitlistJoined,
    #[serde(rename = "waitlist.left")]
    WaitlistLeft,
    #[serde(rename = "waitlist.expired")]
    WaitlistExpired,
    #[serde(rename = "offer.made")]
    OfferMade,
    #[serde(rename = "offer.accepted")]
    OfferAccepted,
    #[serde(rename = "offer.declined")]
    OfferDeclined,
    #[serde(rename = "offer.expired")]
    OfferExpired,
    #[serde(rename = "offer.withdrawn")]
    OfferWithdrawn,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 20] = [
        Self::Booked,
        Self::Confirmed,
        Self::Cancelled,
        Self::Rescheduled,
        Self::Arrived,
        Self::Started,
        Self::Completed,
        Self::NoShow,
        Self::Displaced,
        Self::Replaced,
        Self::PlanChanged,
        Self::PlanAtRisk,
        Self::WaitlistJoined,
        Self::WaitlistLeft,
        Self::WaitlistExpired,
        Self::OfferMade,
        Self::OfferAccepted,
        Self::OfferDeclined,
        Self::OfferExpired,
        Self::OfferWithdrawn,
    ];

    /// The name in the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booked => "appointment.booked",
            Self::Confirmed => "appointment.confirmed",
            Self::Cancelled => "appointment.cancelled",
            Self::Rescheduled => "appointment.rescheduled",
            Self::Arrived => "appointment.arrived",
            Self::Started => "appointment.started",
            Self::Completed => "appointment.completed",
            Self::NoShow => "appointment.no_show",
            Self::Displaced => "appointment.displaced",
            Self::Replaced => "appointment.replaced",
            Self::PlanChanged => "plan.changed",
            Self::PlanAtRisk => "plan.at_risk",
            Self::WaitlistJoined => "waitlist.joined",
            Self::WaitlistLeft => "waitlist.left",
            Self::WaitlistExpired => "waitlist.expired",
            Self::OfferMade => "offer.made",
            Self::OfferAccepted => "offer.accepted",
            Self::OfferDeclined => "offer.declined",
            Self::OfferExpired => "offer.expired",
            Self::OfferWithdrawn => "offer.withdrawn",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(
            "expected one of appointment.booked, appointment.confirmed, appointment.cancelled, \
             appointment.rescheduled, appointment.arrived, appointment.started, appointment.completed, \
             appointment.no_show, appointment.displaced, appointment.replaced, plan.changed, plan.at_risk, \
             waitlist.joined, waitlist.left, waitlist.expired, offer.made, offer.accepted, offer.declined, \
             offer.expired, offer.withdrawn",
        )
    }
}

/// What the outside is told of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Event))]
pub struct Event {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// When, in UTC.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub timestamp: String,
    /// To whom or what, as it is after the change.
    pub data: Data,
}

/// The state after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventData))]
#[serde(untagged)]
pub enum Data {
    /// Of an appointment.
    Appointment(AppointmentData),
    /// Of a care plan.
    Plan(PlanData),
    /// Of an entry of the waitlist.
    Waitlist(WaitlistData),
    /// Of an offer to somebody on it.
    Offer(OfferData),
}

/// An appointment after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventAppointment))]
pub struct AppointmentData {
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The appointment.
    pub appointment_id: AppointmentId,
    /// Rises with each change of the appointment.
    pub version: i64,
    /// As the appointment's own.
    pub status: Status,
    /// In the offset of its place.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub starts_at: String,
    /// In the offset of its place.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub ends_at: String,
    /// IANA time zone of its place.
    pub time_zone: String,
    /// What is given.
    pub service_id: ServiceId,
    /// By whom.
    pub practitioner_id: PractitionerId,
    /// Where.
    pub location_id: LocationId,
    /// In which room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub room_id: Option<RoomId>,
    /// To whom.
    pub patient_id: PatientId,
    /// The session of a care plan that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub plan_session_id: Option<PlanSessionId>,
    /// The group session that it is a place in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub group_id: Option<GroupId>,
    /// Whether what it stood on is gone.
    pub displaced: bool,
    /// The start before the last reschedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false, format = DateTime))]
    pub previous_starts_at: Option<String>,
    /// How it was called off, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub cancellation: Option<CancellationData>,
}

/// How an appointment was called off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventCancellation))]
pub struct CancellationData {
    /// The code of the reason; none where what was given is no code.
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
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The plan.
    pub plan_id: PlanId,
    /// Rises with each change of the plan.
    pub version: i64,
    /// As the plan's own.
    pub status: String,
    /// For whom.
    pub patient_id: PatientId,
    /// A session is left, none is booked, and the last day for it is near or past.
    pub at_risk: bool,
    /// The session to be booked next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub next_plan_session_id: Option<PlanSessionId>,
    /// What is given in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub next_service_id: Option<ServiceId>,
    /// Where the patient comes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub location_id: Option<LocationId>,
    /// The last day on which it keeps its gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false, value_type = Option<String>, format = Date))]
    pub book_by: Option<Date>,
}

/// An entry of the waitlist after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventWaitlist))]
pub struct WaitlistData {
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The entry.
    pub waitlist_id: WaitlistId,
    /// Rises with each change of the entry.
    pub version: i64,
    /// As the entry's own.
    pub status: String,
    /// Who waits.
    pub patient_id: PatientId,
    /// For what.
    pub service_id: ServiceId,
    /// The session of a care plan that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub plan_session_id: Option<PlanSessionId>,
}

/// An offer after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = EventOffer))]
pub struct OfferData {
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The offer.
    pub offer_id: OfferId,
    /// Rises with each change of the offer.
    pub version: i64,
    /// As the offer's own.
    pub status: String,
    /// The entry that it is made to.
    pub waitlist_id: WaitlistId,
    /// To whom.
    pub patient_id: PatientId,
    /// What is offered.
    pub service_id: ServiceId,
    /// By whom.
    pub practitioner_id: PractitionerId,
    /// Where.
    pub location_id: LocationId,
    /// In the offset of its place.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub starts_at: String,
    /// In the offset of its place.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub expires_at: String,
    /// IANA time zone of its place.
    pub time_zone: String,
}

/// An instant as events show it: RFC 3339 with the offset of this zone; UTC where the zone is unknown.
pub fn shown(at: Timestamp, time_zone: &str) -> String {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name_everywhere() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert!("".parse::<Kind>().unwrap_err().contains(kind.as_str()));
        }
    }
}
