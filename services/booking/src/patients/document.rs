//! The stored document of a patient: record, history of consents, and proposed changes.

use domain::{
    id::ProposedChangeId,
    patient::{
        Channel, Consent, ConsentEvent, ConsentKind, ConsentSource, Details, ProposedChange, ProposedField, Record,
    },
};
use rpc::Fault;
use serde_json::Value;

/// The document's key for the history of consents.
const LOG: &str = "consent_log";
/// Most events in the history; the oldest go first.
const LOG_MAX: usize = 200;
/// The document's key for proposed changes.
const PROPOSED: &str = "proposed_changes";
/// Most proposed changes; the oldest go first.
const PROPOSED_MAX: usize = 20;

/// The stored document of a patient. Without `Debug`, so that no log shows it by accident.
#[derive(Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) record: Record,
    /// The oldest first.
    pub(crate) log: Vec<ConsentEvent>,
    /// Changes for staff to decide, the oldest first.
    pub(crate) proposed: Vec<ProposedChange>,
}

/// Whether a field holds another value. An e-mail address ignores case.
fn differs(details: &Details, field: ProposedField, value: &str) -> bool {
    details.field(field).is_none_or(|present| match field {
        ProposedField::Email => !present.eq_ignore_ascii_case(value),
        ProposedField::Language | ProposedField::ReminderChannel => present != value,
    })
}

/// The author of a change, with its time and its source.
#[derive(Clone, Copy)]
pub(crate) struct Author<'a> {
    pub(crate) at_us: i64,
    pub(crate) by: &'a str,
    pub(crate) how: ConsentSource,
}

impl Document {
    /// The document of a new patient; the given consents begin the history.
    pub(crate) fn new(record: Record, author: Author<'_>) -> Self {
        let mut without_consents = record.clone();
        without_consents.details.consents.clear();
        Self { record: without_consents, log: vec![], proposed: vec![] }.with(record, author)
    }

    /// Reads a stored document. The parser's message may quote it, so the fault leaves it out.
    pub(crate) fn read(text: &str) -> Result<Self, Fault> {
        let broken = || Fault::internal("a stored patient cannot be read");
        let mut value: Value = serde_json::from_str(text).map_err(|_| broken())?;
        let mut list = |name: &str| {
            let kept = value.as_object_mut().and_then(|fields| fields.remove(name));
            kept.unwrap_or_else(|| Value::Array(vec![]))
        };
        let (log, proposed) = (list(LOG), list(PROPOSED));
        Ok(Self {
            record: serde_json::from_value(value).map_err(|_| broken())?,
            log: serde_json::from_value(log).map_err(|_| broken())?,
            proposed: serde_json::from_value(proposed).map_err(|_| broken())?,
        })
    }

    /// The document as JSON.
    pub(crate) fn write(&self) -> Result<String, Fault> {
        let failed = |_| Fault::internal("a patient cannot be written");
        let mut value = serde_json::to_value(&self.record).map_err(failed)?;
        if let Some(fields) = value.as_object_mut() {
            if !self.log.is_empty() {
                fields.insert(LOG.to_owned(), serde_json::to_value(&self.log).map_err(failed)?);
            }
            if !self.proposed.is_empty() {
                fields.insert(PROPOSED.to_owned(), serde_json::to_value(&self.proposed).map_err(failed)?);
            }
        }
        Ok(value.to_string())
    }

    /// The document with another record. Each consent that is given or withdrawn adds an event, and a proposed change that
    /// the details now hold is dropped.
    pub(crate) fn with(&self, record: Record, author: Author<'_>) -> Self {
        let details = &record.details;
        let mut log = self.log.clone();
        let mut add_event = |consent: Consent, given| {
            let Consent { channel, kind } = consent;
            log.push(ConsentEvent {
                channel,
                kind,
                given,
                at_us: author.at_us,
                by: author.by.to_owned(),
                how: author.how,
            });
        };
        for channel in Channel::ALL {
            for kind in ConsentKind::ALL {
                let consent = Consent { channel, kind };
                match (self.record.details.consents.contains(&consent), details.consents.contains(&consent)) {
                    (false, true) => add_event(consent, true),
                    (true, false) => add_event(consent, false),
                    _ => {}
                }
            }
        }
        log.drain(..log.len().saturating_sub(LOG_MAX));
        let open = self.proposed.iter().filter(|change| differs(details, change.field, &change.value));
        let proposed = open.cloned().collect();
        Self { record, log, proposed }
    }

    fn with_details(&self, details: Details, author: Author<'_>) -> Self {
        self.with(Record { details, staff: self.record.staff.clone() }, author)
    }

    /// The document after a booking with these details: new consents are given, empty fields are filled, and differing fields
    /// are proposed. Nothing is overwritten, since anyone who knows a name and a telephone number can book.
    pub(crate) fn returning(
        &self,
        booked: &Details,
        author: Author<'_>,
        by_staff: bool,
        mut id: impl FnMut() -> ProposedChangeId,
    ) -> Self {
        let mut details = self.record.details.clone();
        details.date_of_birth = details.date_of_birth.or(booked.date_of_birth);
        let given = booked.consents.iter().filter(|consent| !self.record.details.consents.contains(consent));
        details.consents.extend(given);
        let mut differing = Vec::new();
        for field in ProposedField::ALL {
            match (self.record.details.field(field), booked.field(field)) {
                (None, Some(value)) => details.set_field(field, &value),
                (Some(_), Some(value)) if differs(&self.record.details, field, &value) => {
                    differing.push((field, value))
                }
                _ => {}
            }
        }
        let mut new = self.with_details(details, author);
        for (field, value) in differing {
            let same = |open: &ProposedChange| open.field == field && open.value == value;
            if !new.proposed.iter().any(same) {
                new.proposed.push(ProposedChange { id: id(), field, value, at_us: author.at_us, by_staff });
            }
        }
        new.proposed.drain(..new.proposed.len().saturating_sub(PROPOSED_MAX));
        new
    }

    /// The document with a proposed change accepted or discarded; `None` where the change is not open.
    pub(crate) fn decided(&self, id: ProposedChangeId, accept: bool, author: Author<'_>) -> Option<Self> {
        let change = self.proposed.iter().find(|open| open.id == id)?;
        let mut details = self.record.details.clone();
        if accept {
            details.set_field(change.field, &change.value);
        }
        let mut new = self.with_details(details, author);
        new.proposed.retain(|open| open.id != id);
        Some(new)
    }

    /// The document with a consent given or withdrawn.
    pub(crate) fn consented(&self, consent: Consent, given: bool, author: Author<'_>) -> Self {
        let mut details = self.record.details.clone();
        details.consents.retain(|known| *known != consent);
        if given {
            details.consents.push(consent);
        }
        self.with_details(details, author)
    }

    /// Whether a consent was last withdrawn through this source.
    pub(crate) fn was_withdrawn_by(&self, consent: Consent, how: ConsentSource) -> bool {
        let last = self.log.iter().rev().find(|event| event.channel == consent.channel && event.kind == consent.kind);
        last.is_some_and(|last| !last.given && last.how == how)
    }
}
