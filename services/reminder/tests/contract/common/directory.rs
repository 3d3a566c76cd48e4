//! An availability that describes every visit alike.

use domain::id::LocationId;
use rpc::Fault;
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;
use wire::availability::{
    self, DescribeVisitRequest, DescribeVisitResponse, directory_server::DirectoryServer, entry_body::Body,
};

#[derive(Clone)]
struct Search;

/// An availability that describes every visit alike.
pub fn availability() -> rpc::Channel {
    let routes = Routes::new(availability::search_server::SearchServer::new(Search));
    rpc::Channel::in_process(rpc::guard(routes.add_service(DirectoryServer::new(Directory))))
}

/// An organisation of Canada with a location in Britain.
#[derive(Clone)]
struct Directory;

#[tonic::async_trait]
impl availability::directory_server::Directory for Directory {
    async fn get_organization(
        &self,
        _: Request<availability::GetOrganizationRequest>,
    ) -> Result<Response<availability::Organization>, Status> {
        Ok(Response::new(availability::Organization {
            name: "Example Physio".into(),
            default_language: "fr-CA".into(),
            country: "CA".into(),
            ..Default::default()
        }))
    }

    async fn list_entries(
        &self,
        _: Request<availability::ListEntriesRequest>,
    ) -> Result<Response<availability::ListEntriesResponse>, Status> {
        let location = availability::Location { time_zone: "Europe/London".into(), ..Default::default() };
        let body = Some(availability::EntryBody { body: Some(Body::Location(location)) });
        let id = LocationId::new(Uuid::from_u128(22)).to_string();
        let entries = vec![availability::Entry { id, body, ..Default::default() }];
        Ok(Response::new(availability::ListEntriesResponse { entries, next_cursor: String::new() }))
    }

    crate::unused! {
        get_default_organization(availability::GetDefaultOrganizationRequest) -> availability::Organization;
        list_organizations(availability::ListOrganizationsRequest) -> availability::ListOrganizationsResponse;
        create_organization(availability::CreateOrganizationRequest) -> availability::Organization;
        get_entry(availability::GetEntryRequest) -> availability::Entry;
        get_entries(availability::GetEntriesRequest) -> availability::GetEntriesResponse;
        describe_day(availability::DescribeDayRequest) -> availability::DescribeDayResponse;
        update_entry(availability::UpdateEntryRequest) -> availability::WriteEntryResponse;
        create_entry(availability::CreateEntryRequest) -> availability::WriteEntryResponse;
        archive_entry(availability::ArchiveEntryRequest) -> availability::WriteEntryResponse;
        import_busy(availability::ImportBusyRequest) -> availability::WriteEntryResponse;
    }
}

#[tonic::async_trait]
impl availability::search_server::Search for Search {
    type WatchAvailabilityStream = futures::stream::Empty<Result<availability::AvailabilityChange, Status>>;

    async fn watch_availability(
        &self,
        _: Request<availability::SearchSlotsRequest>,
    ) -> Result<Response<Self::WatchAvailabilityStream>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn describe_visit(
        &self,
        request: Request<DescribeVisitRequest>,
    ) -> Result<Response<DescribeVisitResponse>, Status> {
        if request.into_inner().location_id.is_empty() {
            return Err(Fault::not_found().into());
        }
        Ok(Response::new(DescribeVisitResponse {
            service_name: "Dry needling".into(),
            location_name: "Northside Physio".into(),
            location_address: "1 Example Street".into(),
            location_phone: "+17805550100".into(),
            time_zone: "America/Edmonton".into(),
            practitioner_given_name: "Sam".into(),
            practitioner_family_name: "Example".into(),
            organization_name: "Example Physio".into(),
            default_language: "en".into(),
            country: "CA".into(),
        }))
    }

    async fn describe_visits(
        &self,
        request: Request<availability::DescribeVisitsRequest>,
    ) -> Result<Response<availability::DescribeVisitsResponse>, Status> {
        let mut visits = vec![];
        for visit in request.into_inner().visits {
            let found = self.describe_visit(Request::new(visit)).await;
            visits.push(availability::DescribedVisit { visit: found.ok().map(Response::into_inner) });
        }
        Ok(Response::new(availability::DescribeVisitsResponse { visits }))
    }

    /// Every service is known.
    async fn check_references(
        &self,
        _: Request<availability::CheckReferencesRequest>,
    ) -> Result<Response<availability::CheckReferencesResponse>, Status> {
        Ok(Response::new(availability::CheckReferencesResponse {}))
    }

    crate::unused! {
        search_slots(availability::SearchSlotsRequest) -> availability::SearchSlotsResponse;
        search_days(availability::SearchSlotsRequest) -> availability::SearchDaysResponse;
        next_slots(availability::SearchSlotsRequest) -> availability::NextSlotsResponse;
        explain_slot(availability::ExplainSlotRequest) -> availability::ExplainSlotResponse;
        check_slots(availability::CheckSlotsRequest) -> availability::CheckSlotsResponse;
        nearest_slots(availability::NearestSlotsRequest) -> availability::NearestSlotsResponse;
    }
}
