//! The gRPC face of the directory.

use std::sync::Arc;

use domain::directory::{Body, Kind};
use rpc::{Context, Fault};
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wire::{
    availability::{self as wire_availability, directory_server},
    convert::directory as convert,
};

use crate::{
    Inner,
    directory::{
        import, organizations,
        write::{Change, make},
    },
    index::directory::Entry,
};

/// The gRPC service.
pub(crate) struct Service(pub(crate) Arc<Inner>);

/// An entry for the wire.
pub(crate) fn shown(entry: &Entry) -> wire_availability::Entry {
    let kind = entry.body.kind();
    wire_availability::Entry {
        id: text_of(kind, entry.id),
        parent_id: kind.parent().zip(entry.parent).map(|(kind, id)| text_of(kind, id)).unwrap_or_default(),
        version: entry.version,
        created_at_us: entry.created_at_us,
        updated_at_us: entry.updated_at_us,
        archived_at_us: entry.archived_at_us.unwrap_or(0),
        body: Some(convert::body_to_wire(&entry.body)),
    }
}

fn text_of(kind: Kind, id: Uuid) -> String {
    use domain::id;
    match kind {
        Kind::Location => id::LocationId::new(id).to_string(),
        Kind::Room => id::RoomId::new(id).to_string(),
        Kind::Equipment => id::EquipmentId::new(id).to_string(),
        Kind::Closure => id::ClosureId::new(id).to_string(),
        Kind::Practitioner => id::PractitionerId::new(id).to_string(),
        Kind::Certificate => id::CertificateId::new(id).to_string(),
        Kind::Roster => id::RosterId::new(id).to_string(),
        Kind::TimeOff => id::TimeOffId::new(id).to_string(),
        Kind::Service => id::ServiceId::new(id).to_string(),
        Kind::PlanTemplate => id::PlanTemplateId::new(id).to_string(),
        Kind::Busy => id::BusyId::new(id).to_string(),
    }
}

/// Reads an id of this kind; whatever is none is not found.
pub(crate) fn id_of(kind: Kind, text: &str) -> Result<Uuid, Fault> {
    use domain::id;
    let parsed = match kind {
        Kind::Location => text.parse::<id::LocationId>().map(Into::into),
        Kind::Room => text.parse::<id::RoomId>().map(Into::into),
        Kind::Equipment => text.parse::<id::EquipmentId>().map(Into::into),
        Kind::Closure => text.parse::<id::ClosureId>().map(Into::into),
        Kind::Practitioner => text.parse::<id::PractitionerId>().map(Into::into),
        Kind::Certificate => text.parse::<id::CertificateId>().map(Into::into),
        Kind::Roster => text.parse::<id::RosterId>().map(Into::into),
        Kind::TimeOff => text.parse::<id::TimeOffId>().map(Into::into),
        Kind::Service => text.parse::<id::ServiceId>().map(Into::into),
        Kind::PlanTemplate => text.parse::<id::PlanTemplateId>().map(Into::into),
        Kind::Busy => text.parse::<id::BusyId>().map(Into::into),
    };
    parsed.map_err(|_| Fault::not_found())
}

/// The parent that is named; kinds without one have none, whatever is named.
fn parent_of(kind: Kind, text: &str) -> Result<Option<Uuid>, Fault> {
    kind.parent().map(|parent| id_of(parent, text)).transpose()
}

/// The parent that must be the entry's own, where one is named.
fn named_parent(kind: Kind, text: &str) -> Result<Option<Uuid>, Fault> {
    if text.is_empty() { Ok(None) } else { parent_of(kind, text) }
}

pub(crate) fn kind_of(number: i32) -> Result<Kind, Fault> {
    convert::kind_from_wire(number).ok_or_else(|| Fault::violation("/kind", "invalid_value", "name a kind of entry"))
}

fn body_of(body: Option<wire_availability::EntryBody>) -> Result<Body, Fault> {
    Ok(convert::body_from_wire(body.unwrap_or_default())?)
}

