//! The service `Reminder`.

use std::sync::Arc;

use ::wire::reminder::{self as wire, reminder_server};
use rpc::Context;
use tonic::{Request, Response, Status};

use crate::{
    Inner, messages,
    providers::record_receipt::record_receipt,
    replies::{self, inbox},
    reports,
    rules::crud as rules,
    unsubscribe,
    verifications::{check, start},
};

/// The gRPC service.
pub(crate) struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl reminder_server::Reminder for Service {
    async fn list_messages(
        &self,
        request: Request<wire::ListMessagesRequest>,
    ) -> Result<Response<wire::ListMessagesResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(messages::list::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn get_message(&self, request: Request<wire::GetMessageRequest>) -> Result<Response<wire::Message>, Status> {
        let ctx = Context::of(&request)?;
        let row = messages::load(&self.0, &ctx, &request.into_inner().id).await?;
        let mut messages = messages::to_wire(&self.0, std::slice::from_ref(&row)).await?;
        Ok(Response::new(messages.pop().ok_or_else(rpc::Fault::not_found)?))
    }

    async fn retry_message(
        &self,
        request: Request<wire::RetryMessageRequest>,
    ) -> Result<Response<wire::Message>, Status> {
        let ctx = Context::of(&request)?;
        Ok(messages::retry::retry(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn preview_message(
        &self,
        request: Request<wire::PreviewMessageRequest>,
    ) -> Result<Response<wire::PreviewMessageResponse>, Status> {
        Ok(Response::new(messages::preview::preview(&self.0, request.into_inner())?))
    }

    async fn list_rules(
        &self,
        request: Request<wire::ListRulesRequest>,
    ) -> Result<Response<wire::ListRulesResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(rules::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn get_rule(&self, request: Request<wire::GetRuleRequest>) -> Result<Response<wire::Rule>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(rules::get(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn create_rule(&self, request: Request<wire::CreateRuleRequest>) -> Result<Response<wire::Rule>, Status> {
        let ctx = Context::of(&request)?;
        Ok(rules::create(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn update_rule(&self, request: Request<wire::UpdateRuleRequest>) -> Result<Response<wire::Rule>, Status> {
        let ctx = Context::of(&request)?;
        Ok(rules::update(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn archive_rule(&self, request: Request<wire::ArchiveRuleRequest>) -> Result<Response<wire::Rule>, Status> {
        let ctx = Context::of(&request)?;
        Ok(rules::archive(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn receive_inbound(
        &self,
        request: Request<wire::ReceiveRequest>,
    ) -> Result<Response<wire::ReceiveResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(replies::receive(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn get_unsubscribe(
        &self,
        request: Request<wire::UnsubscribeRequest>,
    ) -> Result<Response<wire::UnsubscribeState>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(unsubscribe::describe(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn unsubscribe(
        &self,
        request: Request<wire::UnsubscribeRequest>,
    ) -> Result<Response<wire::UnsubscribeState>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(unsubscribe::unsubscribe(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn list_inbox(
        &self,
        request: Request<wire::ListInboxRequest>,
    ) -> Result<Response<wire::ListInboxResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(inbox::list(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn mark_read(&self, request: Request<wire::MarkReadRequest>) -> Result<Response<wire::InboxItem>, Status> {
        let ctx = Context::of(&request)?;
        Ok(inbox::mark_read(&self.0, &ctx, request.into_inner()).await?)
    }

    async fn report_reminders(
        &self,
        request: Request<wire::ReportRemindersRequest>,
    ) -> Result<Response<wire::ReminderReport>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(reports::reminders::report(&self.0, &ctx, &request.into_inner()).await?))
    }

    async fn start_verification(
        &self,
        request: Request<wire::StartVerificationRequest>,
    ) -> Result<Response<wire::Verification>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(start::start(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn check_verification(
        &self,
        request: Request<wire::CheckVerificationRequest>,
    ) -> Result<Response<wire::CheckVerificationResponse>, Status> {
        let ctx = Context::of(&request)?;
        Ok(Response::new(check::check(&self.0, &ctx, request.into_inner()).await?))
    }

    async fn receive_status(
        &self,
        request: Request<wire::ReceiveRequest>,
    ) -> Result<Response<wire::ReceiveResponse>, Status> {
        Ok(Response::new(record_receipt(&self.0, request.into_inner()).await?))
    }
}
