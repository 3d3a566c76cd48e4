//! The ledger: every change of a session is an entry, and how many sessions stand where is derived from the entries.
//!
//! Each session stands in one account at a time. What adds a session is `planned` or `given_back`; every other entry
//! moves it from where it stands to the account that the entry names. So of any ledger, sessions planned and given back
//! are as many as there are in all accounts together.

use std::collections::BTreeMap;

use domain::id::{AppointmentId, PlanSessionId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, PlanSession, SessionStatus};

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The plan has this session; it is to be booked.
    Planned,
    /// The plan has this session instead of a missed one; it is to be booked.
    GivenBack,
    /// It has an appointment.
    Booked,
    /// Its appointment is at another time, with another practitioner or elsewhere.
    Moved,
    /// Its appointment was called off; it is to be booked again.
    Released,
    /// It was given.
    Done,
    /// The patient did not come, and it is given back.
    Missed,
    /// The patient did not come or called off late, and it is used up.
    Forfeited,
    /// It is left out.
    Skipped,
}

impl Kind {
    /// The word of the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::GivenBack => "given_back",
            Self::Booked => "booked",
            Self::Moved => "moved",
            Self::Released => "released",
            Self::Done => "done",
            Self::Missed => "missed",
            Self::Forfeited => "forfeited",
            Self::Skipped => "skipped",
        }
    }
}

/// One line of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Which session.
    pub session: PlanSessionId,
    /// What.
    pub kind: Kind,
    /// The appointment that it has, or had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<AppointmentId>,
}

/// How many sessions were added, and how many stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Added by the template or a review.
    pub planned: usize,
    /// Added instead of missed ones.
    pub given_back: usize,
    /// To be booked.
    pub to_book: usize,
    /// Booked.
    pub booked: usize,
    /// Given.
    pub done: usize,
    /// Missed, and given back.
    pub missed: usize,
    /// Missed or called off late, and used up.
    pub forfeited: usize,
    /// Left out.
    pub skipped: usize,
}

impl Balance {
    /// What the entries of a ledger come to.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut balance = Self::default();
        let mut standing = BTreeMap::new();
        for entry in entries {
            match entry.kind {
                Kind::Planned => balance.planned += 1,
                Kind::GivenBack => balance.given_back += 1,
                _ => {}
            }
            standing.insert(entry.session, account(entry.kind));
        }
        for kind in standing.into_values() {
            balance.add(kind);
        }
        balance
    }

    /// What a plan's sessions come to as they are: the same, where the ledger is whole.
    pub fn of_plan(plan: &Plan) -> Self {
        let mut balance = Self::default();
        for session in &plan.sessions {
            match session.instead_of {
                None => balance.planned += 1,
                Some(_) => balance.given_back += 1,
            }
            balance.add(standing(session));
        }
        balance
    }

    fn add(&mut self, account: Kind) {
        match account {
            Kind::Booked | Kind::Moved => self.booked += 1,
            Kind::Done => self.done += 1,
            Kind::Missed => self.missed += 1,
            Kind::Forfeited => self.forfeited += 1,
            Kind::Skipped => self.skipped += 1,
            Kind::Planned | Kind::GivenBack | Kind::Released => self.to_book += 1,
        }
    }
}

/// The entries that lead from one state of a plan to the next; from none, for a new plan.
pub fn entries(before: Option<&Plan>, after: &Plan, at: Timestamp) -> Vec<Entry> {
    let mut entries = Vec::new();
    for session in &after.sessions {
        let mut enter = |kind, appointment| entries.push(Entry { at, session: session.id, kind, appointment });
        let known = before.and_then(|plan| plan.session(session.id));
        if known.is_none() {
            enter(if session.instead_of.is_some() { Kind::GivenBack } else { Kind::Planned }, None);
        }
        let (old, new) = (known.map_or(Kind::Released, standing), standing(session));
        let last = session.visit.or(known.and_then(|known| known.visit)).map(|visit| visit.appointment);
        if old != new {
            enter(new, last);
        } else if new == Kind::Booked && known.is_some_and(|known| moved(known, session)) {
            enter(Kind::Moved, last);
        }
    }
    entries
}

fn moved(before: &PlanSession, after: &PlanSession) -> bool {
    let place = |session: &PlanSession| {
        session.visit.map(|visit| (visit.appointment, visit.starts_at, visit.practitioner, visit.location))
    };
    place(before) != place(after)
}

/// The account that an entry puts its session into.
fn account(kind: Kind) -> Kind {
    match kind {
        Kind::Moved => Kind::Booked,
        Kind::Planned | Kind::GivenBack => Kind::Released,
        other => other,
    }
}

/// The account that a session stands in.
fn standing(session: &PlanSession) -> Kind {
    match session.status {
        SessionStatus::ToBook => Kind::Released,
        SessionStatus::Booked => Kind::Booked,
        SessionStatus::Done => Kind::Done,
        SessionStatus::Missed if session.forfeited => Kind::Forfeited,
        SessionStatus::Missed => Kind::Missed,
        SessionStatus::Skipped => Kind::Skipped,
    }
}
