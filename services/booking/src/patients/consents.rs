//! Consents that a patient has given, and their history: who, when and how.
//!
//! The history lies in the patient's document, so that it and the present consents change together.

use std::sync::Arc;

use ::wire::booking::{
    self as wire, ConsentHistory, GetPatientRequest, RecordConsentRequest, RecordReplyConsentRequest,
    RecordReplyConsentResponse,
};
use domain::{
    fault::Faults,
    id::PatientId,
    patient::{Channel, Consent, ConsentEvent, ConsentKind, ConsentSource, Record},
};
use rpc::{Context, Fault};
use service::{db_error, idempotency::Begun};
use tonic::Response;

use super::{
    change::changed_patient,
    document::{Author, Document},
    load, search,
};
use crate::{
    Inner,
    commit::{self, begin},
    store::{batch::Batch, patient_search::PatientFilter, patients::PatientRow},
};

const RECORD_ROUTE: &str = "RecordConsent";
const REPLY_ROUTE: &str = "RecordReplyConsent";
/// Most patients at one address.
const SHARED_MAX: i64 = 50;

pub(crate) async fn list(inner: &Inner, ctx: &Context, request: GetPatientRequest) -> Result<ConsentHistory, Fault> {
    let row = load(inner, ctx, &request.id).await?;
    Ok(history(&row, row.version, &Document::read(&row.details)?))
}

pub(crate) async fn record(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RecordConsentRequest,
) -> Result<Response<ConsentHistory>, Fault> {
    let _guard = match begin(inner, ctx, RECORD_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let mut faults = Faults::new();
    let (channel, kind) = (channel(&mut faults, &request.channel), kind(&mut faults, &request.kind));
    let how = source(&mut faults, &request.how);
    faults.result()?;
    let (Some(channel), Some(kind), Some(how)) = (channel, kind, how) else {
        return Err(Fault::internal("a consent without faults lacks a part"));
    };
    commit::retry_stale(|| async {
        let row = load(inner, ctx, &request.patient_id).await?;
        let author = Author { at_us: inner.clock.now_us(), by: &ctx.caller, how };
        let old = Document::read(&row.details)?;
        let new = old.consented(Consent { channel, kind }, request.given, author);
        let mut batch = Batch::new(ctx.organization.uuid(), author.at_us);
        let version = put(&mut batch, &row, &old, &new)?;
        commit::answer(inner, ctx, RECORD_ROUTE, batch, history(&row, version, &new)).await
    })
    .await
}

/// Gives or withdraws consents of all patients whose messages go to an address, in one transaction.
pub(crate) async fn record_reply(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: RecordReplyConsentRequest,
) -> Result<Response<RecordReplyConsentResponse>, Fault> {
    let _guard = match begin(inner, ctx, REPLY_ROUTE).await? {
        Begun::New(guard) => guard,
        Begun::Replay(response) => return Ok(response),
    };
    let mut faults = Faults::new();
    let (channel, how) = (channel(&mut faults, &request.channel), source(&mut faults, &request.how));
    let kinds = match request.kind.as_str() {
        "" => ConsentKind::ALL.to_vec(),
        word => kind(&mut faults, word).into_iter().collect(),
    };
    faults.check(!request.address.is_empty(), "/address", "missing", "say whose consents");
    faults.result()?;
    let (Some(channel), Some(how)) = (channel, how) else {
        return Err(Fault::internal("a consent without faults lacks a part"));
    };
    commit::retry_stale(|| async {
        let author = Author { at_us: inner.clock.now_us(), by: &ctx.caller, how };
        let mut batch = Batch::new(ctx.organization.uuid(), author.at_us);
        for row in at_address(inner, ctx, channel, &request.address).await? {
            let old = Document::read(&row.details)?;
            let mut new = old.clone();
            for kind in &kinds {
                let consent = Consent { channel, kind: *kind };
                // A start word restores only the consents that a stop word withdrew.
                if !request.given || old.was_withdrawn_by(consent, how) {
                    new = new.consented(consent, request.given, author);
                }
            }
            put(&mut batch, &row, &old, &new)?;
        }
        let changed = u32::try_from(batch.change_patients.len()).unwrap_or(u32::MAX);
        let answer = RecordReplyConsentResponse { changed };
        if changed == 0 {
            return Ok(Response::new(answer));
        }
        commit::answer(inner, ctx, REPLY_ROUTE, batch, answer).await
    })
    .await
}

/// The patients who are reached at an address: their own, or that of the contact who gets their messages.
async fn at_address(inner: &Inner, ctx: &Context, channel: Channel, address: &str) -> Result<Vec<PatientRow>, Fault> {
    let terms = search::at_address(address);
    let filter = PatientFilter { terms, limit: SHARED_MAX, ..PatientFilter::default() };
    let mut rows = inner.store.list_patients(ctx.organization.uuid(), &filter).await.map_err(db_error::fault)?;
    let has_address = |record: &Record| match channel {
        Channel::Sms => record.phones().any(|known| known == address),
        Channel::Email => record.emails().any(|known| known.eq_ignore_ascii_case(address)),
    };
    rows.retain(|row| Document::read(&row.details).is_ok_and(|document| has_address(&document.record)));
    Ok(rows)
}

/// Adds a patient to a batch, where the consents change; answers the patient's version after the batch.
fn put(batch: &mut Batch, row: &PatientRow, old: &Document, new: &Document) -> Result<i64, Fault> {
    if old.log == new.log {
        return Ok(row.version);
    }
    batch.change_patients.push(changed_patient(row, new)?);
    Ok(row.version + 1)
}

fn history(row: &PatientRow, version: i64, document: &Document) -> ConsentHistory {
    let to_wire = |event: &ConsentEvent| wire::ConsentEvent {
        channel: event.channel.as_str().to_owned(),
        kind: event.kind.as_str().to_owned(),
        given: event.given,
        at_us: event.at_us,
        by: event.by.clone(),
        how: event.how.as_str().to_owned(),
    };
    ConsentHistory {
        patient_id: PatientId::new(row.id).to_string(),
        version,
        consents: ::wire::convert::patient::to_wire(&document.record.details).consents,
        events: document.log.iter().rev().map(to_wire).collect(),
    }
}

fn channel(faults: &mut Faults, word: &str) -> Option<Channel> {
    let found = Channel::ALL.into_iter().find(|known| known.as_str() == word);
    faults.check(found.is_some(), "/channel", "invalid_value", "expected sms or email");
    found
}

fn kind(faults: &mut Faults, word: &str) -> Option<ConsentKind> {
    let found = ConsentKind::ALL.into_iter().find(|known| known.as_str() == word);
    faults.check(found.is_some(), "/kind", "invalid_value", "expected service or marketing");
    found
}

fn source(faults: &mut Faults, word: &str) -> Option<ConsentSource> {
    let found = ConsentSource::ALL.into_iter().find(|known| known.as_str() == word);
    let expected = ConsentSource::ALL.map(ConsentSource::as_str).join(", ");
    faults.check(found.is_some(), "/how", "invalid_value", format!("expected one of {expected}"));
    found
}
