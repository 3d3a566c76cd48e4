//! The rules that plan messages.

use axum::http::Method;
use domain::{
    message::{Question, Trigger},
    patient::{Channel, ConsentKind},
};
use rpc::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use wire::{
    common::Page,
    convert::optional_text,
    reminder::{self, ArchiveRuleRequest, CreateRuleRequest, GetRuleRequest, ListRulesRequest, UpdateRuleRequest},
};

use super::{
    CURSOR, LIMIT,
    directory::merge,
    messages::{Template, template_to_wire},
    next_cursor, time,
};
use crate::{
    auth::Scope,
    call::{Call, Reply, read},
    operation::{Access, Operation, handler},
};

/// Hours in which no message goes out, on the location's wall clock.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuietHours {
    from: domain::time::WallTime,
    to: domain::time::WallTime,
}

/// When a message goes out, on which channels, with which text.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleBody {
    /// `after_completed` and `missed` follow a visit. `plan_session_unbooked` comes when a plan has a session left, none is
    /// booked, and the last day for it is near; in its text `date` is that day, and `service_ids` are those of the session.
    trigger: Trigger,
    /// Minutes from the trigger; for `before_start`, before the start.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 129600)]
    offset_minutes: u32,
    #[schema(min_items = 1, max_items = 2)]
    channels: Vec<Channel>,
    /// Where a patient is told, at once, whom a message on one of `channels` cannot reach: it is refused or not delivered, or
    /// there is no address or no consent for it. One that is not in `channels`. What may have arrived is told nowhere else.
    #[serde(default)]
    #[schema(max_items = 1)]
    fallback_channels: Vec<Channel>,
    /// Only these services; none: all.
    #[serde(default)]
    #[schema(max_items = 200)]
    service_ids: Vec<domain::id::ServiceId>,
    #[serde(default)]
    template: Template,
    /// Only patients of this language; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 35, nullable = false)]
    language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    quiet_hours: Option<QuietHours>,
    /// `score`: asks the patient how it is, 0 to 10; only after a visit, and only by sms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    asks: Option<Question>,
    /// The consent that it needs. What speaks of buying or of offers needs `marketing`.
    #[serde(default = "service")]
    consent: ConsentKind,
    /// Whether a message of which nobody knows whether it was sent (the provider fell silent, and has not reported since)
    /// is sent once more, ten minutes later: rather twice than not at all.
    #[serde(default)]
    repeat_unknown: bool,
}

fn service() -> ConsentKind {
    ConsentKind::Service
}

/// A rule.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rule {
    id: String,
    version: i64,
    #[serde(flatten)]
    body: RuleShown,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(format = DateTime)]
    archived_at: Option<String>,
}

/// What a rule says.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuleShown {
    #[schema(value_type = Trigger)]
    trigger: String,
    offset_minutes: u32,
    #[schema(value_type = Vec<Channel>)]
    channels: Vec<String>,
    #[schema(value_type = Vec<Channel>)]
    fallback_channels: Vec<String>,
    service_ids: Vec<String>,
    template: Template,
    language: Option<String>,
    quiet_hours: Option<QuietHours>,
    #[schema(value_type = Option<Question>)]
    asks: Option<String>,
    #[schema(value_type = ConsentKind)]
    consent: String,
    repeat_unknown: bool,
}

/// The rules of an organisation.
#[derive(Serialize, ToSchema)]
pub(crate) struct RulePage {
    data: Vec<Rule>,
    next_cursor: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::MessagesWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "messages", summary, access, handler)
    };
    vec![
        operation("list_rules", Method::GET, "/v1/reminder_rules", "The rules", handler!(rules))
            .params(&[LIMIT, CURSOR])
            .answer(200, "RulePage"),
        operation("create_rule", Method::POST, "/v1/reminder_rules", "Adds a rule", handler!(create_rule))
            .body("RuleBody")
            .answer(201, "Rule"),
        operation("get_rule", Method::GET, "/v1/reminder_rules/{id}", "One rule", handler!(get_rule))
            .answer(200, "Rule"),
        operation("patch_rule", Method::PATCH, "/v1/reminder_rules/{id}", "Changes a rule", handler!(patch_rule))
            .body("MergePatch")
            .answer(200, "Rule"),
        operation(
            "archive_rule",
            Method::DELETE,
            "/v1/reminder_rules/{id}",
            "Takes a rule out of use",
            handler!(archive_rule),
        )
        .answer(200, "Rule"),
    ]
}

