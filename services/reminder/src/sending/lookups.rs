//! The lookups and transactions of a send, batched over many messages.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use domain::id::{AppointmentId, OrganizationId};
use rpc::{Context, Fault};
use runtime::Ids;
use service::db_error;
use uuid::Uuid;
use wire::{
    availability::{DescribeVisitRequest, DescribeVisitResponse, DescribeVisitsRequest, search_client::SearchClient},
    booking::{GetContactResponse, GetContactsRequest, booking_client::BookingClient},
};

use super::{
    batcher::Batcher,
    transactions::{self, Claim},
};
use crate::{
    rules::Rule,
    store::{
        Store,
        batch::Key,
        blocked::Address,
        sends::{Finish, NewSend, SendResult},
    },
};

/// Deadline of the lookups before a send.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The lookups, each with batches of its own.
pub(crate) struct Lookups {
    /// A rule by organisation and id.
    pub(super) rule: Batcher<Key, Option<Arc<Rule>>>,
    /// An appointment and its patient now; `None` when booking does not know it.
    pub(super) contact: Batcher<ContactKey, Option<GetContactResponse>>,
    /// The names of an appointment's location, service and people; `None` when availability does not know them.
    pub(super) names: Batcher<(Uuid, DescribeVisitRequest), Option<DescribeVisitResponse>>,
    /// Whether an address is blocked.
    pub(super) blocked: Batcher<Address, bool>,
    /// The number of messages that were sent to a recipient of an organisation since an instant.
    pub(super) sent_to: Batcher<(Uuid, String, i64), i64>,
    /// See [`transactions::begin_sends`].
    pub(super) begin: Batcher<NewSend, Claim>,
    /// See [`transactions::record`].
    pub(super) record: Batcher<SendResult, bool>,
    /// See [`transactions::finish`].
    pub(super) finish: Batcher<Finish, bool>,
}

/// The key of a contact.
#[derive(Clone, Copy)]
pub(super) struct ContactKey {
    pub(super) organization: Uuid,
    pub(super) appointment: Uuid,
    pub(super) with_plan: bool,
}

impl Lookups {
    pub(crate) fn new(
        store: &Store,
        booking: &BookingClient<rpc::Channel>,
        availability: &SearchClient<rpc::Channel>,
        ids: &Ids,
    ) -> Self {
        let [rule, blocked, sent_to, begin, record, finish] = [(); 6].map(|()| store.clone());
        let (booking, availability, ids) = (booking.clone(), availability.clone(), ids.clone());
        Self {
            rule: Batcher::new(move |keys| find_rules(rule.clone(), keys)),
            contact: Batcher::grouped(
                |key: &ContactKey| (key.organization, key.with_plan),
                move |keys| find_contacts(booking.clone(), keys),
            ),
            names: Batcher::grouped(
                |key: &(Uuid, DescribeVisitRequest)| key.0,
                move |keys| find_names(availability.clone(), keys),
            ),
            blocked: Batcher::new(move |addresses| find_blocked(blocked.clone(), addresses)),
            sent_to: Batcher::new(move |recipients| count_sent_to(sent_to.clone(), recipients)),
            begin: Batcher::new({
                let ids = ids.clone();
                move |sends| begin_all(begin.clone(), ids.clone(), sends)
            }),
            record: Batcher::new({
                let ids = ids.clone();
                move |results| record_all(record.clone(), ids.clone(), results)
            }),
            finish: Batcher::new(move |finishes| finish_all(finish.clone(), ids.clone(), finishes)),
        }
    }
}

fn context(organization: Uuid) -> Context {
    Context::new(OrganizationId::new(organization), "reminder", LOOKUP_TIMEOUT)
}

