//! Compares the messages and attempts in the database with the expected ones.

use std::{collections::HashMap, fmt};

use uuid::Uuid;
use wire::reminder::RuleBody;

use super::{
    expectation::{ExpectedMessage, Knowledge, expected_messages, should_know},
    fake_provider::{Answer, ProviderRecords},
    harness::Harness,
    oracle::VisitState,
    scenario::{Patient, SECOND, Visit},
};

use crate::common::rows::{Attempt, Message};

/// The longest delay of an attempt without an outage.
const LATE_US: i64 = 200 * SECOND;
/// How long a message stays `unknown` before its rule decides on a repetition.
const UNKNOWN_US: i64 = 600 * SECOND;
/// Faults of a kind that are printed.
const EXAMPLES_MAX: usize = 5;

/// The rules by id.
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
    delivered_twice: usize,
    /// By the visit's number.
    repeated_about: HashMap<u128, usize>,
    held_up: usize,
    waited: usize,
    suppressed: std::collections::BTreeMap<String, usize>,
    /// Begun after booking acknowledged a change.
    begun_after: Faults,
    missing: Faults,
    /// Before the due time, or long after it without an outage.
    wrong_time: Faults,
    doubled: Faults,
    after_start: Faults,
    /// Sent on a channel that the patient excluded.
    unconsented: Faults,
    /// Not required by any event.
    unasked: Faults,
    /// Unknown, failed or sent without a cause in the provider's records.
    unexplained: Faults,
    /// Patients who know a wrong time.
    uncorrected: Faults,
}

/// One visit with its states and messages.
struct Case<'a> {
    visit: Visit,
    states: Vec<VisitState>,
    messages: Vec<(&'a Message, &'a [Attempt])>,
}

pub async fn check(harness: &mut Harness, visits: &[Visit], rules: &Rules) -> Figures {
    harness.outages.close();
    let records = harness.provider.take_records();
    let (messages, attempts) = (harness.rows.messages().await, harness.rows.attempts().await);
    let mut by_visit = HashMap::<u128, Vec<_>>::new();
    for message in &messages {
        let attempts = attempts.get(&message.id).map(Vec::as_slice).unwrap_or_default();
        by_visit.entry(message.appointment_id.as_u128()).or_default().push((message, attempts));
    }
    let mut figures = Figures {
        visits: visits.len(),
        messages: messages.len(),
        kills: harness.kills.len(),
        waited: harness.waited,
        ..Figures::default()
    };
    for visit in visits {
        let states = harness.oracle.states(visit.number);
        let messages = by_visit.remove(&visit.number).unwrap_or_default();
        let case = Case { visit: *visit, states, messages };
        figures.changed += usize::from(case.states.len() > 1);
        for (message, attempts) in &case.messages {
            figures.outcome(&case, message, attempts, &records, &harness.kills);
            figures.timing(&case, message, attempts);
            let lost = attempts.iter().any(|attempt| harness.kills.contains(&attempt.at_us))
                || records
                    .answers
                    .get(&message.id)
                    .is_some_and(|answers| answers.iter().any(|answer| !answer.is_known_to_sender()));
            figures.doubles(&case, message, attempts, &records, lost && rules[&message.rule_id].repeat_unknown);
            if rules[&message.rule_id].repeat_unknown {
                figures.left_unknown(&case, message, attempts, harness);
            }
        }
        figures.completeness(&case, harness, rules);
    }
    figures.texts(visits, harness, &records);
    figures
}

impl Case<'_> {
    fn line(&self, message: &Message) -> String {
        let Message { trigger, channel, status, reason, .. } = message;
        format!("{:?} {trigger} {channel} {status} {reason} {:?}", self.visit, self.states)
    }

    /// The starts that the patient was sent, and when.
    fn knowledge(&self) -> Knowledge {
        let tells = |message: &Message| message.trigger != "cancelled";
        let of = |(message, attempts): &(&Message, &[Attempt])| {
            let starts_at_us = message.starts_at_us;
            attempts.iter().map(|attempt| (attempt.at_us, starts_at_us)).collect::<Vec<_>>()
        };
        let mut sent: Vec<_> = self.messages.iter().filter(|(message, _)| tells(message)).flat_map(of).collect();
        sent.sort_unstable();
        Knowledge(sent)
    }
}

