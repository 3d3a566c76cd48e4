//! `Directory`: organisations and the entries of their directories.

use std::sync::Arc;

use domain::directory::{Body, Kind};
use rpc::Context;
use tonic::{Request, Response, Status};
use wire::availability::{
    ArchiveEntryRequest, CreateEntryRequest, CreateOrganizationRequest, DescribeDayRequest, DescribeDayResponse, Entry,
    GetDefaultOrganizationRequest, GetEntriesRequest, GetEntriesResponse, GetEntryRequest, GetOrganizationRequest,
    ImportBusyRequest, ListEntriesRequest, ListEntriesResponse, ListOrganizationsRequest, ListOrganizationsResponse,
    Organization, UpdateEntryRequest, WriteEntryResponse, directory_server,
};

use crate::{
    Inner,
    directory::{
        day, import, list, organizations,
        wire_ids::{read_body, read_id, read_kind, read_optional_parent, read_parent},
        write::{EntryChange, apply},
    },
};

pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl directory_server::Directory for Service {
    async fn get_organization(
        &self,
        request: Request<GetOrganizationRequest>,
    ) -> Result<Response<Organization>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(organizations::get(&self.0, &ctx).await?))
    }

    async fn get_default_organization(
        &self,
        _: Request<GetDefaultOrganizationRequest>,
    ) -> Result<Response<Organization>, Status> {
        Ok(Response::new(organizations::get_default(&self.0).await?))
    }

    async fn list_organizations(
        &self,
        request: Request<ListOrganizationsRequest>,
    ) -> Result<Response<ListOrganizationsResponse>, Status> {
        Ok(Response::new(organizations::list(&self.0, request.get_ref()).await?))
    }

    async fn create_organization(
        &self,
        request: Request<CreateOrganizationRequest>,
    ) -> Result<Response<Organization>, Status> {
        let ctx = Context::of(&request).ok();
        Ok(organizations::create(&self.0, ctx.as_ref(), request.get_ref()).await?)
    }

    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<ListEntriesResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_directory(&ctx).await?;
        Ok(Response::new(list::list(&self.0, &ctx, request.get_ref())?))
    }

    async fn get_entry(&self, request: Request<GetEntryRequest>) -> Result<Response<Entry>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_directory(&ctx).await?;
        Ok(Response::new(list::get(&self.0, &ctx, request.get_ref())?))
    }

    async fn get_entries(&self, request: Request<GetEntriesRequest>) -> Result<Response<GetEntriesResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_directory(&ctx).await?;
        Ok(Response::new(list::get_many(&self.0, &ctx, request.get_ref())?))
    }

    async fn describe_day(
        &self,
        request: Request<DescribeDayRequest>,
    ) -> Result<Response<DescribeDayResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_directory(&ctx).await?;
        Ok(Response::new(day::describe(&self.0, &ctx, request.get_ref())?))
    }

    async fn create_entry(&self, request: Request<CreateEntryRequest>) -> Result<Response<WriteEntryResponse>, Status> {
        let ctx = Context::of(&request)?;
        let request = request.into_inner();
        let body = read_body(request.body)?;
        let parent = read_parent(body.kind(), &request.parent_id)?;
        let change = EntryChange::Create { parent, body };
        Ok(apply(&self.0, &ctx, "CreateEntry", change, request.dry_run).await?)
    }

    async fn update_entry(&self, request: Request<UpdateEntryRequest>) -> Result<Response<WriteEntryResponse>, Status> {
        let ctx = Context::of(&request)?;
        let mut request = request.into_inner();
        let body = read_body(request.body.take())?;
        let kind = body.kind();
        let (id, parent) = (read_id(kind, &request.id)?, read_optional_parent(kind, &request.parent_id)?);
        let keep = request.appointments();
        let change = EntryChange::Update { kind, id, parent, body, if_version: request.if_version, keep };
        Ok(apply(&self.0, &ctx, "UpdateEntry", change, request.dry_run).await?)
    }

    async fn archive_entry(
        &self,
        request: Request<ArchiveEntryRequest>,
    ) -> Result<Response<WriteEntryResponse>, Status> {
        let ctx = Context::of(&request)?;
        let request = request.into_inner();
        let kind = read_kind(request.kind)?;
        let (id, parent) = (read_id(kind, &request.id)?, read_optional_parent(kind, &request.parent_id)?);
        let change = EntryChange::Archive { kind, id, parent, if_version: request.if_version };
        Ok(apply(&self.0, &ctx, "ArchiveEntry", change, request.dry_run).await?)
    }

    async fn import_busy(&self, request: Request<ImportBusyRequest>) -> Result<Response<WriteEntryResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.wait_for_directory(&ctx).await?;
        let request = request.into_inner();
        let practitioner = read_id(Kind::Practitioner, &request.practitioner_id)?;
        let dry_run = request.dry_run;
        let (busy, skipped) = import::read(&self.0, &ctx, practitioner, request).await?;
        let change = EntryChange::Import { parent: practitioner, body: Body::Busy(busy), skipped };
        Ok(apply(&self.0, &ctx, "ImportBusy", change, dry_run).await?)
    }
}
