//! Eight weeks of a chain with clinics in two zones, across two clock changes, while services are killed, the provider fails,
//! booking is down and the feed disconnects; then the figures of the messages to patients.
//!
//! `MERIDIAN_SIMULATION` is the number of visits, `MERIDIAN_SIMULATION_SEED` the seed; `cargo xtask simulate` sets both.
//! Start reading at `scenario.rs` (the events) and `checker.rs` (the assertions). The seed determines the scenario and the
//! provider's answers; it does not determine which of two services is faster.

mod checker;
mod expectation;
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

testkit::engines!(each_message_is_true_and_none_is_missing);

async fn each_message_is_true_and_none_is_missing(database: Database) {
    let (seed, visits) = (number("MERIDIAN_SIMULATION_SEED", SEED), number("MERIDIAN_SIMULATION", VISITS));
    let mut scenario = scenario::Scenario::draw(seed, u128::from(visits));
    let mut harness = harness::Harness::new(database, seed).await;
    let rules = harness.rules().await.into_iter().collect();
    harness.play(&mut scenario).await;
    let figures = checker::check(&mut harness, &scenario.visits, &rules).await;
    println!("seed {seed}\n{figures}");
    assert!(figures.are_good(), "run it again with MERIDIAN_SIMULATION={visits} MERIDIAN_SIMULATION_SEED={seed}");
}

/// A number from the environment.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}
