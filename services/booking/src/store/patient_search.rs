//! Lists of patients, by the words by which they are found.
//!
//! Terms that are ranges of words are read once each and intersected; terms that are single words are looked up for each
//! patient that is left. Where all are single words, the longest is read in the order of its key, until the page is full. Only
//! the patients of the page are read themselves.

use sql::Failure;
use sqlx::{Encode, QueryBuilder, Type};
use uuid::Uuid;

use super::{
    Store,
    patients::{PatientRow, SELECT_OF_ORGANIZATION},
};

/// Words of patients that a term matches.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum WordMatch {
    /// This word.
    Is(String),
    /// Each word that begins like this.
    Starts(String),
}

impl WordMatch {
    fn text(&self) -> &str {
        match self {
            Self::Is(text) | Self::Starts(text) => text,
        }
    }
}

/// One term of a query. Without `Debug`, so that no log shows it by accident.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Term {
    /// A patient who matches has a word of one of these; without any, nobody matches.
    pub(crate) any_of: Vec<WordMatch>,
    /// A patient with one of these words matches the term with a whole word.
    pub(crate) whole: Vec<String>,
}

impl Term {
    fn whole_words(&self) -> Vec<WordMatch> {
        self.whole.iter().cloned().map(WordMatch::Is).collect()
    }
}

/// The words of which a patient of a list has one.
fn required(term: &Term, fit: Fit) -> Vec<WordMatch> {
    if fit == Fit::All { term.whole_words() } else { term.any_of.clone() }
}

fn has_range(words: &[WordMatch]) -> bool {
    words.iter().any(|it| matches!(it, WordMatch::Starts(_)))
}

/// How many terms of a query the patients of a list match with whole words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Any number of them.
    #[default]
    Any,
    /// All of them.
    All,
    /// Some of them.
    Some,
    /// None of them: each term is only the beginning of a word, or the end of a telephone number.
    None,
}

impl Fit {
    /// The best fit first.
    pub(crate) const RANKED: [Self; 3] = [Self::All, Self::Some, Self::None];
}

/// The patients of a list, newest first.
#[derive(Clone, Default)]
pub(crate) struct PatientFilter {
    /// A patient matches each of them; without terms, all patients.
    pub(crate) terms: Vec<Term>,
    pub(crate) fit: Fit,
    /// Whether changes of the patient are proposed.
    pub(crate) proposed_changes: Option<bool>,
    pub(crate) before: Option<Uuid>,
    pub(crate) limit: i64,
}

impl Store {
    pub(crate) async fn list_patients(
        &self,
        organization: Uuid,
        filter: &PatientFilter,
    ) -> Result<Vec<PatientRow>, Failure> {
        if filter.terms.iter().any(|term| term.any_of.is_empty()) {
            return Ok(vec![]);
        }
        service::read!(self.database.of(organization), "booking.list_patients", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(SELECT_OF_ORGANIZATION);
            query.push_bind(organization);
            if filter.terms.is_empty() {
                query.push(" AND id < ").push_bind(filter.before.unwrap_or(Uuid::max()));
                query.push(proposed(filter, " AND open_changes > 0", " AND open_changes = 0"));
                query.push(" ORDER BY id DESC LIMIT ").push_bind(filter.limit);
            } else {
                query.push(" AND id IN (");
                Words { query: &mut query, organization }.push_ids(filter);
                query.push(") ORDER BY id DESC");
            }
            query.build_query_as().persistent(filter.terms.is_empty()).fetch_all(pool).await
        })
    }
}

fn proposed(filter: &PatientFilter, with: &'static str, without: &'static str) -> &'static str {
    match filter.proposed_changes {
        Some(true) => with,
        Some(false) => without,
        None => "",
    }
}

/// A statement that reads the words of one organisation's patients.
struct Words<'a, DB: sqlx::Database> {
    query: &'a mut QueryBuilder<DB>,
    organization: Uuid,
}

