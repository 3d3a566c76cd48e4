//! The assets of the pages. Browsers keep them for ever under the path that the pages name.

use axum::{
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// The route.
pub(crate) const ROUTE: &str = "/assets/{hash}/{name}";
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Serves an asset. Under another hash, such as that of another version of the product beside this one, it is not kept.
pub(crate) async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    let Some(asset) = web::assets::find(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let caching = if hash == web::assets::hash() { FOR_EVER } else { "no-cache" };
    let mut response = asset.text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}
