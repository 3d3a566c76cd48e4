//! The reason codes that every organisation begins with.
//!
//! Those in plain words are for desks and front ends. The others are FHIR R4's
//! [appointment cancellation reasons](https://hl7.org/fhir/R4/valueset-appointment-cancellation-reason.html), as far as a
//! scheduler of physiotherapy meets them; `pat` is also what a reply by text message gives.

use super::{CausedBy, Meaning};
use crate::Config;

/// What uses up a session where it is late.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    /// What the installation's policy says.
    Policy,
    /// Nothing, whatever the policy says.
    Spared,
}

use CausedBy::{Clinic, Patient};
use Late::{Policy, Spared};

/// Code, whose doing, what being late costs, and the names in English, French and Spanish.
type Row = (&'static str, CausedBy, Late, [&'static str; 3]);

const LANGUAGES: [&str; 3] = ["en", "fr", "es"];

const ROWS: [Row; 29] = [
    ("clinic_closed", Clinic, Spared, ["The clinic is closed", "Clinique fermée", "Clínica cerrada"]),
    (
        "clinic_request",
        Clinic,
        Spared,
        ["The clinic asks for it", "À la demande de la clinique", "A petición de la clínica"],
    ),
    ("entered_by_mistake", Clinic, Spared, ["Booked by mistake", "Réservé par erreur", "Reservada por error"]),
    (
        "equipment_unavailable",
        Clinic,
        Spared,
        ["Room or equipment missing", "Salle ou matériel indisponible", "Sala o equipo no disponible"],
    ),
    ("plan_review", Clinic, Spared, ["The plan has changed", "Le plan a changé", "El plan ha cambiado"]),
    ("practitioner_away", Clinic, Spared, ["The practitioner is away", "Praticien absent", "Profesional ausente"]),
    ("practitioner_ill", Clinic, Spared, ["The practitioner is ill", "Praticien malade", "Profesional enfermo"]),
    ("patient_away", Patient, Policy, ["The patient is away", "Patient absent", "Paciente ausente"]),
    ("patient_better", Patient, Policy, ["The patient feels better", "Le patient va mieux", "El paciente está mejor"]),
    ("patient_cost", Patient, Policy, ["Cost or insurance", "Coût ou assurance", "Coste o seguro"]),
    ("patient_elsewhere", Patient, Policy, ["Treated elsewhere", "Soigné ailleurs", "Tratado en otro lugar"]),
    ("patient_forgot", Patient, Policy, ["The patient forgot", "Le patient a oublié", "El paciente lo olvidó"]),
    ("patient_ill", Patient, Policy, ["The patient is ill", "Patient malade", "Paciente enfermo"]),
    (
        "patient_request",
        Patient,
        Policy,
        ["The patient asks for it", "À la demande du patient", "A petición del paciente"],
    ),
    ("patient_schedule", Patient, Policy, ["The time does not suit", "L'heure ne convient pas", "La hora no conviene"]),
    ("patient_transport", Patient, Policy, ["No transport", "Pas de transport", "Sin transporte"]),
    ("patient_deceased", Patient, Spared, ["The patient has died", "Patient décédé", "Paciente fallecido"]),
    ("pat", Patient, Policy, ["Patient", "Patient", "Paciente"]),
    (
        "pat-crs",
        Patient,
        Policy,
        ["Patient: through a reminder", "Patient : par un rappel", "Paciente: por un recordatorio"],
    ),
    ("pat-cpp", Patient, Policy, ["Patient: through a portal", "Patient : par le portail", "Paciente: por el portal"]),
    ("pat-dec", Patient, Spared, ["Patient: deceased", "Patient : décédé", "Paciente: fallecido"]),
    ("pat-fb", Patient, Policy, ["Patient: feels better", "Patient : va mieux", "Paciente: está mejor"]),
    ("pat-lt", Patient, Policy, ["Patient: no transport", "Patient : pas de transport", "Paciente: sin transporte"]),
    ("pat-mv", Patient, Policy, ["Patient: moved away", "Patient : a déménagé", "Paciente: se ha mudado"]),
    (
        "pat-swl",
        Patient,
        Policy,
        [
            "Patient: scheduled from the waitlist",
            "Patient : depuis la liste d'attente",
            "Paciente: desde la lista de espera",
        ],
    ),
    ("prov", Clinic, Spared, ["Provider", "Praticien", "Profesional"]),
    (
        "prov-pers",
        Clinic,
        Spared,
        ["Provider: personal", "Praticien : raison personnelle", "Profesional: motivo personal"],
    ),
    ("maint", Clinic, Spared, ["Maintenance of equipment", "Entretien du matériel", "Mantenimiento de equipos"]),
    ("other", Clinic, Spared, ["Other", "Autre", "Otro"]),
];

/// Every shipped code.
pub(super) fn all(config: &Config) -> impl Iterator<Item = (&'static str, Meaning)> {
    let policy = config.late_cancellation_forfeits;
    ROWS.into_iter().map(move |(code, caused_by, late, names)| {
        let names = LANGUAGES.into_iter().zip(names).map(|(tag, name)| (tag.to_owned(), name.to_owned())).collect();
        (code, Meaning { names, caused_by, forfeits: policy && late == Policy })
    })
}

/// What a shipped code stands for.
pub(super) fn meaning(code: &str, config: &Config) -> Option<Meaning> {
    all(config).find(|(known, _)| *known == code).map(|(_, meaning)| meaning)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::is_code, *};

    #[test]
    fn every_code_is_one_and_is_there_once() {
        let codes: BTreeSet<&str> = ROWS.iter().map(|row| row.0).collect();
        assert_eq!(codes.len(), ROWS.len());
        assert!(codes.into_iter().all(is_code));
    }

    #[test]
    fn the_clinics_own_doing_is_forfeited_by_nobody() {
        let strict = Config { late_cancellation_forfeits: true, ..Config::default() };
        assert!(all(&strict).all(|(_, meaning)| meaning.caused_by == Patient || !meaning.forfeits));
        assert!(meaning("patient_ill", &strict).is_some_and(|meaning| meaning.forfeits));
        assert!(meaning("patient_deceased", &strict).is_some_and(|meaning| !meaning.forfeits));
        assert!(meaning("patient_ill", &Config::default()).is_some_and(|meaning| !meaning.forfeits));
    }
}
