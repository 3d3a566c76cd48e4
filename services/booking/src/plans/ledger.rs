//! The ledger of a plan.

use careplan::ledger::{Balance, Entry};
use rpc::{Context, Fault};
use service::db_error;
use wire::booking::{Ledger, LedgerBalance, LedgerEntry};

use super::stored::load;
use crate::Inner;

pub(crate) async fn ledger(inner: &Inner, ctx: &Context, id: &str) -> Result<Ledger, Fault> {
    let plan = load(inner, ctx, id).await?.plan;
    let lists = inner.store.ledger_entries(ctx.organization.uuid(), plan.id.uuid()).await.map_err(db_error::fault)?;
    let mut entries: Vec<Entry> = Vec::new();
    for list in lists {
        let list: Vec<Entry> = serde_json::from_str(&list).map_err(|_| Fault::internal("a ledger cannot be read"))?;
        entries.extend(list);
    }
    let balance = Balance::of(&entries);
    if balance != Balance::of_plan(&plan) {
        tracing::error!(organization = %ctx.organization, plan = %plan.id, "the ledger of a plan differs from its sessions");
    }
    Ok(Ledger { entries: entries.iter().map(entry_to_wire).collect(), balance: Some(balance_to_wire(balance)) })
}

fn entry_to_wire(entry: &Entry) -> LedgerEntry {
    LedgerEntry {
        at_us: entry.at.as_microsecond(),
        plan_session_id: entry.session.to_string(),
        kind: entry.kind.as_str().to_owned(),
        appointment_id: entry.appointment.map(|id| id.to_string()).unwrap_or_default(),
    }
}

fn balance_to_wire(balance: Balance) -> LedgerBalance {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    LedgerBalance {
        planned: number(balance.planned),
        given_back: number(balance.given_back),
        to_book: number(balance.to_book),
        booked: number(balance.booked),
        done: number(balance.done),
        missed: number(balance.missed),
        forfeited: number(balance.forfeited),
        skipped: number(balance.skipped),
    }
}
