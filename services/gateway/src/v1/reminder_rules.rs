//! The rules by which messages are planned.

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
    convert::optional_text,
    reminder::{self, ArchiveRuleRequest, CreateRuleRequest, GetRuleRequest, ListRulesRequest, UpdateRuleRequest},
};

use super::{
    CURSOR, LIMIT,
    messages::{Template, template_to_wire},
    next_cursor, time,
};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Body, Operation, handler},
    reply::Reply,
};

/// The hours in which no message is sent, in the location's wall-clock time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuietHours {
    from: domain::time::WallTime,
    to: domain::time::WallTime,
}

/// The trigger, channels and texts of messages.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleBody {
    /// `after_completed` and `missed` follow a visit. `plan_session_unbooked` fires when a plan has a session left, none is
    /// booked, and the last day for it is near; in its text `date` is that day, and `service_ids` filters by the session.
    trigger: Trigger,
    /// Minutes from the trigger; for `before_start`, before the start.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 129600)]
    offset_minutes: u32,
    #[schema(min_items = 1, max_items = 2)]
    channels: Vec<Channel>,
    /// The channel that is used at once when a message on one of `channels` cannot reach the patient: it is refused or not
    /// delivered, or there is no address or no consent. It must not be in `channels`. A message that may have arrived is not
    /// sent again.
    #[serde(default)]
    #[schema(max_items = 1)]
    fallback_channels: Vec<Channel>,
    /// Only for these services; none: all.
    #[serde(default)]
    #[schema(max_items = 200)]
    service_ids: Vec<domain::id::ServiceId>,
    #[serde(default)]
    template: Template,
    /// Only for patients of this language; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 35, nullable = false)]
    language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    quiet_hours: Option<QuietHours>,
    /// `score`: asks the patient for a score from 0 to 10; only after a visit, and only by SMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    asks: Option<Question>,
    /// The consent that it needs: `marketing` for every text with offers.
    #[serde(default = "service")]
    consent: ConsentKind,
    /// Whether a message with status `unknown` is sent once more after ten minutes, so that the patient may get it twice.
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
    body: RuleFields,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(format = DateTime)]
    archived_at: Option<String>,
}

/// The body of a rule in answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuleFields {
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

pub(super) fn operations() -> Vec<Operation> {
    let access = Access::Scopes(&[Scope::MessagesWrite]);
    let operation = |id: &str, method, path: &str, summary: &str, handler| {
        Operation::new(id, method, path, "messages", summary, access, handler)
    };
    vec![
        operation("list_rules", Method::GET, "/v1/reminder_rules", "Lists the reminder rules", handler!(list))
            .params(&[LIMIT, CURSOR])
            .answer(200, "RulePage"),
        operation("create_rule", Method::POST, "/v1/reminder_rules", "Creates a rule", handler!(create))
            .json_body("RuleBody")
            .answer(201, "Rule"),
        operation("get_rule", Method::GET, "/v1/reminder_rules/{id}", "Returns one rule", handler!(get))
            .answer(200, "Rule"),
        operation("patch_rule", Method::PATCH, "/v1/reminder_rules/{id}", "Changes a rule", handler!(patch))
            .body(Body::MergePatch)
            .answer(200, "Rule"),
        operation("archive_rule", Method::DELETE, "/v1/reminder_rules/{id}", "Archives a rule", handler!(archive))
            .answer(200, "Rule"),
    ]
}

fn to_wire(body: RuleBody) -> reminder::RuleBody {
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

fn to_json(rule: reminder::Rule) -> Rule {
    let body = rule.body.unwrap_or_default();
    let template = body.template.unwrap_or_default();
    let quiet = body
        .quiet_hours
        .and_then(|quiet| Some(QuietHours { from: quiet.from.parse().ok()?, to: quiet.to.parse().ok()? }));
    Rule {
        id: rule.id,
        version: rule.version,
        body: RuleFields {
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

fn reply(status: u16, rule: reminder::Rule) -> Result<Reply, Fault> {
    let (id, version) = (rule.id.clone(), rule.version);
    Ok(Reply::json(status, &to_json(rule))?.version(version).target(&id))
}

async fn list(call: Call) -> Result<Reply, Fault> {
    let request = ListRulesRequest { page: call.page(), archived: false };
    let answer = call.inner.reminder.clone().list_rules(call.context().request(request)).await?.into_inner();
    let data: Vec<Rule> = answer.rules.into_iter().map(to_json).collect();
    let rows = data.len();
    Ok(Reply::json(200, &RulePage { data, next_cursor: next_cursor(answer.next_cursor) })?.rows(rows))
}

async fn create(call: Call) -> Result<Reply, Fault> {
    let body: RuleBody = call.parse_body()?;
    let request = CreateRuleRequest { body: Some(to_wire(body)) };
    let response = call.inner.reminder.clone().create_rule(call.context().forward(request)).await?;
    let (metadata, rule, _) = response.into_parts();
    let path = format!("/v1/reminder_rules/{}", rule.id);
    Ok(reply(201, rule)?.location(path).write_metadata(&metadata))
}

async fn get(call: Call) -> Result<Reply, Fault> {
    let request = GetRuleRequest { id: call.path_param("id") };
    reply(200, call.inner.reminder.clone().get_rule(call.context().request(request)).await?.into_inner())
}

async fn patch(call: Call) -> Result<Reply, Fault> {
    let id = call.path_param("id");
    let request = GetRuleRequest { id: id.clone() };
    let current = call.inner.reminder.clone().get_rule(call.context().request(request)).await?.into_inner();
    let if_version = call.if_match_or(current.version)?;
    let mut resource = serde_json::to_value(to_json(current).body).map_err(Fault::internal)?;
    // A request omits the fields that an answer shows as null.
    if let Value::Object(fields) = &mut resource {
        fields.retain(|_, value| !value.is_null());
    }
    let body: RuleBody = call.merge_patch("RuleBody", resource)?;
    let request = UpdateRuleRequest { id, body: Some(to_wire(body)), if_version };
    reply(200, call.inner.reminder.clone().update_rule(call.context().request(request)).await?.into_inner())
}

async fn archive(call: Call) -> Result<Reply, Fault> {
    let request = ArchiveRuleRequest { id: call.path_param("id"), if_version: call.if_match()? };
    reply(200, call.inner.reminder.clone().archive_rule(call.context().request(request)).await?.into_inner())
}
