//! What is asked for each message on its way, of many messages together.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use domain::id::{AppointmentId, OrganizationId};
use rpc::{Context, Fault};
use runtime::Ids;
use uuid::Uuid;
use wire::{
    availability::{DescribeVisitRequest, DescribeVisitResponse, DescribeVisitsRequest, search_client::SearchClient},
    booking::{GetContactResponse, GetContactsRequest, booking_client::BookingClient},
};

use crate::{
    rules::Rule,
    sending::batcher::Together,
    store::{Address, Begun, End, Record, Sending, Store},
    write,
};

/// The deadline of the questions before a send.
pub(super) const ASK_WITHIN: Duration = Duration::from_secs(5);

/// The questions, each with its own round.
pub(crate) struct Questions {
    /// A rule by organisation and id.
    pub(super) rule: Together<(Uuid, Uuid), Option<Arc<Rule>>>,
    /// How an appointment stands, and how its patient can be reached; `None`: nobody knows it.
    pub(super) contact: Together<Contact, Option<GetContactResponse>>,
    /// The names of a visit in an organisation; `None`: nobody knows them.
    pub(super) visit: Together<(Uuid, DescribeVisitRequest), Option<DescribeVisitResponse>>,
    /// Whether nothing may be sent to an address.
    pub(super) blocked: Together<Address, bool>,
    /// The last word before a message leaves; see [`Store::begin_sends`].
    pub(super) begin: Together<Sending, Begun>,
    /// See [`Store::record`].
    pub(super) record: Together<Record, bool>,
    /// See [`Store::finish`].
    pub(super) finish: Together<End, bool>,
}

/// Which contact is wanted.
#[derive(Clone, Copy)]
pub(super) struct Contact {
    pub(super) organization: Uuid,
    pub(super) appointment: Uuid,
    pub(super) with_plan: bool,
}

impl Questions {
    pub(crate) fn new(
        store: &Store,
        booking: &BookingClient<rpc::Channel>,
        availability: &SearchClient<rpc::Channel>,
        ids: &Ids,
    ) -> Self {
        let (rule, blocked, begin, record, finish) =
            (store.clone(), store.clone(), store.clone(), store.clone(), store.clone());
        let (booking, availability, ids) = (booking.clone(), availability.clone(), ids.clone());
        Self {
            rule: Together::new(move |asked| rules(rule.clone(), asked)),
            contact: Together::grouped(
                |one: &Contact| (one.organization, one.with_plan),
                move |asked| contacts(booking.clone(), asked),
            ),
            visit: Together::grouped(
                |one: &(Uuid, DescribeVisitRequest)| one.0,
                move |asked| visits(availability.clone(), asked),
            ),
            blocked: Together::new(move |asked| blocked_of(blocked.clone(), asked)),
            begin: Together::new({
                let ids = ids.clone();
                move |asked| begun(begin.clone(), ids.clone(), asked)
            }),
            record: Together::new({
                let ids = ids.clone();
                move |asked| recorded(record.clone(), ids.clone(), asked)
            }),
            finish: Together::new(move |asked| finished(finish.clone(), ids.clone(), asked)),
        }
    }
}

fn context(organization: Uuid) -> Context {
    Context::new(OrganizationId::new(organization), "reminder", ASK_WITHIN)
}

/// Each rule is read once; a crowd has few.
async fn rules(store: Store, asked: Arc<[(Uuid, Uuid)]>) -> Result<Vec<Option<Arc<Rule>>>, Fault> {
    let mut known = HashMap::new();
    for &(organization, id) in &*asked {
        if let Entry::Vacant(unknown) = known.entry((organization, id)) {
            unknown.insert(store.rule(organization, id).await.map_err(write::failure)?.map(Arc::new));
        }
    }
    Ok(asked.iter().map(|one| known.get(one).cloned().flatten()).collect())
}

/// All of one organisation, with their plans or without.
async fn contacts(
    mut booking: BookingClient<rpc::Channel>,
    asked: Arc<[Contact]>,
) -> Result<Vec<Option<GetContactResponse>>, Fault> {
    let Some(Contact { organization, with_plan, .. }) = asked.first().copied() else { return Ok(vec![]) };
    let appointment_ids = asked.iter().map(|one| AppointmentId::new(one.appointment).to_string()).collect();
    let request = context(organization).request(GetContactsRequest { appointment_ids, with_plan });
    let contacts = booking.get_contacts(request).await?.into_inner().contacts;
    let id = |contact: &GetContactResponse| contact.appointment.as_ref()?.id.parse::<AppointmentId>().ok();
    let known: HashMap<_, _> = contacts.into_iter().map(|contact| (id(&contact), contact)).collect();
    Ok(asked.iter().map(|one| known.get(&Some(AppointmentId::new(one.appointment))).cloned()).collect())
}

/// All of one organisation.
async fn visits(
    mut availability: SearchClient<rpc::Channel>,
    asked: Arc<[(Uuid, DescribeVisitRequest)]>,
) -> Result<Vec<Option<DescribeVisitResponse>>, Fault> {
    let Some((organization, _)) = asked.first() else { return Ok(vec![]) };
    let visits = asked.iter().map(|one| one.1.clone()).collect();
    let request = context(*organization).request(DescribeVisitsRequest { visits });
    let described = availability.describe_visits(request).await?.into_inner().visits;
    Ok(described.into_iter().map(|one| one.visit).collect())
}

async fn blocked_of(store: Store, asked: Arc<[Address]>) -> Result<Vec<bool>, Fault> {
    let blocked = store.blocked(&asked).await.map_err(write::failure)?;
    Ok(asked.iter().map(|one| blocked.contains(one)).collect())
}

async fn begun(store: Store, ids: Ids, asked: Arc<[Sending]>) -> Result<Vec<Begun>, Fault> {
    let begun = sql::retry_serialization(|| ids.fraction(), || store.begin_sends(&asked)).await;
    begun.map_err(write::failure)
}

async fn recorded(store: Store, ids: Ids, asked: Arc<[Record]>) -> Result<Vec<bool>, Fault> {
    let recorded = sql::retry_serialization(|| ids.fraction(), || store.record(&asked)).await;
    recorded.map_err(write::failure)
}

async fn finished(store: Store, ids: Ids, asked: Arc<[End]>) -> Result<Vec<bool>, Fault> {
    let finished = sql::retry_serialization(|| ids.fraction(), || store.finish(&asked)).await;
    finished.map_err(write::failure)
}
