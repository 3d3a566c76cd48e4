//! The frame of every page: language, stylesheet, clinic, links.

use locale::Language;

use crate::{assets, words::Words};

/// The query parameter that chooses the language.
pub const LANGUAGE_PARAM: &str = "lang";

/// The clinic whose page it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clinic {
    /// The location's name.
    pub name: String,
    /// Its telephone number; may be empty.
    pub phone: String,
}

impl Clinic {
    /// The number for a `tel:` link: digits, and a plus at the beginning.
    pub fn dialled(&self) -> String {
        self.phone.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()
    }
}

/// The frame of a page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The language of the page.
    pub language: Language,
    /// Whether the reader has chosen the language, so that links keep it.
    pub is_chosen: bool,
    /// The path of the installation's public address, before all paths; often empty.
    pub base: String,
    /// The path at which this page is read, with its query but without its language.
    pub path: String,
    /// The clinic, where it is known.
    pub clinic: Option<Clinic>,
}

/// A link to the page in another language.
pub struct Translation {
    /// The address.
    pub href: String,
    /// The BCP 47 tag.
    pub tag: &'static str,
    /// The language's own name.
    pub name: &'static str,
    /// Whether the page is in it.
    pub is_current: bool,
}

impl Frame {
    /// The words of the page.
    pub fn words(&self) -> &'static Words {
        Words::of(self.language)
    }

    /// The tag of the language.
    pub fn tag(&self) -> &'static str {
        self.language.as_str()
    }

    /// The address of a path that keeps the chosen language.
    pub fn link(&self, path: &str) -> String {
        let base = &self.base;
        if self.is_chosen { with_language(&format!("{base}{path}"), self.tag()) } else { format!("{base}{path}") }
    }

    /// The same for a path below another one.
    pub fn below(&self, path: &str, rest: &str) -> String {
        self.link(&format!("{path}{rest}"))
    }

    /// The address of an asset.
    pub fn asset(&self, name: &str) -> String {
        format!("{}/assets/{}/{name}", self.base, assets::hash())
    }

    /// The page in each language.
    pub fn translations(&self) -> Vec<Translation> {
        let translation = |language: Language| Translation {
            href: with_language(&format!("{}{}", self.base, self.path), language.as_str()),
            tag: language.as_str(),
            name: Words::of(language).name,
            is_current: language == self.language,
        };
        Language::ALL.into_iter().map(translation).collect()
    }
}

fn with_language(path: &str, tag: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}{LANGUAGE_PARAM}={tag}")
}
