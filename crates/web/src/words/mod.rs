//! The words of the pages. They are structs, so that a missing translation does not compile.

mod de;
mod en;
mod es;
mod fr;

use locale::Language;

/// All words of one language.
#[derive(Debug)]
pub struct Words {
    /// The language's own name.
    pub name: &'static str,
    /// Words of several pages.
    pub common: Common,
    /// A visit.
    pub visit: Visit,
    /// The cancellation of a visit.
    pub cancel: Cancel,
    /// The move of a visit.
    pub reschedule: Reschedule,
    /// An offer of a freed time.
    pub offer: Offer,
    /// The end of some e-mails.
    pub unsubscribe: Unsubscribe,
    /// A page in place of the one that was asked for.
    pub problem: Problem,
    /// The start page.
    pub start: Start,
}

/// Words of several pages.
#[derive(Debug)]
pub struct Common {
    /// Before the clinic's telephone number.
    pub questions: &'static str,
    /// The name of the list of languages.
    pub languages: &'static str,
    /// The clock of a town, with its offset from UTC.
    pub zone: fn(town: &str, offset: &str) -> String,
    /// From a time to a time.
    pub span: fn(from: &str, to: &str) -> String,
    /// A length in minutes.
    pub minutes: fn(i64) -> String,
    /// The heading of a list of faults.
    pub faults: &'static str,
    /// Before a fault in the title of the browser's tab.
    pub fault: &'static str,
}

/// A visit.
#[derive(Debug)]
pub struct Visit {
    /// The title of a visit that is ahead.
    pub title: &'static str,
    /// The title of a cancelled visit.
    pub cancelled: &'static str,
    /// The title of a visit that has begun.
    pub begun: &'static str,
    /// The title of a visit that is over.
    pub over: &'static str,
    /// Before the service.
    pub service: &'static str,
    /// Before the practitioner's name.
    pub practitioner: &'static str,
    /// Before the location.
    pub location: &'static str,
    /// Before the telephone number.
    pub phone: &'static str,
    /// The link to a map.
    pub map: &'static str,
    /// The button that confirms.
    pub confirm: &'static str,
    /// The link to other times.
    pub reschedule: &'static str,
    /// The link to the cancellation.
    pub cancel: &'static str,
    /// The link to the calendar file.
    pub calendar: &'static str,
    /// The sentence about a confirmed visit.
    pub confirmed: &'static str,
    /// The sentence about a visit whose time the clinic no longer has.
    pub displaced: &'static str,
    /// The sentence after a confirmation.
    pub done_confirmed: &'static str,
    /// The sentence after a move.
    pub done_moved: &'static str,
    /// The sentence after a cancellation.
    pub done_cancelled: &'static str,
    /// The visit has changed since the page was opened.
    pub changed: &'static str,
    /// The visit can no longer be changed by the link.
    pub closed: &'static str,
    /// How to book another visit.
    pub book_anew: &'static str,
    /// The entry in the patient's calendar. It names no treatment: other people may see the calendar.
    pub calendar_entry: fn(clinic: &str) -> String,
}

/// The cancellation of a visit.
#[derive(Debug)]
pub struct Cancel {
    /// The title.
    pub title: &'static str,
    /// The question for the reason.
    pub reason: &'static str,
    /// The fault of a missing reason.
    pub missing: &'static str,
    /// The button that cancels.
    pub submit: &'static str,
    /// The link back.
    pub keep: &'static str,
    /// The patient's words for a shipped reason code.
    pub reasons: [(&'static str, &'static str); 8],
}

/// The move of a visit.
#[derive(Debug)]
pub struct Reschedule {
    /// The title of the page with days and times.
    pub title: &'static str,
    /// Before the present time of the visit.
    pub now: &'static str,
    /// The heading of the days.
    pub days: &'static str,
    /// The heading of the times of a day.
    pub times: fn(day: &str) -> String,
    /// The number of open times.
    pub open: fn(u32) -> String,
    /// The heading of the times with a practitioner.
    pub with: fn(name: &str) -> String,
    /// The heading of the times with other practitioners.
    pub with_others: &'static str,
    /// The link to later days.
    pub later: &'static str,
    /// The link to the first days.
    pub first: &'static str,
    /// No time is open.
    pub none: &'static str,
    /// The title of the page that asks for confirmation.
    pub check: &'static str,
    /// Before the present time, on that page.
    pub instead_of: &'static str,
    /// The button that moves the visit.
    pub submit: &'static str,
    /// The link back to the days.
    pub other: &'static str,
    /// The link back to the visit.
    pub keep: &'static str,
    /// The title after a time was lost to somebody else.
    pub taken: &'static str,
    /// The sentence after it.
    pub unchanged: &'static str,
    /// The heading of the times that are open instead.
    pub nearest: &'static str,
}

/// An offer of a freed time.
#[derive(Debug)]
pub struct Offer {
    /// The title of an open offer.
    pub title: &'static str,
    /// The offer's end.
    pub kept: fn(until: &str) -> String,
    /// The button that accepts.
    pub accept: &'static str,
    /// The button that declines.
    pub decline: &'static str,
    /// The title of an accepted offer.
    pub accepted: &'static str,
    /// The title of a declined offer.
    pub declined: &'static str,
    /// The title of an offer that has ended.
    pub gone: &'static str,
    /// The sentence about an accepted offer.
    pub accepted_hint: &'static str,
    /// The sentence about a declined one.
    pub declined_hint: &'static str,
    /// The sentence about one that has ended.
    pub gone_hint: &'static str,
}

/// The end of some e-mails.
#[derive(Debug)]
pub struct Unsubscribe {
    /// The title.
    pub title: &'static str,
    /// The effect of the button on e-mails after visits, and on marketing.
    pub before: [&'static str; 2],
    /// The button.
    pub submit: &'static str,
    /// The same after the button was pressed.
    pub after: [&'static str; 2],
    /// The messages that continue.
    pub continues: &'static str,
}

/// A page in place of the one that was asked for: each has a title and a sentence.
#[derive(Debug)]
pub struct Problem {
    /// An unknown, revoked or damaged link.
    pub unknown: [&'static str; 2],
    /// An expired link.
    pub expired: [&'static str; 2],
    /// Too many requests.
    pub busy: [&'static str; 2],
    /// A failure on our side.
    pub failure: [&'static str; 2],
    /// A request that cannot be read.
    pub refused: [&'static str; 2],
}

/// The start page.
#[derive(Debug)]
pub struct Start {
    /// The title.
    pub title: &'static str,
    /// For patients.
    pub patients: &'static str,
    /// For patients without a message.
    pub lost: &'static str,
    /// The heading of the part for developers.
    pub developers: &'static str,
    /// The link to the interface's pages.
    pub docs: &'static str,
    /// The link to the interface's document.
    pub document: &'static str,
}

impl Words {
    /// The words of a language.
    pub fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &en::WORDS,
            Language::Fr => &fr::WORDS,
            Language::Es => &es::WORDS,
            Language::De => &de::WORDS,
        }
    }
}
