//! The change feed.

use std::{pin::Pin, sync::Arc};

use ::wire::booking::{self as wire, feed_server};
use futures::{Stream, StreamExt};
use rpc::Context;
use service::db_error;
use sql::feed::Position;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status};

use super::Answer;
use crate::{
    Inner,
    feed::{
        change, history,
        snapshot::SnapshotWriter,
        stream::{BATCH_MAX, Subscriber},
    },
    store::changes::Unordered,
};

/// The service `Feed`.
pub(crate) struct Service(pub(crate) Arc<Inner>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl feed_server::Feed for Service {
    type SnapshotStream = Answers<wire::SnapshotPart>;
    type SubscribeChangesStream = Answers<wire::ChangeBatch>;

    async fn snapshot(&self, request: Request<wire::SnapshotRequest>) -> Answer<Self::SnapshotStream> {
        let ends_after_us = match request.into_inner().ends_after_us {
            0 => self.0.clock.now_us(),
            us => us,
        };
        let (writer, receiver) = SnapshotWriter::new(self.0.clock.now());
        tokio::spawn(writer.run(self.0.store.clone(), ends_after_us));
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(receiver))))
    }

    async fn history(&self, request: Request<wire::HistoryRequest>) -> Answer<wire::HistoryPart> {
        Ok(Response::new(history::part(&self.0, request.into_inner()).await?))
    }

    async fn subscribe_changes(
        &self,
        request: Request<wire::SubscribeChangesRequest>,
    ) -> Answer<Self::SubscribeChangesStream> {
        let name = Context::of(&request).map_or_else(|_| "unknown".to_owned(), |ctx| ctx.caller);
        let request = request.into_inner();
        let position: Position = if request.position.is_empty() {
            self.0.store.feed_end().await.map_err(db_error::fault)?
        } else {
            request.position.parse().map_err(|_| change::position_lost())?
        };
        let store = self.0.store.clone();
        let read = move |after, unordered: Unordered| {
            let store = store.clone();
            async move { store.changes_after(after, &unordered, BATCH_MAX).await }
        };
        // Subscribed before the first read: a commit in between comes twice and is delivered once.
        let local_commits = request.early.then(|| self.0.local_commits.subscribe());
        let subscriber = Subscriber::new(position, local_commits, self.0.draining.clone(), read);
        let follower = self.0.followers.connect(&name, position);
        let batches = subscriber.batches().inspect(move |batch| {
            let position = batch.as_ref().ok().and_then(|batch| batch.position.parse().ok());
            position.into_iter().for_each(|position| follower.reached(position));
        });
        Ok(Response::new(Box::pin(batches)))
    }
}
