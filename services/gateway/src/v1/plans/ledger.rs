//! The ledger of a plan.

use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::{
    booking::{GetPlanRequest, LedgerBalance, LedgerEntry},
    convert,
};

use super::super::time;
use crate::{call::Call, reply::Reply};

/// An entry of a ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub(crate) struct Entry {
    #[schema(format = DateTime)]
    at: String,
    plan_session_id: String,
    /// `planned`, `given_back`, `booked`, `moved`, `released`, `done`, `missed`, `forfeited`, `skipped` or `withdrawn` (a
    /// given-back session is gone, since the missed one is no longer missed).
    entry: String,
    appointment_id: Option<String>,
}

/// The sums of the entries: the sessions that were added (`planned`, `given_back`), and the sessions in each status. Both
/// sums are equal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerBalance)]
pub(crate) struct Balance {
    planned: u32,
    given_back: u32,
    to_book: u32,
    booked: u32,
    done: u32,
    /// Missed, and replaced by a new session.
    missed: u32,
    /// Missed or cancelled late, and used up.
    forfeited: u32,
    skipped: u32,
}

/// The changes of a plan's sessions, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ledger {
    data: Vec<Entry>,
    balance: Balance,
}

pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetPlanRequest { id: call.path_param("id") };
    let answer = call.inner.plans.clone().get_ledger(call.context().request(request)).await?.into_inner();
    let balance = answer.balance.unwrap_or_default();
    Reply::json(
        200,
        &Ledger { data: answer.entries.iter().map(entry_to_json).collect(), balance: balance_to_json(balance) },
    )
}

fn entry_to_json(entry: &LedgerEntry) -> Entry {
    Entry {
        at: time::utc(entry.at_us),
        plan_session_id: entry.plan_session_id.clone(),
        entry: entry.kind.clone(),
        appointment_id: convert::optional_text(&entry.appointment_id),
    }
}

fn balance_to_json(balance: LedgerBalance) -> Balance {
    let LedgerBalance { planned, given_back, to_book, booked, done, missed, forfeited, skipped } = balance;
    Balance { planned, given_back, to_book, booked, done, missed, forfeited, skipped }
}
