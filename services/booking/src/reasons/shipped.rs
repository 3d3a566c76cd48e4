//! The product's list of reason codes.
//!
//! Codes in plain words are for desks and front ends. The others are FHIR R4's
//! [appointment cancellation reasons](https://hl7.org/fhir/R4/valueset-appointment-cancellation-reason.html), as far as a
//! scheduler of physiotherapy meets them; `pat` is also what a reply by text message gives.

use domain::reason::CausedBy;

use super::Meaning;
use crate::Config;

/// Whether a late cancellation for a code uses up a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    /// As the configuration says.
    Policy,
    /// Never.
    Never,
}

use CausedBy::{Clinic, Patient};
use Late::{Never, Policy};

/// Code, cause, what a late cancellation costs, and the names in English, French and Spanish.
type Row = (&'static str, CausedBy, Late, [&'static str; 3]);

const LANGUAGES: [&str; 3] = ["en", "fr", "es"];

const ROWS: [Row; 29] = [
    ("clinic_closed", Clinic, Never, ["The clinic is closed", "Clinique fermée", "Clínica cerrada"]),
    (
        "clinic_request",
        Clinic,
        Never,
        ["The clinic asks for it", "À la demande de la clinique", "A petición de la clínica"],
    ),
    ("entered_by_mistake", Clinic, Never, ["Booked by mistake", "Réservé par erreur", "Reservada por error"]),
    (
        "equipment_unavailable",
        Clinic,
        Never,
        ["Room or equipment missing", "Salle ou matériel indisponible", "Sala o equipo no disponible"],
    ),
    ("plan_review", Clinic, Never, ["The plan has changed", "Le plan a changé", "El plan ha cambiado"]),
    ("practitioner_away", Clinic, Never, ["The practitioner is away", "Praticien absent", "Profesional ausente"]),
    ("practitioner_ill", Clinic, Never, ["The practitioner is ill", "Praticien malade", "Profesional enfermo"]),
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
    ("patient_deceased", Patient, Never, ["The patient has died", "Patient décédé", "Paciente fallecido"]),
    ("pat", Patient, Policy, ["Patient", "Patient", "Paciente"]),
    (
        "pat-crs",
        Patient,
        Policy,
        ["Patient: through a reminder", "Patient : par un rappel", "Paciente: por un recordatorio"],
    ),
    ("pat-cpp", Patient, Policy, ["Patient: through a portal", "Patient : par le portail", "Paciente: por el portal"]),
    ("pat-dec", Patient, Never, ["Patient: deceased", "Patient : décédé", "Paciente: fallecido"]),
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
    ("prov", Clinic, Never, ["Provider", "Praticien", "Profesional"]),
    (
        "prov-pers",
        Clinic,
        Never,
        ["Provider: personal", "Praticien : raison personnelle", "Profesional: motivo personal"],
    ),
    ("maint", Clinic, Never, ["Maintenance of equipment", "Entretien du matériel", "Mantenimiento de equipos"]),
    ("other", Clinic, Never, ["Other", "Autre", "Otro"]),
];

/// All shipped codes.
pub(super) fn all(config: &Config) -> impl Iterator<Item = (&'static str, Meaning)> {
    let policy = config.late_cancellation_forfeits;
    ROWS.into_iter().map(move |(code, caused_by, late, names)| {
        let names = LANGUAGES.into_iter().zip(names).map(|(tag, name)| (tag.to_owned(), name.to_owned())).collect();
        (code, Meaning { names, caused_by, forfeits: policy && late == Policy })
    })
}

/// The meaning of a shipped code.
pub(super) fn meaning(code: &str, config: &Config) -> Option<Meaning> {
    all(config).find(|(known, _)| *known == code).map(|(_, meaning)| meaning)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::is_code, *};

    #[test]
    fn each_code_is_well_formed_and_listed_once() {
        let codes: BTreeSet<&str> = ROWS.iter().map(|row| row.0).collect();
        assert_eq!(codes.len(), ROWS.len());
        assert!(codes.into_iter().all(is_code));
    }

    #[test]
    fn a_cause_of_the_clinic_never_forfeits() {
        let strict = Config { late_cancellation_forfeits: true, ..Config::default() };
        assert!(all(&strict).all(|(_, meaning)| meaning.caused_by == Patient || !meaning.forfeits));
        assert!(meaning("patient_ill", &strict).is_some_and(|meaning| meaning.forfeits));
        assert!(meaning("patient_deceased", &strict).is_some_and(|meaning| !meaning.forfeits));
        assert!(meaning("patient_ill", &Config::default()).is_some_and(|meaning| !meaning.forfeits));
    }
}