fn rule_to_wire(body: RuleBody) -> reminder::RuleBody {
    reminder::RuleBody {
        trigger: body.trigger.as_str().to_owned(),
        offset_minutes: body.offset_minutes,
        channels: body.channels.iter().map(|channel| channel.as_str().to_owned()).collect(),
        fallback_channels: body.fallback_channels.iter().map(|channel| channel.as_str().to_owned()).collect(),
        service_ids: body.service_ids.iter().map(ToString::to_string).collect(),
        template: Some(template_to_wire(body.template)),
        language: body.language.unwrap_or_default(),
        quiet_hours: body
            .quiet_hours
            .map(|quiet| reminder::QuietHours { from: quiet.from.to_string(), to: quiet.to.to_string() }),
        asks: body.asks.map(|asks| asks.as_str().to_owned()).unwrap_or_default(),
        consent: body.consent.as_str().to_owned(),
        repeat_unknown: body.repeat_unknown,
    }
}

fn rule_shown(rule: reminder::Rule) -> Rule {
    let body = rule.body.unwrap_or_default();
    let template = body.template.unwrap_or_default();
    let quiet = body
        .quiet_hours
        .and_then(|quiet| Some(QuietHours { from: quiet.from.parse().ok()?, to: quiet.to.parse().ok()? }));
    Rule {
        id: rule.id,
        version: rule.version,
        body: RuleShown {
            trigger: body.trigger,
            offset_minutes: body.offset_minutes,
            channels: body.channels,
            fallback_channels: body.fallback_channels,
            service_ids: body.service_ids,
            template: Template {
                sms: template.sms,
                email_subject: template.email_subject,
                email_text: template.email_text,
            },
            language: optional_text(&body.language),
            quiet_hours: quiet,
            asks: optional_text(&body.asks),
            consent: body.consent,
            repeat_unknown: body.repeat_unknown,
        },
        created_at: time::utc(rule.created_at_us),
        updated_at: time::utc(rule.updated_at_us),
        archived_at: time::optional(rule.archived_at_us, ""),
    }
}

fn rule_reply(status: u16, rule: reminder::Rule) -> Result<Reply, Fault> {
    let (id, version) = (rule.id.clone(), rule.version);
    Ok(Reply::json(status, &rule_shown(rule))?.version(version).target(&id))
}

async fn rules(call: Call) -> Result<Reply, Fault> {
    let page = Page { limit: call.params.number("limit"), cursor: call.params.text_or_empty("cursor") };
    let request = ListRulesRequest { page: Some(page), archived: false };
    let answer = call.inner.reminder.clone().list_rules(call.context().request(request)).await?.into_inner();
    let data = answer.rules.into_iter().map(rule_shown).collect();
    Reply::json(200, &RulePage { data, next_cursor: next_cursor(answer.next_cursor) })
}

async fn create_rule(call: Call) -> Result<Reply, Fault> {
    let body: RuleBody = call.read()?;
    let request = CreateRuleRequest { body: Some(rule_to_wire(body)) };
    let response = call.inner.reminder.clone().create_rule(call.context().forward(request)).await?;
    let reply = Reply::empty(201).after(&response);
    let rule = response.into_inner();
    let path = format!("/v1/reminder_rules/{}", rule.id);
    let made = rule_reply(201, rule)?.location(path);
    Ok(Reply { revision: reply.revision, replayed: reply.replayed, ..made })
}

async fn get_rule(call: Call) -> Result<Reply, Fault> {
    let request = GetRuleRequest { id: call.part("id") };
    rule_reply(200, call.inner.reminder.clone().get_rule(call.context().request(request)).await?.into_inner())
}

async fn patch_rule(call: Call) -> Result<Reply, Fault> {
    let id = call.part("id");
    let request = GetRuleRequest { id: id.clone() };
    let present = call.inner.reminder.clone().get_rule(call.context().request(request)).await?.into_inner();
    let version = present.version;
    let mut merged: Value = serde_json::to_value(rule_shown(present).body).map_err(Fault::internal)?;
    if let Value::Object(fields) = &mut merged {
        fields.retain(|_, value| !value.is_null());
    }
    merge(&mut merged, &call.body);
    call.inner.schemas.check_merged("RuleBody", &call.body, &merged)?;
    let body: RuleBody = read(&merged)?;
    let if_version = match call.if_version()? {
        0 => version,
        version => version,
    };
    let request = UpdateRuleRequest { id, body: Some(rule_to_wire(body)), if_version };
    rule_reply(200, call.inner.reminder.clone().update_rule(call.context().request(request)).await?.into_inner())
}

async fn archive_rule(call: Call) -> Result<Reply, Fault> {
    let request = ArchiveRuleRequest { id: call.part("id"), if_version: call.if_version()? };
    rule_reply(200, call.inner.reminder.clone().archive_rule(call.context().request(request)).await?.into_inner())
}
