//! Every page in every language, with names that do harm where they are not escaped.

use jiff::{Zoned, civil::date};
use locale::{Language, Locale, Regions};
use web::{
    Cancel, Clinic, Day, Frame, Group, May, MoveCheck, MovePage, MoveRefused, Notice, Offer, OfferState, Problem,
    ProblemKind, Reason, Start, State, Template, Time, Unsubscribe, Visit, VisitPage,
};

/// Markup, an attribute, quotes, a link, and a mark that turns the direction of text.
const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>\"' style=\"x\" onclick='x' & \u{202e}abc";

fn frame(language: Language) -> Frame {
    let clinic = Some(Clinic { name: HOSTILE.into(), phone: HOSTILE.into() });
    Frame { language, is_chosen: true, base: String::new(), path: format!("/m/{HOSTILE}"), clinic }
}

fn visit(language: Language) -> Visit {
    let at = |text: &str| text.parse::<Zoned>().unwrap();
    Visit {
        starts_at: at("2026-12-04T13:00[America/Edmonton]"),
        ends_at: at("2026-12-04T13:30[America/Edmonton]"),
        service: HOSTILE.into(),
        practitioner: HOSTILE.into(),
        location: HOSTILE.into(),
        address: HOSTILE.into(),
        locale: Locale::new(Some(language), Regions { country: "CA", ..Regions::default() }),
        today: date(2026, 12, 1),
    }
}

fn visit_pages(language: Language) -> Vec<(String, String)> {
    let states = [State::Ahead, State::Displaced, State::Begun, State::Over, State::Cancelled];
    let notices = [Notice::Confirmed, Notice::Moved, Notice::Cancelled, Notice::Changed, Notice::Closed];
    let notices = std::iter::once(None).chain(notices.map(Some));
    let mut pages = Vec::new();
    for (state, notice) in states.into_iter().flat_map(|state| notices.clone().map(move |notice| (state, notice))) {
        for is_confirmed in [false, true] {
            let page = VisitPage {
                frame: frame(language),
                path: format!("/m/{HOSTILE}"),
                visit: visit(language),
                version: 7,
                state,
                is_confirmed,
                may: May { confirm: !is_confirmed, reschedule: true, cancel: true },
                notice,
            };
            pages.push((format!("visit {state:?} {notice:?}"), page.render().unwrap()));
        }
    }
    pages
}

fn move_pages(language: Language) -> Vec<(String, String)> {
    let (frame, visit, path) = (frame(language), visit(language), format!("/m/{HOSTILE}"));
    let time = Time {
        href: format!("/m/x?{HOSTILE}"),
        day: HOSTILE.into(),
        label: "13:00".into(),
        practitioner: HOSTILE.into(),
    };
    let day = Day {
        href: format!("/m/x?{HOSTILE}"),
        weekday: "Fri".into(),
        day: 4,
        month: "Dec".into(),
        open: 3,
        is_current: true,
    };
    let choose = MovePage {
        frame: frame.clone(),
        path: path.clone(),
        visit: visit.clone(),
        days: vec![day],
        times_title: "Friday".into(),
        groups: vec![Group { title: HOSTILE.into(), times: vec![time.clone()] }],
        later: Some("/later".into()),
        first: Some("/first".into()),
    };
    let none = MovePage {
        frame: frame.clone(),
        path: path.clone(),
        visit: visit.clone(),
        days: vec![],
        groups: vec![],
        times_title: String::new(),
        later: None,
        first: None,
    };
    let check = MoveCheck {
        frame: frame.clone(),
        path: path.clone(),
        moved: visit.clone(),
        visit: visit.clone(),
        version: 7,
        slot_id: HOSTILE.into(),
        other: "/other".into(),
    };
    let refused = MoveRefused { frame, path, visit, nearest: vec![time] };
    [("choose", choose.render()), ("none", none.render()), ("check", check.render()), ("refused", refused.render())]
        .into_iter()
        .map(|(name, page)| (format!("move {name}"), page.unwrap()))
        .collect()
}

