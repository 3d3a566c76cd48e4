//! `meridian config`: the configuration in force, as TOML.

use anyhow::Result;

use crate::cli::Common;

/// A URL whose path may hold a secret.
const HIDDEN_KEY: &str = "reminder.providers.http.url";

/// Prints each setting with its value and origin. Secrets are hidden; settings without a value are comments.
///
/// # Errors
/// When the configuration cannot be used.
pub(crate) fn print(common: &Common) -> Result<()> {
    let (settings, key) = (common.effective()?, common.admin_key()?);
    println!(
        "# The configuration is valid. This is in force; secrets are hidden. `meridian config --keys` lists its keys."
    );
    for setting in settings {
        let setting = if setting.key == HIDDEN_KEY { setting.hidden() } else { setting };
        match &setting.value {
            Some(value) => println!("{} = {value}  # {}", setting.key, setting.origin),
            None => println!("# {} is not set", setting.key),
        }
    }
    println!("# The installation's own key {} set.", if key.is_some() { "is" } else { "is not" });
    Ok(())
}
