//! The appointment of a link, with the words that its pages need.

use domain::{
    appointment::{Actor, Status, Timing, Transition},
    time::{from_micros, zone},
};
use jiff::{Zoned, tz::TimeZone};
use locale::{Language, Locale, Regions};
use rpc::{Context, Fault};
use tokio::try_join;
use web::{Clinic, Frame, May, Notice, State, Visit, VisitPage};
use wire::{
    availability::{DescribeVisitRequest, DescribeVisitResponse},
    booking::{Appointment, GetAppointmentRequest, GetPatientsRequest},
};

use super::html;
use crate::{
    call::Call,
    page_frame::{self, Languages},
    reply::Reply,
    v1::manage,
};

/// The appointment of a link.
pub(super) struct Link {
    /// The context of calls on the patient's behalf.
    pub(super) ctx: Context,
    pub(super) appointment: Appointment,
    /// The path of its pages.
    pub(super) path: String,
    pub(super) words: WordsOf,
}

/// The names of a visit, and the language of its reader.
pub(super) struct WordsOf {
    pub(super) described: DescribeVisitResponse,
    /// The tag of the patient's record.
    patient_language: String,
}

impl WordsOf {
    /// The names of a service with a practitioner at a location, for a patient.
    pub(super) async fn load(
        call: &Call,
        ctx: &Context,
        visit: DescribeVisitRequest,
        patient_id: &str,
    ) -> Result<Self, Fault> {
        let (mut search, mut booking) = (call.inner.search.clone(), call.inner.booking.clone());
        let patients = GetPatientsRequest { ids: vec![patient_id.to_owned()] };
        let (described, patients) =
            try_join!(search.describe_visit(ctx.request(visit)), booking.get_patients(ctx.request(patients)))?;
        let details = patients.into_inner().patients.into_iter().next().and_then(|patient| patient.details);
        let patient_language = details.map(|details| details.language).unwrap_or_default();
        Ok(Self { described: described.into_inner(), patient_language })
    }

    fn languages<'a>(&'a self, call: &'a Call) -> Languages<'a> {
        let organization = self.described.default_language.as_str();
        Languages { patient: &self.patient_language, organization, ..Languages::of(call) }
    }

    /// The frame of the page that is read at this path.
    pub(super) fn frame(&self, call: &Call, path: &str) -> Frame {
        let described = &self.described;
        let clinic = Clinic { name: described.location_name.clone(), phone: described.location_phone.clone() };
        page_frame::frame(&call.inner.public_url, self.languages(call), path, Some(clinic))
    }

    /// The format of dates and times.
    pub(super) fn locale(&self, call: &Call) -> Locale {
        let (language, _) = self.languages(call).select();
        let described = &self.described;
        // The region of the patient's tag is of use where the page is in that language.
        let is_own = Language::of(&self.patient_language) == Some(language);
        let tag = if is_own { self.patient_language.as_str() } else { language.as_str() };
        let regions = Regions {
            tag,
            time_zone: &described.time_zone,
            organization: &described.default_language,
            country: &described.country,
        };
        Locale::new(Some(language), regions)
    }

    /// A visit between two instants, in microseconds since the Unix epoch, on the clock of a zone.
    pub(super) fn visit(&self, call: &Call, (starts_at_us, ends_at_us): (i64, i64), time_zone: &str) -> Visit {
        let described = &self.described;
        let starts_at = local(starts_at_us, time_zone);
        Visit {
            today: call.inner.clock.now().to_zoned(starts_at.time_zone().clone()).date(),
            starts_at,
            ends_at: local(ends_at_us, time_zone),
            service: described.service_name.clone(),
            practitioner: format!("{} {}", described.practitioner_given_name, described.practitioner_family_name),
            location: described.location_name.clone(),
            address: described.location_address.clone(),
            locale: self.locale(call),
        }
    }
}

/// An instant on the clock of a zone; in UTC where the zone is unknown.
pub(super) fn local(us: i64, time_zone: &str) -> Zoned {
    from_micros(us).unwrap_or_default().to_zoned(zone(time_zone).unwrap_or(TimeZone::UTC))
}

impl Link {
    /// The appointment of the call's link.
    ///
    /// # Errors
    /// `not_found` and `link_expired`.
    pub(super) async fn open(call: &mut Call) -> Result<Self, Fault> {
        let path = format!("/m/{}", call.path_param("token"));
        let (ctx, id) = manage::resolve(call, false).await?;
        let request = GetAppointmentRequest { id };
        let appointment = call.inner.booking.clone().get_appointment(ctx.request(request)).await?.into_inner();
        let Appointment { service_id, location_id, practitioner_id, .. } = appointment.clone();
        let visit = DescribeVisitRequest { service_id, location_id, practitioner_id };
        let words = WordsOf::load(call, &ctx, visit, &appointment.patient_id).await?;
        Ok(Self { ctx, appointment, path, words })
    }

