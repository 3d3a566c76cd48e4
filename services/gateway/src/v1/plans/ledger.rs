//! The ledger of a plan.

use rpc::Fault;
use serde::Serialize;
use utoipa::ToSchema;
use wire::{
    booking::{GetPlanRequest, LedgerBalance, LedgerEntry},
    convert,
};

use super::super::time;
use crate::call::{Call, Reply};

/// One line of a ledger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub(crate) struct Entry {
    #[schema(format = DateTime)]
    at: String,
    plan_session_id: String,
    /// `planned`, `given_back`, `booked`, `moved`, `released`, `done`, `missed`, `forfeited` or `skipped`.
    entry: String,
    appointment_id: Option<String>,
}

/// What the entries come to: sessions added (`planned`, `given_back`), and how many stand where. The sums are the same.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerBalance)]
pub(crate) struct Balance {
    planned: u32,
    given_back: u32,
    to_book: u32,
    booked: u32,
    done: u32,
    /// Missed, and given back.
    missed: u32,
    /// Missed or called off late, and used up.
    forfeited: u32,
    skipped: u32,
}

/// Every change of a plan's sessions, the first one first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ledger {
    data: Vec<Entry>,
    balance: Balance,
}

pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetPlanRequest { id: call.part("id") };
    let answer = call.inner.plans.clone().get_ledger(call.context().request(request)).await?.into_inner();
    let balance = answer.balance.unwrap_or_default();
    Reply::json(200, &Ledger { data: answer.entries.iter().map(entry).collect(), balance: shown(balance) })
}

fn entry(it: &LedgerEntry) -> Entry {
    Entry {
        at: time::utc(it.at_us),
        plan_session_id: it.plan_session_id.clone(),
        entry: it.kind.clone(),
        appointment_id: convert::optional_text(&it.appointment_id),
    }
}

fn shown(it: LedgerBalance) -> Balance {
    let LedgerBalance { planned, given_back, to_book, booked, done, missed, forfeited, skipped } = it;
    Balance { planned, given_back, to_book, booked, done, missed, forfeited, skipped }
}
