//! The page of an unsubscribe link. Mail programs post to `/v1/unsubscribe` (RFC 8058).

use rpc::Fault;

use super::{form, page};
use crate::{
    call::Call,
    operation::{Operation, handler},
    page_frame::Languages,
    reply::Reply,
    v1::unsubscribe,
};

const PATH: &str = "/u";

pub(super) fn operations() -> Vec<Operation> {
    let path = "/u/{token}";
    vec![page("emails_page", path, handler!(show)), form("emails_page_end", path, handler!(end))]
}

async fn show(call: Call) -> Result<Reply, Fault> {
    unsubscribe::show_at(call, PATH).await
}

async fn end(mut call: Call) -> Result<Reply, Fault> {
    unsubscribe::end(&mut call).await?;
    let query = match Languages::of(&call).select() {
        (language, true) => format!("?{}={}", web::LANGUAGE_PARAM, language.as_str()),
        (_, false) => String::new(),
    };
    let base = call.inner.public_path();
    Ok(Reply::see_other(format!("{base}{PATH}/{}{query}", call.path_param("token"))))
}
