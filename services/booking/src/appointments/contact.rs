//! The present state of appointments and how their patients can be reached.

use std::collections::HashMap;

use domain::id::AppointmentId;
use rpc::{Context, Fault};
use service::db_error;
use wire::booking::{GetContactRequest, GetContactResponse, GetContactsRequest, GetContactsResponse};

use super::view;
use crate::{
    Inner, patients,
    plans::{self, stored},
};

/// Contacts in one answer.
const CONTACTS_MAX: usize = 500;

/// The contact of one appointment.
pub(crate) async fn get(inner: &Inner, ctx: &Context, request: GetContactRequest) -> Result<GetContactResponse, Fault> {
    let GetContactRequest { appointment_id, with_plan } = request;
    let request = GetContactsRequest { appointment_ids: vec![appointment_id], with_plan };
    get_many(inner, ctx, request).await?.contacts.into_iter().next().ok_or_else(Fault::not_found)
}

/// The contacts of many appointments, in no order; unknown ids are left out.
pub(crate) async fn get_many(
    inner: &Inner,
    ctx: &Context,
    request: GetContactsRequest,
) -> Result<GetContactsResponse, Fault> {
    let ids = request.appointment_ids;
    if ids.len() > CONTACTS_MAX {
        return Err(Fault::violation("/appointment_ids", "too_many", "at most 500 at a time"));
    }
    let ids: Vec<_> = ids.iter().filter_map(|id| id.parse::<AppointmentId>().ok()).map(AppointmentId::uuid).collect();
    let organization = ctx.organization.uuid();
    let rows = inner.store.appointments_by_id(organization, &ids).await.map_err(db_error::fault)?;
    let patient_ids: Vec<_> = rows.iter().map(|row| row.patient_id).collect();
    let patients = inner.store.patients_by_id(organization, &patient_ids).await.map_err(db_error::fault)?;
    let patients: HashMap<_, _> = patients.iter().map(|row| (row.id, row)).collect();
    let mut contacts = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(patient) = patients.get(&row.patient_id) else { continue };
        let plan = match row.plan_session_id.filter(|_| request.with_plan) {
            Some(session) => stored::of_session(inner, organization, session).await?,
            None => None,
        };
        contacts.push(GetContactResponse {
            plan: plan.map(|plan| plans::view::summary(inner, &plan)),
            appointment: Some(view::to_wire_with_link(&inner.links, &row)),
            patient: Some(patients::view::contact(patient)?),
        });
    }
    Ok(GetContactsResponse { contacts })
}
