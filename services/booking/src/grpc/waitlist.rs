//! The waitlist and its offers.

use std::sync::Arc;

use ::wire::booking::{self as wire, waitlist_server};
use rpc::Context;
use tonic::{Request, Response};

use super::Answer;
use crate::{
    Inner,
    waitlist::{entries, offers, view},
};

/// The service `Waitlist`.
pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl waitlist_server::Waitlist for Service {
    async fn join_waitlist(&self, request: Request<wire::JoinWaitlistRequest>) -> Answer<wire::WaitlistEntry> {
        let ctx = Context::of(&request)?;
        Ok(entries::join(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_entry(&self, request: Request<wire::GetEntryRequest>) -> Answer<wire::WaitlistEntry> {
        let ctx = Context::of(&request)?;
        let row = entries::load(&self.0, &ctx, &request.into_inner().id).await?;
        Ok(Response::new(view::entry_with_offers(&self.0, &row).await?))
    }

    async fn list_waitlist(&self, request: Request<wire::ListWaitlistRequest>) -> Answer<wire::ListWaitlistResponse> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(entries::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn leave_waitlist(&self, request: Request<wire::GetEntryRequest>) -> Answer<wire::WaitlistEntry> {
        let ctx = Context::of(&request)?;
        Ok(entries::leave(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn get_offer(&self, request: Request<wire::GetOfferRequest>) -> Answer<wire::Offer> {
        let ctx = Context::of(&request)?;
        let row = offers::load(&self.0, &ctx, &request.into_inner().id).await?;
        Ok(Response::new(view::offer_with_link(&self.0.links, &row)?))
    }

    async fn accept_offer(&self, request: Request<wire::GetOfferRequest>) -> Answer<wire::Appointment> {
        let ctx = Context::of(&request)?;
        Ok(offers::accept(&self.0, &ctx, &request.into_inner().id).await?)
    }

    async fn decline_offer(&self, request: Request<wire::GetOfferRequest>) -> Answer<wire::Offer> {
        let ctx = Context::of(&request)?;
        Ok(offers::decline(&self.0, &ctx, &request.into_inner().id).await?)
    }

    async fn resolve_offer_link(
        &self,
        request: Request<wire::ResolveManageLinkRequest>,
    ) -> Answer<wire::ResolveOfferLinkResponse> {
        Ok(Response::new(offers::resolve(&self.0, &request.into_inner().token).await?))
    }

    async fn get_offer_contact(&self, request: Request<wire::GetOfferRequest>) -> Answer<wire::OfferContact> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(offers::contact(&self.0, &ctx, &request.into_inner().id).await?))
    }
}