#[tonic::async_trait]
impl directory_server::Directory for Service {
    async fn get_organization(
        &self,
        request: Request<wire_availability::GetOrganizationRequest>,
    ) -> Result<Response<wire_availability::Organization>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(organizations::get(&self.0, &ctx).await?))
    }

    async fn list_organizations(
        &self,
        request: Request<wire_availability::ListOrganizationsRequest>,
    ) -> Result<Response<wire_availability::ListOrganizationsResponse>, Status> {
        Ok(Response::new(organizations::list(&self.0, request.get_ref()).await?))
    }

    async fn create_organization(
        &self,
        request: Request<wire_availability::CreateOrganizationRequest>,
    ) -> Result<Response<wire_availability::Organization>, Status> {
        // The call's organisation only scopes the idempotency key.
        let ctx = Context::of(&request).ok();
        Ok(organizations::create(&self.0, ctx.as_ref(), &request.into_inner()).await?)
    }

    async fn list_entries(
        &self,
        request: Request<wire_availability::ListEntriesRequest>,
    ) -> Result<Response<wire_availability::ListEntriesResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh_directory(&ctx).await?;
        let request = request.into_inner();
        let kind = kind_of(request.kind)?;
        let parent = parent_of(kind, &request.parent_id)?;
        let directory = self.0.orgs.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
        if let Some((parent_kind, id)) = kind.parent().zip(parent)
            && directory.get(parent_kind, id).is_none()
        {
            return Err(Fault::not_found().into());
        }
        let (limit, after) = organizations::page(request.limit, &request.cursor)?;
        let mut found: Vec<_> = directory
            .of(kind, after)
            .filter(|entry| entry.parent == parent && (request.archived || entry.live()))
            .take(limit + 1)
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        Ok(Response::new(wire_availability::ListEntriesResponse {
            next_cursor: last.map(|entry| sql::cursor::encode(0, entry.id.as_u128())).unwrap_or_default(),
            entries: found.iter().map(|entry| shown(entry)).collect(),
        }))
    }

    async fn get_entry(
        &self,
        request: Request<wire_availability::GetEntryRequest>,
    ) -> Result<Response<wire_availability::Entry>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh_directory(&ctx).await?;
        let request = request.into_inner();
        let kind = kind_of(request.kind)?;
        let (id, parent) = (id_of(kind, &request.id)?, named_parent(kind, &request.parent_id)?);
        let directory = self.0.orgs.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
        let found = directory.get(kind, id).filter(|entry| parent.is_none() || entry.parent == parent);
        Ok(Response::new(shown(found.ok_or_else(Fault::not_found)?)))
    }

    async fn create_entry(
        &self,
        request: Request<wire_availability::CreateEntryRequest>,
    ) -> Result<Response<wire_availability::WriteEntryResponse>, Status> {
        let ctx = Context::of(&request)?;
        let request = request.into_inner();
        let body = body_of(request.body)?;
        let parent = parent_of(body.kind(), &request.parent_id)?;
        let change = Change::Create { parent, body };
        Ok(make(&self.0, &ctx, "CreateEntry", change, request.dry_run).await?)
    }

    async fn update_entry(
        &self,
        request: Request<wire_availability::UpdateEntryRequest>,
    ) -> Result<Response<wire_availability::WriteEntryResponse>, Status> {
        let ctx = Context::of(&request)?;
        let mut request = request.into_inner();
        let body = body_of(request.body.take())?;
        let kind = body.kind();
        let (id, parent) = (id_of(kind, &request.id)?, named_parent(kind, &request.parent_id)?);
        let keep = request.appointments();
        let change = Change::Update { kind, id, parent, body, if_version: request.if_version, keep };
        Ok(make(&self.0, &ctx, "UpdateEntry", change, request.dry_run).await?)
    }

    async fn archive_entry(
        &self,
        request: Request<wire_availability::ArchiveEntryRequest>,
    ) -> Result<Response<wire_availability::WriteEntryResponse>, Status> {
        let ctx = Context::of(&request)?;
        let request = request.into_inner();
        let kind = kind_of(request.kind)?;
        let (id, parent) = (id_of(kind, &request.id)?, named_parent(kind, &request.parent_id)?);
        let change = Change::Archive { kind, id, parent, if_version: request.if_version };
        Ok(make(&self.0, &ctx, "ArchiveEntry", change, request.dry_run).await?)
    }

    async fn import_busy(
        &self,
        request: Request<wire_availability::ImportBusyRequest>,
    ) -> Result<Response<wire_availability::WriteEntryResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh_directory(&ctx).await?;
        let request = request.into_inner();
        let practitioner = id_of(Kind::Practitioner, &request.practitioner_id)?;
        let dry_run = request.dry_run;
        let (busy, skipped) = import::read(&self.0, &ctx, practitioner, request).await?;
        let change = Change::Import { parent: practitioner, body: Body::Busy(busy), skipped };
        Ok(make(&self.0, &ctx, "ImportBusy", change, dry_run).await?)
    }
}
