//! Endpoints: validation, versions, deletion, and isolation between organisations.

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
    webhooks::receiver::{WebhookFixture, ctx},
};

async fn a_private_address_is_refused_at_creation_and_at_delivery(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    let WebhookFixture { mut world, service, pages } = fixture;
    service.stop().await;
    world.config.webhooks.private_addresses = false;
    let service = world.start().await;
    let fixture = WebhookFixture { world, service, pages };
    for (url, code) in [
        (fixture.body(&[]).url.as_str(), "private_address"),
        ("https://localhost/hook", "private_address"),
        ("https://169.254.169.254/latest", "private_address"),
        ("http://1.1.1.1/hook", "insecure_url"),
        ("ftp://example.org/hook", "invalid_url"),
        ("", "invalid_url"),
    ] {
        let body = WebhookEndpointBody { url: url.into(), ..fixture.body(&[]) };
        let fault = fixture.create(&ctx(), body).await.unwrap_err();
        let found: Vec<_> = fault.violations.iter().map(|it| (it.pointer.as_str(), it.code.as_str())).collect();
        assert_eq!((fault.code, found), (Code::ValidationFailed, vec![("/url", code)]), "{url}");
    }
    fixture.world.book("2026-03-08T15:00:00Z");
    let delivery = fixture.tried(&endpoint, 1).await;
    assert_eq!((delivery.last_error.as_str(), delivery.last_status), ("private_address", 0));
    assert_eq!(fixture.pages.received(), [], "no request arrived");
}

async fn each_fault_of_an_endpoint_is_named(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let body = WebhookEndpointBody {
        url: "nowhere".into(),
        events: vec!["appointment.booked".into(), "appointment.gone".into(), "appointment.booked".into()],
        description: "x".repeat(201),
        enabled: true,
    };
    let fault = fixture.create(&ctx(), body).await.unwrap_err();
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

async fn a_repeated_request_creates_one_endpoint_and_returns_the_same_secret(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let mut ctx = ctx();
    let key = |fingerprint: &str| Some(Idempotency { key: "k".into(), fingerprint: fingerprint.into() });
    ctx.idempotency = key("a");
    let first = fixture.create(&ctx, fixture.body(&[])).await.unwrap();
    assert_eq!(fixture.create(&ctx, fixture.body(&[])).await.unwrap(), first);
    assert!(first.secret.starts_with("whsec_"));
    assert_eq!(list(&fixture, 1).await.len(), 1);
    ctx.idempotency = key("b");
    assert_eq!(fixture.create(&ctx, fixture.body(&[])).await.unwrap_err().code, Code::IdempotencyKeyReused);
}

async fn an_organisation_has_at_most_twenty_endpoints(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    for _ in 0..20 {
        fixture.endpoint(&[]).await;
    }
    let fault = fixture.create(&ctx(), fixture.body(&[])).await.unwrap_err();
    assert_eq!((fault.code, fault.violations[0].code.as_str()), (Code::ValidationFailed, "too_many"));
    let request = |cursor: String| ListWebhookEndpointsRequest { page: Some(Page { limit: 15, cursor }) };
    let page = |cursor| async {
        let list = fixture.service.webhooks.clone().list_webhook_endpoints(ctx().request(request(cursor))).await;
        list.unwrap().into_inner()
    };
    let first = page(String::new()).await;
    let second = page(first.next_cursor.clone()).await;
    assert_eq!((first.endpoints.len(), second.endpoints.len(), second.next_cursor.as_str()), (15, 5, ""));
    assert!(first.endpoints.iter().all(|one| one.secret.is_empty()));
}

async fn an_update_from_an_old_version_is_refused_and_a_deleted_endpoint_is_not_found(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    fixture.world.book("2026-03-08T15:00:00Z");
    fixture.when("a delivery", &endpoint, |all| all.len() == 1 && all[0].status == "delivered").await;
    let update = |if_version| UpdateWebhookEndpointRequest {
        id: endpoint.id.clone(),
        body: Some(fixture.body(&["plan.changed"])),
        if_version,
    };
    let mut client = fixture.service.webhooks.clone();
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
    // Later events have no endpoint, and the feed continues.
    fixture.world.book("2026-03-08T15:00:00Z");
    let other = fixture.endpoint(&[]).await;
    fixture.world.book("2026-03-08T15:00:00Z");
    fixture
        .when("a delivery to the other endpoint", &other, |all| all.last().is_some_and(|one| one.status == "delivered"))
        .await;
}

async fn another_organisation_cannot_read_an_endpoint(database: Database) {
    let fixture = WebhookFixture::on(database).await;
    let endpoint = fixture.endpoint(&[]).await;
    let unknown = WebhookId::new(Uuid::from_u128(99)).to_string();
    for (number, id) in [(2, endpoint.id.as_str()), (1, unknown.as_str()), (1, "whk_nonsense")] {
        let ctx = Running::context(organization(number));
        let request = GetWebhookEndpointRequest { id: id.to_owned() };
        let fault = fixture.service.webhooks.clone().get_webhook_endpoint(ctx.request(request)).await.unwrap_err();
        assert_eq!(Fault::from(fault).code, Code::NotFound, "{id}");
    }
    assert_eq!(list(&fixture, 2).await, Vec::<String>::new());
}

async fn list(fixture: &WebhookFixture, number: u128) -> Vec<String> {
    let ctx = Running::context(organization(number));
    let list = fixture.service.webhooks.clone().list_webhook_endpoints(ctx.request(Default::default())).await;
    list.unwrap().into_inner().endpoints.into_iter().map(|one| one.id).collect()
}

testkit::engines!(
    a_private_address_is_refused_at_creation_and_at_delivery,
    each_fault_of_an_endpoint_is_named,
    a_repeated_request_creates_one_endpoint_and_returns_the_same_secret,
    an_organisation_has_at_most_twenty_endpoints,
    an_update_from_an_old_version_is_refused_and_a_deleted_endpoint_is_not_found,
    another_organisation_cannot_read_an_endpoint,
);
