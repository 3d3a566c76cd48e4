//! The criteria of a waitlist entry: which slots its patient would take.

use domain::{
    directory::Kind,
    fault::Faults,
    id::{AppointmentId, LocationId, PatientId, PlanSessionId, PractitionerId, ServiceId},
    time::{Day, WallTime},
};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use wire::{
    availability::CheckReferencesRequest,
    booking::JoinWaitlistRequest,
    convert::{self, directory::reference},
};

const LOCATIONS_MAX: usize = 50;
const DAYS_MAX: i64 = 400;
const DAY_US: i64 = 86_400_000_000;
const GRID_US: i64 = domain::time::GRID_MINUTES * 60_000_000;

/// The criteria, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Criteria {
    /// Empty: every location.
    pub(crate) locations: Vec<LocationId>,
    pub(crate) practitioner: Option<PractitionerId>,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    pub(crate) days: Vec<Day>,
    pub(crate) not_before: Option<WallTime>,
    pub(crate) not_after: Option<WallTime>,
    pub(crate) plan_session: Option<Uuid>,
    /// The later appointment that moves to the slot.
    pub(crate) appointment: Option<Uuid>,
}

impl Criteria {
    /// Reads patient, service and criteria from the wire.
    ///
    /// # Errors
    /// All faults found.
    pub(super) fn from_wire(request: &JoinWaitlistRequest, now_us: i64) -> Result<(Uuid, Uuid, Self), Faults> {
        let mut faults = Faults::new();
        let patient = convert::id::<domain::id::Patient>(&mut faults, "/patient_id", &request.patient_id);
        let service = convert::id::<domain::id::Service>(&mut faults, "/service_id", &request.service_id);
        let count = request.location_ids.len();
        faults.check(count <= LOCATIONS_MAX, "/location_ids", "too_many", "at most 50 entries");
        let locations = request.location_ids.iter().enumerate();
        let locations = locations
            .filter_map(|(at, id)| convert::id::<domain::id::Location>(&mut faults, &format!("/location_ids/{at}"), id))
            .collect();
        let practitioner = convert::optional_id(&mut faults, "/practitioner_id", &request.practitioner_id);
        let session: Option<PlanSessionId> =
            convert::optional_id(&mut faults, "/plan_session_id", &request.plan_session_id);
        let appointment: Option<AppointmentId> =
            convert::optional_id(&mut faults, "/appointment_id", &request.appointment_id);
        let in_order = request.from_us < request.to_us && request.to_us > now_us;
        faults.check(in_order, "/to", "ends_before_start", "must be later than `from`, and than now");
        let near = request.to_us.saturating_sub(request.from_us) <= DAYS_MAX * DAY_US;
        faults.check(near, "/to", "out_of_range", "must lie at most 400 days after `from`");
        let days = request.days.iter().enumerate().filter_map(|(at, day)| {
            let read = day.parse::<Day>();
            faults.check(read.is_ok(), format!("/days/{at}"), "invalid_value", "expected mo, tu, we, th, fr, sa or su");
            read.ok()
        });
        let days = days.collect();
        let mut time = |key: &str, text: &str| match text {
            "" => None,
            text => {
                let read = text.parse::<WallTime>();
                faults.check(read.is_ok(), format!("/hours/{key}"), "invalid_time", "write a time of day as HH:MM");
                read.ok()
            }
        };
        let not_before = time("not_before", &request.not_before);
        let not_after = time("not_after", &request.not_after);
        faults.result()?;
        let criteria = Self {
            locations,
            practitioner,
            from_us: request.from_us,
            to_us: request.to_us,
            days,
            not_before,
            not_after,
            plan_session: session.map(PlanSessionId::uuid),
            appointment: appointment.map(AppointmentId::uuid),
        };
        // Without a fault both ids are there.
        let (patient, service) = (patient.map(PatientId::uuid), service.map(ServiceId::uuid));
        Ok((patient.unwrap_or_default(), service.unwrap_or_default(), criteria))
    }

    /// The entries of the directory that the criteria and their service name.
    pub(super) fn references(&self, service: Uuid) -> CheckReferencesRequest {
        let mut references = vec![reference(Kind::Service, "/service_id", ServiceId::new(service))];
        let locations = self.locations.iter().enumerate();
        references.extend(locations.map(|(at, id)| reference(Kind::Location, format!("/location_ids/{at}"), id)));
        references.extend(self.practitioner.map(|id| reference(Kind::Practitioner, "/practitioner_id", id)));
        CheckReferencesRequest { references }
    }

    /// A hash that is the same for all criteria that the same slots fulfil. An appointment starts on the grid and not before
    /// now; an empty list of locations or days means each of them. SHA-256 in hexadecimal.
    pub(super) fn key(&self, service: Uuid, now_us: i64) -> Result<String, Fault> {
        let on_grid = |us: i64| (us + GRID_US - 1).div_euclid(GRID_US);
        let from = (self.from_us > now_us).then(|| on_grid(self.from_us));
        let mut locations = self.locations.clone();
        locations.sort_unstable();
        locations.dedup();
        let mut days = self.days.clone();
        days.sort_unstable();
        days.dedup();
        days.truncate(if days.len() == 7 { 0 } else { 7 });
        let not_before = self.not_before.filter(|time| time.minutes() > 0);
        let not_after = self.not_after.filter(|time| *time < WallTime::MIDNIGHT_END);
        let parts = (
            service,
            locations,
            self.practitioner,
            from,
            on_grid(self.to_us),
            days,
            (not_before, not_after),
            (self.plan_session, self.appointment),
        );
        let text = serde_json::to_vec(&parts).map_err(Fault::internal)?;
        Ok(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn to_wire(&self, patient: Uuid, service: Uuid) -> JoinWaitlistRequest {
        let wall = |time: Option<WallTime>| time.map(|time| time.to_string()).unwrap_or_default();
        JoinWaitlistRequest {
            patient_id: PatientId::new(patient).to_string(),
            service_id: ServiceId::new(service).to_string(),
            location_ids: self.locations.iter().map(ToString::to_string).collect(),
            practitioner_id: self.practitioner.map(|id| id.to_string()).unwrap_or_default(),
            from_us: self.from_us,
            to_us: self.to_us,
            days: self.days.iter().map(|day| day.as_str().to_owned()).collect(),
            not_before: wall(self.not_before),
            not_after: wall(self.not_after),
            plan_session_id: self.plan_session.map(|id| PlanSessionId::new(id).to_string()).unwrap_or_default(),
            appointment_id: self.appointment.map(|id| AppointmentId::new(id).to_string()).unwrap_or_default(),
        }
    }
}
