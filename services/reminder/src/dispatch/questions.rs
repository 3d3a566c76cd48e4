//! What is asked for each message on its way, of many messages together.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use domain::id::{AppointmentId, OrganizationId};
use futures::future::try_join_all;
use rpc::{Context, Fault};
use runtime::Ids;
use uuid::Uuid;
use wire::{
    availability::{DescribeVisitRequest, DescribeVisitResponse, DescribeVisitsRequest, search_client::SearchClient},
    booking::{GetContactResponse, GetContactsRequest, booking_client::BookingClient},
};

use crate::{
    rule::Rule,
    store::{Address, Record, Sending, Store},
    together::Together,
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
    pub(super) begin: Together<Sending, Option<i32>>,
    /// See [`Store::record`].
    pub(super) record: Together<Record, bool>,
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
        let (rule, blocked, begin, record) = (store.clone(), store.clone(), store.clone(), store.clone());
        let (booking, availability, ids) = (booking.clone(), availability.clone(), ids.clone());
        Self {
            rule: Together::new(move |asked| rules(rule.clone(), asked)),
            contact: Together::new(move |asked| contacts(booking.clone(), asked)),
            visit: Together::new(move |asked| visits(availability.clone(), asked)),
            blocked: Together::new(move |asked| blocked_of(blocked.clone(), asked)),
            begin: Together::new(move |asked| begun(begin.clone(), ids.clone(), asked)),
            record: Together::new(move |asked| recorded(record.clone(), asked)),
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

async fn contacts(
    booking: BookingClient<rpc::Channel>,
    asked: Arc<[Contact]>,
) -> Result<Vec<Option<GetContactResponse>>, Fault> {
    let mut calls = BTreeMap::<_, Vec<String>>::new();
    for one in &*asked {
        let ids = calls.entry((one.organization, one.with_plan)).or_default();
        ids.push(AppointmentId::new(one.appointment).to_string());
    }
    let calls = calls.into_iter().map(|((organization, with_plan), appointment_ids)| {
        let mut booking = booking.clone();
        async move {
            let request = GetContactsRequest { appointment_ids, with_plan };
            let answer = booking.get_contacts(context(organization).request(request)).await?;
            Ok::<_, Fault>(((organization, with_plan), answer.into_inner().contacts))
        }
    });
    let mut known = HashMap::new();
    for ((organization, with_plan), contacts) in try_join_all(calls).await? {
        for contact in contacts {
            let id = contact.appointment.as_ref().and_then(|one| one.id.parse::<AppointmentId>().ok());
            known.insert((organization, with_plan, id.map(AppointmentId::uuid)), contact);
        }
    }
    let of = |one: &Contact| known.get(&(one.organization, one.with_plan, Some(one.appointment))).cloned();
    Ok(asked.iter().map(of).collect())
}

async fn visits(
    availability: SearchClient<rpc::Channel>,
    asked: Arc<[(Uuid, DescribeVisitRequest)]>,
) -> Result<Vec<Option<DescribeVisitResponse>>, Fault> {
    let mut calls = BTreeMap::<Uuid, (Vec<usize>, Vec<DescribeVisitRequest>)>::new();
    for (place, (organization, visit)) in asked.iter().enumerate() {
        let call = calls.entry(*organization).or_default();
        call.0.push(place);
        call.1.push(visit.clone());
    }
    let calls = calls.into_iter().map(|(organization, (places, visits))| {
        let mut availability = availability.clone();
        async move {
            let request = context(organization).request(DescribeVisitsRequest { visits });
            let described = availability.describe_visits(request).await?.into_inner().visits;
            Ok::<_, Fault>(places.into_iter().zip(described))
        }
    });
    let mut answers = vec![None; asked.len()];
    for (place, described) in try_join_all(calls).await?.into_iter().flatten() {
        answers[place] = described.visit;
    }
    Ok(answers)
}

async fn blocked_of(store: Store, asked: Arc<[Address]>) -> Result<Vec<bool>, Fault> {
    let blocked = store.blocked(&asked).await.map_err(write::failure)?;
    Ok(asked.iter().map(|one| blocked.contains(one)).collect())
}

async fn begun(store: Store, ids: Ids, asked: Arc<[Sending]>) -> Result<Vec<Option<i32>>, Fault> {
    let begun = sql::retry_serialization(|| ids.fraction(), || store.begin_sends(&asked)).await;
    begun.map_err(write::failure)
}

async fn recorded(store: Store, asked: Arc<[Record]>) -> Result<Vec<bool>, Fault> {
    store.record(&asked).await.map_err(write::failure)
}