    /// The address of a page below the link's path, on which the chosen language is kept.
    pub(super) fn address(&self, call: &Call, rest: &str) -> String {
        self.words.frame(call, "").below(&self.path, rest)
    }

    /// The frame of the page below the link's path.
    pub(super) fn frame(&self, call: &Call, rest: &str) -> Frame {
        self.words.frame(call, &format!("{}{rest}", self.path))
    }

    /// The visit.
    pub(super) fn visit(&self, call: &Call) -> Visit {
        let Appointment { starts_at_us, ends_at_us, time_zone, .. } = &self.appointment;
        self.words.visit(call, (*starts_at_us, *ends_at_us), time_zone)
    }

    /// What became of the visit.
    pub(super) fn state(&self, call: &Call) -> State {
        let now_us = call.inner.clock.now().as_microsecond();
        let begun = if now_us < self.appointment.ends_at_us { State::Begun } else { State::Over };
        match self.appointment.status.parse() {
            Ok(Status::Pending | Status::Booked) if now_us < self.appointment.starts_at_us => {
                if self.appointment.displaced { State::Displaced } else { State::Ahead }
            }
            Ok(Status::Pending | Status::Booked | Status::Arrived | Status::CheckedIn) => begun,
            Ok(Status::Fulfilled | Status::Noshow) => State::Over,
            Ok(Status::Cancelled | Status::EnteredInError) | Err(_) => State::Cancelled,
        }
    }

    /// What the patient may still do.
    pub(super) fn may(&self, call: &Call) -> May {
        let state = self.state(call);
        let status = self.appointment.status.parse::<Status>();
        let (Ok(status), State::Ahead | State::Displaced) = (status, state) else { return May::default() };
        let now = call.inner.clock.now();
        let starts_at = from_micros(self.appointment.starts_at_us).unwrap_or_default();
        // A patient's transitions do not depend on the beginning of the day.
        let allowed = status.allowed_now(Actor::Patient, Timing { now, day_starts_at: now, starts_at });
        let is_open = self.appointment.confirmed_at_us == 0 && state == State::Ahead;
        May {
            confirm: is_open && allowed.contains(&Transition::Confirm),
            reschedule: allowed.contains(&Transition::Reschedule),
            cancel: allowed.contains(&Transition::Cancel),
        }
    }

    /// The visit's page.
    pub(super) fn page(&self, call: &Call, status: u16, notice: Option<Notice>) -> Result<Reply, Fault> {
        let state = self.state(call);
        let page = VisitPage {
            frame: self.frame(call, ""),
            path: self.path.clone(),
            visit: self.visit(call),
            version: self.appointment.version,
            state,
            is_confirmed: self.appointment.confirmed_at_us != 0,
            may: self.may(call),
            notice,
        };
        Ok(self.audited(html(status, &page)?))
    }

    /// Names the appointment and its patient for the audit log.
    pub(super) fn audited(&self, reply: Reply) -> Reply {
        reply.target(&self.appointment.id).patient(&self.appointment.patient_id)
    }

    /// The answer to a change that booking has refused. `is_done` says of the appointment as it is now whether it has that
    /// change already, as after a button that was pressed twice.
    ///
    /// # Errors
    /// The fault, if it is about something else than the appointment's state.
    pub(super) async fn refused(
        mut call: Call,
        fault: Fault,
        read_version: i64,
        done: &str,
        is_done: impl Fn(&Appointment) -> bool,
    ) -> Result<Reply, Fault> {
        use rpc::Code::{InvalidTransition, VersionMismatch};
        if !matches!(fault.code, InvalidTransition | VersionMismatch) {
            return Err(fault);
        }
        let now = Self::open(&mut call).await?;
        if now.appointment.version == read_version + 1 && is_done(&now.appointment) {
            return Ok(now.done(&call, done));
        }
        let is_ahead = matches!(now.state(&call), State::Ahead | State::Displaced);
        now.page(&call, 409, Some(if is_ahead { Notice::Changed } else { Notice::Closed }))
    }

    /// Sends the browser to the visit's page, which says what was done.
    pub(super) fn done(&self, call: &Call, done: &str) -> Reply {
        self.audited(Reply::see_other(self.address(call, &format!("?{}={done}", super::visit::DONE))))
    }
}
