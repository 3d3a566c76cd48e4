//! The move of a visit: days and times, the question, and the answer when the time is lost.

use askama::Template;

use crate::{frame::Frame, visit::Visit};

/// A day with open times.
#[derive(Debug, Clone)]
pub struct Day {
    /// The address of the page with the day's times.
    pub href: String,
    /// The weekday, abbreviated.
    pub weekday: String,
    /// The day of the month.
    pub day: i8,
    /// The month, abbreviated.
    pub month: String,
    /// How many times are open.
    pub open: u32,
    /// Whether the page shows its times.
    pub is_current: bool,
}

/// An open time.
#[derive(Debug, Clone)]
pub struct Time {
    /// The address of the page that asks whether to take it.
    pub href: String,
    /// The day, where the list has several; may be empty.
    pub day: String,
    /// The time of day.
    pub label: String,
    /// The practitioner, where the list has several; may be empty.
    pub practitioner: String,
}

/// Open times under one heading.
#[derive(Debug, Clone)]
pub struct Group {
    /// The heading.
    pub title: String,
    /// The times, earliest first.
    pub times: Vec<Time>,
}

/// The page with days and times.
#[derive(Debug, Template)]
#[template(path = "move.html")]
pub struct MovePage {
    /// The frame: language, stylesheet, clinic, links.
    pub frame: Frame,
    /// The path of the visit's pages.
    pub path: String,
    /// The visit as it is.
    pub visit: Visit,
    /// Days with open times.
    pub days: Vec<Day>,
    /// The heading of the times.
    pub times_title: String,
    /// The times of the current day.
    pub groups: Vec<Group>,
    /// The address of the page with later days, if there may be any.
    pub later: Option<String>,
    /// The address of the page with the first days, if this is another one.
    pub first: Option<String>,
}

/// The page that asks whether to move the visit.
#[derive(Debug, Template)]
#[template(path = "move_check.html")]
pub struct MoveCheck {
    /// The frame: language, stylesheet, clinic, links.
    pub frame: Frame,
    /// The path of the visit's pages.
    pub path: String,
    /// The visit as it is.
    pub visit: Visit,
    /// Its version, which the form sends back.
    pub version: i64,
    /// The visit as it would be.
    pub moved: Visit,
    /// The slot that the form sends.
    pub slot_id: String,
    /// The address of the page with other times.
    pub other: String,
}

/// The page that says that the visit could not be moved.
#[derive(Debug, Template)]
#[template(path = "move_refused.html")]
pub struct MoveRefused {
    /// The frame: language, stylesheet, clinic, links.
    pub frame: Frame,
    /// The path of the visit's pages.
    pub path: String,
    /// The visit as it is.
    pub visit: Visit,
    /// The times that are open now.
    pub nearest: Vec<Time>,
}
