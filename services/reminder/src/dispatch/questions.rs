//! What is asked for each message on its way, of many messages together.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use domain::id::{AppointmentId, OrganizationId};
use futures::future::join_all;
use rpc::{Code, Context, Fault};
use runtime::Ids;
use uuid::Uuid;
use wire::{
    availability::{DescribeVisitRequest, DescribeVisitResponse, DescribeVisitsRequest, search_client::SearchClient},
    booking::{GetContactResponse, GetContactsRequest, booking_client::BookingClient},
};

use crate::{
    rule::Rule,
    store::{Address, Begun, Record, Sending, Store},
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
    pub(super) contact: Together<Contact, Result<Option<GetContactResponse>, Fault>>,
    /// The names of a visit in an organisation; `None`: nobody knows them.
    pub(super) visit: Together<(Uuid, DescribeVisitRequest), Result<Option<DescribeVisitResponse>, Fault>>,
    /// Whether nothing may be sent to an address.
    pub(super) blocked: Together<Address, bool>,
    /// The last word before a message leaves; see [`Store::begin_sends`].
    pub(super) begin: Together<Sending, Begun>,
    /// See [`Store::record`].
    pub(super) record: Together<Record, bool>,
}

/// What a round comes to where one question's fault is not another's.
type Answers<A> = Result<Vec<Result<A, Fault>>, Fault>;

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
            begin: Together::new({
                let ids = ids.clone();
                move |asked| begun(begin.clone(), ids.clone(), asked)
            }),
            record: Together::new(move |asked| recorded(record.clone(), ids.clone(), asked)),
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

async fn contacts(booking: BookingClient<rpc::Channel>, asked: Arc<[Contact]>) -> Answers<Option<GetContactResponse>> {
    let of = |one: &Contact| (one.organization, one.with_plan);
    let ask = |(organization, with_plan), some: Vec<Contact>| {
        let mut booking = booking.clone();
        async move {
            let appointment_ids = some.iter().map(|one| AppointmentId::new(one.appointment).to_string()).collect();
            let request = context(organization).request(GetContactsRequest { appointment_ids, with_plan });
            let contacts = booking.get_contacts(request).await?.into_inner().contacts;
            let id = |contact: &GetContactResponse| contact.appointment.as_ref()?.id.parse::<AppointmentId>().ok();
            let known: HashMap<_, _> = contacts.into_iter().map(|contact| (id(&contact), contact)).collect();
            Ok(some.iter().map(|one| known.get(&Some(AppointmentId::new(one.appointment))).cloned()).collect())
        }
    };
    by_group(&asked, of, ask).await
}

async fn visits(
    availability: SearchClient<rpc::Channel>,
    asked: Arc<[(Uuid, DescribeVisitRequest)]>,
) -> Answers<Option<DescribeVisitResponse>> {
    let ask = |organization, some: Vec<(Uuid, DescribeVisitRequest)>| {
        let mut availability = availability.clone();
        async move {
            let visits = some.into_iter().map(|one| one.1).collect();
            let request = context(organization).request(DescribeVisitsRequest { visits });
            let described = availability.describe_visits(request).await?.into_inner().visits;
            Ok(described.into_iter().map(|one| one.visit).collect())
        }
    };
    by_group(&asked, |one| one.0, ask).await
}

/// Asks for each group by itself, all at a time: what one meets is not the others' matter.
async fn by_group<Q: Clone, K: Ord + Copy, A, F>(
    asked: &[Q],
    group_of: impl Fn(&Q) -> K,
    ask: impl Fn(K, Vec<Q>) -> F,
) -> Answers<A>
where
    F: Future<Output = Result<Vec<A>, Fault>>,
{
    let mut groups = BTreeMap::<K, Vec<usize>>::new();
    for (place, one) in asked.iter().enumerate() {
        groups.entry(group_of(one)).or_default().push(place);
    }
    let whole = groups.iter().map(|(group, places)| ask(*group, places.iter().map(|at| asked[*at].clone()).collect()));
    let whole = join_all(whole).await;
    let mut answers = BTreeMap::new();
    for ((group, places), answered) in groups.into_iter().zip(whole) {
        let each: Vec<_> = match answered {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            // One of them may be what cannot be read: now each is asked alone.
            Err(fault) if fault.code == Code::Internal && places.len() > 1 => {
                let alone = join_all(places.iter().map(|at| ask(group, vec![asked[*at].clone()]))).await;
                alone.into_iter().map(|answers| only(answers?)).collect()
            }
            Err(fault) => places.iter().map(|_| Err(fault.clone())).collect(),
        };
        answers.extend(places.into_iter().zip(each));
    }
    Ok(answers.into_values().collect())
}

fn only<A>(answers: Vec<A>) -> Result<A, Fault> {
    answers.into_iter().next().ok_or_else(|| Fault::internal("a question had no answer"))
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