impl Figures {
    /// Counts the outcome of a message, and checks its cause.
    fn outcome(
        &mut self,
        case: &Case<'_>,
        message: &Message,
        attempts: &[Attempt],
        records: &ProviderRecords,
        kills: &[i64],
    ) {
        let answers = records.answers.get(&message.id).map(Vec::as_slice).unwrap_or_default();
        let died = attempts.iter().any(|attempt| kills.contains(&attempt.at_us));
        let text = message.channel == "sms";
        let accepted = answers.iter().filter(|answer| answer.is_accepted()).count();
        let explained = match (message.status.as_str(), message.reason.as_str()) {
            ("sent" | "delivered" | "undelivered", _) => !text || accepted > 0,
            ("failed", "not_delivered") => accepted > 0,
            ("failed", "opted_out") => records.opted_out.contains(&case.visit.number),
            ("failed", "refused") => answers.iter().any(|answer| matches!(answer, Answer::Refused(_))),
            ("failed", "gave_up") => answers.contains(&Answer::Busy),
            ("unknown", _) => died || answers.iter().any(|answer| !answer.is_known_to_sender()),
            ("suppressed", "opted_out") => records.opted_out.contains(&case.visit.number),
            ("suppressed", _) => true,
            _ => false,
        };
        if !explained {
            self.unexplained.0.push(format!("{answers:?} {}", case.line(message)));
        }
        match message.status.as_str() {
            "suppressed" => *self.suppressed.entry(message.reason.clone()).or_default() += 1,
            "unknown" => self.unknown += 1,
            "failed" => self.failed += 1,
            _ => self.sent += 1,
        }
    }

    /// Checks that a message was not sent more often than receipts and its rule allow.
    fn doubles(
        &mut self,
        case: &Case<'_>,
        message: &Message,
        attempts: &[Attempt],
        records: &ProviderRecords,
        repeats: bool,
    ) {
        let accepted =
            records.answers.get(&message.id).into_iter().flatten().filter(|answer| answer.is_accepted()).count();
        let again = records.again.get(&message.id).copied().unwrap_or_default();
        self.sent_again += accepted.saturating_sub(1).min(again);
        // An attempt with a refusal is not sent; any other attempt counts as sent.
        let tries = attempts.iter().filter(|attempt| attempt.outcome != "failed").count();
        let repeats = usize::from(repeats);
        if accepted > 1 + again + repeats || tries > 1 + again + repeats {
            self.doubled.0.push(case.line(message));
        }
        if tries > 1 + again {
            self.repeated += 1;
            self.delivered_twice += usize::from(accepted > 1 + again);
            *self.repeated_about.entry(case.visit.number).or_default() += 1;
        }
    }

    /// Checks that an unknown message was repeated, where there was time for it and the visit was unchanged.
    fn left_unknown(&mut self, case: &Case<'_>, message: &Message, attempts: &[Attempt], harness: &Harness) {
        let [attempt] = attempts else { return };
        // Includes a change in the same instant, before or after the attempt.
        let is_true_of = |state: &VisitState| state.is_booked && state.starts_at_us == message.starts_at_us;
        let changed = case.states.iter().any(|state| state.at_us >= attempt.at_us && !is_true_of(state));
        // A message of a killed service becomes unknown when its lease expires.
        let due_us = attempt.at_us + UNKNOWN_US + 2 * LATE_US;
        if message.status == "unknown" && !changed && harness.outages.leave_time(due_us, message.starts_at_us) {
            self.missing.0.push(format!("not repeated: {}", case.line(message)));
        }
    }

    /// Checks that each attempt began while its content was true, and before the visit.
    fn timing(&mut self, case: &Case<'_>, message: &Message, attempts: &[Attempt]) {
        let is_true_of = |state: &VisitState| {
            state.is_booked == (message.trigger != "cancelled") && state.starts_at_us == message.starts_at_us
        };
        for attempt in attempts {
            let before = case.states.iter().rfind(|state| state.at_us < attempt.at_us);
            let at_once = case.states.iter().filter(|state| state.at_us == attempt.at_us);
            if !before.into_iter().chain(at_once).any(is_true_of) {
                self.begun_after.0.push(format!("at {}: {}", attempt.at_us, case.line(message)));
            }
            if attempt.at_us >= message.starts_at_us {
                self.after_start.0.push(case.line(message));
            }
            let unconsented = match case.visit.patient {
                Patient::NoPhone | Patient::NoConsent | Patient::PrefersEmail => message.channel == "sms",
                _ => false,
            };
            if unconsented {
                self.unconsented.0.push(case.line(message));
            }
        }
    }

