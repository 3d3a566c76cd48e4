//! Entries of the directory.
//!
//! [`body_from_wire`] converts every field and then applies the domain's check, so that a caller gets all faults at once.

mod roster;
mod template;

use domain::{
    directory::{
        Body, Busy, BusyTime, Certificate, Closure, DayHours, Equipment, Kind, Location, Organization, Practitioner,
        Room, Service, TimeOff, TravelTime,
    },
    fault::Faults,
    phone,
    time::WallTime,
};

use super::{date, id, instant, optional_date, optional_id, optional_text, parse};
use crate::availability::{self as wire, EntryKind, entry_body};

/// The kind on the wire.
pub fn kind_to_wire(kind: Kind) -> EntryKind {
    match kind {
        Kind::Location => EntryKind::Location,
        Kind::Room => EntryKind::Room,
        Kind::Equipment => EntryKind::Equipment,
        Kind::Closure => EntryKind::Closure,
        Kind::Practitioner => EntryKind::Practitioner,
        Kind::Certificate => EntryKind::Certificate,
        Kind::Roster => EntryKind::Roster,
        Kind::TimeOff => EntryKind::TimeOff,
        Kind::Service => EntryKind::Service,
        Kind::PlanTemplate => EntryKind::PlanTemplate,
        Kind::Busy => EntryKind::Busy,
    }
}

/// The kind from the wire; `None` for an unspecified or unknown one.
pub fn kind_from_wire(kind: i32) -> Option<Kind> {
    let kind = EntryKind::try_from(kind).ok()?;
    Kind::ALL.into_iter().find(|candidate| kind_to_wire(*candidate) == kind)
}

/// A reference of an entry, under this pointer.
pub fn reference(kind: Kind, pointer: impl Into<String>, id: impl ToString) -> wire::Reference {
    wire::Reference { kind: kind_to_wire(kind) as i32, id: id.to_string(), pointer: pointer.into(), archived: false }
}

/// An organisation from the wire, checked.
///
/// # Errors
/// Every fault.
pub fn organization_from_wire(request: &wire::CreateOrganizationRequest) -> Result<Organization, Faults> {
    let mut faults = Faults::new();
    let organization = Organization {
        name: request.name.clone(),
        default_language: request.default_language.clone(),
        country: request.country.clone(),
    };
    organization.check(&mut faults);
    faults.result().map(|()| organization)
}

