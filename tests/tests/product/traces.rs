//! One trace spans the REST request, the gateway, booking, availability and the database, without personal data.

use std::time::Duration;

use anyhow::Result;
use reqwest::{Method, StatusCode};
use scenarios::{ADMIN, Product, service};
use serde_json::json;
use testkit::collector::{Collector, Span, ancestry};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const WITHIN: Duration = Duration::from_secs(30);

/// The names from the root of the trace to the innermost span with this name, once that has come.
fn span_path(spans: &[Span], name: &str) -> Option<Vec<String>> {
    let server = |span: &&Span| span.kind == "server" || !name.contains('/');
    let last = spans.iter().find(|span| span.name == name && span.trace_id == TRACE && server(span))?;
    let mut names: Vec<String> = ancestry(spans, &last.span_id).iter().map(|span| span.name.clone()).collect();
    names.reverse();
    // Processes export at different times: the path is complete once it has the root.
    names.first().is_some_and(|root| root == ROOT).then_some(names)
}

#[tokio::test]
async fn one_trace_runs_from_rest_to_sql_without_personal_data() -> Result<()> {
    for apart in [false, true] {
        let collector = Collector::start().await;
        let setting = format!("telemetry.otlp_endpoint={}", collector.endpoint());
        let extra = ["--set", setting.as_str()];
        let product = if apart { Product::apart(&extra).await? } else { Product::embedded(&extra).await? };
        let clinic = product.clinic("America/Edmonton", service()).await?;
        let slots = product.slots(&clinic, (2, 4), &clinic.revision).await?;
        let body = json!({"slot_id": slots[0]["slot_id"], "patient": {"given_name": "Canarygiven",
            "family_name": "Canaryfamily", "phone": "+17805550187"}});
        let traceparent = format!("00-{TRACE}-{PARENT}-01");
        let headers = [("traceparent", traceparent.as_str())];
        let booked = product.send(Method::POST, "/v1/appointments", ADMIN, &headers, Some(body)).await?;
        assert_eq!(booked.status, StatusCode::CREATED, "{}", booked.body);

        let found = collector
            .wait_for(WITHIN, |spans| Some((span_path(spans, "booking.commit")?, span_path(spans, CHECK)?)))
            .await;
        let (commit, check) = found.unwrap_or_else(|| panic!("no whole trace: {:?}", names(&collector.spans())));
        let http = ROOT;
        assert_eq!(commit, [http, BOOK, BOOK, "booking.commit"], "gateway, its call, booking, the database");
        assert_eq!(check, [http, BOOK, BOOK, CHECK, CHECK], "gateway, its call, booking, its call, availability");
        let spans = collector.spans();
        let root = spans.iter().find(|span| span.name == http && span.trace_id == TRACE);
        assert_eq!(
            root.and_then(|span| span.parent_id.as_deref()),
            Some(PARENT),
            "the caller's own span is the parent"
        );
        let leak = spans.iter().find(|span| ["Canary", "7805550187"].iter().any(|secret| span.dump.contains(secret)));
        assert!(leak.is_none(), "{leak:?}");
    }
    Ok(())
}

const ROOT: &str = "POST /v1/appointments";
const BOOK: &str = "meridian.booking.v1.Booking/BookAppointment";
const CHECK: &str = "meridian.availability.v1.Search/CheckSlots";

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().filter(|span| span.trace_id == TRACE).map(|span| span.name.as_str()).collect()
}
