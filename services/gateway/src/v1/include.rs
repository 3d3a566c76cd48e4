//! `include`: the objects behind the ids of an answer, so that a client joins nothing.
//!
//! A handler names the ids of its page; each service is asked once for all of them. An object that no longer exists is
//! left out.

use std::collections::{HashMap, HashSet};

use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::{
    availability::{GetEntriesRequest, Location, Practitioner, Room, Service, entry_body::Body},
    booking::{self, GetPatientsRequest},
    convert::optional_text,
};

use crate::{
    auth::Scope,
    call::Call,
    params::{Param, Type},
};

pub(super) const NAME: &str = "include";
pub(super) const PATIENT: &str = "patient";
pub(super) const PLAN: &str = "plan";
const DIRECTORY: [(&str, &str); 4] =
    [("practitioner", "prac_"), ("service", "svc_"), ("location", "loc_"), ("room", "room_")];
/// Most patients, and entries, of one look-up.
const PATIENTS_MAX: usize = 500;
const ENTRIES_MAX: usize = 1000;

/// The parameter of resources about patients' visits.
pub(super) const OF_VISITS: Param = Param::new(
    NAME,
    Type::Words(&[PATIENT, "practitioner", "service", "location", "room", PLAN]),
    "Objects to answer beside their ids, separated by commas",
);

/// The parameter of resources that say a time, and no patient.
pub(super) const OF_SLOTS: Param = Param::new(
    NAME,
    Type::Words(&["practitioner", "service", "location"]),
    "Objects to answer beside their ids, separated by commas",
);

/// A patient beside an id.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IncludedPatient {
    pub(super) id: String,
    pub(super) given_name: String,
    pub(super) family_name: String,
    pub(super) phone: Option<String>,
    email: Option<String>,
    #[schema(format = Date)]
    date_of_birth: Option<String>,
    language: Option<String>,
}

/// A practitioner beside an id.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IncludedPractitioner {
    id: String,
    given_name: String,
    family_name: String,
}

impl IncludedPractitioner {
    /// Given name and family name.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
    }
}

/// A service beside an id.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IncludedService {
    id: String,
    code: String,
    name: String,
    duration_minutes: u32,
}

/// A location beside an id.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IncludedLocation {
    id: String,
    name: String,
    /// IANA time zone.
    time_zone: String,
    address: Option<String>,
    phone: Option<String>,
}

/// A room beside an id.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IncludedRoom {
    id: String,
    name: String,
    #[serde(rename = "type")]
    room_type: String,
}

/// The objects that a request includes.
#[derive(Default)]
pub(super) struct Included {
    words: HashSet<String>,
    patients: HashMap<String, IncludedPatient>,
    practitioners: HashMap<String, IncludedPractitioner>,
    services: HashMap<String, IncludedService>,
    locations: HashMap<String, IncludedLocation>,
    rooms: HashMap<String, IncludedRoom>,
}

