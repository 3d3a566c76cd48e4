//! The plan engine by itself.

use anyhow::{Context, Result};
use careplan::{bench::chronic_case, series::best};

use super::{Plan, kernel::median, table::Table};

const SERIES: usize = 3;

pub(super) fn run(plan: &Plan) -> Result<()> {
    let case = chronic_case(1);
    let candidates: usize = case.sessions.iter().map(|session| session.candidates.len()).sum();
    let first = best(&case, SERIES)?.into_iter().next().context("the case has a series")?;
    let time = median(plan.window, || best(&case, SERIES));
    let title = format!("Plan engine: 16 sessions, 12 weeks, 50 practitioners at 6 locations, {SERIES} best (median)");
    let mut table = Table::new(&title, &["candidates", "ms", "cost of the best"]);
    let ms = format!("{:.2}", time.as_secs_f64() * 1e3);
    table.row([candidates.to_string(), ms, first.terms.cost().to_string()]);
    print!("{}", table.text());
    Ok(())
}
