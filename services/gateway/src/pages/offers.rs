//! The page of an offer of a freed time, and the answers to it.

use domain::waitlist::OfferStatus;
use locale::DateLength;
use rpc::{Code, Context, Fault};
use web::OfferState;
use wire::{
    availability::DescribeVisitRequest,
    booking::{GetOfferRequest, Offer},
};

use super::{
    form, html,
    link::{WordsOf, local},
    page,
};
use crate::{
    call::Call,
    operation::{Operation, handler},
    reply::Reply,
    v1::waitlist,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        page("offer_page", "/o/{token}", handler!(show)),
        form("offer_page_accept", "/o/{token}/accept", handler!(accept)),
        form("offer_page_decline", "/o/{token}/decline", handler!(decline)),
    ]
}

/// The offer of a link.
struct Link {
    ctx: Context,
    offer: Offer,
    path: String,
    words: WordsOf,
}

impl Link {
    async fn open(call: &mut Call) -> Result<Self, Fault> {
        let path = format!("/o/{}", call.path_param("token"));
        let (ctx, id) = waitlist::resolve(call).await?;
        let offer = call.inner.waitlist.clone().get_offer(ctx.request(GetOfferRequest { id })).await?.into_inner();
        let slot = offer.slot.clone().unwrap_or_default();
        let (service_id, location_id, practitioner_id) = (slot.service_id, slot.location_id, slot.practitioner_id);
        let visit = DescribeVisitRequest { service_id, location_id, practitioner_id };
        let words = WordsOf::load(call, &ctx, visit, &offer.patient_id).await?;
        Ok(Self { ctx, offer, path, words })
    }

    fn page(&self, call: &Call, status: u16) -> Result<Reply, Fault> {
        let slot = self.offer.slot.clone().unwrap_or_default();
        let page = web::Offer {
            frame: self.words.frame(call, &self.path),
            path: self.path.clone(),
            visit: self.words.visit(call, (slot.starts_at_us, slot.ends_at_us), &slot.time_zone),
            state: self.state(call, &slot.time_zone),
        };
        Ok(self.audited(html(status, &page)?))
    }

    fn state(&self, call: &Call, time_zone: &str) -> OfferState {
        let now = call.inner.clock.now();
        match self.offer.status.parse() {
            Ok(OfferStatus::Open) if now.as_microsecond() < self.offer.expires_at_us => {
                let (at, locale) = (local(self.offer.expires_at_us, time_zone), self.words.locale(call));
                let today = now.to_zoned(at.time_zone().clone()).date();
                OfferState::Open { until: locale.until(&at, today, DateLength::Long, today) }
            }
            Ok(OfferStatus::Accepted) => OfferState::Accepted,
            Ok(OfferStatus::Declined) => OfferState::Declined,
            _ => OfferState::Gone,
        }
    }

    fn audited(&self, reply: Reply) -> Reply {
        reply.target(&self.offer.id).patient(&self.offer.patient_id)
    }

    fn done(&self, call: &Call) -> Reply {
        self.audited(Reply::see_other(self.words.frame(call, "").link(&self.path)))
    }
}

async fn show(mut call: Call) -> Result<Reply, Fault> {
    Link::open(&mut call).await?.page(&call, 200)
}

async fn accept(mut call: Call) -> Result<Reply, Fault> {
    let link = Link::open(&mut call).await?;
    let request = link.ctx.forward(GetOfferRequest { id: link.offer.id.clone() });
    match call.inner.waitlist.clone().accept_offer(request).await {
        Ok(_) => Ok(link.done(&call)),
        Err(status) => refused(call, status.into()).await,
    }
}

async fn decline(mut call: Call) -> Result<Reply, Fault> {
    let link = Link::open(&mut call).await?;
    let request = link.ctx.forward(GetOfferRequest { id: link.offer.id.clone() });
    match call.inner.waitlist.clone().decline_offer(request).await {
        Ok(_) => Ok(link.done(&call)),
        Err(status) => refused(call, status.into()).await,
    }
}

/// The page of the offer as it is now, if it has ended meanwhile.
async fn refused(mut call: Call, fault: Fault) -> Result<Reply, Fault> {
    if fault.code != Code::OfferGone {
        return Err(fault);
    }
    Link::open(&mut call).await?.page(&call, 409)
}
