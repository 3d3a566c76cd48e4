//! Compares what the services did with what they should have done.

use std::{collections::HashMap, fmt};

use uuid::Uuid;
use wire::reminder::RuleBody;

use super::{
    expect::{Told, Wanted, should_know, wanted},
    fake_provider::{Answer, Known},
    harness::Stage,
    oracle::Fact,
    scenario::{Patient, SECOND, Visit},
};

use crate::common::rows::{Attempt, Message};

/// Nothing is later than that where all goes well.
const LATE_US: i64 = 200 * SECOND;
/// How long it stays unknown whether a message was sent before its rule is asked.
const UNKNOWN_US: i64 = 600 * SECOND;
/// How many faults of a kind are shown.
const SHOWN: usize = 5;

/// What each rule says, by its id.
pub type Rules = HashMap<Uuid, RuleBody>;

/// Faults of one kind.
#[derive(Default)]
pub struct Faults(Vec<String>);

/// The figures of a run.
#[derive(Default)]
pub struct Figures {
    visits: usize,
    changed: usize,
    messages: usize,
    kills: usize,
    sent: usize,
    unknown: usize,
    failed: usize,
    crossed: usize,
    sent_again: usize,
    repeated: usize,
    told_twice: usize,
    /// By the visit's number.
    repeated_about: HashMap<u128, usize>,
    held_up: usize,
    waited: usize,
    suppressed: std::collections::BTreeMap<String, usize>,
    /// Begun after the change was acknowledged.
    begun_after: Faults,
    missing: Faults,
    /// Before it was due, or long after while all went well.
    wrong_time: Faults,
    doubled: Faults,
    after_start: Faults,
    /// Sent to a patient who is not to be reached so.
    unwanted: Faults,
    /// Not asked for by anything that happened.
    unasked: Faults,
    /// Unknown, failed or sent without a reason in what the provider did.
    unexplained: Faults,
    /// Patients who know another time than that of their visit.
    uncorrected: Faults,
}

/// Everything about one visit.
struct Case<'a> {
    visit: Visit,
    facts: Vec<Fact>,
    messages: Vec<(&'a Message, &'a [Attempt])>,
}

pub async fn judge(stage: &mut Stage, visits: &[Visit], rules: &Rules) -> Figures {
    stage.outages.close();
    let known = stage.carrier.known();
    let (messages, attempts) = (stage.rows.messages().await, stage.rows.attempts().await);
    let mut by_visit = HashMap::<u128, Vec<_>>::new();
    for message in &messages {
        let attempts = attempts.get(&message.id).map(Vec::as_slice).unwrap_or_default();
        by_visit.entry(message.appointment_id.as_u128()).or_default().push((message, attempts));
    }
    let mut figures = Figures {
        visits: visits.len(),
        messages: messages.len(),
        kills: stage.kills.len(),
        waited: stage.waited,
        ..Figures::default()
    };
    for visit in visits {
        let facts = stage.truth.facts(visit.number);
        let messages = by_visit.remove(&visit.number).unwrap_or_default();
        let case = Case { visit: *visit, facts, messages };
        figures.changed += usize::from(case.facts.len() > 1);
        for (message, attempts) in &case.messages {
            figures.outcome(&case, message, attempts, &known, &stage.kills);
            figures.moments(&case, message, attempts);
            let lost = attempts.iter().any(|attempt| stage.kills.contains(&attempt.at_us))
                || known.given.get(&message.id).is_some_and(|given| given.iter().any(|answer| !answer.is_clear()));
            figures.doubles(&case, message, attempts, &known, lost && rules[&message.rule_id].repeat_unknown);
            if rules[&message.rule_id].repeat_unknown {
                figures.left_unknown(&case, message, attempts, stage);
            }
        }
        figures.completeness(&case, stage, rules);
    }
    figures.texts(visits, stage, &known);
    figures
}

impl Case<'_> {
    fn line(&self, message: &Message) -> String {
        let Message { trigger, channel, status, reason, .. } = message;
        format!("{:?} {trigger} {channel} {status} {reason} {:?}", self.visit, self.facts)
    }

    /// What the patient was told, and when.
    fn told(&self) -> Told {
        let tells = |message: &Message| message.trigger != "cancelled";
        let of = |(message, attempts): &(&Message, &[Attempt])| {
            let starts_at_us = message.starts_at_us;
            attempts.iter().map(|attempt| (attempt.at_us, starts_at_us)).collect::<Vec<_>>()
        };
        let mut told: Vec<_> = self.messages.iter().filter(|(message, _)| tells(message)).flat_map(of).collect();
        told.sort_unstable();
        Told(told)
    }
}

