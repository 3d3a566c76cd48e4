//! Rules: the defaults, their faults, and the effect of a change on planned messages.

use std::collections::BTreeSet;

use crate::common::{Running, World, organization};
use rpc::{Code, Context, Fault, Idempotency};
use testkit::database::Database;
use wire::{
    common::Page,
    reminder::{
        ArchiveRuleRequest, CreateRuleRequest, GetRuleRequest, ListRulesRequest, PreviewMessageRequest, QuietHours,
        Rule, RuleBody, Template, UpdateRuleRequest,
    },
};

const NOW: &str = "2026-03-04T11:00:00Z";
const START: &str = "2026-03-08T15:00:00Z";

fn ctx() -> Context {
    Running::context(organization(1))
}

async fn rules(service: &Running, archived: bool) -> Vec<Rule> {
    let request = ListRulesRequest { archived, page: None };
    service.client.clone().list_rules(ctx().request(request)).await.unwrap().into_inner().rules
}

fn body(rule: &Rule) -> RuleBody {
    rule.body.clone().unwrap()
}

async fn find(service: &Running, trigger: &str, offset_minutes: u32) -> Rule {
    let fits = |rule: &Rule| body(rule).trigger == trigger && body(rule).offset_minutes == offset_minutes;
    rules(service, false).await.into_iter().find(fits).unwrap()
}

async fn an_organisation_begins_with_the_default_rules(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let mut found: Vec<_> = rules(&service, false)
        .await
        .iter()
        .map(|rule| (body(rule).trigger, body(rule).offset_minutes, body(rule).channels.join("+")))
        .collect();
    found.sort();
    let expected = [
        ("before_start", 120, "sms"),
        ("before_start", 1440, "sms"),
        ("before_start", 4320, "email"),
        ("booked", 0, "sms+email"),
        ("cancelled", 0, "sms+email"),
        ("rescheduled", 0, "sms+email"),
        ("waitlist_offer", 0, "sms+email"),
    ];
    assert_eq!(found, expected.map(|(trigger, offset, channels)| (trigger.to_owned(), offset, channels.to_owned())));
    // Asked again, or by another organisation: its own, once.
    assert_eq!(rules(&service, true).await.len(), 7);
    let request = ListRulesRequest { archived: true, page: Some(Page { limit: 4, cursor: String::new() }) };
    let other = Running::context(organization(2));
    let page = service.client.clone().list_rules(other.request(request)).await.unwrap().into_inner();
    assert_eq!(page.rules.len(), 4);
    let request = ListRulesRequest { archived: true, page: Some(Page { limit: 4, cursor: page.next_cursor }) };
    let rest = service.client.clone().list_rules(other.request(request)).await.unwrap().into_inner();
    assert_eq!((rest.rules.len(), rest.next_cursor.as_str()), (3, ""));
    let foreign = GetRuleRequest { id: rest.rules[0].id.clone() };
    let fault = service.client.clone().get_rule(ctx().request(foreign)).await.unwrap_err();
    assert_eq!(Fault::from(fault), Fault::not_found());
    service.stop().await;
}

async fn every_fault_of_a_rule_is_named(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let bad = RuleBody {
        trigger: "full_moon".into(),
        offset_minutes: 200_000,
        channels: vec!["sms".into(), "sms".into(), "fax".into()],
        fallback_channels: vec!["sms".into(), "pigeon".into()],
        service_ids: vec!["loc_1".into()],
        template: Some(Template {
            sms: "Your {{ condition }}".into(),
            email_subject: "{% if %}".into(),
            email_text: "{{ clinic|shout }}".into(),
        }),
        language: "Klingon!".into(),
        quiet_hours: Some(QuietHours { from: "9pm".into(), to: "08:00".into() }),
        asks: "money".into(),
        consent: "any".into(),
        repeat_unknown: true,
    };
    let refused = service.client.clone().create_rule(ctx().request(CreateRuleRequest { body: Some(bad) })).await;
    let fault = Fault::from(refused.unwrap_err());
    let found: Vec<_> = fault.violations.iter().map(|one| (one.pointer.as_str(), one.code.as_str())).collect();
    let expected = [
        ("/trigger", "invalid_value"),
        ("/offset_minutes", "out_of_range"),
        ("/channels/1", "duplicate"),
        ("/channels/2", "invalid_value"),
        ("/fallback_channels/1", "invalid_value"),
        ("/fallback_channels", "too_many"),
        ("/fallback_channels/0", "duplicate"),
        ("/service_ids/0", "invalid_id"),
        ("/language", "invalid_language"),
        ("/template/sms", "unknown_word"),
        ("/template/email_subject", "invalid_template"),
        ("/template/email_text", "invalid_template"),
        ("/quiet_hours/from", "invalid_value"),
        ("/asks", "invalid_value"),
        ("/consent", "invalid_value"),
    ];
    assert_eq!(found, expected);
    let empty = RuleBody {
        trigger: "before_start".into(),
        quiet_hours: Some(QuietHours { from: "00:00".into(), to: "24:00".into() }),
        ..RuleBody::default()
    };
    let refused = service.client.clone().create_rule(ctx().request(CreateRuleRequest { body: Some(empty) })).await;
    let pointers: Vec<_> = Fault::from(refused.unwrap_err()).violations.into_iter().map(|one| one.pointer).collect();
    assert_eq!(pointers, ["/offset_minutes", "/channels", "/quiet_hours/to"]);
    assert_eq!(rules(&service, true).await.len(), 7, "nothing was written");
    service.stop().await;
}

