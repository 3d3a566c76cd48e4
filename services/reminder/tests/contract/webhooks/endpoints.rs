//! Endpoints: their faults, their versions, their deletion, and whose they are.

use domain::id::WebhookId;
use rpc::{Code, Fault, Idempotency};
use testkit::database::Database;
use uuid::Uuid;
use wire::{
    common::Page,
    reminder::{
        DeleteWebhookEndpointRequest, GetWebhookEndpointRequest, ListWebhookEndpointsRequest,
        UpdateWebhookEndpointRequest, WebhookEndpointBody,
    },
};

use crate::{
    common::{Running, organization},
    webhooks::receiver::{Bed, ctx},
};

async fn an_address_inside_is_refused_when_it_is_given_and_when_it_is_used(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    let Bed { mut world, service, pages } = bed;
    service.stop().await;
    world.config.webhooks.private_addresses = false;
    let service = world.start().await;
    let bed = Bed { world, service, pages };
    for (url, code) in [
        (bed.body(&[]).url.as_str(), "private_address"),
        ("https://localhost/hook", "private_address"),
        ("https://169.254.169.254/latest", "private_address"),
        ("http://1.1.1.1/hook", "insecure_url"),
        ("ftp://example.org/hook", "invalid_url"),
        ("", "invalid_url"),
    ] {
        let body = WebhookEndpointBody { url: url.into(), ..bed.body(&[]) };
        let fault = bed.create(&ctx(), body).await.unwrap_err();
        let found: Vec<_> = fault.violations.iter().map(|it| (it.pointer.as_str(), it.code.as_str())).collect();
        assert_eq!((fault.code, found), (Code::ValidationFailed, vec![("/url", code)]), "{url}");
    }
    bed.world.book("2026-03-08T15:00:00Z");
    let delivery = bed.tried(&endpoint, 1).await;
    assert_eq!((delivery.last_error.as_str(), delivery.last_status), ("private_address", 0));
    assert_eq!(bed.pages.received(), [], "nothing has come");
}

async fn every_fault_is_named(database: Database) {
    let bed = Bed::on(database).await;
    let body = WebhookEndpointBody {
        url: "nowhere".into(),
        events: vec!["appointment.booked".into(), "appointment.gone".into(), "appointment.booked".into()],
        description: "x".repeat(201),
        enabled: true,
    };
    let fault = bed.create(&ctx(), body).await.unwrap_err();
    let mut found: Vec<_> = fault.violations.iter().map(|it| (it.pointer.as_str(), it.code.as_str())).collect();
    found.sort_unstable();
    let expected = [
        ("/description", "too_long"),
        ("/events/1", "invalid_value"),
        ("/events/2", "duplicate"),
        ("/url", "invalid_url"),
    ];
    assert_eq!(found, expected);
}

async fn a_repeated_request_makes_one_endpoint_and_shows_the_same_secret(database: Database) {
    let bed = Bed::on(database).await;
    let mut ctx = ctx();
    let key = |fingerprint: &str| Some(Idempotency { key: "k".into(), fingerprint: fingerprint.into() });
    ctx.idempotency = key("a");
    let first = bed.create(&ctx, bed.body(&[])).await.unwrap();
    assert_eq!(bed.create(&ctx, bed.body(&[])).await.unwrap(), first);
    assert!(first.secret.starts_with("whsec_"));
    assert_eq!(list(&bed, 1).await.len(), 1);
    ctx.idempotency = key("b");
    assert_eq!(bed.create(&ctx, bed.body(&[])).await.unwrap_err().code, Code::IdempotencyKeyReused);
}

