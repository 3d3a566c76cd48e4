//! The table of error codes: each has a name, a gRPC status, an HTTP status and a title.
//!
//! Services use codes only; this table alone maps them to gRPC and HTTP.

use std::time::Duration;

use tonic::Code as Grpc;

macro_rules! table {
    ($($variant:ident $text:literal $grpc:ident $http:literal $title:literal;)*) => {
        /// A code of the public interface.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The gRPC status code.
            pub fn grpc(self) -> Grpc {
                match self { $(Self::$variant => Grpc::$grpc,)* }
            }

            /// The HTTP status.
            pub fn http(self) -> u16 {
                match self { $(Self::$variant => $http,)* }
            }

            /// The title of the problem, the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

table! {
    MalformedRequest "malformed_request" InvalidArgument 400 "The request cannot be read";
    InvalidParameter "invalid_parameter" InvalidArgument 400 "A query parameter or header is not valid";
    Unauthenticated "unauthenticated" Unauthenticated 401 "A valid key is needed";
    Forbidden "forbidden" PermissionDenied 403 "The key does not allow this";
    SignatureInvalid "signature_invalid" PermissionDenied 403 "The signature does not match";
    NotFound "not_found" NotFound 404 "There is no such thing";
    MethodNotAllowed "method_not_allowed" Unimplemented 405 "The method is not offered here";
    RequestTimeout "request_timeout" DeadlineExceeded 408 "The request did not come in time";
    SlotTaken "slot_taken" Aborted 409 "The slot is taken";
    SlotChanged "slot_changed" Aborted 409 "The slot is not what it was";
    SeriesConflict "series_conflict" Aborted 409 "Some slots of the series are taken";
    PatientBusy "patient_busy" Aborted 409 "The patient has another appointment at this time";
    HoldExpired "hold_expired" FailedPrecondition 409 "The hold is gone";
    OfferGone "offer_gone" FailedPrecondition 409 "The offer has ended";
    InvalidTransition "invalid_transition" FailedPrecondition 409 "The status does not allow this";
    PlanConflict "plan_conflict" FailedPrecondition 409 "The care plan has changed since";
    IdempotencyInProgress "idempotency_in_progress" Aborted 409 "The first request with this key is still running";
    Archived "archived" FailedPrecondition 409 "The entry is archived";
    Duplicate "duplicate" AlreadyExists 409 "There is one already";
    WaitlistLimit "waitlist_limit" FailedPrecondition 409 "The patient waits for enough already";
    HasAppointments "has_appointments" FailedPrecondition 409 "Appointments are ahead";
    AppointmentsClash "appointments_clash" FailedPrecondition 409 "Some appointments cannot move";
    LinkExpired "link_expired" FailedPrecondition 410 "The link has expired";
    VersionMismatch "version_mismatch" FailedPrecondition 412 "It has changed since it was read";
    PayloadTooLarge "payload_too_large" ResourceExhausted 413 "The body is too large";
    UnsupportedMediaType "unsupported_media_type" InvalidArgument 415 "The body is not JSON";
    ValidationFailed "validation_failed" InvalidArgument 422 "The request has faults";
    IdempotencyKeyReused "idempotency_key_reused" FailedPrecondition 422 "The key was used for another request";
    OutsideRoster "outside_roster" FailedPrecondition 422 "The practitioner does not work then";
    CertificateMissing "certificate_missing" FailedPrecondition 422 "The practitioner lacks the certificate";
    CertificateExpired "certificate_expired" FailedPrecondition 422 "The certificate is not valid on that day";
    EvaluationRequired "evaluation_required" FailedPrecondition 422 "An evaluation comes first";
    TooSoonAfterNeedling "too_soon_after_needling" FailedPrecondition 422 "Needling sessions are at least 48 hours apart";
    MinNotice "min_notice" FailedPrecondition 422 "The start is too near";
    BeyondHorizon "beyond_horizon" FailedPrecondition 422 "The start is too far ahead";
    DailyCap "daily_cap" FailedPrecondition 422 "The practitioner's day is full";
    WeeklyCap "weekly_cap" FailedPrecondition 422 "The practitioner's week is full";
    TravelTime "travel_time" FailedPrecondition 422 "The way between two locations is too long";
    LocationClosed "location_closed" FailedPrecondition 422 "The location is closed";
    NotOffered "not_offered" FailedPrecondition 422 "This cannot be booked";
    VerificationRequired "verification_required" FailedPrecondition 422 "The number or the address is to be proved";
    VerificationFailed "verification_failed" FailedPrecondition 422 "The code is not right";
    PatientBlocked "patient_blocked" FailedPrecondition 422 "The patient cannot book online";
    NoSeries "no_series" FailedPrecondition 422 "No series fits";
    HoldLimit "hold_limit" ResourceExhausted 429 "Enough is held already";
    MessageLimit "message_limit" ResourceExhausted 429 "Enough messages go there already";
    VerificationLimit "verification_limit" ResourceExhausted 429 "Enough codes were sent already";
    RateLimited "rate_limited" ResourceExhausted 429 "Too many requests";
    FeedPositionLost "feed_position_lost" OutOfRange 410 "The position is no longer in the feed";
    Internal "internal" Internal 500 "Something went wrong on our side";
    Unimplemented "unimplemented" Unimplemented 501 "This is not offered";
    Unavailable "unavailable" Unavailable 503 "A part of the system cannot be reached";
    Overloaded "overloaded" ResourceExhausted 503 "Too much is going on";
    StorageUnavailable "storage_unavailable" Unavailable 503 "The database takes no writes";
    ProjectionBehind "projection_behind" Unavailable 503 "The search has not caught up yet";
    DeadlineExceeded "deadline_exceeded" DeadlineExceeded 504 "It took too long";
}

/// The pause before a repetition of what failed for the moment.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Code {
    /// Whether our side failed, so that the same request may succeed later.
    pub fn is_failure(self) -> bool {
        self.http() >= 500
    }

    /// The pause that a caller is told where a fault names none; `None` where a repetition is refused again.
    pub fn retry_after(self) -> Option<Duration> {
        [503, 504].contains(&self.http()).then_some(RETRY_AFTER)
    }

    /// The code with this name.
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// The code for a status without a code of ours, from another program or from the transport.
    pub fn from_grpc(code: Grpc) -> Self {
        match code {
            Grpc::NotFound => Self::NotFound,
            Grpc::DeadlineExceeded | Grpc::Cancelled => Self::DeadlineExceeded,
            Grpc::Unavailable => Self::Unavailable,
            Grpc::ResourceExhausted => Self::Overloaded,
            Grpc::Unimplemented => Self::Unimplemented,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_round_trip() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.as_str()), Some(*code));
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code:?}");
        }
    }

    #[test]
    fn all_codes_are_errors_in_both_protocols() {
        for code in Code::ALL {
            assert!((400..600).contains(&code.http()) && code.grpc() != Grpc::Ok, "{code:?}");
        }
    }

    #[test]
    fn the_public_contract_is_kept() {
        let promised = [
            ("slot_taken", 409),
            ("slot_changed", 409),
            ("patient_busy", 409),
            ("invalid_transition", 409),
            ("series_conflict", 409),
            ("idempotency_in_progress", 409),
            ("version_mismatch", 412),
            ("payload_too_large", 413),
            ("idempotency_key_reused", 422),
            ("outside_roster", 422),
            ("certificate_missing", 422),
            ("certificate_expired", 422),
            ("evaluation_required", 422),
            ("too_soon_after_needling", 422),
            ("min_notice", 422),
            ("beyond_horizon", 422),
            ("daily_cap", 422),
            ("travel_time", 422),
            ("location_closed", 422),
            ("no_series", 422),
            ("rate_limited", 429),
            ("storage_unavailable", 503),
            ("projection_behind", 503),
            ("deadline_exceeded", 504),
        ];
        for (name, http) in promised {
            assert_eq!(Code::from_name(name).map(Code::http), Some(http), "{name}");
        }
    }
}
