//! The wall clock of the built product is set by an hour, in both directions, while texts wait for their turn.

use std::time::Duration;

use anyhow::Result;
use reqwest::StatusCode;
use scenarios::{Clinic, Product, patient, service, sms};
use serde_json::{Value, json};
use testkit::{sms::FakeProvider, wall_clock::WallClock};

/// Offsets from the system's time, in seconds, one after another.
const OFFSETS: [i64; 4] = [-3600, 3600, -3600, 0];
/// Texts that wait when the clock is set. At two a second the last of them has waited for two seconds.
const WAITING: usize = 4;
/// The waiting texts take 2.5 seconds; the rest is room for a machine that does other things.
const WITHIN: Duration = Duration::from_secs(15);
/// Slots begin every five minutes; visits in so many slots do not overlap.
const SLOTS_PER_VISIT: usize = 7;

#[tokio::test]
async fn a_clock_that_is_set_delays_no_text_in_one_process() -> Result<()> {
    let (wall, provider) = (WallClock::start()?, FakeProvider::start().await?);
    let settings = settings(&provider);
    let extra: Vec<&str> = settings.iter().map(String::as_str).collect();
    let product = Product::embedded_with(&extra, &wall.variables()).await?;
    texts_go_on(&product, &wall, &provider).await
}

#[tokio::test]
async fn a_clock_that_is_set_delays_no_text_apart() -> Result<()> {
    let (wall, provider) = (WallClock::start()?, FakeProvider::start().await?);
    let settings = settings(&provider);
    let extra: Vec<&str> = settings.iter().map(String::as_str).collect();
    let product = Product::apart_with(&extra, &wall.variables()).await?;
    texts_go_on(&product, &wall, &provider).await
}

fn settings(provider: &FakeProvider) -> Vec<String> {
    let mut settings = sms::settings(provider);
    settings.extend(["--set", "reminder.sms_per_second=2"].map(str::to_owned));
    settings
}

async fn texts_go_on(product: &Product, wall: &WallClock, provider: &FakeProvider) -> Result<()> {
    let clinic = product.clinic("America/New_York", service()).await?;
    let slots = product.slots(&clinic, (5, 9), &clinic.revision).await?;
    let mut visits = Visits { product, clinic: &clinic, slots: &slots, booked: vec![] };
    for offset in OFFSETS {
        for _ in 0..WAITING {
            visits.book().await?;
        }
        wall.set(offset)?;
        visits.book().await?;
        let sent = testkit::poll::attempt(WITHIN, || async {
            (provider.messages().len() >= visits.booked.len()).then_some(())
        });
        let (sent, count) = (sent.await, provider.messages().len());
        assert!(sent.is_some(), "{count} of {} texts left after the clock went to {offset}", visits.booked.len());
    }
    let mut numbers: Vec<String> = provider.received().iter().map(|it| it.form["To"].clone()).collect();
    numbers.sort();
    assert_eq!(numbers, visits.booked, "each visit has one text");
    Ok(())
}

/// Visits of one clinic, each with a telephone number of its own.
struct Visits<'a> {
    product: &'a Product,
    clinic: &'a Clinic,
    slots: &'a [Value],
    /// The numbers so far, ascending.
    booked: Vec<String>,
}

impl Visits<'_> {
    async fn book(&mut self) -> Result<()> {
        let number = self.booked.len();
        let phone = format!("+19105550{:03}", 100 + number);
        let slot = &self.slots[number * SLOTS_PER_VISIT];
        let body = json!({"slot_id": slot["slot_id"], "patient": patient("Example", &phone)});
        let booked = self.product.post("/v1/appointments", body).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{} at {}", booked.body, self.clinic.location);
        self.booked.push(phone);
        Ok(())
    }
}