/// Reads each rule once: the messages of a batch have few.
async fn find_rules(store: Store, keys: Arc<[Key]>) -> Result<Vec<Option<Arc<Rule>>>, Fault> {
    let mut known = HashMap::new();
    for &(organization, id) in &*keys {
        if let Entry::Vacant(unknown) = known.entry((organization, id)) {
            let row = store.rule(organization, id).await.map_err(db_error::fault)?;
            unknown.insert(row.map(Rule::from_row).transpose().map_err(db_error::fault)?.map(Arc::new));
        }
    }
    Ok(keys.iter().map(|key| known.get(key).cloned().flatten()).collect())
}

/// Reads the contacts of one organisation, all with their plans or all without.
async fn find_contacts(
    mut booking: BookingClient<rpc::Channel>,
    keys: Arc<[ContactKey]>,
) -> Result<Vec<Option<GetContactResponse>>, Fault> {
    let Some(ContactKey { organization, with_plan, .. }) = keys.first().copied() else { return Ok(vec![]) };
    let appointment_ids = keys.iter().map(|key| AppointmentId::new(key.appointment).to_string()).collect();
    let request = context(organization).request(GetContactsRequest { appointment_ids, with_plan });
    let contacts = booking.get_contacts(request).await?.into_inner().contacts;
    let id = |contact: &GetContactResponse| contact.appointment.as_ref()?.id.parse::<AppointmentId>().ok();
    let known: HashMap<_, _> = contacts.into_iter().map(|contact| (id(&contact), contact)).collect();
    Ok(keys.iter().map(|key| known.get(&Some(AppointmentId::new(key.appointment))).cloned()).collect())
}

/// Reads the names of one organisation.
async fn find_names(
    mut availability: SearchClient<rpc::Channel>,
    keys: Arc<[(Uuid, DescribeVisitRequest)]>,
) -> Result<Vec<Option<DescribeVisitResponse>>, Fault> {
    let Some((organization, _)) = keys.first() else { return Ok(vec![]) };
    let visits = keys.iter().map(|key| key.1.clone()).collect();
    let request = context(*organization).request(DescribeVisitsRequest { visits });
    let described = availability.describe_visits(request).await?.into_inner().visits;
    Ok(described.into_iter().map(|described| described.visit).collect())
}

async fn find_blocked(store: Store, addresses: Arc<[Address]>) -> Result<Vec<bool>, Fault> {
    let blocked = store.blocked(&addresses).await.map_err(db_error::fault)?;
    Ok(addresses.iter().map(|address| blocked.contains(address)).collect())
}

/// Counts since the earliest of the instants: those of one batch are the same but for its duration.
async fn count_sent_to(store: Store, recipients: Arc<[(Uuid, String, i64)]>) -> Result<Vec<i64>, Fault> {
    let Some(since_us) = recipients.iter().map(|(_, _, since_us)| *since_us).min() else { return Ok(vec![]) };
    let keys: Vec<_> = recipients.iter().map(|(organization, to, _)| (*organization, to.as_str())).collect();
    let counts = store.count_sent_to(&keys, since_us).await.map_err(db_error::fault)?;
    Ok(recipients
        .iter()
        .map(|(organization, to, _)| counts.get(&(*organization, to.clone())).copied().unwrap_or(0))
        .collect())
}

async fn begin_all(store: Store, ids: Ids, sends: Arc<[NewSend]>) -> Result<Vec<Claim>, Fault> {
    let run = || transactions::begin_sends(&store, &sends);
    sql::retry_serialization(|| ids.fraction(), run).await.map_err(db_error::fault)
}

async fn record_all(store: Store, ids: Ids, results: Arc<[SendResult]>) -> Result<Vec<bool>, Fault> {
    let run = || transactions::record(&store, &results);
    sql::retry_serialization(|| ids.fraction(), run).await.map_err(db_error::fault)
}

async fn finish_all(store: Store, ids: Ids, finishes: Arc<[Finish]>) -> Result<Vec<bool>, Fault> {
    let run = || transactions::finish(&store, &finishes);
    sql::retry_serialization(|| ids.fraction(), run).await.map_err(db_error::fault)
}
