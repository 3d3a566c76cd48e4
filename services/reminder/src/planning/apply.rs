//! Changes of booking's feed applied in one transaction: appointments stored, messages planned and taken back.

use std::collections::BTreeMap;

use runtime::Ids;
use service::store::Tx;
use sql::Failure;
use uuid::Uuid;

use super::{
    About, Change, Event, LeftMessage, MessagePlan, OfferChange, PlanAtRisk, Revival, Series, StoredAppointment,
    for_next_of_series, for_offer, for_plan_at_risk, pending_writes::PendingWrites, plan_messages, reverted,
};
use crate::{
    appointment::Appointment,
    rules::{Rule, organisations::ensure_organisation},
    store::{
        appointments::{SeriesKey, count_booked_together, select_next_of_series},
        offers::upsert_offer,
        planned_messages::{
            Superseded, count_unsent_booked, revive_superseded, select_left, suppress_offer, suppress_pending,
        },
        rules::select_active_rules,
    },
    subject::Subject,
};

/// The active rules of each organisation.
type RulesByOrganisation = BTreeMap<Uuid, Vec<Rule>>;

/// Changes that are applied together.
#[derive(Clone, Copy, Default)]
pub(crate) struct Changes<'a> {
    pub(crate) appointments: &'a [Change],
    /// Plans that are at risk now.
    pub(crate) plans_at_risk: &'a [PlanAtRisk],
    /// Offers that were made or have ended.
    pub(crate) offers: &'a [OfferChange],
}

impl Changes<'_> {
    fn organizations(&self) -> impl Iterator<Item = Uuid> {
        let appointments = self.appointments.iter().map(|change| change.organization);
        let plans = self.plans_at_risk.iter().map(|plan| plan.organization);
        appointments.chain(plans).chain(self.offers.iter().map(|offer| offer.organization))
    }
}

/// Applies changes; answers the number of new messages. `settle_us`: how long a move waits before it is announced.
pub(crate) async fn apply(
    tx: &mut Tx,
    changes: Changes<'_>,
    settle_us: i64,
    now_us: i64,
    ids: &Ids,
) -> Result<u64, Failure> {
    let rules = lock_organisations(tx, &changes, now_us, ids).await?;
    let rules_of = |organization: Uuid| rules.get(&organization).map(Vec::as_slice).unwrap_or_default();
    let mut writes = PendingWrites::new(now_us, ids);
    let changed = changes.appointments.iter().map(|change| (change.organization, change.appointment.id));
    let at_risk = changes.plans_at_risk.iter().map(|plan| (plan.organization, plan.last_appointment));
    writes.lock(tx, &changed.chain(at_risk).collect::<Vec<_>>()).await?;
    for change in changes.appointments {
        apply_change(tx, change, rules_of(change.organization), settle_us, &mut writes).await?;
    }
    for plan in changes.plans_at_risk {
        // Without its last appointment nobody knows the patient.
        let Some(known) = writes.known(plan.organization, plan.last_appointment) else { continue };
        let last = known.appointment.clone();
        let subject = Subject::Plan { plan: plan.plan, last_appointment: last.id };
        let plan = &PlanAtRisk { since_us: plan.since_us.min(now_us), ..plan.clone() };
        let planned = for_plan_at_risk(rules_of(plan.organization), plan, &last.zone());
        writes.plan(plan.organization, &About { subject, ..last.about() }, planned);
    }
    for offer in changes.offers {
        apply_offer(tx, offer, rules_of(offer.organization), &mut writes).await?;
    }
    writes.flush(tx).await?;
    Ok(writes.planned)
}

/// Locks the organisations in the order of their ids, so that two writers never wait for each other in a ring.
async fn lock_organisations(
    tx: &mut Tx,
    changes: &Changes<'_>,
    now_us: i64,
    ids: &Ids,
) -> Result<RulesByOrganisation, Failure> {
    let mut rules: RulesByOrganisation = changes.organizations().map(|organization| (organization, vec![])).collect();
    for (organization, rules) in &mut rules {
        ensure_organisation(tx, *organization, now_us, ids).await?;
        let rows = select_active_rules(tx, *organization).await?;
        *rules = rows.into_iter().map(Rule::from_row).collect::<Result<_, _>>()?;
    }
    Ok(rules)
}

