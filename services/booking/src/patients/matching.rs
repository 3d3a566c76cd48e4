//! Finds the patient of a booking: by id, by their details, or as a new patient.

use domain::{
    fold,
    id::{PatientId, ProposedChangeId},
    patient::{Block, ConsentSource, Details, Record},
};
use rpc::{Context, Fault};
use service::db_error;
use uuid::Uuid;
use wire::{booking::PatientDetails, common::BookingChannel};

use super::{
    change::{changed_patient, new_patient},
    document::{Author, Document},
    telephone,
};
use crate::{
    Inner,
    store::{
        batch::{ChangedPatient, NewPatient},
        patients::PatientRow,
    },
};

/// Records of one name and one telephone number that are read.
const NAMESAKES_MAX: i64 = 50;

/// How a patient is reached. Without `Debug`, so that no log shows it by accident.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) phones: Vec<String>,
    pub(crate) emails: Vec<String>,
}

impl Contact {
    fn of(record: &Record) -> Self {
        let owned = |it: &str| it.to_owned();
        Self { phones: record.phones().map(owned).collect(), emails: record.emails().map(owned).collect() }
    }
}

/// The patient of a booking.
#[derive(Clone)]
pub(crate) struct MatchedPatient {
    pub(crate) id: Uuid,
    /// The details that the caller gave; `None` for a patient who was named by id.
    pub(crate) given: Option<Contact>,
    /// The record of a known patient, where the caller gave details.
    pub(crate) record: Option<Contact>,
    /// The record of a patient who is new.
    pub(crate) new: Option<NewPatient>,
    /// The change that their details make to the record of a known patient.
    pub(crate) changed: Option<ChangedPatient>,
    /// The reason for which they may not book online.
    pub(crate) blocked: Option<Block>,
}

/// The patient with this id.
pub(crate) async fn by_id(inner: &Inner, ctx: &Context, text: &str) -> Result<MatchedPatient, Fault> {
    let unknown = || Fault::violation("/patient_id", "unknown_reference", "there is no patient with this id");
    let id: PatientId = text.parse().map_err(|_| unknown())?;
    let found = inner.store.patient(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    let row = found.ok_or_else(unknown)?;
    let blocked = Document::read(&row.details)?.record.staff.blocked;
    Ok(MatchedPatient { id: row.id, given: None, record: None, new: None, changed: None, blocked })
}

/// The patient whom these details describe, with the changes of the record; or a new patient.
pub(crate) async fn by_details(
    inner: &Inner,
    ctx: &Context,
    details: &PatientDetails,
    time_zone: &str,
    channel: i32,
) -> Result<MatchedPatient, Fault> {
    let details = telephone::read_details(inner, ctx, details, "/patient", Some(time_zone)).await?;
    let now = inner.clock.now();
    let author = Author { at_us: now.as_microsecond(), by: &ctx.caller, how: ConsentSource::Details };
    let said = Record::of(details.clone());
    let given = Some(Contact::of(&said));
    // A name without a number may be anybody's.
    let namesakes = match said.known_phone() {
        Some(_) => inner.store.namesakes(ctx.organization.uuid(), &match_key(&said), NAMESAKES_MAX).await,
        None => Ok(vec![]),
    };
    let Some((row, document)) = same_person(namesakes.map_err(db_error::fault)?, &details)? else {
        let id = inner.ids.uuid(now);
        let new = Some(new_patient(id, &Document::new(said, author))?);
        return Ok(MatchedPatient { id, given, record: None, new, changed: None, blocked: None });
    };
    let by_staff = channel == BookingChannel::Staff as i32;
    let next = document.returning(&details, author, by_staff, || ProposedChangeId::new(inner.ids.uuid(now)));
    let changed = if next == document { None } else { Some(changed_patient(&row, &next)?) };
    let record = Some(Contact::of(&document.record));
    let blocked = document.record.staff.blocked;
    Ok(MatchedPatient { id: row.id, given, record, new: None, changed, blocked })
}

/// Finds the record of the same person among those of one name and telephone number, the oldest first: the record with the
/// same date of birth, or with none where none is given; else a single record, where it or the request has no date of birth.
/// Two dates of birth are two people.
fn same_person(rows: Vec<PatientRow>, said: &Details) -> Result<Option<(PatientRow, Document)>, Fault> {
    let mut known = Vec::with_capacity(rows.len());
    for row in rows {
        let document = Document::read(&row.details)?;
        known.push((row, document));
    }
    let same = known.iter().position(|(_, document)| document.record.details.date_of_birth == said.date_of_birth);
    let single = match &known[..] {
        [(_, only)] if only.record.details.date_of_birth.is_none() || said.date_of_birth.is_none() => Some(0),
        _ => None,
    };
    Ok(same.or(single).map(|at| known.swap_remove(at)))
}

/// The key by which a returning patient is found: both names, folded, and the telephone number, which is the receiving
/// contact's for a patient without one.
pub(super) fn match_key(record: &Record) -> String {
    let Details { given_name, family_name, .. } = &record.details;
    let phone = record.known_phone().unwrap_or_default();
    format!("{}\u{1f}{}\u{1f}{phone}", fold::key(given_name), fold::key(family_name))
}