impl<DB> Words<'_, DB>
where
    DB: sqlx::Database,
    Uuid: for<'v> Encode<'v, DB> + Type<DB>,
    String: for<'v> Encode<'v, DB> + Type<DB>,
    i64: for<'v> Encode<'v, DB> + Type<DB>,
{
    /// Adds a statement that reads the ids of the patients of a page.
    fn push_ids(&mut self, filter: &PatientFilter) {
        // A select of its own with all terms, so that the fit is looked up for those alone who match.
        self.query.push("SELECT m.patient_id FROM (");
        let required: Vec<Vec<WordMatch>> = filter.terms.iter().map(|term| required(term, filter.fit)).collect();
        let (ranges, words): (Vec<_>, Vec<_>) = required.into_iter().partition(|words| has_range(words));
        let whole: Vec<WordMatch> = filter.terms.iter().flat_map(Term::whole_words).collect();
        let first = if !ranges.is_empty() {
            vec![]
        } else if filter.fit == Fit::Some {
            // Few have such a word whole, and thousands one that begins with these letters.
            whole.clone()
        } else {
            // The longest words are those of the fewest patients.
            words.iter().max_by_key(|words| words.iter().map(|it| it.text().len()).min()).cloned().unwrap_or_default()
        };
        self.push_first(&first, &ranges);
        self.query.push(" AND m.patient_id < ").push_bind(filter.before.unwrap_or(Uuid::max()));
        for words in words.iter().filter(|words| **words != first) {
            self.push_has(" AND ", words);
        }
        if filter.proposed_changes.is_some() {
            self.query.push(" AND m.patient_id IN (SELECT p.id FROM patients p WHERE p.organization_id = ");
            self.query.push_bind(self.organization);
            self.query.push(proposed(filter, " AND p.open_changes > 0)", " AND p.open_changes = 0)"));
        }
        self.query.push(") AS m WHERE true");
        self.push_fit(filter, &whole);
        self.query.push(" ORDER BY m.patient_id DESC LIMIT ").push_bind(filter.limit);
    }

    /// Adds a select, each patient once: those who have a word in each of the ranges, or else one of the words.
    fn push_first(&mut self, words: &[WordMatch], ranges: &[Vec<WordMatch>]) {
        if let ([], [WordMatch::Is(word)]) = (ranges, words) {
            // One word has each patient once, in order: the page ends the reading.
            self.push_select("SELECT m.patient_id FROM patient_words m");
            self.query.push(" AND m.word = ").push_bind(word.clone());
            return;
        }
        self.query.push("SELECT DISTINCT m.patient_id FROM (");
        if ranges.is_empty() {
            self.push_union(words);
        }
        // Each range is read once. A join might read one anew for each patient of another, since no engine knows how many
        // words begin alike.
        for (at, range) in ranges.iter().enumerate() {
            self.query.push(if at == 0 { "" } else { " INTERSECT " });
            self.query.push("SELECT u.patient_id FROM (");
            self.push_union(range);
            self.query.push(") AS u");
        }
        self.query.push(") AS m WHERE true");
    }

    fn push_fit(&mut self, filter: &PatientFilter, whole: &[WordMatch]) {
        match filter.fit {
            Fit::Any | Fit::All => {}
            Fit::None => self.push_has(" AND NOT ", whole),
            Fit::Some => {
                self.push_has(" AND ", whole);
                self.query.push(" AND NOT (true");
                for term in &filter.terms {
                    self.push_has(" AND ", &term.whole_words());
                }
                self.query.push(")");
            }
        }
    }

    /// Adds the condition that the patient has one of these words, which has no range.
    fn push_has(&mut self, conjunction: &str, words: &[WordMatch]) {
        self.query.push(conjunction).push("EXISTS (");
        self.push_select("SELECT 1 FROM patient_words w");
        self.query.push(" AND w.word IN (");
        let mut list = self.query.separated(", ");
        for word in words {
            list.push_bind(word.text().to_owned());
        }
        self.query.push(") AND w.patient_id = m.patient_id)");
    }

    /// Adds the patients who have one of these words. Each part reads `patient_words` by its key alone.
    fn push_union(&mut self, words: &[WordMatch]) {
        for (at, word) in words.iter().enumerate() {
            self.query.push(if at == 0 { "" } else { " UNION ALL " });
            self.push_select("SELECT w.patient_id FROM patient_words w");
            match word {
                WordMatch::Is(text) => {
                    self.query.push(" AND w.word = ").push_bind(text.clone());
                }
                WordMatch::Starts(text) => {
                    self.query.push(" AND w.word >= ").push_bind(text.clone());
                    self.query.push(" AND w.word < ").push_bind(format!("{text}\u{10ffff}"));
                }
            }
        }
    }

    fn push_select(&mut self, select: &str) {
        self.query.push(select).push(" WHERE organization_id = ").push_bind(self.organization);
    }
}