async fn an_organisation_has_at_most_twenty(database: Database) {
    let bed = Bed::on(database).await;
    for _ in 0..20 {
        bed.endpoint(&[]).await;
    }
    let fault = bed.create(&ctx(), bed.body(&[])).await.unwrap_err();
    assert_eq!((fault.code, fault.violations[0].code.as_str()), (Code::ValidationFailed, "too_many"));
    let request = |cursor: String| ListWebhookEndpointsRequest { page: Some(Page { limit: 15, cursor }) };
    let page = |cursor| async {
        let list = bed.service.webhooks.clone().list_webhook_endpoints(ctx().request(request(cursor))).await;
        list.unwrap().into_inner()
    };
    let first = page(String::new()).await;
    let second = page(first.next_cursor.clone()).await;
    assert_eq!((first.endpoints.len(), second.endpoints.len(), second.next_cursor.as_str()), (15, 5, ""));
    assert!(first.endpoints.iter().all(|one| one.secret.is_empty()));
}

async fn a_change_from_an_old_version_is_refused_and_a_deleted_endpoint_is_gone(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    bed.world.book("2026-03-08T15:00:00Z");
    bed.when("a delivery", &endpoint, |all| all.len() == 1 && all[0].status == "delivered").await;
    let update = |if_version| UpdateWebhookEndpointRequest {
        id: endpoint.id.clone(),
        body: Some(bed.body(&["plan.changed"])),
        if_version,
    };
    let mut client = bed.service.webhooks.clone();
    let changed = client.update_webhook_endpoint(ctx().request(update(1))).await.unwrap().into_inner();
    assert_eq!((changed.version, changed.body.unwrap().events), (2, vec!["plan.changed".to_owned()]));
    let stale = client.update_webhook_endpoint(ctx().request(update(1))).await.unwrap_err();
    assert_eq!(Fault::from(stale).code, Code::VersionMismatch);
    let delete = |if_version| DeleteWebhookEndpointRequest { id: endpoint.id.clone(), if_version };
    let stale = client.delete_webhook_endpoint(ctx().request(delete(1))).await.unwrap_err();
    assert_eq!(Fault::from(stale).code, Code::VersionMismatch);
    client.delete_webhook_endpoint(ctx().request(delete(2))).await.unwrap();
    let gone = client.delete_webhook_endpoint(ctx().request(delete(0))).await.unwrap_err();
    assert_eq!(Fault::from(gone).code, Code::NotFound);
    // What happens after it is told to nobody, and the feed goes on.
    bed.world.book("2026-03-08T15:00:00Z");
    let other = bed.endpoint(&[]).await;
    bed.world.book("2026-03-08T15:00:00Z");
    bed.when("the other one to hear", &other, |all| all.last().is_some_and(|one| one.status == "delivered")).await;
}

async fn another_organisation_sees_none_of_it(database: Database) {
    let bed = Bed::on(database).await;
    let endpoint = bed.endpoint(&[]).await;
    let unknown = WebhookId::new(Uuid::from_u128(99)).to_string();
    for (number, id) in [(2, endpoint.id.as_str()), (1, unknown.as_str()), (1, "whk_nonsense")] {
        let ctx = Running::context(organization(number));
        let request = GetWebhookEndpointRequest { id: id.to_owned() };
        let fault = bed.service.webhooks.clone().get_webhook_endpoint(ctx.request(request)).await.unwrap_err();
        assert_eq!(Fault::from(fault).code, Code::NotFound, "{id}");
    }
    assert_eq!(list(&bed, 2).await, Vec::<String>::new());
}

async fn list(bed: &Bed, number: u128) -> Vec<String> {
    let ctx = Running::context(organization(number));
    let list = bed.service.webhooks.clone().list_webhook_endpoints(ctx.request(Default::default())).await;
    list.unwrap().into_inner().endpoints.into_iter().map(|one| one.id).collect()
}

testkit::engines!(
    an_address_inside_is_refused_when_it_is_given_and_when_it_is_used,
    every_fault_is_named,
    a_repeated_request_makes_one_endpoint_and_shows_the_same_secret,
    an_organisation_has_at_most_twenty,
    a_change_from_an_old_version_is_refused_and_a_deleted_endpoint_is_gone,
    another_organisation_sees_none_of_it,
);
