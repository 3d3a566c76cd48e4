//! A page in place of the one that was asked for.

use askama::Template;

use crate::frame::Frame;

/// Why there is no other page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The link is unknown, revoked or damaged.
    Unknown,
    /// The link has expired.
    Expired,
    /// Too many requests came.
    Busy,
    /// Our side failed.
    Failure,
    /// The request cannot be read.
    Refused,
}

/// A page that says what is wrong, and what to do.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub struct Problem {
    /// The frame: language, stylesheet, clinic, links.
    pub frame: Frame,
    /// Why there is no other page.
    pub kind: ProblemKind,
}

impl Problem {
    fn texts(&self) -> [&'static str; 2] {
        let words = &self.frame.words().problem;
        match self.kind {
            ProblemKind::Unknown => words.unknown,
            ProblemKind::Expired => words.expired,
            ProblemKind::Busy => words.busy,
            ProblemKind::Failure => words.failure,
            ProblemKind::Refused => words.refused,
        }
    }
}
