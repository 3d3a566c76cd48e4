//! The start page of an installation.

use askama::Template;

use crate::frame::Frame;

/// The start page.
#[derive(Debug, Template)]
#[template(path = "start.html")]
pub struct Start {
    /// The frame: language, stylesheet, clinic, links.
    pub frame: Frame,
}
