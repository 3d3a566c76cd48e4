//! Booking's own database, on either engine.
//!
//! `queries.rs` is one text for both; what truly differs (the commit of a batch, reading the feed in order) is in
//! `sqlite.rs` and `postgres.rs`. Start reading at [`batch::Batch`]: every write is one.

pub(crate) mod batch;
pub(crate) mod postgres;
pub(crate) mod rows;
pub(crate) mod sqlite;
#[cfg(test)]
mod tests;

use sql::{Failure, Target, feed::Position};
use tracing::Instrument;
use uuid::Uuid;

use self::{
    batch::{Batch, Refusal, Remember},
    rows::{
        AppointmentRow, ChangeRow, ClaimRow, EntryRow, GroupRow, HoldRow, LinkRow, LiveGroupRow, OfferRow,
        OwnedClaimRow, OwnedPlanRow, PatientRow, PlanRow, ReasonRow, ReplayRow, ZoneRow,
    },
};

/// Booking's migrations and functions.
pub(crate) static SCHEMA: sql::Schema = sql::Schema {
    name: "booking",
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
    functions: sql::functions!["commit_batch", "commit_plans", "feed_tail"],
};

/// The database.
#[derive(Clone)]
pub(crate) enum Store {
    Sqlite(sqlite::Store),
    Postgres(postgres::Store),
}

/// Which appointments a list shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) locations: Vec<Uuid>,
    pub(crate) practitioners: Vec<Uuid>,
    pub(crate) patient: Option<Uuid>,
    pub(crate) statuses: Vec<String>,
    pub(crate) from_us: Option<i64>,
    pub(crate) to_us: Option<i64>,
    pub(crate) displaced: Option<bool>,
    pub(crate) after: Option<(i64, Uuid)>,
    pub(crate) limit: i64,
}

/// The words of patients from this one up to that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WordSpan {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// Which patients a list shows, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct PatientFilter {
    /// Of each list, a patient has a word in one of the spans; no lists: all patients.
    pub(crate) words: Vec<Vec<WordSpan>>,
    /// Whether something is proposed of them.
    pub(crate) proposed_changes: Option<bool>,
    pub(crate) before: Option<Uuid>,
    pub(crate) limit: i64,
}

/// What is past its keeping: all that is older than these instants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    pub(crate) keys_us: i64,
    pub(crate) claims_us: i64,
    pub(crate) changes_us: i64,
    /// For what says itself when it ends.
    pub(crate) now_us: i64,
}

/// One row of everything that is live.
pub(crate) enum Live {
    Claim(OwnedClaimRow),
    Appointment(Box<AppointmentRow>),
    Group(LiveGroupRow),
    /// One at risk.
    Plan(OwnedPlanRow),
}

/// What is done with each row.
pub(crate) type Each<'a> = &'a mut (dyn FnMut(Live) + Send);

/// What came of a batch.
pub(crate) struct Committed {
    /// Of its last change.
    pub(crate) position: Position,
    /// Its changes as the feed tells them; `None` where that is not certain, and they are to be read.
    pub(crate) changes: Option<Vec<ChangeRow>>,
    /// When this was known, by the clock; the store knows none.
    pub(crate) at_us: i64,
}

/// What a reader of the feed wants beyond its position.
#[derive(Default)]
pub(crate) struct Early {
    /// Whether changes may come before those of transactions that still run.
    pub(crate) wanted: bool,
    /// The sequence numbers of those that came so; they may be left out.
    pub(crate) told: Vec<i64>,
}

/// What a reader of the feed got.
pub(crate) struct Tail {
    pub(crate) changes: Vec<ChangeRow>,
    /// Where the reader stands now; `None` where its position is no longer in the feed.
    pub(crate) position: Option<Position>,
    /// The transactions all of whose changes have been told, where some came early.
    pub(crate) seen: Option<String>,
}

impl Tail {
    /// For a reader whose position is no longer in the feed.
    fn lost() -> Self {
        Self { changes: vec![], position: None, seen: None }
    }
}

