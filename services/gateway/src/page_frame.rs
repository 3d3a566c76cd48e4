//! What is around a page: its language, its clinic, and the path before its links.

use axum::http::{HeaderValue, header};
use locale::Language;
use web::{Clinic, Frame, LANGUAGE_PARAM};

use crate::{
    call::Call,
    interface::Reader,
    negotiation,
    params::{self, Param, Type},
    reply::Reply,
};

/// The reader's choice of a language. Another text than a language of the pages chooses nothing.
pub(crate) const LANGUAGE: Param =
    Param::new(LANGUAGE_PARAM, Type::Text(35), "The language of the page; without it, the reader's own");

/// The languages that may be the reader's, best first: chosen, known of the patient, of the browser, of the clinic.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Languages<'a> {
    pub(crate) chosen: Option<&'a str>,
    pub(crate) patient: &'a str,
    pub(crate) browser: Option<&'a HeaderValue>,
    pub(crate) organization: &'a str,
}

impl<'a> Languages<'a> {
    /// Those of a request.
    pub(crate) fn of(call: &'a Call) -> Self {
        let chosen = call.params.text(LANGUAGE_PARAM);
        Self { chosen, browser: call.headers.get(header::ACCEPT_LANGUAGE), ..Self::default() }
    }

    /// The language, and whether the reader has chosen it.
    pub(crate) fn select(self) -> (Language, bool) {
        if let Some(chosen) = self.chosen.and_then(Language::of) {
            return (chosen, true);
        }
        let own = Language::of(self.patient).or_else(|| negotiation::language(self.browser));
        (own.or_else(|| Language::of(self.organization)).unwrap_or(Language::En), false)
    }
}

/// The frame of a page that is read at this path.
pub(crate) fn frame(public_url: &str, languages: Languages<'_>, path: &str, clinic: Option<Clinic>) -> Frame {
    let (language, is_chosen) = languages.select();
    Frame { language, is_chosen, base: path_of(public_url).to_owned(), path: path.to_owned(), clinic }
}

/// The frame of a page about a request of which no more is known.
pub(crate) fn frame_for(public_url: &str, reader: &Reader) -> Frame {
    let query = params::pairs(reader.uri.query().unwrap_or_default()).unwrap_or_default();
    let chosen = query.iter().find(|(name, _)| name == LANGUAGE_PARAM).map(|(_, value)| value.as_str());
    let languages = Languages { chosen, browser: reader.accept_language.as_ref(), ..Languages::default() };
    frame(public_url, languages, reader.uri.path(), None)
}

/// Sends a browser that follows a link of the interface to the link's page, in these pages' room; `None` for a program, and
/// for a text that is no token.
pub(crate) fn redirection(call: &Call, room: &str) -> Option<Reply> {
    let token = call.path_param("token");
    let is_token = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let to_page = is_token && negotiation::prefers_page(&call.headers);
    to_page.then(|| Reply::see_other(format!("{}{room}/{token}", call.inner.public_path())))
}

/// The path of a URL, without a slash at the end.
pub(crate) fn path_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    url[authority..].find('/').map_or("", |at| &url[authority + at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readers_choice_comes_first_and_the_clinics_language_last() {
        let browser = HeaderValue::from_static("es");
        let all = Languages { chosen: Some("de-AT"), patient: "fr-CA", browser: Some(&browser), organization: "en" };
        assert_eq!(all.select(), (Language::De, true));
        assert_eq!(Languages { chosen: Some("<script>"), ..all }.select(), (Language::Fr, false));
        assert_eq!(Languages { chosen: None, patient: "it", ..all }.select(), (Language::Es, false));
        assert_eq!(Languages { organization: "fr", ..Languages::default() }.select(), (Language::Fr, false));
        assert_eq!(Languages::default().select(), (Language::En, false));
    }

    #[test]
    fn the_path_of_a_public_address_stands_before_all_links() {
        for (url, path) in
            [("https://a.example", ""), ("https://a.example/book", "/book"), ("http://[::1]:80/a/b", "/a/b"), ("", "")]
        {
            assert_eq!(path_of(url), path);
        }
    }
}
