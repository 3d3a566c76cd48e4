//! What a browser asks for: pages rather than JSON (`Accept`), and a language (`Accept-Language`). RFC 9110, section 12.5.

use axum::http::{HeaderMap, HeaderValue, header};
use locale::Language;

/// The most entries of a header that are read.
const ENTRIES_MAX: usize = 32;

/// Whether a request prefers a page to JSON. A page must be named: programs send `*/*`.
pub(crate) fn prefers_page(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else { return false };
    let best = |names: &[&str]| {
        let fitting = entries(accept).filter(|(name, _)| names.contains(&name.as_str()));
        fitting.map(|(_, weight)| weight).max()
    };
    let page = best(&["text/html", "application/xhtml+xml"]).unwrap_or_default();
    let json = best(&["application/json", "application/problem+json"]);
    let json = json.or_else(|| best(&["application/*"])).or_else(|| best(&["*/*"])).unwrap_or_default();
    page > json
}

/// The language of `Accept-Language` that the pages have and that the reader likes best.
pub(crate) fn language(accept: Option<&HeaderValue>) -> Option<Language> {
    let accept = accept?.to_str().ok()?;
    let known = entries(accept).filter_map(|(tag, weight)| Some((Language::of(&tag)?, weight)));
    let liked = known.filter(|(_, weight)| *weight > 0);
    // The first of equals: `max_by_key` answers the last one.
    liked.reduce(|best, other| if other.1 > best.1 { other } else { best }).map(|(language, _)| language)
}

/// The entries of a header, in lower case, with their weights in thousandths.
fn entries(text: &str) -> impl Iterator<Item = (String, u16)> {
    text.split(',').take(ENTRIES_MAX).map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(Some(1.0), |text| text.parse::<f32>().ok()).unwrap_or_default();
        // Between 0 and 1000, so the cast is exact.
        (name, (weight.clamp(0.0, 1.0) * 1000.0) as u16)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_programs_get_json() {
        let prefers = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            prefers_page(&headers)
        };
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html",
            "TEXT/HTML; q=0.9, application/json; q=0.3",
            "application/xhtml+xml, */*;q=0.1",
        ] {
            assert!(prefers(browser), "{browser}");
        }
        for program in [
            "*/*",
            "",
            "application/json",
            "application/json, text/plain, */*",
            "application/json, text/html;q=0.9",
            "text/html, application/json",
            "text/html;q=0",
            "text/html;q=wrong",
            "text/csv",
        ] {
            assert!(!prefers(program), "{program}");
        }
        assert!(!prefers_page(&HeaderMap::new()));
    }

    #[test]
    fn the_best_liked_known_language_is_taken() {
        let chosen = |accept: &'static str| language(Some(&HeaderValue::from_static(accept)));
        assert_eq!(chosen("fr-CA,fr;q=0.9,en;q=0.8"), Some(Language::Fr));
        assert_eq!(chosen("it, en;q=0.5, es;q=0.7"), Some(Language::Es));
        assert_eq!(chosen("de, fr"), Some(Language::De), "the first of equals");
        assert_eq!(chosen("fr;q=0, it"), None);
        assert_eq!(language(None), None);
    }
}
