//! Consents: which a patient has given, and the history of each: who, when and how.
//!
//! The history is kept in the patient's own document, so that it and what holds now change together or not at all.

use std::sync::Arc;

use ::wire::booking::{
    self as wire, ConsentHistory, GetPatientRequest, RecordConsentRequest, RecordReplyConsentRequest,
    RecordReplyConsentResponse,
};
use domain::{
    fault::Faults,
    id::PatientId,
    patient::{Channel, Consent, ConsentEvent, ConsentKind, ConsentSource},
};
use rpc::{Context, Fault};
use tonic::Response;

use crate::{
    Inner,
    commit::{self, Begun, begin, remember, revision},
    patients::{
        self,
        document::{Document, Hand},
    },
    store::{batch::Batch, rows::PatientRow},
};

const ROUTE: &str = "RecordConsent";
const REPLY_ROUTE: &str = "RecordReplyConsent";
/// Patients who share one address, at most.
const SHARED_MAX: i64 = 50;

pub(crate) async fn list(inner: &Inner, ctx: &Context, request: GetPatientRequest) -> Result<ConsentHistory, Fault> {
    let row = patients::load(inner, ctx, &request.id).await?;
    Ok(history(&row, row.version, &Document::read(&row.details)?))
}

pub(crate) async fn record(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RecordConsentRequest,
) -> Result<Response<ConsentHistory>, Fault> {
    let _running = match begin(inner, ctx, ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let mut faults = Faults::new();
    let (channel, kind) = (channel(&mut faults, &request.channel), kind(&mut faults, &request.kind));
    let how = way(&mut faults, &request.how);
    faults.result()?;
    let (Some(channel), Some(kind), Some(how)) = (channel, kind, how) else {
        return Err(Fault::internal("a consent without faults lacks a part"));
    };
    commit::again(|| async {
        let row = patients::load(inner, ctx, &request.patient_id).await?;
        let hand = Hand { at_us: inner.clock.now_us(), by: &ctx.caller, how };
        let old = Document::read(&row.details)?;
        let new = old.consented(Consent { channel, kind }, request.given, hand);
        let mut batch = Batch { organization_id: ctx.organization.uuid(), now_us: hand.at_us, ..Batch::default() };
        let version = put(&mut batch, &row, &old, &new)?;
        let answer = history(&row, version, &new);
        batch.idempotency = remember(ctx, ROUTE, &answer);
        commit::finish(inner, ctx, ROUTE, batch, answer).await
    })
    .await
}

/// Gives or withdraws for everybody at an address, all or nobody.
pub(crate) async fn reply(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RecordReplyConsentRequest,
) -> Result<Response<RecordReplyConsentResponse>, Fault> {
    let _running = match begin(inner, ctx, REPLY_ROUTE).await? {
        Begun::New(running) => running,
        Begun::Replay(response) => return Ok(response),
    };
    let mut faults = Faults::new();
    let (channel, how) = (channel(&mut faults, &request.channel), way(&mut faults, &request.how));
    let kinds = match request.kind.as_str() {
        "" => ConsentKind::ALL.to_vec(),
        one => kind(&mut faults, one).into_iter().collect(),
    };
    faults.check(!request.address.is_empty(), "/address", "missing", "say whose consents");
    faults.result()?;
    let (Some(channel), Some(how)) = (channel, how) else {
        return Err(Fault::internal("a consent without faults lacks a part"));
    };
    commit::again(|| async {
        let hand = Hand { at_us: inner.clock.now_us(), by: &ctx.caller, how };
        let mut batch = Batch { organization_id: ctx.organization.uuid(), now_us: hand.at_us, ..Batch::default() };
        for row in patients::at_address(inner, ctx, channel, &request.address, SHARED_MAX).await? {
            let old = Document::read(&row.details)?;
            let mut new = old.clone();
            for kind in &kinds {
                let consent = Consent { channel, kind: *kind };
                // A word that asks for messages again gives back what such a word took, and nothing more.
                if !request.given || old.was_withdrawn_by(consent, how) {
                    new = new.consented(consent, request.given, hand);
                }
            }
            put(&mut batch, &row, &old, &new)?;
        }
        let changed = u32::try_from(batch.change_patients.len()).unwrap_or(u32::MAX);
        let answer = RecordReplyConsentResponse { changed };
        if changed == 0 {
            return Ok(Response::new(answer));
        }
        batch.idempotency = remember(ctx, REPLY_ROUTE, &answer);
        let position = commit::commit(inner, batch).await.map_err(commit::refused)?;
        Ok(rpc::respond(answer, &revision(position), false))
    })
    .await
}

/// Adds to a batch what changes of a patient; answers the version after it.
fn put(batch: &mut Batch, row: &PatientRow, old: &Document, new: &Document) -> Result<i64, Fault> {
    if old.log == new.log {
        return Ok(row.version);
    }
    batch.change_patients.push(patients::changed(row, new)?);
    Ok(row.version + 1)
}

fn history(row: &PatientRow, version: i64, document: &Document) -> ConsentHistory {
    let event = |one: &ConsentEvent| wire::ConsentEvent {
        channel: one.channel.as_str().to_owned(),
        kind: one.kind.as_str().to_owned(),
        given: one.given,
        at_us: one.at_us,
        by: one.by.clone(),
        how: one.how.as_str().to_owned(),
    };
    ConsentHistory {
        patient_id: PatientId::new(row.id).to_string(),
        version,
        consents: ::wire::convert::patient::to_wire(&document.details).consents,
        events: document.log.iter().rev().map(event).collect(),
    }
}

fn channel(faults: &mut Faults, word: &str) -> Option<Channel> {
    let found = Channel::ALL.into_iter().find(|one| one.as_str() == word);
    faults.check(found.is_some(), "/channel", "invalid_value", "expected sms or email");
    found
}

fn kind(faults: &mut Faults, word: &str) -> Option<ConsentKind> {
    let found = ConsentKind::ALL.into_iter().find(|one| one.as_str() == word);
    faults.check(found.is_some(), "/kind", "invalid_value", "expected service or marketing");
    found
}

fn way(faults: &mut Faults, word: &str) -> Option<ConsentSource> {
    let found = ConsentSource::ALL.into_iter().find(|one| one.as_str() == word);
    let words = ConsentSource::ALL.map(ConsentSource::as_str).join(", ");
    faults.check(found.is_some(), "/how", "invalid_value", format!("expected one of {words}"));
    found
}
