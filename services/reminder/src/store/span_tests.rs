//! The span of every statement, on both engines.

use std::{
    io,
    sync::{Arc, Mutex},
};

use domain::appointment::Status;
use testkit::database::Database;
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

use super::tests::{Bed, START, booked, suite};
use crate::planning::Event;

/// The log of one test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

async fn every_statement_has_a_span(bed: Bed) {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_span_events(FmtSpan::NEW).with_writer(log.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    bed.apply((None, "p1"), &[booked(1, START, Status::Booked, Event::Booked)]).await;
    assert_eq!(bed.all().await.len(), 5);
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for name in
        ["reminder.insert_position", "reminder.lock_organization", "reminder.insert_messages", "reminder.messages"]
    {
        assert!(text.contains(&format!("otel.name=\"{name}\"")), "{name} has no span in {text}");
    }
}

suite! {
    every_statement_has_a_span
}