async fn apply_change(
    tx: &mut Tx,
    change: &Change,
    rules: &[Rule],
    settle_us: i64,
    writes: &mut PendingWrites<'_>,
) -> Result<(), Failure> {
    let (organization, id) = (change.organization, change.appointment.id);
    let series = series_of(tx, change, writes).await?;
    let left = match reverted::needs_left(writes.known(organization, id), change) {
        true => left_messages(tx, change, writes).await?,
        false => vec![],
    };
    let known = writes.known(organization, id);
    let plan = plan_messages(rules, known, change, writes.now_us, settle_us, series, &left);
    let Some(MessagePlan { stored, suppress, revive, add }) = plan else { return Ok(()) };
    writes.save(organization, stored.clone());
    if suppress.is_some() || revive.is_some() {
        writes.flush(tx).await?;
    }
    if let Some(reason) = suppress {
        plan_next_of_series(tx, organization, &stored, rules, writes).await?;
        suppress_pending(tx, organization, id, reason, writes.now_us).await?;
    }
    if let Some(revival) = revive {
        let superseded = superseded(organization, &change.appointment, revival);
        writes.planned += revive_superseded(tx, superseded, writes.now_us).await?;
    }
    writes.plan(organization, &change.appointment.about(), add);
    Ok(())
}

/// The messages about the present start of an appointment that have left.
async fn left_messages(
    tx: &mut Tx,
    change: &Change,
    writes: &mut PendingWrites<'_>,
) -> Result<Vec<LeftMessage>, Failure> {
    writes.flush(tx).await?;
    let appointment = &change.appointment;
    let rows = select_left(tx, change.organization, appointment.id, appointment.visit.starts_at_us).await?;
    rows.into_iter().map(LeftMessage::from_row).collect()
}

fn superseded(organization: Uuid, appointment: &Appointment, revival: Revival) -> Superseded {
    Superseded {
        organization,
        appointment: appointment.id,
        starts_at_us: appointment.visit.starts_at_us,
        location: appointment.visit.location,
        due_until_us: revival.until_us,
        due_at_us: revival.due_at_us,
        with_booked: appointment.plan_session.is_none(),
    }
}

/// Whether another appointment of the same series is announced already.
async fn series_of(tx: &mut Tx, change: &Change, writes: &mut PendingWrites<'_>) -> Result<Series, Failure> {
    let appointment = &change.appointment;
    if change.event != Event::Booked || appointment.plan_session.is_none() {
        return Ok(Series::First);
    }
    writes.flush(tx).await?;
    let (organization, patient) = (change.organization, appointment.patient);
    let series = SeriesKey { organization, patient, booked_at_us: change.changed_at_us };
    let others = count_booked_together(tx, series, appointment.id).await?;
    Ok(if others > 0 { Series::Announced } else { Series::First })
}

/// Plans the announcement of a series by its next appointment when the one that was to announce it falls away.
async fn plan_next_of_series(
    tx: &mut Tx,
    organization: Uuid,
    stored: &StoredAppointment,
    rules: &[Rule],
    writes: &mut PendingWrites<'_>,
) -> Result<(), Failure> {
    let appointment = &stored.appointment;
    let (Some(booked_at_us), Some(_)) = (stored.booked_at_us, appointment.plan_session) else { return Ok(()) };
    if count_unsent_booked(tx, organization, appointment.id).await? == 0 {
        return Ok(());
    }
    let series = SeriesKey { organization, patient: appointment.patient, booked_at_us };
    if let Some(row) = select_next_of_series(tx, series, appointment.id, writes.now_us).await? {
        let next = StoredAppointment::from_row(row)?;
        let planned = for_next_of_series(rules, &next, writes.now_us);
        writes.plan(organization, &next.appointment.about(), planned);
    }
    Ok(())
}

/// Plans the messages of an offer, and takes back those that have not left when it ends.
async fn apply_offer(
    tx: &mut Tx,
    offer: &OfferChange,
    rules: &[Rule],
    writes: &mut PendingWrites<'_>,
) -> Result<(), Failure> {
    upsert_offer(tx, &offer.to_row(), writes.now_us).await?;
    if !offer.open {
        suppress_offer(tx, offer.organization, offer.id, "superseded", writes.now_us).await?;
    }
    let offer = &OfferChange { since_us: offer.since_us.min(writes.now_us), ..offer.clone() };
    writes.plan(offer.organization, &offer.about(), for_offer(rules, offer));
    Ok(())
}
