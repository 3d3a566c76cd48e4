//! An offer of a freed time.

use askama::Template;

use crate::{frame::Frame, visit::Visit};

/// The state of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferState {
    /// The time is kept until this moment, in words.
    Open {
        /// The moment.
        until: String,
    },
    /// The patient has taken it.
    Accepted,
    /// The patient has declined it.
    Declined,
    /// The offer has ended.
    Gone,
}

/// The page of an offer.
#[derive(Debug, Template)]
#[template(path = "offer.html")]
pub struct Offer {
    /// The frame: language, stylesheet, clinic, links.
    pub frame: Frame,
    /// The path of the offer's pages, such as `/o/TOKEN`.
    pub path: String,
    /// The visit that is offered.
    pub visit: Visit,
    /// The state of the offer.
    pub state: OfferState,
}

impl Offer {
    fn title(&self) -> &'static str {
        let words = &self.frame.words().offer;
        match self.state {
            OfferState::Open { .. } => words.title,
            OfferState::Accepted => words.accepted,
            OfferState::Declined => words.declined,
            OfferState::Gone => words.gone,
        }
    }
}
