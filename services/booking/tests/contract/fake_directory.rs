//! The directory of the scripted availability: locations that are known by their time zone alone.

use tonic::{Request, Response, Status, service::Routes};
use wire::availability::{
    self as proto,
    directory_server::{Directory, DirectoryServer},
    entry_body::Body,
};

use crate::fake_availability::FakeAvailability;

/// Adds the service to the others.
pub fn add(routes: Routes, availability: FakeAvailability) -> Routes {
    routes.add_service(DirectoryServer::new(FakeDirectory(availability)))
}

struct FakeDirectory(FakeAvailability);

macro_rules! directory {
    ($($name:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl Directory for FakeDirectory {
            async fn get_entry(
                &self,
                request: Request<proto::GetEntryRequest>,
            ) -> Result<Response<proto::Entry>, Status> {
                let location = proto::Location { time_zone: self.0.zone(), ..proto::Location::default() };
                let body = Some(proto::EntryBody { body: Some(Body::Location(location)) });
                Ok(Response::new(proto::Entry { id: request.into_inner().id, version: 1, body, ..Default::default() }))
            }

            async fn update_entry(
                &self,
                request: Request<proto::UpdateEntryRequest>,
            ) -> Result<Response<proto::WriteEntryResponse>, Status> {
                if let Some(Body::Location(location)) = request.into_inner().body.and_then(|body| body.body) {
                    self.0.rezone(&location.time_zone);
                }
                Ok(Response::new(proto::WriteEntryResponse::default()))
            }

            $(async fn $name(&self, _: Request<proto::$request>) -> Result<Response<proto::$response>, Status> {
                Err(Status::unimplemented("not asked by booking"))
            })*
        }
    };
}

directory! {
    get_organization(GetOrganizationRequest) -> Organization;
    get_default_organization(GetDefaultOrganizationRequest) -> Organization;
    list_organizations(ListOrganizationsRequest) -> ListOrganizationsResponse;
    create_organization(CreateOrganizationRequest) -> Organization;
    list_entries(ListEntriesRequest) -> ListEntriesResponse;
    get_entries(GetEntriesRequest) -> GetEntriesResponse;
    describe_day(DescribeDayRequest) -> DescribeDayResponse;
    create_entry(CreateEntryRequest) -> WriteEntryResponse;
    archive_entry(ArchiveEntryRequest) -> WriteEntryResponse;
    import_busy(ImportBusyRequest) -> WriteEntryResponse;
}
