//! A booking as data: what is written besides the claims of the reserved slots. Pure.

use rpc::Fault;
use uuid::Uuid;

use super::record::{self, NewAppointment};
use crate::{
    Inner,
    feed::change,
    manage_links::LinkSigner,
    patients::matching::MatchedPatient,
    plans::stored::StoredPlan,
    slots::reserve::{Reservation, ReservedSlot},
    store::{appointments::AppointmentRow, batch::Batch},
};

/// The appointment to book at one slot: a new one, or an existing one that moves.
#[derive(Debug, Clone)]
pub(crate) enum Draft {
    New(NewAppointment),
    Moved {
        from: Box<AppointmentRow>,
        /// Whether the patient gave too little notice.
        late: bool,
    },
}

/// Everything that one booking writes, apart from its claims.
#[derive(Clone)]
pub(crate) struct Booking<'a> {
    pub(crate) links: &'a LinkSigner,
    pub(crate) at_risk_days: u32,
    /// One for each slot of the reservation, in their order.
    pub(crate) drafts: Vec<Draft>,
    /// The plans of the appointments, as they are stored.
    pub(crate) plans: Vec<StoredPlan>,
    /// The patient, where the booking adds one or changes the record of one.
    pub(crate) patient: Option<MatchedPatient>,
    /// The hold that becomes the booking.
    pub(crate) hold: Option<Uuid>,
}

/// A booking at reserved slots: the batch that commits it, and what it books.
pub(crate) struct Booked {
    pub(crate) batch: Batch,
    /// In the order of the slots.
    pub(crate) appointments: Vec<AppointmentRow>,
    /// The booking's plans as they are after it.
    pub(crate) plans: Vec<StoredPlan>,
}

impl Draft {
    /// The appointment that owns the slot's claims.
    pub(crate) fn id(&self) -> Uuid {
        match self {
            Self::New(new) => new.id,
            Self::Moved { from, .. } => from.id,
        }
    }

    fn row(&self, organization: Uuid, slot: &ReservedSlot, now_us: i64) -> AppointmentRow {
        match self {
            Self::New(new) => record::new_row(organization, new, slot, now_us),
            Self::Moved { from, late } => record::moved_row(from, slot, *late, now_us),
        }
    }
}

impl<'a> Booking<'a> {
    /// A booking that changes no plan and no patient, and ends no hold.
    pub(crate) fn new(inner: &'a Inner, drafts: Vec<Draft>) -> Self {
        let at_risk_days = inner.config.at_risk_days;
        Self { links: &inner.links, at_risk_days, drafts, plans: vec![], patient: None, hold: None }
    }

    /// The appointments that own the claims, one for each slot.
    pub(crate) fn owners(&self) -> Vec<Uuid> {
        self.drafts.iter().map(Draft::id).collect()
    }

    /// The booking at reserved slots.
    ///
    /// # Errors
    /// `internal` where a time lies outside of what can be written.
    pub(crate) fn at(&self, reservation: &Reservation, now_us: i64) -> Result<Booked, Fault> {
        let mut batch = reservation.batch(now_us);
        let mut appointments = Vec::with_capacity(self.drafts.len());
        for (draft, slot) in self.drafts.iter().zip(reservation.slots()) {
            let row = draft.row(reservation.organization(), slot, now_us);
            let event = match draft {
                Draft::New(_) => "booked",
                Draft::Moved { from, .. } => {
                    record::release(&mut batch, from);
                    "rescheduled"
                }
            };
            record::put(&mut batch, self.links, row.clone(), &reservation.claims_of(row.id), event);
            appointments.push(row);
        }
        let mut plans = Vec::with_capacity(self.plans.len());
        for plan in &self.plans {
            let next = plan.after_bookings(&appointments, now_us)?;
            if let Some(next) = &next {
                next.put(&mut batch, self.at_risk_days)?;
            }
            plans.push(next.unwrap_or_else(|| plan.clone()));
        }
        if let Some(patient) = &self.patient {
            batch.patients.extend(patient.new.clone());
            batch.change_patients.extend(patient.changed.clone());
        }
        if let Some(hold) = self.hold {
            batch.consume_hold = Some(hold);
            batch.release.push(hold);
            batch.changes.push(change::hold_released(hold));
        }
        Ok(Booked { batch, appointments, plans })
    }
}

#[cfg(test)]
mod tests;
