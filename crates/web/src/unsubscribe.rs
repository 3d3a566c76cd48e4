//! The end of some e-mails.

use askama::Template;

use crate::frame::Frame;

/// The page of an unsubscribe link. Its form posts to the page's own address, with the field that mail programs send
/// (RFC 8058), so that both requests are alike.
#[derive(Debug, Template)]
#[template(path = "unsubscribe.html")]
pub struct Unsubscribe {
    /// The frame: language, stylesheet, clinic, links.
    pub frame: Frame,
    /// Whether the link ends marketing; else it ends e-mails after visits.
    pub is_marketing: bool,
    /// Whether the e-mails have ended.
    pub has_ended: bool,
}

impl Unsubscribe {
    fn sentence(&self) -> &'static str {
        let words = &self.frame.words().unsubscribe;
        let sentences = if self.has_ended { words.after } else { words.before };
        sentences[usize::from(self.is_marketing)]
    }
}
