//! Eight weeks of a chain with clinics in two zones, across two clock changes, while services die, the provider fails,
//! booking is out of reach and the feed is cut; and the figures of what its patients were told.
//!
//! `MERIDIAN_SIMULATION` is the number of visits, `MERIDIAN_SIMULATION_SEED` the seed; `cargo xtask simulate` sets both.
//! Start reading at `scenario.rs` (what happens) and `checker.rs` (what must then be so). The script
//! and the provider's answers follow from the seed; which of two services is faster does not.

mod checker;
mod expect;
mod fake_provider;
mod harness;
mod http;
mod oracle;
mod outages;
mod scenario;
mod text;

use testkit::database::Database;

const VISITS: u64 = 300;
const SEED: u64 = 1;

testkit::engines!(patients_are_told_what_is_so);

async fn patients_are_told_what_is_so(database: Database) {
    let (seed, visits) = (number("MERIDIAN_SIMULATION_SEED", SEED), number("MERIDIAN_SIMULATION", VISITS));
    let mut script = scenario::Script::draw(seed, u128::from(visits));
    let mut stage = harness::Stage::new(database, seed).await;
    let rules = stage.rules().await.into_iter().collect();
    stage.play(&mut script).await;
    let figures = checker::judge(&mut stage, &script.visits, &rules).await;
    println!("seed {seed}\n{figures}");
    assert!(figures.are_good(), "run it again with MERIDIAN_SIMULATION={visits} MERIDIAN_SIMULATION_SEED={seed}");
}

/// A number from the environment.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}