fn other_pages(language: Language) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    let mut add = |name: &str, page: Result<String, web::Error>| pages.push((name.to_owned(), page.unwrap()));
    let path = format!("/o/{HOSTILE}");
    for is_missing in [false, true] {
        let reasons = vec![Reason { code: HOSTILE.into(), name: HOSTILE.into() }; 2];
        let (frame, visit, path) = (frame(language), visit(language), path.clone());
        add("cancel", Cancel { frame, path, visit, version: 7, reasons, is_missing }.render());
        let (is_marketing, has_ended) = (is_missing, is_missing);
        add("unsubscribe", Unsubscribe { frame: self::frame(language), is_marketing, has_ended }.render());
    }
    let open = OfferState::Open { until: HOSTILE.into() };
    for state in [open, OfferState::Accepted, OfferState::Declined, OfferState::Gone] {
        let (frame, visit, path) = (frame(language), visit(language), path.clone());
        add("offer", Offer { frame, path, visit, state }.render());
    }
    let kinds =
        [ProblemKind::Unknown, ProblemKind::Expired, ProblemKind::Busy, ProblemKind::Failure, ProblemKind::Refused];
    for kind in kinds {
        add("problem", Problem { frame: frame(language), kind }.render());
    }
    add("start", Start { frame: frame(language) }.render());
    pages
}

fn pages(language: Language) -> Vec<(String, String)> {
    [visit_pages(language), move_pages(language), other_pages(language)].concat()
}

/// The tags of a page.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect()
}

/// The values of an attribute.
fn values<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    page.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn no_name_becomes_markup_and_no_page_has_script_or_style_of_its_own() {
    for language in Language::ALL {
        for (name, page) in pages(language) {
            let what = format!("{language:?} {name}: {page}");
            for tag in tags(&page) {
                let mut outside = String::new();
                tag.split('"').step_by(2).for_each(|part| outside.push_str(part));
                assert!(!tag.starts_with("script") && !tag.starts_with("style") && !tag.starts_with("img"), "{what}");
                assert!(
                    !outside.contains(" style=") && !outside.contains(" on") && !outside.contains('\''),
                    "{tag} in {what}"
                );
            }
            for link in values(&page, "href") {
                let fits = link.starts_with('/') || link.starts_with('#') || link.starts_with("tel:");
                assert!(fits || link.starts_with("https://www.google.com/maps/"), "{link} in {what}");
            }
            assert!(!page.contains(HOSTILE), "{what}");
        }
    }
}

#[test]
fn every_page_has_its_language_one_heading_and_a_title() {
    for language in Language::ALL {
        for (name, page) in pages(language) {
            assert!(page.contains(&format!("<html lang=\"{}\">", language.as_str())), "{name}");
            assert_eq!((page.matches("<h1>").count(), page.matches("<main>").count()), (1, 1), "{name}");
            let title = page.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap();
            assert!(!title.trim().is_empty() && !title.starts_with(" –"), "{name}: {title}");
            assert!(page.contains("name=\"viewport\""), "{name}");
            let current = page.matches("aria-current=\"true\"").count();
            assert_eq!(current, 1, "{name}: the language of the page");
        }
    }
}

#[test]
fn every_field_has_its_label_and_faults_lead_to_their_fields() {
    for language in Language::ALL {
        for (name, page) in pages(language) {
            for id in values(&page, "for") {
                assert!(values(&page, "id").contains(&id), "{name}: {id}");
            }
            let radios = page.matches("type=\"radio\"").count();
            assert_eq!(radios, values(&page, "for").len(), "{name}");
            assert_eq!(radios > 0, page.contains("<fieldset") && page.contains("<legend>"), "{name}");
            for target in values(&page, "href").into_iter().filter_map(|link| link.strip_prefix('#')) {
                assert!(values(&page, "id").contains(&target), "{name}: {target}");
            }
        }
    }
}

#[test]
fn the_assets_are_small_and_fetch_nothing() {
    let css = web::assets::find("patient.css").unwrap().text;
    assert!(css.len() < 12_000, "{}", css.len());
    for word in ["url(", "@import", "http:", "https:"] {
        assert!(!css.contains(word), "{word}");
    }
    assert!(!web::assets::find("icon.svg").unwrap().text.contains("script"));
    assert_eq!(web::assets::hash().len(), 16);
}