impl Included {
    /// Looks the objects up that the request asks for, among those with these ids.
    ///
    /// # Errors
    /// `forbidden` for a patient without the scope `patients:read`.
    pub(super) async fn load<'a>(call: &Call, ids: impl Iterator<Item = &'a str>) -> Result<Self, Fault> {
        Self::of(call, call.params.list(NAME), ids).await
    }

    /// Looks the objects of these words up, among those with these ids.
    ///
    /// # Errors
    /// `forbidden` for a patient without the scope `patients:read`.
    pub(super) async fn of<'a>(
        call: &Call,
        words: impl IntoIterator<Item = String>,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<Self, Fault> {
        let mut included = Self { words: words.into_iter().collect(), ..Self::default() };
        if included.words.is_empty() {
            return Ok(included);
        }
        let is_asked = |word: &str| included.words.contains(word);
        if is_asked(PATIENT) {
            call.caller.require(Scope::PatientsRead)?;
        }
        let prefixes: Vec<&str> =
            DIRECTORY.into_iter().filter(|(word, _)| is_asked(word)).map(|(_, prefix)| prefix).collect();
        let (mut patients, mut entries) = (HashSet::new(), HashSet::new());
        for id in ids {
            if is_asked(PATIENT) && id.starts_with("pat_") {
                patients.insert(id.to_owned());
            } else if prefixes.iter().any(|prefix| id.starts_with(prefix)) {
                entries.insert(id.to_owned());
            }
        }
        let (patients, entries) = tokio::try_join!(patients_of(call, patients), entries_of(call, entries))?;
        included.patients = patients;
        for (id, body) in entries {
            included.add(id, body);
        }
        Ok(included)
    }

    fn add(&mut self, id: String, body: Body) {
        match body {
            Body::Practitioner(Practitioner { given_name, family_name, .. }) => {
                self.practitioners.insert(id.clone(), IncludedPractitioner { id, given_name, family_name });
            }
            Body::Service(Service { code, name, duration_minutes, .. }) => {
                self.services.insert(id.clone(), IncludedService { id, code, name, duration_minutes });
            }
            Body::Location(Location { name, time_zone, address, phone, .. }) => {
                let (address, phone) = (optional_text(&address), optional_text(&phone));
                self.locations.insert(id.clone(), IncludedLocation { id, name, time_zone, address, phone });
            }
            Body::Room(Room { name, r#type, .. }) => {
                self.rooms.insert(id.clone(), IncludedRoom { id, name, room_type: r#type });
            }
            _ => {}
        }
    }

    /// Whether the request asks for the details of plans.
    pub(super) fn has_plans(&self) -> bool {
        self.words.contains(PLAN)
    }

    /// The services that were found, in the order of their names.
    pub(super) fn all_services(&self) -> Vec<IncludedService> {
        let mut services: Vec<_> = self.services.values().cloned().collect();
        services.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        services
    }

    pub(super) fn patient(&self, id: &str) -> Option<IncludedPatient> {
        self.patients.get(id).cloned()
    }

    pub(super) fn practitioner(&self, id: &str) -> Option<IncludedPractitioner> {
        self.practitioners.get(id).cloned()
    }

    pub(super) fn service(&self, id: &str) -> Option<IncludedService> {
        self.services.get(id).cloned()
    }

    pub(super) fn location(&self, id: &str) -> Option<IncludedLocation> {
        self.locations.get(id).cloned()
    }

    pub(super) fn room(&self, id: &str) -> Option<IncludedRoom> {
        self.rooms.get(id).cloned()
    }
}

async fn patients_of(call: &Call, ids: HashSet<String>) -> Result<HashMap<String, IncludedPatient>, Fault> {
    let ids: Vec<String> = ids.into_iter().collect();
    let mut found = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(PATIENTS_MAX) {
        let request = call.context().request(GetPatientsRequest { ids: ids.to_vec() });
        let answer = call.inner.booking.clone().get_patients(request).await?.into_inner();
        found.extend(answer.patients.into_iter().map(|patient| (patient.id.clone(), patient_to_json(patient))));
    }
    Ok(found)
}

fn patient_to_json(patient: booking::Patient) -> IncludedPatient {
    let details = patient.details.unwrap_or_default();
    IncludedPatient {
        id: patient.id,
        given_name: details.given_name,
        family_name: details.family_name,
        phone: optional_text(&details.phone),
        email: optional_text(&details.email),
        date_of_birth: optional_text(&details.date_of_birth),
        language: optional_text(&details.language),
    }
}

async fn entries_of(call: &Call, ids: HashSet<String>) -> Result<Vec<(String, Body)>, Fault> {
    let ids: Vec<String> = ids.into_iter().collect();
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(ENTRIES_MAX) {
        let request = call.context().request(GetEntriesRequest { ids: ids.to_vec() });
        let answer = call.inner.directory.clone().get_entries(request).await?.into_inner();
        found.extend(answer.entries.into_iter().filter_map(|entry| Some((entry.id, entry.body?.body?))));
    }
    Ok(found)
}
