//! The list of messages, the latest due first.

use domain::{
    fault::Faults,
    id::{Appointment, Id},
    message::Status,
};
use rpc::{Context, Fault};
use service::{db_error, page};
use wire::reminder::{ListMessagesRequest, ListMessagesResponse};

use super::to_wire;
use crate::{Inner, store::messages::MessageFilter};

pub(crate) async fn list(
    inner: &Inner,
    ctx: &Context,
    request: ListMessagesRequest,
) -> Result<ListMessagesResponse, Fault> {
    let mut faults = Faults::new();
    let asked = request.page.unwrap_or_default();
    let limit = page::limit(&mut faults, asked.limit);
    let appointment =
        wire::convert::optional_id::<Appointment>(&mut faults, "appointment_id", &request.appointment_id).map(Id::uuid);
    if request.statuses.iter().any(|status| !Status::WORDS.contains(&status.as_str())) {
        faults.push("status", "invalid_value", format!("expected one of {}", Status::WORDS.join(", ")));
    }
    let after = page::cursor(&mut faults, &asked.cursor);
    faults.result()?;
    inner.wait_for_revision(ctx).await?;
    let filter = MessageFilter { appointment, statuses: request.statuses, after, limit: limit + 1 };
    let mut rows = inner.store.messages(ctx.organization.uuid(), &filter).await.map_err(db_error::fault)?;
    let next_cursor = page::cut(&mut rows, limit, |row| (row.due_at_us, row.id));
    Ok(ListMessagesResponse { messages: to_wire(inner, &rows).await?, next_cursor })
}
