//! Typed identifiers: a UUIDv7 with the kind of its resource as a type.
//!
//! The text form is a [TypeID](https://github.com/jetify-com/typeid): a prefix, an underscore and the UUID in 26 characters
//! of base32. Databases store the UUID.

use std::{cmp::Ordering, fmt, hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use type_safe_id::{DynamicType, TypeSafeId};
use uuid::Uuid;

/// The kind of resource that an [`Id`] identifies.
pub trait Kind {
    /// The TypeID prefix, lower-case ASCII letters.
    const PREFIX: &'static str;
}

/// An identifier of one kind of resource.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// A text is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id of the form {prefix}_ followed by 26 characters of base32")]
pub struct ParseError {
    prefix: &'static str,
}

impl<K> Id<K> {
    /// The id with this UUID.
    pub const fn new(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }

    /// The UUID, as databases store it.
    pub const fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse::<TypeSafeId<DynamicType>>()
            .ok()
            .filter(|id| id.type_prefix() == K::PREFIX)
            .map(|id| Self::new(id.uuid()))
            .ok_or(ParseError { prefix: K::PREFIX })
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = DynamicType::new(K::PREFIX).map_err(|_| fmt::Error)?;
        fmt::Display::fmt(&TypeSafeId::from_type_and_uuid(prefix, self.uuid), f)
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}
impl<K> From<Uuid> for Id<K> {
    fn from(uuid: Uuid) -> Self {
        Self::new(uuid)
    }
}
impl<K> From<Id<K>> for Uuid {
    fn from(id: Id<K>) -> Self {
        id.uuid
    }
}
impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl<K: Kind> utoipa::PartialSchema for Id<K> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^{}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$", K::PREFIX)))
            .description(Some(format!("TypeID with the prefix `{}`", K::PREFIX)))
            .into()
    }
}

#[cfg(feature = "schema")]
impl<K: Kind> utoipa::ToSchema for Id<K> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("id_{}", K::PREFIX).into()
    }
}

macro_rules! kinds {
    ($($kind:ident $alias:ident $prefix:literal $doc:literal),* $(,)?) => {
        $(
            #[doc = concat!("The kind of ", $doc, ".")]
            pub enum $kind {}
            impl Kind for $kind {
                const PREFIX: &'static str = $prefix;
            }
            #[doc = concat!("The id of ", $doc, " (`", $prefix, "_…`).")]
            pub type $alias = Id<$kind>;
        )*
    };
}

kinds! {
    Organization OrganizationId "org" "an organisation",
    Location LocationId "loc" "a location",
    Room RoomId "room" "a room",
    Equipment EquipmentId "eqp" "a pool of equipment",
    Closure ClosureId "clo" "a closure",
    Practitioner PractitionerId "prac" "a practitioner",
    Certificate CertificateId "cert" "a certificate",
    Roster RosterId "ros" "a roster",
    TimeOff TimeOffId "off" "a time off",
    Service ServiceId "svc" "a service",
    PlanTemplate PlanTemplateId "tmpl" "a plan template",
    Busy BusyId "busy" "an imported calendar's busy time",
    Patient PatientId "pat" "a patient",
    ProposedChange ProposedChangeId "chg" "a proposed change of a patient",
    Hold HoldId "hold" "a hold",
    Appointment AppointmentId "appt" "an appointment",
    Group GroupId "grp" "a group session",
    Plan PlanId "plan" "a care plan",
    PlanSession PlanSessionId "psn" "a session of a care plan",
    Proposal ProposalId "prop" "a proposal",
    Waitlist WaitlistId "wait" "a waitlist entry",
    Offer OfferId "offer" "an offer of a freed slot",
    Rule RuleId "rule" "a reminder rule",
    Message MessageId "msg" "a message",
    Inbound InboundId "inb" "an inbound message",
    Webhook WebhookId "whk" "a webhook endpoint",
    WebhookDelivery WebhookDeliveryId "whd" "a delivery to a webhook endpoint",
    Key KeyId "key" "an API key",
    Verification VerificationId "vfy" "a proof of a telephone number or an e-mail address",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_parses_back_and_another_kind_is_refused() {
        let id = LocationId::new(Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0001));
        let text = id.to_string();
        assert!(text.starts_with("loc_") && text.len() == 30, "{text}");
        assert_eq!(text.parse(), Ok(id));
        assert!(text.parse::<RoomId>().is_err());
        assert!("loc_".parse::<LocationId>().is_err());
    }
}