    /// Checks that a visit has all expected messages, and no others.
    fn completeness(&mut self, case: &Case<'_>, harness: &Harness, rules: &Rules) {
        let knowledge = case.knowledge();
        let expected = expected_messages(&case.states, &knowledge, &harness.outages);
        let same = |expected: &ExpectedMessage, message: &Message| {
            expected.trigger == message.trigger
                && expected.offset_minutes == i64::from(rules[&message.rule_id].offset_minutes)
                && expected.channel == message.channel
                && expected.starts_at_us == message.starts_at_us
                && expected.version.is_none_or(|version| version == message.appointment_version)
        };
        for wanted in expected.iter().filter(|message| message.must) {
            let mut found = case.messages.iter().filter(|(message, _)| same(wanted, message)).peekable();
            let is_planned = found.peek().is_some();
            let mut settled = false;
            for (message, attempts) in found {
                if attempts.first().is_some_and(|first| first.at_us > wanted.due_us + LATE_US)
                    && harness.outages.leave_time(wanted.due_us, wanted.due_us + LATE_US)
                {
                    self.wrong_time.0.push(format!("{wanted:?}: {}", case.line(message)));
                }
                let went = attempts.iter().any(|attempt| attempt.outcome != "failed") || message.status == "failed";
                let patient = ["no_phone", "no_consent", "other_channel_preferred", "opted_out"];
                let held_up = !went && !attempts.is_empty();
                self.held_up += usize::from(held_up);
                settled |= went || held_up || patient.contains(&message.reason.as_str());
            }
            if !settled {
                self.missing
                    .0
                    .push(format!("{wanted:?} (planned: {is_planned}) of {:?} {:?}", case.visit, case.states));
            }
        }
        let moves = case.states.len() > 1;
        for (message, attempts) in &case.messages {
            let due_us = expected.iter().filter(|wanted| same(wanted, message)).map(|wanted| wanted.due_us).min();
            if attempts.iter().any(|attempt| due_us.is_some_and(|due_us| attempt.at_us < due_us)) {
                self.wrong_time.0.push(case.line(message));
            }
            // A message about a move depends on the patient's knowledge, which is not always certain.
            let unsure = message.trigger == "rescheduled" && moves;
            if !attempts.is_empty() && !unsure && !expected.iter().any(|wanted| same(wanted, message)) {
                self.unasked.0.push(case.line(message));
            }
        }
        let last = case.states.last().unwrap();
        let knows = knowledge.0.last().map_or(case.states[0].starts_at_us, |(_, starts_at_us)| *starts_at_us);
        if should_know(&case.states, &harness.outages) && knows != last.starts_at_us {
            self.uncorrected.0.push(format!("{:?} {:?}", case.visit, case.states));
        }
    }

    /// Checks the provider's own records.
    fn texts(&mut self, visits: &[Visit], harness: &Harness, records: &ProviderRecords) {
        self.crossed = records.crossed;
        self.begun_after.0.extend(records.wrong.iter().cloned());
        self.after_start.0.extend(records.late.iter().cloned());
        for ((number, text), accepted) in &records.accepted {
            let visit = visits[*number as usize - 1];
            let states = harness.oracle.states(*number);
            // Once for each time that the visit moved to this start, and for each receipt that asks for a retry.
            let times = states.iter().filter(|state| text.is_about(state.starts_at_us, visit.zone)).count();
            let again = records.again_texts.get(&(*number, text.clone())).copied().unwrap_or_default();
            let repeated = self.repeated_about.get(number).copied().unwrap_or_default();
            if *accepted > times.max(1) + again + repeated {
                self.doubled.0.push(format!("{visit:?} was sent {accepted} times: {text:?}"));
            }
        }
    }

    /// Whether there is no fault.
    pub fn are_good(&self) -> bool {
        self.faults().iter().all(|(_, faults)| faults.0.is_empty())
    }

    fn faults(&self) -> [(&'static str, &Faults); 9] {
        [
            ("begun after a change was acknowledged", &self.begun_after),
            ("due messages missing", &self.missing),
            ("at a wrong time", &self.wrong_time),
            ("doubled", &self.doubled),
            ("after the visit began", &self.after_start),
            ("on a channel that the patient excluded", &self.unconsented),
            ("required by no event", &self.unasked),
            ("outcomes without a cause", &self.unexplained),
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
        writeln!(f, "{:>8}  sent again, as the provider's receipt allows", self.sent_again)?;
        writeln!(f, "{:>8}  sent again after an unknown outcome, as the rule allows", self.repeated)?;
        writeln!(f, "{:>8}  of these had arrived before", self.delivered_twice)?;
        writeln!(f, "{:>8}  held by a busy provider until they were useless", self.held_up)?;
        writeln!(f, "{:>8}  waited for the end of a lease after a database failure", self.waited)?;
        writeln!(f, "{:>8}  crossed a change: true when booking answered", self.crossed)?;
        for (reason, count) in &self.suppressed {
            writeln!(f, "{count:>8}  suppressed: {reason}")?;
        }
        for (name, faults) in self.faults() {
            writeln!(f, "{:>8}  {name}", faults.0.len())?;
            for line in faults.0.iter().take(EXAMPLES_MAX) {
                writeln!(f, "          {line}")?;
            }
        }
        Ok(())
    }
}