/// The body of an entry for the wire.
pub fn body_to_wire(body: &Body) -> wire::EntryBody {
    let body = match body {
        Body::Location(location) => entry_body::Body::Location(location_to_wire(location)),
        Body::Room(room) => {
            entry_body::Body::Room(wire::Room { name: room.name.clone(), r#type: room.room_type.clone() })
        }
        Body::Equipment(equipment) => entry_body::Body::Equipment(wire::Equipment {
            name: equipment.name.clone(),
            r#type: equipment.equipment_type.clone(),
            units: equipment.units,
        }),
        Body::Closure(closure) => entry_body::Body::Closure(wire::Closure {
            starts_on: closure.starts_on.to_string(),
            ends_on: closure.ends_on.to_string(),
            reason: closure.reason.clone(),
        }),
        Body::Practitioner(practitioner) => entry_body::Body::Practitioner(wire::Practitioner {
            given_name: practitioner.given_name.clone(),
            family_name: practitioner.family_name.clone(),
            languages: practitioner.languages.clone(),
            daily_cap: practitioner.daily_cap,
            weekly_cap: practitioner.weekly_cap,
            daily_needling_cap: practitioner.daily_needling_cap,
            weekly_needling_cap: practitioner.weekly_needling_cap,
            online: practitioner.online,
        }),
        Body::Certificate(certificate) => entry_body::Body::Certificate(wire::Certificate {
            code: certificate.code.clone(),
            issuer: certificate.issuer.clone(),
            jurisdiction: certificate.jurisdiction.clone(),
            valid_from: certificate.valid_from.to_string(),
            valid_to: certificate.valid_to.map(|date| date.to_string()).unwrap_or_default(),
        }),
        Body::Roster(roster) => entry_body::Body::Roster(roster::to_wire(roster)),
        Body::TimeOff(time_off) => entry_body::Body::TimeOff(wire::TimeOff {
            starts_at_us: time_off.starts_at.as_microsecond(),
            ends_at_us: time_off.ends_at.as_microsecond(),
            reason: time_off.reason.clone(),
        }),
        Body::Service(service) => entry_body::Body::Service(service_to_wire(service)),
        Body::PlanTemplate(template) => entry_body::Body::PlanTemplate(template::to_wire(template)),
        Body::Busy(busy) => entry_body::Body::Busy(busy_to_wire(busy)),
    };
    wire::EntryBody { body: Some(body) }
}

/// The body of an entry from the wire, checked.
///
/// # Errors
/// Every fault. Pointers start at the entry's root.
pub fn body_from_wire(body: wire::EntryBody) -> Result<Body, Faults> {
    let mut faults = Faults::new();
    let Some(body) = body.body else {
        faults.push("", "missing", "the entry has no body");
        return Err(faults);
    };
    match read_body(&mut faults, body) {
        Some(body) => {
            body.check(&mut faults);
            faults.result().map(|()| body)
        }
        None => Err(faults),
    }
}

fn read_body(faults: &mut Faults, body: entry_body::Body) -> Option<Body> {
    Some(match body {
        entry_body::Body::Location(location) => Body::Location(location_from_wire(faults, location)),
        entry_body::Body::Room(room) => Body::Room(Room { name: room.name, room_type: room.r#type }),
        entry_body::Body::Equipment(equipment) => Body::Equipment(Equipment {
            name: equipment.name,
            equipment_type: equipment.r#type,
            units: equipment.units,
        }),
        entry_body::Body::Closure(closure) => {
            let starts_on = date(faults, "/starts_on", &closure.starts_on);
            let ends_on = date(faults, "/ends_on", &closure.ends_on);
            Body::Closure(Closure { starts_on: starts_on?, ends_on: ends_on?, reason: closure.reason })
        }
        entry_body::Body::Practitioner(practitioner) => Body::Practitioner(Practitioner {
            given_name: practitioner.given_name,
            family_name: practitioner.family_name,
            languages: practitioner.languages,
            daily_cap: practitioner.daily_cap,
            weekly_cap: practitioner.weekly_cap,
            daily_needling_cap: practitioner.daily_needling_cap,
            weekly_needling_cap: practitioner.weekly_needling_cap,
            online: practitioner.online,
        }),
        entry_body::Body::Certificate(certificate) => {
            let valid_from = date(faults, "/valid_from", &certificate.valid_from);
            let valid_to = optional_date(faults, "/valid_to", &certificate.valid_to);
            Body::Certificate(Certificate {
                code: certificate.code,
                issuer: certificate.issuer,
                jurisdiction: certificate.jurisdiction,
                valid_from: valid_from?,
                valid_to,
            })
        }
        entry_body::Body::Roster(roster) => Body::Roster(roster::from_wire(faults, &roster)?),
        entry_body::Body::TimeOff(time_off) => {
            let starts_at = instant(faults, "/starts_at", time_off.starts_at_us);
            let ends_at = instant(faults, "/ends_at", time_off.ends_at_us);
            Body::TimeOff(TimeOff { starts_at: starts_at?, ends_at: ends_at?, reason: time_off.reason })
        }
        entry_body::Body::Service(service) => Body::Service(service_from_wire(faults, &service)),
        entry_body::Body::PlanTemplate(template) => Body::PlanTemplate(template::from_wire(faults, &template)?),
        entry_body::Body::Busy(busy) => Body::Busy(busy_from_wire(faults, busy)?),
    })
}

fn busy_to_wire(busy: &Busy) -> wire::Busy {
    let time = |time: &BusyTime| wire::BusyTime {
        starts_at_us: time.starts_at.as_microsecond(),
        ends_at_us: time.ends_at.as_microsecond(),
    };
    wire::Busy {
        source: busy.source.clone(),
        times: busy.times.iter().map(time).collect(),
        url: busy.url.clone().unwrap_or_default(),
        problem: busy.problem.clone().unwrap_or_default(),
        lenient: busy.lenient,
    }
}

fn busy_from_wire(faults: &mut Faults, busy: wire::Busy) -> Option<Busy> {
    let times = busy.times.iter().enumerate().map(|(at, time)| {
        let starts_at = instant(faults, &format!("/times/{at}/starts_at"), time.starts_at_us);
        let ends_at = instant(faults, &format!("/times/{at}/ends_at"), time.ends_at_us);
        Some(BusyTime { starts_at: starts_at?, ends_at: ends_at? })
    });
    Some(Busy {
        times: times.collect::<Option<_>>()?,
        source: busy.source,
        url: optional_text(&busy.url),
        problem: optional_text(&busy.problem),
        lenient: busy.lenient,
    })
}

fn location_to_wire(location: &Location) -> wire::Location {
    wire::Location {
        name: location.name.clone(),
        time_zone: location.time_zone.clone(),
        address: location.address.clone(),
        latitude: location.latitude,
        longitude: location.longitude,
        opening_hours: location
            .opening_hours
            .iter()
            .map(|hours| wire::DayHours {
                day: hours.day.as_str().to_owned(),
                from: hours.from.to_string(),
                to: hours.to.to_string(),
            })
            .collect(),
        phone: location.phone.clone().unwrap_or_default(),
        travel_times: location
            .travel_times
            .iter()
            .map(|road| wire::TravelTime { location_id: road.location_id.to_string(), minutes: road.minutes })
            .collect(),
    }
}

fn location_from_wire(faults: &mut Faults, location: wire::Location) -> Location {
    let opening_hours = location
        .opening_hours
        .iter()
        .enumerate()
        .filter_map(|(at, hours)| {
            let day = parse(faults, format!("/opening_hours/{at}/day"), &hours.day);
            let from = parse::<WallTime>(faults, format!("/opening_hours/{at}/from"), &hours.from);
            let to = parse::<WallTime>(faults, format!("/opening_hours/{at}/to"), &hours.to);
            Some(DayHours { day: day?, from: from?, to: to? })
        })
        .collect();
    let roads = location.travel_times.iter().enumerate();
    let travel_times = roads
        .filter_map(|(at, road)| {
            let location_id = id(faults, &format!("/travel_times/{at}/location_id"), &road.location_id);
            Some(TravelTime { location_id: location_id?, minutes: road.minutes })
        })
        .collect();
    let country = phone::country_of_zone(&location.time_zone);
    let phone = optional_text(&location.phone).map(|text| phone::parse(&text, country).unwrap_or(text));
    Location {
        name: location.name,
        time_zone: location.time_zone,
        address: location.address,
        latitude: location.latitude,
        longitude: location.longitude,
        opening_hours,
        phone,
        travel_times,
    }
}

/// A service for the wire.
pub fn service_to_wire(service: &Service) -> wire::Service {
    wire::Service {
        code: service.code.clone(),
        name: service.name.clone(),
        duration_minutes: service.duration_minutes,
        prep_minutes: service.prep_minutes,
        cleanup_minutes: service.cleanup_minutes,
        capacity: service.capacity,
        required_certificate: service.required_certificate.clone().unwrap_or_default(),
        room_type: service.room_type.clone().unwrap_or_default(),
        equipment_type: service.equipment_type.clone().unwrap_or_default(),
        start_alignment_minutes: service.start_alignment_minutes,
        min_notice_minutes: service.min_notice_minutes,
        horizon_days: service.horizon_days,
        online: service.online,
        requires_prior: service.requires_prior.map(|id| id.to_string()).unwrap_or_default(),
        needling: service.needling,
    }
}

fn service_from_wire(faults: &mut Faults, service: &wire::Service) -> Service {
    Service {
        code: service.code.clone(),
        name: service.name.clone(),
        duration_minutes: service.duration_minutes,
        prep_minutes: service.prep_minutes,
        cleanup_minutes: service.cleanup_minutes,
        capacity: service.capacity,
        required_certificate: optional_text(&service.required_certificate),
        room_type: optional_text(&service.room_type),
        equipment_type: optional_text(&service.equipment_type),
        start_alignment_minutes: service.start_alignment_minutes,
        min_notice_minutes: service.min_notice_minutes,
        horizon_days: service.horizon_days,
        online: service.online,
        requires_prior: optional_id(faults, "/requires_prior", &service.requires_prior),
        needling: service.needling,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(json: serde_json::Value) {
        let body: Body = serde_json::from_value(json).unwrap();
        assert_eq!(body_from_wire(body_to_wire(&body)), Ok(body));
    }

    #[test]
    fn every_kind_reads_back() {
        let location = "loc_01h455vb4pex5vsknk084sn02q";
        let service = "svc_01h455vb4pex5vsknk084sn02q";
        round_trip(serde_json::json!({"kind": "location", "body": {"name": "A", "time_zone": "Europe/London",
            "latitude": 51.5, "longitude": -0.1, "phone": "+442079460000",
            "travel_times": [{"location_id": location, "minutes": 25}],
            "opening_hours": [{"day": "mo", "from": "08:00", "to": "24:00"}]}}));
        round_trip(serde_json::json!({"kind": "room", "body": {"name": "1", "type": "gym-bay"}}));
        round_trip(serde_json::json!({"kind": "equipment", "body": {"name": "E", "type": "tens", "units": 2}}));
        round_trip(serde_json::json!({"kind": "closure", "body": {"starts_on": "2026-12-25",
            "ends_on": "2026-12-26", "reason": "Christmas"}}));
        round_trip(serde_json::json!({"kind": "practitioner", "body": {"given_name": "Ada",
            "family_name": "Byron", "languages": ["en", "fr"], "daily_cap": 12, "weekly_cap": 50,
            "daily_needling_cap": 4, "weekly_needling_cap": 15, "online": false}}));
        round_trip(serde_json::json!({"kind": "certificate", "body": {"code": "dry-needling", "issuer": "B",
            "jurisdiction": "CA-AB", "valid_from": "2026-01-01", "valid_to": "2027-01-01"}}));
        round_trip(serde_json::json!({"kind": "roster", "body": {"location_id": location,
            "effective_from": "2026-01-05", "cycle_weeks": 2, "weekly": [{"day": "mo", "from": "08:00",
            "to": "16:30", "breaks": [{"from": "12:00", "to": "12:30"}], "week": 2}]}}));
        round_trip(serde_json::json!({"kind": "time_off", "body": {"starts_at": "2026-03-01T00:00:00Z",
            "ends_at": "2026-03-02T00:00:00Z", "reason": "ill"}}));
        round_trip(serde_json::json!({"kind": "service", "body": {"code": "dry-needling", "name": "Dry needling",
            "duration_minutes": 30, "prep_minutes": 5, "cleanup_minutes": 5, "room_type": "treatment-room",
            "required_certificate": "dry-needling", "requires_prior": service, "needling": true}}));
        round_trip(serde_json::json!({"kind": "plan_template", "body": {"code": "acute", "name": "Acute",
            "course": "acute", "phases": [{"service_id": service, "sessions": {"least": 1, "most": 3},
            "gap_days": {"least": 3, "ideal": 5, "most": 7}, "review_every": 3}]}}));
        round_trip(serde_json::json!({"kind": "busy", "body": {"source": "outlook",
            "url": "https://example.org/a.ics", "problem": "unreachable", "times": [
            {"starts_at": "2026-03-01T00:00:00Z", "ends_at": "2026-03-02T00:00:00Z"}]}}));
    }

    #[test]
    fn all_faults_come_at_once() {
        let closure = entry_body::Body::Closure(wire::Closure {
            starts_on: "yesterday".into(),
            ends_on: "2026-02-30".into(),
            reason: "x".into(),
        });
        let faults = body_from_wire(wire::EntryBody { body: Some(closure) }).unwrap_err().into_vec();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/starts_on", "/ends_on"]);
    }
}
