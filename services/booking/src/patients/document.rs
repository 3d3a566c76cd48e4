//! What is stored of a patient: what they say of themselves, the history of their consents, and what is proposed.

use domain::{
    id::ProposedChangeId,
    patient::{Channel, Consent, ConsentEvent, ConsentKind, ConsentSource, Details, ProposedChange, ProposedField},
};
use rpc::Fault;
use serde_json::Value;

/// Where the history of consents lies in the document.
const LOG: &str = "consent_log";
/// Entries of it that are kept; the oldest go first.
const LOG_MAX: usize = 200;
/// Where the proposed changes lie in the document.
const PROPOSED: &str = "proposed_changes";
/// Proposed changes that are kept; the oldest go first.
const PROPOSED_MAX: usize = 20;

/// What is stored of a patient. It has no `Debug`: nobody shows it by accident.
#[derive(Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) details: Details,
    /// The first one first.
    pub(crate) log: Vec<ConsentEvent>,
    /// What differs from the details and is for staff to decide, the oldest first.
    pub(crate) proposed: Vec<ProposedChange>,
}

/// Whether a field holds something else. Case means nothing in an e-mail address.
fn differs(details: &Details, field: ProposedField, value: &str) -> bool {
    details.field(field).is_none_or(|present| match field {
        ProposedField::Email => !present.eq_ignore_ascii_case(value),
        ProposedField::Language | ProposedField::ReminderChannel => present != value,
    })
}

/// Who changes a patient, when and how.
#[derive(Clone, Copy)]
pub(crate) struct Hand<'a> {
    pub(crate) at_us: i64,
    pub(crate) by: &'a str,
    pub(crate) how: ConsentSource,
}

impl Document {
    /// A new patient's, with the consents that come with it as the history's beginning.
    pub(crate) fn new(details: Details, hand: Hand<'_>) -> Self {
        let nobody = Details { consents: vec![], ..details.clone() };
        Self { details: nobody, log: vec![], proposed: vec![] }.with(details, hand)
    }

    /// What is stored; the parser's own words, which may quote it, stay here.
    pub(crate) fn read(text: &str) -> Result<Self, Fault> {
        let broken = || Fault::internal("a stored patient cannot be read");
        let mut value: Value = serde_json::from_str(text).map_err(|_| broken())?;
        let mut list = |name: &str| {
            let kept = value.as_object_mut().and_then(|fields| fields.remove(name));
            kept.unwrap_or_else(|| Value::Array(vec![]))
        };
        let (log, proposed) = (list(LOG), list(PROPOSED));
        Ok(Self {
            details: serde_json::from_value(value).map_err(|_| broken())?,
            log: serde_json::from_value(log).map_err(|_| broken())?,
            proposed: serde_json::from_value(proposed).map_err(|_| broken())?,
        })
    }

    /// As it is stored.
    pub(crate) fn write(&self) -> Result<String, Fault> {
        let unwritten = |_| Fault::internal("a patient cannot be written");
        let mut value = serde_json::to_value(&self.details).map_err(unwritten)?;
        if let Some(fields) = value.as_object_mut() {
            if !self.log.is_empty() {
                fields.insert(LOG.to_owned(), serde_json::to_value(&self.log).map_err(unwritten)?);
            }
            if !self.proposed.is_empty() {
                fields.insert(PROPOSED.to_owned(), serde_json::to_value(&self.proposed).map_err(unwritten)?);
            }
        }
        Ok(value.to_string())
    }

    /// The same patient with other details; a consent that comes or goes is noted, and a proposed change that has come true
    /// is one no longer.
    pub(crate) fn with(&self, details: Details, hand: Hand<'_>) -> Self {
        let mut log = self.log.clone();
        let mut note = |consent: Consent, given| {
            let Consent { channel, kind } = consent;
            log.push(ConsentEvent { channel, kind, given, at_us: hand.at_us, by: hand.by.to_owned(), how: hand.how });
        };
        for channel in Channel::ALL {
            for kind in ConsentKind::ALL {
                let consent = Consent { channel, kind };
                match (self.details.consents.contains(&consent), details.consents.contains(&consent)) {
                    (false, true) => note(consent, true),
                    (true, false) => note(consent, false),
                    _ => {}
                }
            }
        }
        log.drain(..log.len().saturating_sub(LOG_MAX));
        let open = self.proposed.iter().filter(|change| differs(&details, change.field, &change.value));
        let proposed = open.cloned().collect();
        Self { details, log, proposed }
    }

    /// The same patient after they said this of themselves at a booking: consents that are new are given, empty fields are
    /// filled, and what differs is proposed. Nothing that is there is overwritten, since whoever knows a name and a telephone
    /// number can say so.
    pub(crate) fn returning(
        &self,
        said: &Details,
        hand: Hand<'_>,
        by_staff: bool,
        mut id: impl FnMut() -> ProposedChangeId,
    ) -> Self {
        let mut details = self.details.clone();
        details.date_of_birth = details.date_of_birth.or(said.date_of_birth);
        let given = said.consents.iter().filter(|consent| !self.details.consents.contains(consent));
        details.consents.extend(given);
        let mut differing = Vec::new();
        for field in ProposedField::ALL {
            match (self.details.field(field), said.field(field)) {
                (None, Some(value)) => details.set_field(field, &value),
                (Some(_), Some(value)) if differs(&self.details, field, &value) => differing.push((field, value)),
                _ => {}
            }
        }
        let mut new = self.with(details, hand);
        for (field, value) in differing {
            let same = |open: &ProposedChange| open.field == field && open.value == value;
            if !new.proposed.iter().any(same) {
                new.proposed.push(ProposedChange { id: id(), field, value, at_us: hand.at_us, by_staff });
            }
        }
        new.proposed.drain(..new.proposed.len().saturating_sub(PROPOSED_MAX));
        new
    }

    /// The same patient with a proposed change taken into the details, or left; `None` where it is not open.
    pub(crate) fn decided(&self, id: ProposedChangeId, accept: bool, hand: Hand<'_>) -> Option<Self> {
        let change = self.proposed.iter().find(|open| open.id == id)?;
        let mut details = self.details.clone();
        if accept {
            details.set_field(change.field, &change.value);
        }
        let mut new = self.with(details, hand);
        new.proposed.retain(|open| open.id != id);
        Some(new)
    }

    /// The same patient with a consent given or withdrawn.
    pub(crate) fn consented(&self, consent: Consent, given: bool, hand: Hand<'_>) -> Self {
        let mut details = self.details.clone();
        details.consents.retain(|known| *known != consent);
        if given {
            details.consents.push(consent);
        }
        self.with(details, hand)
    }

    /// Whether a consent was last withdrawn in this way.
    pub(crate) fn was_withdrawn_by(&self, consent: Consent, how: ConsentSource) -> bool {
        let last = self.log.iter().rev().find(|one| one.channel == consent.channel && one.kind == consent.kind);
        last.is_some_and(|last| !last.given && last.how == how)
    }
}
