//! A visit, and its cancellation.

use askama::Template;
use jiff::{Zoned, civil::Date};
use locale::{DateLength, Locale};

use crate::{frame::Frame, words::Words};

/// A visit on the clock of its location.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The start, in the location's zone.
    pub starts_at: Zoned,
    /// The end, in the location's zone.
    pub ends_at: Zoned,
    /// The service's name.
    pub service: String,
    /// The practitioner's name.
    pub practitioner: String,
    /// The location's name.
    pub location: String,
    /// The location's address; may be empty.
    pub address: String,
    /// How its dates and times are written.
    pub locale: Locale,
    /// The present day at the location.
    pub today: Date,
}

impl Visit {
    /// The day, written out.
    pub fn day(&self) -> String {
        self.locale.date(self.starts_at.date(), DateLength::Long, self.today)
    }

    /// The weekday, abbreviated.
    pub fn weekday(&self) -> String {
        self.locale.language().weekday(self.starts_at.date(), DateLength::Short)
    }

    /// The day of the month.
    pub fn day_of_month(&self) -> i8 {
        self.starts_at.day()
    }

    /// The month, abbreviated.
    pub fn month(&self) -> String {
        self.locale.language().month(self.starts_at.date(), DateLength::Short)
    }

    /// The times of start and end.
    pub fn span(&self) -> String {
        let words = Words::of(self.locale.language());
        (words.common.span)(&time_of_day(self.locale, &self.starts_at), &time_of_day(self.locale, &self.ends_at))
    }

    /// The start for programs, with the offset: RFC 3339.
    pub fn machine_time(&self) -> String {
        self.starts_at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// The clock by which the times are told.
    pub fn zone(&self) -> String {
        zone(&self.starts_at, self.locale)
    }

    /// The length in words.
    pub fn length(&self) -> String {
        let minutes = self.ends_at.timestamp().as_second().saturating_sub(self.starts_at.timestamp().as_second()) / 60;
        (Words::of(self.locale.language()).common.minutes)(minutes)
    }
}

/// A time of day that stays on one line.
pub fn time_of_day(locale: Locale, at: &Zoned) -> String {
    locale.time(at).replace(' ', "\u{a0}")
}

/// The name of a clock, such as `Edmonton time (UTC−6)`.
pub(crate) fn zone(at: &Zoned, locale: Locale) -> String {
    let name = at.time_zone().iana_name().unwrap_or("UTC");
    let town = name.rsplit('/').next().unwrap_or(name).replace('_', " ");
    let offset = offset(at.offset().seconds());
    if town == "UTC" { offset } else { (Words::of(locale.language()).common.zone)(&town, &offset) }
}

/// An offset from UTC as people write it, with a minus sign and without needless zeros.
fn offset(seconds: i32) -> String {
    let minutes = seconds.unsigned_abs() / 60;
    let sign = if seconds < 0 { '−' } else { '+' };
    match (minutes / 60, minutes % 60) {
        (0, 0) => "UTC".to_owned(),
        (hours, 0) => format!("UTC{sign}{hours}"),
        (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
    }
}

/// The state of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The visit is ahead.
    Ahead,
    /// The visit is ahead, and the clinic no longer has its time.
    Displaced,
    /// The visit has begun.
    Begun,
    /// The visit is over.
    Over,
    /// The visit is cancelled.
    Cancelled,
}

/// The changes that the link still allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct May {
    /// Confirm the visit, which is not confirmed.
    pub confirm: bool,
    /// Move the visit.
    pub reschedule: bool,
    /// Cancel the visit.
    pub cancel: bool,
}

/// The notice at the top of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The visit is confirmed now.
    Confirmed,
    /// The visit has moved.
    Moved,
    /// The visit is cancelled now.
    Cancelled,
    /// Nothing was done, because the visit has changed since the page was opened.
    Changed,
    /// Nothing was done, because the visit can no longer be changed.
    Closed,
}

impl Notice {
    /// Whether it tells a failure.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Changed | Self::Closed)
    }
}

/// The page of a visit.
#[derive(Debug, Template)]
#[template(path = "visit.html")]
pub struct VisitPage {
    /// The frame: language, stylesheet, clinic, links.
    pub frame: Frame,
    /// The path of the visit's pages, such as `/m/TOKEN`.
    pub path: String,
    /// The visit.
    pub visit: Visit,
    /// Its version, which the page's forms send back.
    pub version: i64,
    /// The state of the visit.
    pub state: State,
    /// Whether the patient has confirmed it.
    pub is_confirmed: bool,
    /// The changes that the patient may make.
    pub may: May,
    /// The notice at the top of the page.
    pub notice: Option<Notice>,
}

impl VisitPage {
    fn title(&self) -> &'static str {
        let words = &self.frame.words().visit;
        match self.state {
            State::Ahead | State::Displaced => words.title,
            State::Begun => words.begun,
            State::Over => words.over,
            State::Cancelled => words.cancelled,
        }
    }

    fn notice_text(&self, notice: &Notice) -> &'static str {
        let words = &self.frame.words().visit;
        match *notice {
            Notice::Confirmed => words.done_confirmed,
            Notice::Moved => words.done_moved,
            Notice::Cancelled => words.done_cancelled,
            Notice::Changed => words.changed,
            Notice::Closed => words.closed,
        }
    }

    fn is_ahead(&self) -> bool {
        matches!(self.state, State::Ahead | State::Displaced)
    }
}

/// A reason of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The code that the form sends.
    pub code: String,
    /// The reason in the reader's language.
    pub name: String,
}

/// The page that asks for the reason of a cancellation.
#[derive(Debug, Template)]
#[template(path = "cancel.html")]
pub struct Cancel {
    /// The frame: language, stylesheet, clinic, links.
    pub frame: Frame,
    /// The path of the visit's pages.
    pub path: String,
    /// The visit.
    pub visit: Visit,
    /// Its version, which the form sends back.
    pub version: i64,
    /// The reasons, of which the patient chooses one.
    pub reasons: Vec<Reason>,
    /// Whether the form came without a reason.
    pub is_missing: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_named_by_its_town_and_offset() {
        let named = |at: &str, tag: &str| {
            let language = locale::Language::of(tag);
            zone(&at.parse().unwrap(), Locale::new(language, locale::Regions::default()))
        };
        assert_eq!(named("2026-07-04T13:00[America/Edmonton]", "en"), "Edmonton time (UTC−6)");
        assert_eq!(named("2026-12-04T13:00[America/Edmonton]", "fr"), "Heure d’Edmonton (UTC−7)");
        assert_eq!(named("2026-12-04T13:00[Europe/Paris]", "fr"), "Heure de Paris (UTC+1)");
        assert_eq!(named("2026-12-04T13:00[America/St_Johns]", "es"), "Hora de St Johns (UTC−3:30)");
        assert_eq!(named("2026-12-04T13:00[Asia/Kolkata]", "de"), "Ortszeit Kolkata (UTC+5:30)");
        assert_eq!(named("2026-12-04T13:00[America/Argentina/Buenos_Aires]", "en"), "Buenos Aires time (UTC−3)");
        assert_eq!(named("2026-12-04T13:00[Europe/London]", "en"), "London time (UTC)");
        assert_eq!(named("2026-12-04T13:00[UTC]", "en"), "UTC");
    }
}
