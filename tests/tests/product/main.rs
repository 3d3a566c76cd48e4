//! The scenarios, each a module of one test program: a program of its own for each would link the whole product anew.

mod booking_flow;
mod calendar_feeds;
mod care_plans;
mod command_line;
mod deploy;
mod event_stream;
mod imported_calendars;
mod location_zone;
mod patients;
mod plans;
mod reminder_report;
mod reminders;
mod replies;
mod requests;
mod roles;
mod security;
mod service_changes;
mod sign_in;
mod slot_stream;
mod tenant_isolation;
mod this_and_future;
mod traces;
mod waitlist;
mod walk_through;
mod webhooks;
mod zone_rules;
