//! The demo chain: six fictional clinics in six time zones and the thirty-six people who work there.
//!
//! No name, address or telephone number is a real person's: numbers come from the ranges that regulators reserve
//! for fiction.

use domain::{
    directory::{Certificate, DayHours, Equipment, Location, Practitioner, Room, Roster, RosterDay, WallInterval},
    id::LocationId,
    time::{Day, WallTime},
};
use jiff::civil::Date;

/// A clinic of the demo chain.
pub(crate) struct Clinic {
    pub(crate) location: Location,
    pub(crate) jurisdiction: &'static str,
    /// Prefix of the fictional telephone numbers of its patients; digits follow up to `phone_digits`.
    pub(crate) phone_prefix: &'static str,
    /// How many digits follow the prefix.
    pub(crate) phone_digits: usize,
    pub(crate) language: &'static str,
}

const PRACTITIONERS_PER_CLINIC: usize = 6;

/// The six clinics.
pub(crate) fn clinics() -> Vec<Clinic> {
    let clinic = |city: &str, zone: &str, at: (f64, f64), phone: &str| Location {
        name: format!("Meridian Demo Clinic {city}"),
        time_zone: zone.into(),
        address: format!("1 Example Street, {city}"),
        latitude: Some(at.0),
        longitude: Some(at.1),
        opening_hours: [Day::Mo, Day::Tu, Day::We, Day::Th, Day::Fr, Day::Sa]
            .map(|day| DayHours { day, from: wall(7, 0), to: wall(20, 0) })
            .to_vec(),
        phone: Some(phone.into()),
        travel_times: vec![],
    };
    let with = |location, jurisdiction, phone_prefix, phone_digits, language| Clinic {
        location,
        jurisdiction,
        phone_prefix,
        phone_digits,
        language,
    };
    vec![
        with(
            clinic("Grande Prairie", "America/Edmonton", (55.17, -118.80), "+17805550100"),
            "CA-AB",
            "+178055501",
            2,
            "en",
        ),
        with(clinic("Wilmington", "America/New_York", (34.24, -77.95), "+19105550100"), "US-NC", "+191055501", 2, "en"),
        with(clinic("London", "Europe/London", (51.51, -0.13), "+442079460000"), "GB", "+447700900", 3, "en"),
        with(clinic("Sydney", "Australia/Sydney", (-33.87, 151.21), "+61491570006"), "AU-NSW", "+61491570", 3, "en"),
        with(clinic("Auckland", "Pacific/Auckland", (-36.85, 174.76), "+6495550100"), "NZ", "+6421555", 4, "en"),
        with(clinic("St. John's", "America/St_Johns", (47.56, -52.71), "+17095550100"), "CA-NL", "+170955501", 2, "fr"),
    ]
}

/// The rooms of every clinic.
pub(crate) fn rooms() -> Vec<Room> {
    let room = |name: String, room_type: &str| Room { name, room_type: room_type.into() };
    (1..=5)
        .map(|number| room(format!("Treatment room {number}"), "treatment-room"))
        .chain((1..=2).map(|number| room(format!("Gym bay {number}"), "gym-bay")))
        .chain([room("Gym floor".into(), "gym-floor")])
        .collect()
}

/// The equipment of every clinic.
pub(crate) fn equipment() -> Vec<Equipment> {
    vec![Equipment {
        name: "Electrostimulation units".into(),
        equipment_type: "electrostimulation-unit".into(),
        units: 2,
    }]
}

/// Someone who works at the clinics with the indices in `works_at`.
pub(crate) struct Member {
    pub(crate) practitioner: Practitioner,
    pub(crate) certificates: Vec<&'static str>,
    pub(crate) works_at: Vec<usize>,
}

/// The thirty-six practitioners: six a clinic, and the last of each clinic spends alternate weeks at the next one.
pub(crate) fn members() -> Vec<Member> {
    let clinics = clinics();
    (0..clinics.len() * PRACTITIONERS_PER_CLINIC)
        .map(|number| {
            let home = number / PRACTITIONERS_PER_CLINIC;
            let seat = number % PRACTITIONERS_PER_CLINIC;
            let french = clinics[home].language == "fr" || seat == 1;
            let mut certificates = vec!["manual-therapy"];
            if seat != 4 {
                certificates.extend(["physiotherapy", "dry-needling"]);
            }
            if seat == 0 {
                certificates.push("dry-needling-advanced");
            }
            if seat == 2 {
                certificates.push("acupuncture");
            }
            Member {
                practitioner: Practitioner {
                    given_name: pick(&GIVEN_NAMES, number * 7 + 3).into(),
                    family_name: pick(&FAMILY_NAMES, number * 5 + 1).into(),
                    languages: if french { vec!["en".into(), "fr".into()] } else { vec!["en".into()] },
                    daily_cap: (seat == 3).then_some(14),
                    weekly_cap: None,
                    daily_needling_cap: None,
                    weekly_needling_cap: None,
                    online: true,
                },
                certificates,
                works_at: if seat == 5 { vec![home, (home + 1) % clinics.len()] } else { vec![home] },
            }
        })
        .collect()
}