impl Figures {
    /// What became of a message, and whether that has its reason in what happened.
    fn outcome(&mut self, case: &Case<'_>, message: &Message, attempts: &[Attempt], known: &Known, kills: &[i64]) {
        let given = known.given.get(&message.id).map(Vec::as_slice).unwrap_or_default();
        let died = attempts.iter().any(|attempt| kills.contains(&attempt.at_us));
        let text = message.channel == "sms";
        let taken = given.iter().filter(|answer| answer.is_taken()).count();
        let explained = match (message.status.as_str(), message.reason.as_str()) {
            ("sent" | "delivered" | "undelivered", _) => !text || taken > 0,
            ("failed", "not_delivered") => taken > 0,
            ("failed", "opted_out") => known.opted_out.contains(&case.visit.number),
            ("failed", "refused") => given.iter().any(|answer| matches!(answer, Answer::Refused(_))),
            ("failed", "gave_up") => given.contains(&Answer::Busy),
            ("unknown", _) => died || given.iter().any(|answer| !answer.is_clear()),
            ("suppressed", "opted_out") => known.opted_out.contains(&case.visit.number),
            ("suppressed", _) => true,
            _ => false,
        };
        if !explained {
            self.unexplained.0.push(format!("{given:?} {}", case.line(message)));
        }
        match message.status.as_str() {
            "suppressed" => *self.suppressed.entry(message.reason.clone()).or_default() += 1,
            "unknown" => self.unknown += 1,
            "failed" => self.failed += 1,
            _ => self.sent += 1,
        }
    }

    /// Whether it was sent more often than reports and its rule allow.
    fn doubles(&mut self, case: &Case<'_>, message: &Message, attempts: &[Attempt], known: &Known, repeats: bool) {
        let taken = known.given.get(&message.id).into_iter().flatten().filter(|answer| answer.is_taken()).count();
        let again = known.again.get(&message.id).copied().unwrap_or_default();
        self.sent_again += taken.saturating_sub(1).min(again);
        // A sender who got an answer that says no has not sent; all else counts as sent.
        let tries = attempts.iter().filter(|attempt| attempt.outcome != "failed").count();
        let repeats = usize::from(repeats);
        if taken > 1 + again + repeats || tries > 1 + again + repeats {
            self.doubled.0.push(case.line(message));
        }
        if tries > 1 + again {
            self.repeated += 1;
            self.told_twice += usize::from(taken > 1 + again);
            *self.repeated_about.entry(case.visit.number).or_default() += 1;
        }
    }

    /// Whether what nobody knows of was sent once more, where there was time for it and it was still so.
    fn left_unknown(&mut self, case: &Case<'_>, message: &Message, attempts: &[Attempt], stage: &Stage) {
        let [once] = attempts else { return };
        // Also by a change in the same instant, on whichever side of it the attempt was.
        let is_so = |fact: &Fact| fact.stands && fact.starts_at_us == message.starts_at_us;
        let changed = case.facts.iter().any(|fact| fact.at_us >= once.at_us && !is_so(fact));
        // One that was lost with its sender is unknown when its lease is over.
        let due_us = once.at_us + UNKNOWN_US + 2 * LATE_US;
        if message.status == "unknown" && !changed && stage.outages.leave_time(due_us, message.starts_at_us) {
            self.missing.0.push(format!("not sent once more: {}", case.line(message)));
        }
    }

    /// Whether each attempt began while what it says was so, and before the visit.
    fn moments(&mut self, case: &Case<'_>, message: &Message, attempts: &[Attempt]) {
        let is_so =
            |fact: &Fact| fact.stands == (message.trigger != "cancelled") && fact.starts_at_us == message.starts_at_us;
        for attempt in attempts {
            let before = case.facts.iter().rfind(|fact| fact.at_us < attempt.at_us);
            let at_once = case.facts.iter().filter(|fact| fact.at_us == attempt.at_us);
            if !before.into_iter().chain(at_once).any(is_so) {
                self.begun_after.0.push(format!("at {}: {}", attempt.at_us, case.line(message)));
            }
            if attempt.at_us >= message.starts_at_us {
                self.after_start.0.push(case.line(message));
            }
            let unwanted = match case.visit.patient {
                Patient::NoPhone | Patient::NoConsent | Patient::PrefersEmail => message.channel == "sms",
                _ => false,
            };
            if unwanted {
                self.unwanted.0.push(case.line(message));
            }
        }
    }

