//! `meridian openapi`: the OpenAPI document of the REST interface, which needs no database.

use anyhow::Result;

/// Prints the document as indented JSON.
///
/// # Errors
/// Never in practice: the document is serializable.
pub(crate) fn print() -> Result<()> {
    println!("{}", serde_json::to_string_pretty(&gateway::openapi())?);
    Ok(())
}
