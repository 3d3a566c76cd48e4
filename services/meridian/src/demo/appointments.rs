//! The demo's appointments: about 60% of the next four weeks, booked through booking's own interface.

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};
use rpc::{Code, Fault};
use runtime::{Clock, Ids, Shutdown};
use wire::{
    availability::{SearchSlotsRequest, Slot, SlotFilters, search_client::SearchClient},
    booking::{
        BookAppointmentRequest, Consent, PatientDetails,
        book_appointment_request::{Time, Who},
        booking_client::BookingClient,
    },
    common::BookingChannel,
};

use super::{
    chain,
    load::{Loader, context, progress_bar},
};
use crate::catalogue::entries as catalogue;
use crate::roles::Peers;

const DAYS: i64 = 28;
/// The appointments of a practitioner's working day, about 60% of its capacity.
const PER_DAY: usize = 8;
/// The most attempts for them: not every practitioner gives every treatment.
const ATTEMPTS_PER_DAY: usize = 30;
/// The patients of single appointments have smaller numbers than this; the patients of care plans follow.
pub(crate) const PATIENTS: usize = 700;
const SEED: u64 = 20_260_306;

struct AppointmentLoader<'a> {
    search: SearchClient<rpc::Channel>,
    booking: BookingClient<rpc::Channel>,
    loader: &'a Loader,
    random: Ids,
    /// The revision of the last booking, which the next search must reach.
    revision: String,
    /// The patients with an evaluation, and the instant of its end.
    evaluated: Vec<(i64, usize)>,
}

/// Books the appointments.
pub(crate) async fn book(clock: &Clock, peers: &Peers, loader: &Loader, shutdown: &Shutdown) -> Result<()> {
    let mut appointments = AppointmentLoader {
        search: SearchClient::new(peers.availability.clone()),
        booking: BookingClient::new(peers.booking.clone()),
        loader,
        random: Ids::seeded(SEED),
        revision: loader.revision.clone(),
        evaluated: vec![],
    };
    let practitioners = loader.practitioners.len();
    let bar = progress_bar(u64::try_from(practitioners)? * DAYS.unsigned_abs(), "appointments");
    for day in 0..DAYS {
        let from = clock.now().checked_add(SignedDuration::from_hours(24 * day))?;
        for practitioner in 0..practitioners {
            if shutdown.has_begun() {
                return Ok(());
            }
            appointments.day(practitioner, from).await?;
            bar.inc(1);
        }
    }
    bar.finish();
    Ok(())
}

impl AppointmentLoader<'_> {
    /// Books a practitioner's 24 hours from an instant on.
    async fn day(&mut self, practitioner: usize, from: Timestamp) -> Result<()> {
        // Every practitioner gives manual therapy: a day without an open slot for it is a day off.
        if self.open_slots(practitioner, "manual-therapy", from).await?.is_empty() {
            return Ok(());
        }
        let mut booked = 0;
        for _ in 0..ATTEMPTS_PER_DAY {
            if booked == PER_DAY {
                return Ok(());
            }
            let code = self.treatment();
            let slots = self.open_slots(practitioner, code, from).await?;
            let at = self.below(slots.len());
            let Some(slot) = slots.into_iter().nth(at) else { continue };
            booked += usize::from(self.book_slot(practitioner, code, slot).await?);
        }
        Ok(())
    }

    fn treatment(&self) -> &'static str {
        let treatments = catalogue::treatments();
        let mut left = self.below(treatments.iter().map(|treatment| treatment.weight as usize).sum());
        for (code, treatment) in catalogue::CODES.into_iter().zip(&treatments) {
            if left < treatment.weight as usize {
                return code;
            }
            left -= treatment.weight as usize;
        }
        catalogue::CODES[0]
    }

    async fn open_slots(&mut self, practitioner: usize, code: &str, from: Timestamp) -> Result<Vec<Slot>> {
        let request = SearchSlotsRequest {
            service_id: self.loader.services.get(code).cloned().unwrap_or_default(),
            filters: Some(SlotFilters {
                practitioner_ids: vec![self.loader.practitioners[practitioner].clone()],
                ..SlotFilters::default()
            }),
            from_us: from.as_microsecond(),
            to_us: from.checked_add(SignedDuration::from_hours(24))?.as_microsecond(),
            channel: BookingChannel::Staff as i32,
            limit: 200,
            ..SearchSlotsRequest::default()
        };
        let mut ctx = context();
        ctx.revision = Some(self.revision.clone());
        let answer = self.search.search_slots(ctx.request(request)).await.map_err(Fault::from)?;
        Ok(answer.into_inner().slots)
    }

    /// Books a slot; `false` if no patient fits it.
    async fn book_slot(&mut self, practitioner: usize, code: &str, slot: Slot) -> Result<bool> {
        let needs_evaluation =
            catalogue::treatments().iter().any(|treatment| treatment.service.code == code && treatment.after.is_some());
        let patient = if needs_evaluation {
            let eligible: Vec<usize> = self
                .evaluated
                .iter()
                .filter(|(end, _)| *end <= slot.starts_at_us)
                .map(|(_, patient)| *patient)
                .collect();
            match eligible.len() {
                0 => return Ok(false),
                count => eligible[self.below(count)],
            }
        } else {
            self.below(PATIENTS)
        };
        let request = BookAppointmentRequest {
            time: Some(Time::SlotId(slot.slot_id.clone())),
            who: Some(Who::Patient(details(patient, practitioner / 6))),
            channel: BookingChannel::Staff as i32,
            ..BookAppointmentRequest::default()
        };
        match self.booking.book_appointment(context().request(request)).await.map_err(Fault::from) {
            Ok(response) => {
                if let Some(revision) = response.metadata().get("meridian-revision").and_then(|text| text.to_str().ok())
                {
                    self.revision = revision.to_owned();
                }
                if code == catalogue::CODES[0] {
                    self.evaluated.push((slot.ends_at_us, patient));
                }
                Ok(true)
            }
            // The patient is busy or was needled yesterday: the next slot gets another patient.
            Err(fault)
                if [Code::PatientBusy, Code::TooSoonAfterNeedling, Code::SlotTaken, Code::EvaluationRequired]
                    .contains(&fault.code) =>
            {
                Ok(false)
            }
            Err(fault) => bail!("a demo visit cannot be booked: {}: {fault}", fault.code.as_str()),
        }
    }

    fn below(&self, bound: usize) -> usize {
        if bound == 0 {
            return 0;
        }
        usize::from_le_bytes(self.random.bytes()) % bound
    }
}

/// A fictional patient.
pub(crate) fn details(number: usize, clinic: usize) -> PatientDetails {
    let clinics = chain::clinics();
    let clinic = &clinics[clinic % clinics.len()];
    let (given_name, family_name) = chain::patient_name(number);
    let digits = number % 10_usize.pow(u32::try_from(clinic.phone_digits).unwrap_or(2));
    let consent = |channel: &str| Consent { channel: channel.into(), kind: "service".into() };
    PatientDetails {
        given_name: given_name.into(),
        family_name: family_name.into(),
        phone: format!("{}{digits:0width$}", clinic.phone_prefix, width = clinic.phone_digits),
        email: format!("patient{number}@example.org"),
        language: clinic.language.into(),
        consents: vec![consent("sms"), consent("email")],
        ..PatientDetails::default()
    }
}
