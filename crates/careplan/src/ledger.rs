//! The ledger: every change of a session is an entry, and balances are derived from the entries.
//!
//! Each session is in one account at a time. `planned` and `given_back` add a session, and `withdrawn` takes one that was given
//! back out again; every other entry moves it to the account that the entry names. So in any ledger the planned and given-back
//! sessions equal the sum of all accounts.

use std::collections::BTreeMap;

use domain::id::{AppointmentId, PlanSessionId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, PlanSession, SessionStatus};

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The plan has this session; it is to be booked.
    Planned,
    /// The session replaces a missed one; it is to be booked.
    GivenBack,
    /// The session has an appointment.
    Booked,
    /// Its appointment has another time, practitioner or location.
    Moved,
    /// Its appointment was cancelled; it is to be booked again.
    Released,
    /// It was completed.
    Done,
    /// The patient did not come, and the session is given back.
    Missed,
    /// The patient did not come or cancelled late, and the session is used up.
    Forfeited,
    /// The session is skipped.
    Skipped,
    /// The given-back session is gone, since the missed one is no longer missed.
    Withdrawn,
}

impl Kind {
    /// The code of the public interface.
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
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// An entry of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The time of the change.
    pub at: Timestamp,
    /// The session.
    pub session: PlanSessionId,
    /// The kind of change.
    pub kind: Kind,
    /// The session's present or last appointment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<AppointmentId>,
}

/// The number of added sessions, and of sessions in each account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Sessions added by the template or a review.
    pub planned: usize,
    /// Sessions added for missed ones.
    pub given_back: usize,
    /// Sessions to book.
    pub to_book: usize,
    /// Booked sessions.
    pub booked: usize,
    /// Completed sessions.
    pub done: usize,
    /// Missed sessions that were given back.
    pub missed: usize,
    /// Forfeited sessions: missed or cancelled late, and used up.
    pub forfeited: usize,
    /// Skipped sessions.
    pub skipped: usize,
}

impl Balance {
    /// The balance of a ledger's entries.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut balance = Self::default();
        let mut accounts = BTreeMap::new();
        for entry in entries {
            match entry.kind {
                Kind::Planned => balance.planned += 1,
                Kind::GivenBack => balance.given_back += 1,
                Kind::Withdrawn => {
                    balance.given_back = balance.given_back.saturating_sub(1);
                    accounts.remove(&entry.session);
                    continue;
                }
                _ => {}
            }
            accounts.insert(entry.session, account(entry.kind));
        }
        for kind in accounts.into_values() {
            balance.add(kind);
        }
        balance
    }

    /// The balance of a plan's sessions; equal to that of a complete ledger.
    pub fn of_plan(plan: &Plan) -> Self {
        let mut balance = Self::default();
        for session in &plan.sessions {
            match session.instead_of {
                None => balance.planned += 1,
                Some(_) => balance.given_back += 1,
            }
            balance.add(account_of(session));
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
            // The account does not show it.
            Kind::Withdrawn => {}
        }
    }
}

/// The entries between two states of a plan; `before` is `None` for a new plan.
pub fn entries(before: Option<&Plan>, after: &Plan, at: Timestamp) -> Vec<Entry> {
    let is_gone = |session: &&PlanSession| after.session(session.id).is_none();
    let gone = before.into_iter().flat_map(|plan| plan.sessions.iter().filter(is_gone));
    let withdrawn = |session: &PlanSession| Entry { at, session: session.id, kind: Kind::Withdrawn, appointment: None };
    let mut entries: Vec<Entry> = gone.map(withdrawn).collect();
    for session in &after.sessions {
        let mut enter = |kind, appointment| entries.push(Entry { at, session: session.id, kind, appointment });
        let known = before.and_then(|plan| plan.session(session.id));
        if known.is_none() {
            enter(if session.instead_of.is_some() { Kind::GivenBack } else { Kind::Planned }, None);
        }
        let (old, new) = (known.map_or(Kind::Released, account_of), account_of(session));
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

/// The account of a session after an entry of this kind.
fn account(kind: Kind) -> Kind {
    match kind {
        Kind::Moved => Kind::Booked,
        Kind::Planned | Kind::GivenBack => Kind::Released,
        other => other,
    }
}

/// The present account of a session.
fn account_of(session: &PlanSession) -> Kind {
    match session.status {
        SessionStatus::ToBook => Kind::Released,
        SessionStatus::Booked => Kind::Booked,
        SessionStatus::Done => Kind::Done,
        SessionStatus::Missed if session.forfeited => Kind::Forfeited,
        SessionStatus::Missed => Kind::Missed,
        SessionStatus::Skipped => Kind::Skipped,
    }
}