async fn a_new_rule_plans_for_upcoming_appointments_with_the_clinics_own_text(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "delivered").await;
    let own = RuleBody {
        trigger: "before_start".into(),
        offset_minutes: 180,
        channels: vec!["sms".into()],
        template: Some(Template {
            sms: "{{ patient_given_name }}: {{ time }} with {{ practitioner }}".into(),
            ..Template::default()
        }),
        language: "en".into(),
        ..RuleBody::default()
    };
    let made = service.client.clone().create_rule(ctx().request(CreateRuleRequest { body: Some(own.clone()) })).await;
    let made = made.unwrap().into_inner();
    assert_eq!((made.version, made.archived_at_us), (1, 0));
    assert_eq!(body(&made).template.unwrap().sms, own.template.unwrap().sms);
    let french = wire::booking::PatientDetails { language: "fr".into(), ..crate::common::patient() };
    let french = world.book_for(organization(1), crate::common::us(START), french);
    service.when("all plans", &french, |all| all.len() == 6).await;
    world.until("2026-03-08T12:00:00Z");
    let mine =
        |all: &[wire::reminder::Message]| all.iter().any(|one| one.rule_id == made.id && one.status == "delivered");
    let all = service.when("the clinic's own text", &visit, mine).await;
    let text = &all.iter().find(|one| one.rule_id == made.id).unwrap().text;
    assert_eq!(text, "Canary: 9:00 AM with Sam Example");
    let skipped = |all: &[wire::reminder::Message]| {
        all.iter().any(|one| one.rule_id == made.id && one.reason == "other_language")
    };
    service.when("the rule to leave out the others", &french, skipped).await;
    service.stop().await;
}

async fn a_changed_rule_moves_its_planned_messages(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let visit = world.book(START);
    service.becomes(&visit, "booked", "sms", "delivered").await;
    service.becomes(&visit, "booked", "email", "delivered").await;
    let rule = find(&service, "before_start", 1440).await;
    let of_rule = async || {
        let all = service.messages(&visit).await.into_iter().filter(|one| one.rule_id == rule.id);
        let mut all: Vec<_> = all.map(|one| (one.channel, one.status, one.reason, one.due_at_us)).collect();
        all.sort();
        all
    };
    let mut client = service.client.clone();
    let mut changed = body(&rule);
    changed.offset_minutes = 2880;
    changed.channels.push("email".into());
    changed.quiet_hours = Some(QuietHours { from: "07:00".into(), to: "12:00".into() });
    let update = UpdateRuleRequest { id: rule.id.clone(), body: Some(changed.clone()), if_version: 1 };
    assert_eq!(client.update_rule(ctx().request(update.clone())).await.unwrap().into_inner().version, 2);
    // 48 hours before 09:00 it is 08:00, which is quiet until 12:00.
    let noon = crate::common::us("2026-03-06T19:00:00Z");
    let planned = |channel: &str| (channel.to_owned(), "scheduled".to_owned(), String::new(), noon);
    assert_eq!(of_rule().await, [planned("email"), planned("sms")]);
    let stale = client.update_rule(ctx().request(update)).await.unwrap_err();
    assert_eq!(Fault::from(stale).code, Code::VersionMismatch);
    let archive = ArchiveRuleRequest { id: rule.id.clone(), if_version: 2 };
    let archived = client.archive_rule(ctx().request(archive.clone())).await.unwrap().into_inner();
    assert_eq!(archived.archived_at_us, world.clock.now_us());
    assert!(of_rule().await.iter().all(|(_, status, reason, _)| status == "suppressed" && reason == "rule_archived"));
    let update = UpdateRuleRequest { id: rule.id.clone(), body: Some(changed), if_version: 0 };
    assert_eq!(Fault::from(client.update_rule(ctx().request(update)).await.unwrap_err()).code, Code::Archived);
    assert_eq!((rules(&service, false).await.len(), rules(&service, true).await.len()), (6, 7));
    let later = world.book(START);
    service.becomes(&later, "booked", "sms", "delivered").await;
    assert_eq!(service.messages(&later).await.len(), 4);
    service.stop().await;
}

