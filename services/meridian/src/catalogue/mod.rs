//! `meridian catalogue`: adds the default treatments, plan templates and aftercare rules to a running installation.

pub(crate) mod aftercare;
pub(crate) mod entries;

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail};
use domain::id::ServiceId;
use serde::Serialize;
use serde_json::Value;

use crate::cli::Common;

/// A client of the gateway with the installation's own key.
struct Gateway {
    client: reqwest::Client,
    url: String,
    key: String,
}

/// Adds the entries whose code is missing. Existing entries stay unchanged.
pub(crate) async fn run(common: &Common, url: &str) -> Result<()> {
    let key =
        common.admin_key()?.context("set MERIDIAN_ADMIN_KEY or --admin-key-file: the directory is the clinic's")?;
    let client = outbound::client_builder().build()?;
    let gateway = Gateway { client, url: url.trim_end_matches('/').to_owned(), key };
    let mut services = gateway.codes("/v1/services").await?;
    let mut added = 0;
    for treatment in entries::treatments() {
        let mut service = treatment.service;
        if services.contains_key(&service.code) {
            continue;
        }
        service.requires_prior = treatment.after.and_then(|code| services.get(code)?.parse().ok());
        let id = gateway.add("/v1/services", &service).await?;
        services.insert(service.code, id);
        added += 1;
    }
    let known = gateway.codes("/v1/plan_templates").await?;
    let find = |code: &str| services.get(code).and_then(|id| id.parse::<ServiceId>().ok());
    for template in entries::templates(find).iter().filter(|template| !known.contains_key(&template.code)) {
        gateway.add("/v1/plan_templates", template).await?;
        added += 1;
    }
    added += gateway.aftercare(&services).await?;
    println!("added {added} treatments, plan templates and rules of aftercare; what was there stays as it is");
    Ok(())
}

impl Gateway {
    /// The ids of a list's entries, by their codes.
    async fn codes(&self, path: &str) -> Result<HashMap<String, String>> {
        let entries = self.entries(path).await.with_context(|| format!("{path} cannot be listed"))?;
        let pair = |entry: &Value| Some((entry["code"].as_str()?.to_owned(), entry["id"].as_str()?.to_owned()));
        Ok(entries.iter().filter_map(pair).collect())
    }

    /// All entries of a list.
    async fn entries(&self, path: &str) -> Result<Vec<Value>> {
        let (mut entries, mut cursor) = (vec![], String::new());
        loop {
            let page = self.send(self.client.get(format!("{}{path}?limit=200{cursor}", self.url))).await?;
            entries.extend(page["data"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(entries),
            }
        }
    }

    /// Adds the missing aftercare rules. A rule with the same trigger and the same question counts as present.
    async fn aftercare(&self, services: &HashMap<String, String>) -> Result<usize> {
        let known = self.entries("/v1/reminder_rules").await?;
        let needling = entries::treatments().into_iter().filter(|treatment| treatment.service.needling);
        let needling = needling.filter_map(|treatment| services.get(&treatment.service.code).cloned()).collect();
        let mut added = 0;
        for rule in aftercare::rules(needling) {
            let is_same = |known: &Value| {
                known["trigger"] == rule.trigger.as_str() && known["asks"].as_str().unwrap_or_default() == rule.asks
            };
            if !known.iter().any(is_same) {
                self.add("/v1/reminder_rules", &aftercare::to_json(&rule)).await?;
                added += 1;
            }
        }
        Ok(added)
    }

    /// Adds an entry, and returns its id.
    async fn add(&self, path: &str, entry: &impl Serialize) -> Result<String> {
        let created = self.send(self.client.post(format!("{}{path}", self.url)).json(entry)).await?;
        Ok(created["id"].as_str().context("the gateway answered an entry without an id")?.to_owned())
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer = request.bearer_auth(&self.key).send().await.context("the gateway cannot be reached; see --url")?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        if !status.is_success() {
            bail!("the gateway answered {status}: {}", body["detail"].as_str().unwrap_or("no reason given"));
        }
        Ok(body)
    }
}
