//! The pages that patients open in a browser: data in, HTML text out. Pure: no I/O, no clock, no random numbers.
//!
//! A page is a struct with an askama template; [`Template::render`] gives its HTML, with every text escaped. It works without
//! script and fetches nothing but its stylesheet. Start reading at `frame.rs`, which is around every page, and at
//! `visit.rs`.

#![warn(clippy::unwrap_used)]

pub mod assets;
mod frame;
mod offer;
mod problem;
mod reschedule;
mod start;
mod unsubscribe;
mod visit;
pub mod words;

pub use askama::{Error, Template};

pub use crate::{
    frame::{Clinic, Frame, LANGUAGE_PARAM},
    offer::{Offer, OfferState},
    problem::{Problem, ProblemKind},
    reschedule::{Day, Group, MoveCheck, MovePage, MoveRefused, Time},
    start::Start,
    unsubscribe::Unsubscribe,
    visit::{Cancel, May, Notice, Reason, State, Visit, VisitPage, time_of_day},
};