async fn a_message_that_waited_into_quiet_hours_waits_for_their_end(database: Database) {
    let world = World::with_twilio(database, NOW).await;
    let service = world.start().await;
    let rule = find(&service, "booked", 0).await;
    // It is 04:00 in Edmonton; quiet from 04:01 to 08:00.
    let quiet_hours = Some(QuietHours { from: "04:01".into(), to: "08:00".into() });
    let quiet = RuleBody { quiet_hours, ..body(&rule) };
    let update = UpdateRuleRequest { id: rule.id, body: Some(quiet), if_version: 1 };
    service.client.clone().update_rule(ctx().request(update)).await.unwrap();
    world.provider.script([testkit::sms::Behaviour::Busy(120)]);
    let visit = world.book(START);
    let busy = |all: &[wire::reminder::Message]| all.iter().any(|one| one.reason == "provider_busy");
    service.when("the busy provider", &visit, busy).await;
    // Before the clock leaps: a lease that ends during a send leaves its outcome unknown.
    service.becomes(&visit, "booked", "email", "delivered").await;
    let asked = world.booking.asked();
    world.seconds(144);
    testkit::poll::until("the check", crate::common::WITHIN, || async {
        (world.booking.asked() > asked).then_some(())
    })
    .await;
    world.until("2026-03-04T14:59:59Z");
    assert_eq!(world.texts().len(), 1);
    world.until("2026-03-04T15:00:00Z");
    let sent = service.becomes(&visit, "booked", "sms", "sent").await;
    assert_eq!(sent.sent_at_us, crate::common::us("2026-03-04T15:00:00Z"));
    service.stop().await;
}

async fn a_repeated_write_has_one_effect(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let with_key = |fingerprint: &str| {
        let idempotency = Idempotency { key: "k1".into(), fingerprint: fingerprint.into() };
        Context { idempotency: Some(idempotency), ..ctx() }
    };
    let request = CreateRuleRequest {
        body: Some(RuleBody { trigger: "booked".into(), channels: vec!["sms".into()], ..RuleBody::default() }),
    };
    let send = || {
        let (mut client, call) = (service.client.clone(), with_key("f1").forward(request.clone()));
        tokio::spawn(async move { client.create_rule(call).await.map_err(Fault::from) })
    };
    let mut ids = BTreeSet::new();
    let mut in_progress = 0;
    for copy in (0..5).map(|_| send()).collect::<Vec<_>>() {
        match copy.await.unwrap() {
            Ok(answer) => {
                ids.insert(answer.into_inner().id);
            }
            Err(fault) => {
                assert_eq!((fault.code, fault.retry_after.is_some()), (Code::IdempotencyInProgress, true));
                in_progress += 1;
            }
        }
    }
    assert!(in_progress > 0, "while the first request runs its key is refused");
    let replayed = send().await.unwrap().unwrap();
    assert!(replayed.metadata().contains_key("meridian-replayed"));
    ids.insert(replayed.into_inner().id);
    assert_eq!(ids.len(), 1, "one effect, and its answer");
    assert_eq!(rules(&service, true).await.len(), 8);
    let reused = service.client.clone().create_rule(with_key("f2").forward(request)).await.unwrap_err();
    assert_eq!(Fault::from(reused).code, Code::IdempotencyKeyReused);
    service.stop().await;
}

async fn a_preview_renders_the_text_of_a_patient(database: Database) {
    let world = World::new(database, NOW).await;
    let service = world.start().await;
    let mut client = service.client.clone();
    let mut preview = async |trigger: &str, language: &str, sms: &str| {
        let template = Some(Template { sms: sms.into(), ..Template::default() });
        let request = PreviewMessageRequest {
            trigger: trigger.into(),
            language: language.into(),
            template,
            ..PreviewMessageRequest::default()
        };
        client.preview_message(ctx().request(request)).await.map(tonic::Response::into_inner).map_err(Fault::from)
    };
    let shipped = preview("cancelled", "fr-CA", "").await.unwrap();
    assert_eq!(
        shipped.sms,
        "Exemple Physio : votre RDV du lun. 9 mars à 14 h 30 est annulé. Pour un autre RDV : +17805550100"
    );
    assert_eq!((shipped.sms_encoding.as_str(), shipped.sms_segments), ("gsm7", 1));
    assert_eq!(shipped.email_subject, "Votre rendez-vous du lundi 9 mars est annulé");
    let own = preview("booked", "", "{{ clinic }} 😀").await.unwrap();
    assert_eq!((own.sms.as_str(), own.sms_encoding.as_str()), ("Example Physiotherapy 😀", "ucs2"));
    let fault = preview("never", "x", "one\n{{ diagnosis }}").await.unwrap_err();
    let pointers: Vec<_> = fault.violations.iter().map(|one| one.pointer.as_str()).collect();
    assert_eq!(pointers, ["/trigger", "/language", "/template/sms"]);
    assert!(fault.violations[2].detail.starts_with("line 2: unknown word `diagnosis`"));
    service.stop().await;
}

testkit::engines!(
    an_organisation_begins_with_the_default_rules,
    every_fault_of_a_rule_is_named,
    a_new_rule_plans_for_upcoming_appointments_with_the_clinics_own_text,
    a_changed_rule_moves_its_planned_messages,
    a_message_that_waited_into_quiet_hours_waits_for_their_end,
    a_repeated_write_has_one_effect,
    a_preview_renders_the_text_of_a_patient,
);
