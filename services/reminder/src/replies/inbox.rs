//! The clinic's inbox: replies that a person must read.

use std::sync::Arc;

use domain::{
    fault::Faults,
    id::{AppointmentId, InboundId, MessageId, PatientId},
};
use rpc::{Context, Fault};
use service::{db_error, page};
use tonic::Response;
use wire::reminder::{InboxItem, ListInboxRequest, ListInboxResponse, MarkReadRequest};

use crate::{
    Inner,
    idempotency::{self, Begun, Refusal, answer, begin, refused, remember},
    store::inbound::{self, InboundRow},
};

const MARK_READ_ROUTE: &str = "/meridian.reminder.v1.Reminder/MarkRead";

pub(crate) async fn list(inner: &Inner, ctx: &Context, request: ListInboxRequest) -> Result<ListInboxResponse, Fault> {
    let mut faults = Faults::new();
    let requested = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, requested.limit);
    let after = page::cursor(&mut faults, &requested.cursor);
    faults.result()?;
    let organization = ctx.organization.uuid();
    let found = inner.store.inbox(organization, request.unread, after, limit + 1).await;
    let mut rows = found.map_err(db_error::fault)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (row.received_at_us, row.id));
    let unread = inner.store.count_unread(organization).await.map_err(db_error::fault)?;
    Ok(ListInboxResponse {
        items: rows.into_iter().map(to_wire).collect(),
        next_cursor,
        unread_count: u32::try_from(unread).unwrap_or(u32::MAX),
    })
}

pub(crate) async fn mark_read(
    inner: &Arc<Inner>,
    ctx: &Context,
    request: MarkReadRequest,
) -> Result<Response<InboxItem>, Fault> {
    let guard = match begin(inner, ctx, MARK_READ_ROUTE).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::New(guard) => guard,
    };
    let id: InboundId = request.id.parse().map_err(|_| Fault::not_found())?;
    let revision = inner.revision();
    let (owned, ctx_owned, kept_revision) = (inner.clone(), ctx.clone(), revision.clone());
    // In a task of its own: a caller who disconnects does not interrupt the write.
    let task = tokio::spawn(async move {
        let _guard = guard;
        let (organization, now_us) = (ctx_owned.organization.uuid(), owned.clock.now_us());
        let mut tx = owned.store.of(organization).begin().await?;
        let row = inbound::mark_read(&mut tx, organization, id.uuid(), now_us, &ctx_owned.caller).await?;
        let kept = match &row {
            Some(row) => remember(&owned, &ctx_owned, MARK_READ_ROUTE, &to_wire(row.clone()), &kept_revision)?,
            None => None,
        };
        idempotency::insert(&mut tx, kept.as_ref(), now_us).await?;
        tx.commit().await?;
        Ok::<_, Refusal>(row)
    });
    match task.await.map_err(Fault::internal)? {
        Ok(Some(row)) => Ok(answer(to_wire(row), &revision, false)),
        Ok(None) => Err(Fault::not_found()),
        Err(refusal) => refused(inner, ctx, MARK_READ_ROUTE, refusal).await,
    }
}

fn to_wire(row: InboundRow) -> InboxItem {
    InboxItem {
        id: InboundId::new(row.id).to_string(),
        received_at_us: row.received_at_us,
        from: row.sender,
        text: row.body,
        meaning: row.meaning,
        attention: row.attention,
        message_id: row.message_id.map(|id| MessageId::new(id).to_string()).unwrap_or_default(),
        appointment_id: row.appointment_id.map(|id| AppointmentId::new(id).to_string()).unwrap_or_default(),
        patient_id: row.patient_id.map(|id| PatientId::new(id).to_string()).unwrap_or_default(),
        score: row.score.and_then(|score| u32::try_from(score).ok()),
        read_at_us: row.read_at_us.unwrap_or(0),
        read_by: row.read_by,
    }
}