/// The span of one call of the database, by OpenTelemetry's names; never a value.
macro_rules! span {
    ($engine:literal, $name:ident) => {
        tracing::info_span!(
            "sql",
            otel.name = concat!("booking.", stringify!($name)),
            otel.kind = "client",
            db.system.name = $engine,
            db.operation.name = stringify!($name),
        )
    };
}

macro_rules! on_both {
    ($($(#[$doc:meta])* fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $result:ty;)*) => {
        impl Store {
            $($(#[$doc])* pub(crate) async fn $name(&self $(, $arg: $type)*) -> $result {
                match self {
                    Self::Sqlite(store) => store.$name($($arg),*).instrument(span!("sqlite", $name)).await,
                    Self::Postgres(store) => store.$name($($arg),*).instrument(span!("postgresql", $name)).await,
                }
            })*
        }
    };
}

on_both! {
    /// Commits a batch, whole or not at all.
    fn commit(&self, batch: &Batch) -> Result<Committed, Refusal>;
    /// `false` where the patient has this wish, or another entry in this place, already.
    fn join(&self, row: &EntryRow) -> Result<bool, Failure>;
    /// The entries of a patient that have not ended.
    fn live_entries(&self, organization: Uuid, patient: Uuid) -> Result<Vec<EntryRow>, Failure>;
    /// Takes back an entry that nobody was told of.
    fn unjoin(&self, organization: Uuid, id: Uuid) -> Result<(), Failure>;
    fn entry(&self, organization: Uuid, id: Uuid) -> Result<Option<EntryRow>, Failure>;
    fn entries(&self, organization: Uuid, patient: Option<Uuid>, statuses: &[String], before: Option<Uuid>, limit: i64) -> Result<Vec<EntryRow>, Failure>;
    /// Ends an entry of this version, 0 for any; `None` where it has ended, or has another.
    fn end_entry(&self, organization: Uuid, id: Uuid, version: i64, status: &str, now_us: i64) -> Result<Option<EntryRow>, Failure>;
    /// Lets an entry whose offer came to nothing wait again, from then on.
    fn rest(&self, organization: Uuid, id: Uuid, rests_until_us: i64, now_us: i64) -> Result<(), Failure>;
    fn waiting(&self, now_us: i64, limit: i64) -> Result<Vec<EntryRow>, Failure>;
    fn entries_over(&self, now_us: i64, limit: i64) -> Result<Vec<EntryRow>, Failure>;
    /// `false` where the slot or the patient has an open offer, or the entry waits no longer.
    fn make_offer(&self, row: &OfferRow) -> Result<bool, Failure>;
    /// Lets an offer be taken, once its hold is laid; `false` where it was ended meanwhile.
    fn open_offer(&self, row: &OfferRow) -> Result<bool, Failure>;
    /// The offer of an entry that is being made, thought over or taken.
    fn live_offer(&self, organization: Uuid, entry: Uuid) -> Result<Option<OfferRow>, Failure>;
    fn unmake_offer(&self, row: &OfferRow) -> Result<(), Failure>;
    fn offer(&self, organization: Uuid, id: Uuid) -> Result<Option<OfferRow>, Failure>;
    fn offer_by_token(&self, token_hash: &[u8]) -> Result<Option<OfferRow>, Failure>;
    fn offers_of(&self, organization: Uuid, entry: Uuid, limit: i64) -> Result<Vec<OfferRow>, Failure>;
    /// The slots that this entry was ever offered, and those that its patient declined through another one.
    fn slots_offered(&self, entry: &EntryRow) -> Result<Vec<String>, Failure>;
    /// A step from one status to the next; `None` where another has made one.
    fn move_offer(&self, row: &OfferRow, from: &str, to: &str, appointment: Option<Uuid>, now_us: i64) -> Result<Option<OfferRow>, Failure>;
    fn offers_over(&self, now_us: i64, limit: i64) -> Result<Vec<OfferRow>, Failure>;
    /// The time zones that locations were given lately.
    fn zones(&self, organization: Uuid) -> Result<Vec<ZoneRow>, Failure>;
    /// Those of all organisations that were given by then, and of which nobody knows whether the directory has them.
    fn zones_unsettled(&self, before_us: i64, limit: i64) -> Result<Vec<ZoneRow>, Failure>;
    /// The directory has it, unless it was given anew since.
    fn settle_zone(&self, zone: &ZoneRow) -> Result<(), Failure>;
    /// Forgets those that were given before then and are settled.
    fn sweep_zones(&self, before_us: i64) -> Result<(), Failure>;
    fn groups_at(&self, organization: Uuid, location: Uuid, now_us: i64) -> Result<Vec<GroupRow>, Failure>;
    fn holds_at(&self, organization: Uuid, location: Uuid, now_us: i64) -> Result<Vec<Uuid>, Failure>;
    fn live_offers(&self, organization: Uuid) -> Result<Vec<OfferRow>, Failure>;
    /// The claims of these owners, in no order.
    fn claims_of_all(&self, organization: Uuid, owners: &[Uuid]) -> Result<Vec<ClaimRow>, Failure>;
    /// The live claims that keep any of these from being laid, in no order.
    fn claims_meeting(&self, organization: Uuid, wanted: &[ClaimRow], now_us: i64) -> Result<Vec<ClaimRow>, Failure>;
    fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError>;
    /// Where a reader stands who wants nothing of before.
    fn end(&self) -> Result<Position, Failure>;
    /// Changes after a position, of transactions before all that still run and, where they are wanted, early ones.
    fn tail(&self, after: Position, early: &Early, limit: i64) -> Result<Tail, Failure>;
    fn appointment(&self, organization: Uuid, id: Uuid) -> Result<Option<AppointmentRow>, Failure>;
    /// Those of these appointments that there are, in no order.
    fn appointments_of(&self, organization: Uuid, ids: &[Uuid]) -> Result<Vec<AppointmentRow>, Failure>;
    /// Appointments that end after an instant, of all organisations, by their end and id.
    fn ahead(&self, after: (i64, Uuid), limit: i64) -> Result<Vec<AppointmentRow>, Failure>;
    fn appointments(&self, organization: Uuid, filter: &Filter) -> Result<Vec<AppointmentRow>, Failure>;
    fn claims_of(&self, organization: Uuid, owner: Uuid) -> Result<Vec<ClaimRow>, Failure>;
    /// The owners whose claims keep this one from being laid.
    fn in_the_way(&self, organization: Uuid, claim: &ClaimRow, now_us: i64) -> Result<Vec<Uuid>, Failure>;
    fn had_before(&self, organization: Uuid, patient: Uuid, service: Uuid, before_us: i64) -> Result<bool, Failure>;
    fn hold(&self, organization: Uuid, id: Uuid) -> Result<Option<HoldRow>, Failure>;
    fn expired_holds(&self, now_us: i64, limit: i64) -> Result<Vec<(Uuid, Uuid)>, Failure>;
    fn group(&self, organization: Uuid, id: Uuid) -> Result<Option<GroupRow>, Failure>;
    fn hold_groups(&self, organization: Uuid, owner: Uuid) -> Result<Vec<Uuid>, Failure>;
    fn patient(&self, organization: Uuid, id: Uuid) -> Result<Option<PatientRow>, Failure>;
    fn patients_of(&self, organization: Uuid, ids: &[Uuid]) -> Result<Vec<PatientRow>, Failure>;
    /// Those of this name and telephone number, the oldest first.
    fn patients_like(&self, organization: Uuid, match_key: &str, limit: i64) -> Result<Vec<PatientRow>, Failure>;
    fn patients(&self, organization: Uuid, filter: &PatientFilter) -> Result<Vec<PatientRow>, Failure>;
    /// Of each of these patients the first visit from an instant on and the last one before it, of those that count.
    fn visits_around(&self, organization: Uuid, patients: &[Uuid], at_us: i64) -> Result<Vec<AppointmentRow>, Failure>;
    fn plan(&self, organization: Uuid, id: Uuid) -> Result<Option<PlanRow>, Failure>;
    /// The plan that a session belongs to.
    fn plan_of_session(&self, organization: Uuid, session: Uuid) -> Result<Option<PlanRow>, Failure>;
    fn plans(&self, organization: Uuid, patient: Option<Uuid>, statuses: &[String], before: Option<Uuid>, limit: i64) -> Result<Vec<PlanRow>, Failure>;
    /// Plans that are at risk from now on and have not been told to be, of all organisations.
    fn plans_due(&self, now_us: i64, limit: i64) -> Result<Vec<OwnedPlanRow>, Failure>;
    /// The entries of a plan's ledger, a JSON list for each version that changed a session.
    fn ledger(&self, organization: Uuid, plan: Uuid) -> Result<Vec<String>, Failure>;
    /// What an organisation has written of a reason code.
    fn reason(&self, organization: Uuid, code: &str) -> Result<Option<ReasonRow>, Failure>;
    /// All that an organisation has written of reason codes, in no order.
    fn reasons(&self, organization: Uuid) -> Result<Vec<ReasonRow>, Failure>;
    fn keep_moves(&self, organization: Uuid, id: Uuid, moves: &str, expires_at_us: i64) -> Result<(), Failure>;
    /// The moves of a proposal for displaced appointments that is still remembered.
    fn moves(&self, organization: Uuid, id: Uuid, now_us: i64) -> Result<Option<String>, Failure>;
    /// Keeps the proposals of a plan. They may be lost with the power: whoever chose one asks again.
    fn keep_proposals(&self, organization: Uuid, plan: Uuid, proposals: &[(Uuid, String)], expires_at_us: i64) -> Result<(), Failure>;
    /// The sessions and slots of a proposal that is still remembered.
    fn proposal(&self, organization: Uuid, id: Uuid, plan: Uuid, now_us: i64) -> Result<Option<String>, Failure>;
    /// Puts another answer in the place of the one that is kept for a key.
    fn amend(&self, organization: Uuid, remembered: &Remember) -> Result<(), Failure>;
    fn replay(&self, organization: Uuid, caller: &str, route: &str, key: &str) -> Result<Option<ReplayRow>, Failure>;
    fn link(&self, token_hash: &[u8]) -> Result<Option<LinkRow>, Failure>;
    fn secret(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, Failure>;
    /// Begins a new life where the database has been restored, copied or failed over since it was last seen; tells
    /// whether it did.
    fn notice_new_life(&self) -> Result<bool, Failure>;
    /// Forgets some of what is past its keeping; tells whether more may be left.
    fn sweep(&self, before: Before, limit: i64) -> Result<bool, Failure>;
}

impl Store {
    /// Opens the database; nothing is migrated yet.
    pub(crate) async fn open(target: &Target) -> Result<Self, sqlx::Error> {
        Ok(match target {
            Target::Sqlite(path) => Self::Sqlite(sqlite::Store::new(sql::connect_sqlite(path).await?)),
            Target::Postgres(url) => Self::Postgres(postgres::Store::new(sql::connect_postgres(url, "booking").await?)),
        })
    }

    /// Reads everything live as of one instant, the claims first; answers the position that it was read at.
    ///
    /// In no span of its own, and best in none at all: sqlx enters the present one anew for every row, which was a
    /// quarter of the time that a million rows took.
    pub(crate) async fn snapshot(&self, ends_after_us: i64, each: Each<'_>) -> Result<Position, Failure> {
        match self {
            Self::Sqlite(store) => store.snapshot(ends_after_us, each).await,
            Self::Postgres(store) => store.snapshot(ends_after_us, each).await,
        }
    }
}