    /// Whether a visit's patient got all that its history asks for, and nothing else.
    fn completeness(&mut self, case: &Case<'_>, stage: &Stage, rules: &Rules) {
        let told = case.told();
        let wanted = wanted(&case.facts, &told, &stage.outages);
        let same = |wanted: &Wanted, message: &Message| {
            wanted.trigger == message.trigger
                && wanted.offset_minutes == i64::from(rules[&message.rule_id].offset_minutes)
                && wanted.channel == message.channel
                && wanted.starts_at_us == message.starts_at_us
                && wanted.version.is_none_or(|version| version == message.appointment_version)
        };
        for one in wanted.iter().filter(|one| one.must) {
            let mut found = case.messages.iter().filter(|(message, _)| same(one, message)).peekable();
            let there = found.peek().is_some();
            let mut settled = false;
            for (message, attempts) in found {
                if attempts.first().is_some_and(|first| first.at_us > one.due_us + LATE_US)
                    && stage.outages.leave_time(one.due_us, one.due_us + LATE_US)
                {
                    self.wrong_time.0.push(format!("{one:?}: {}", case.line(message)));
                }
                let went = attempts.iter().any(|attempt| attempt.outcome != "failed") || message.status == "failed";
                let patient = ["no_phone", "no_consent", "other_channel_preferred", "opted_out"];
                let held_up = !went && !attempts.is_empty();
                self.held_up += usize::from(held_up);
                settled |= went || held_up || patient.contains(&message.reason.as_str());
            }
            if !settled {
                self.missing.0.push(format!("{one:?} (planned: {there}) of {:?} {:?}", case.visit, case.facts));
            }
        }
        let moves = case.facts.len() > 1;
        for (message, attempts) in &case.messages {
            let due_us = wanted.iter().filter(|one| same(one, message)).map(|one| one.due_us).min();
            if attempts.iter().any(|attempt| due_us.is_some_and(|due_us| attempt.at_us < due_us)) {
                self.wrong_time.0.push(case.line(message));
            }
            // A move's news depends on what the patient knew, which is not always sure.
            let unsure = message.trigger == "rescheduled" && moves;
            if !attempts.is_empty() && !unsure && !wanted.iter().any(|one| same(one, message)) {
                self.unasked.0.push(case.line(message));
            }
        }
        let last = case.facts.last().unwrap();
        let knows = told.0.last().map_or(case.facts[0].starts_at_us, |(_, starts_at_us)| *starts_at_us);
        if should_know(&case.facts, &stage.outages) && knows != last.starts_at_us {
            self.uncorrected.0.push(format!("{:?} {:?}", case.visit, case.facts));
        }
    }

    /// What the provider itself saw.
    fn texts(&mut self, visits: &[Visit], stage: &Stage, known: &Known) {
        self.crossed = known.crossed;
        self.begun_after.0.extend(known.wrong.iter().cloned());
        self.after_start.0.extend(known.late.iter().cloned());
        for ((number, text), taken) in &known.taken {
            let visit = visits[*number as usize - 1];
            let facts = stage.truth.facts(*number);
            // Once for each time that the visit came to be at this start, and for each report that asked for more.
            let times = facts.iter().filter(|fact| text.is_about(fact.starts_at_us, visit.zone)).count();
            let again = known.again_texts.get(&(*number, text.clone())).copied().unwrap_or_default();
            let repeated = self.repeated_about.get(number).copied().unwrap_or_default();
            if *taken > times.max(1) + again + repeated {
                self.doubled.0.push(format!("{visit:?} was told {taken} times: {text:?}"));
            }
        }
    }

    /// Whether nothing is wrong.
    pub fn are_good(&self) -> bool {
        self.faults().iter().all(|(_, faults)| faults.0.is_empty())
    }

    fn faults(&self) -> [(&'static str, &Faults); 9] {
        [
            ("begun after the change was acknowledged", &self.begun_after),
            ("due messages missing", &self.missing),
            ("at a wrong time", &self.wrong_time),
            ("doubled", &self.doubled),
            ("after the visit began", &self.after_start),
            ("to patients who are not to be reached so", &self.unwanted),
            ("asked for by nothing", &self.unasked),
            ("outcomes that nothing explains", &self.unexplained),
            ("patients who know a wrong time", &self.uncorrected),
        ]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>8}  visits, {} of them changed", self.visits, self.changed)?;
        writeln!(f, "{:>8}  messages, services killed {} times", self.messages, self.kills)?;
        writeln!(f, "{:>8}  sent", self.sent)?;
        writeln!(f, "{:>8}  with an unknown outcome", self.unknown)?;
        writeln!(f, "{:>8}  failed: refused, not delivered, or given up", self.failed)?;
        writeln!(f, "{:>8}  sent once more, as the provider's report allows", self.sent_again)?;
        writeln!(f, "{:>8}  sent once more, as the rule allows of what nobody knows of", self.repeated)?;
        writeln!(f, "{:>8}  of these had arrived the first time", self.told_twice)?;
        writeln!(f, "{:>8}  kept by a busy provider until they were of no use", self.held_up)?;
        writeln!(f, "{:>8}  waited for the end of a lease since the database failed", self.waited)?;
        writeln!(f, "{:>8}  crossed a change: right when booking answered", self.crossed)?;
        for (reason, count) in &self.suppressed {
            writeln!(f, "{count:>8}  suppressed: {reason}")?;
        }
        for (name, faults) in self.faults() {
            writeln!(f, "{:>8}  {name}", faults.0.len())?;
            for line in faults.0.iter().take(SHOWN) {
                writeln!(f, "          {line}")?;
            }
        }
        Ok(())
    }
}