/// A certificate that is valid for two years around `today`.
pub(crate) fn certificate(code: &str, jurisdiction: &str, today: Date) -> Certificate {
    let year = jiff::Span::new().years(1);
    Certificate {
        code: code.into(),
        issuer: "Demo Board of Physiotherapy".into(),
        jurisdiction: jurisdiction.into(),
        valid_from: today.saturating_sub(year),
        valid_to: Some(today.saturating_add(year)),
    }
}

/// The roster of a practitioner at one of the `of` locations where they work, in turn week by week.
pub(crate) fn roster(location_id: LocationId, seat: usize, turn: usize, of: usize, today: Date) -> Roster {
    let early = seat.is_multiple_of(2);
    let (from, to) = if early { (wall(8, 0), wall(16, 30)) } else { (wall(10, 30), wall(19, 0)) };
    let pause = if early { (wall(12, 0), wall(12, 30)) } else { (wall(14, 30), wall(15, 0)) };
    let off = Day::ALL[seat % 5];
    let days = [Day::Mo, Day::Tu, Day::We, Day::Th, Day::Fr].into_iter().filter(|day| *day != off || seat > 3);
    Roster {
        location_id,
        effective_from: today.saturating_sub(jiff::Span::new().days(28)),
        effective_to: None,
        weekly: days
            .map(|day| RosterDay {
                day,
                from,
                to,
                breaks: vec![WallInterval { from: pause.0, to: pause.1 }],
                week: (of > 1).then_some(u32::try_from(turn + 1).unwrap_or(1)),
            })
            .collect(),
        cycle_weeks: u32::try_from(of).unwrap_or(1),
    }
}

/// A fictional patient's name, by number.
pub(crate) fn patient_name(number: usize) -> (&'static str, &'static str) {
    (pick(&GIVEN_NAMES, number), pick(&FAMILY_NAMES, number / GIVEN_NAMES.len() + number * 11))
}

fn wall(hour: u16, minute: u16) -> WallTime {
    WallTime::from_minutes(hour * 60 + minute).unwrap_or(WallTime::MIDNIGHT_END)
}

fn pick<const N: usize>(names: &[&'static str; N], number: usize) -> &'static str {
    names[number % N]
}

const GIVEN_NAMES: [&str; 32] = [
    "Ada", "Bruno", "Chiara", "Dmitri", "Elena", "Farah", "Goran", "Hana", "Ivo", "Jana", "Kofi", "Lena", "Mateo",
    "Nadia", "Oskar", "Priya", "Quentin", "Rosa", "Stefan", "Tala", "Umar", "Vera", "Wim", "Xenia", "Yusuf", "Zoe",
    "Anouk", "Bela", "Carys", "Dario", "Esme", "Finn",
];

const FAMILY_NAMES: [&str; 37] = [
    "Example",
    "Sample",
    "Placeholder",
    "Testwell",
    "Mockford",
    "Fictive",
    "Demostra",
    "Modell",
    "Ejemplo",
    "Beispiel",
    "Esempio",
    "Muster",
    "Exemple",
    "Przyklad",
    "Naidis",
    "Esimerkki",
    "Priklad",
    "Pelda",
    "Halimbawa",
    "Ornek",
    "Voorbeeld",
    "Eksempel",
    "Exempel",
    "Daemi",
    "Misal",
    "Contoh",
    "Mfano",
    "Udhari",
    "Enghraifft",
    "Shembull",
    "Pavyzdys",
    "Piemers",
    "Primer",
    "Primjer",
    "Exemplar",
    "Specimen",
    "Prototype",
];

#[cfg(test)]
mod tests {
    use domain::{directory::Body, fault::Faults};

    use super::*;

    #[test]
    fn every_entry_of_the_demo_passes_the_directorys_own_checks() {
        let today = jiff::civil::date(2026, 3, 6);
        let location_id = LocationId::new(uuid::Uuid::nil());
        let mut bodies: Vec<Body> = clinics().into_iter().map(|clinic| Body::Location(clinic.location)).collect();
        bodies.extend(rooms().into_iter().map(Body::Room));
        bodies.extend(equipment().into_iter().map(Body::Equipment));
        for (number, member) in members().into_iter().enumerate() {
            for (turn, _) in member.works_at.iter().enumerate() {
                bodies.push(Body::Roster(roster(location_id, number % 6, turn, member.works_at.len(), today)));
            }
            bodies.push(Body::Practitioner(member.practitioner));
        }
        for body in bodies {
            let mut faults = Faults::new();
            body.check(&mut faults);
            assert_eq!(faults.into_vec(), vec![], "{body:?}");
        }
        assert_eq!(members().len(), 36);
    }
}
