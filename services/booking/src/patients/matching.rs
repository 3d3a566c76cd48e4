//! Whom a booking is for: a patient who is known by id, one who is known by what they say of themselves, or a new one.

use domain::{
    fold,
    id::{PatientId, ProposedChangeId},
    patient::{ConsentSource, Details},
};
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::{booking::PatientDetails, common::BookingChannel};

use super::{
    changed,
    document::{Document, Hand},
    new_patient, telephone,
};
use crate::{
    Inner, commit,
    store::{
        batch::{ChangedPatient, NewPatient},
        rows::PatientRow,
    },
};

/// Records of one name and one telephone number that are looked at.
const NAMESAKES_MAX: i64 = 50;

/// For whom a booking is.
pub(crate) struct Chosen {
    pub(crate) id: Uuid,
    /// Where the patient is new.
    pub(crate) new: Option<NewPatient>,
    /// Where what they say of themselves changes their record.
    pub(crate) changed: Option<ChangedPatient>,
}

/// The patient with this id.
pub(crate) async fn by_id(inner: &Inner, ctx: &Context, text: &str) -> Result<Chosen, Fault> {
    let unknown = || Fault::violation("/patient_id", "unknown_reference", "there is no patient with this id");
    let id: PatientId = text.parse().map_err(|_| unknown())?;
    let found = inner.store.patient(ctx.organization.uuid(), id.uuid()).await.map_err(commit::failure)?;
    Ok(Chosen { id: found.ok_or_else(unknown)?.id, new: None, changed: None })
}

/// The patient whom these details describe, with what is new about them; or a new one.
pub(crate) async fn by_details(
    inner: &Inner,
    ctx: &Context,
    details: &PatientDetails,
    time_zone: &str,
    channel: i32,
) -> Result<Chosen, Fault> {
    let details = telephone::read_details(inner, ctx, details, "/patient", Some(time_zone)).await?;
    let now = inner.clock.now();
    let hand = Hand { at_us: now.as_microsecond(), by: &ctx.caller, how: ConsentSource::Details };
    let key = match_key(&details);
    let namesakes = inner.store.patients_like(ctx.organization.uuid(), &key, NAMESAKES_MAX).await;
    let Some((row, document)) = same_person(namesakes.map_err(commit::failure)?, &details)? else {
        let id = inner.ids.uuid(now);
        return Ok(Chosen { id, new: Some(new_patient(id, &Document::new(details, hand))?), changed: None });
    };
    let by_staff = channel == BookingChannel::Staff as i32;
    let next = document.returning(&details, hand, by_staff, || ProposedChangeId::new(inner.ids.uuid(now)));
    let changed = if next == document { None } else { Some(changed(&row, &next)?) };
    Ok(Chosen { id: row.id, new: None, changed })
}

/// Which of the records of this name and telephone number, the oldest first, is meant: the one with the same date of birth,
/// or with none where none is given; else a single record, where it or the request has no date of birth. Two dates of birth
/// are two people.
fn same_person(rows: Vec<PatientRow>, said: &Details) -> Result<Option<(PatientRow, Document)>, Fault> {
    let mut known = Vec::with_capacity(rows.len());
    for row in rows {
        let document = Document::read(&row.details)?;
        known.push((row, document));
    }
    let same = known.iter().position(|(_, document)| document.details.date_of_birth == said.date_of_birth);
    let single = match &known[..] {
        [(_, only)] if only.details.date_of_birth.is_none() || said.date_of_birth.is_none() => Some(0),
        _ => None,
    };
    Ok(same.or(single).map(|at| known.swap_remove(at)))
}

/// By which a returning patient is found: both names, folded, and the telephone number.
pub(super) fn match_key(details: &Details) -> String {
    format!("{}\u{1f}{}\u{1f}{}", fold::key(&details.given_name), fold::key(&details.family_name), details.phone)
}
