//! `meridian config`: the configuration in force, as TOML.

use anyhow::Result;

use crate::cli::Common;

/// Where texts are posted: its path may be a secret.
const HIDDEN: &str = "reminder.providers.http.url";

/// Prints each setting, its value and where that is from, with secrets hidden; what is not set stands in a comment.
///
/// # Errors
/// When the configuration cannot be used.
pub(crate) fn print(common: &Common) -> Result<()> {
    let (settings, key) = (common.in_force()?, common.admin_key()?);
    println!(
        "# The configuration is valid. This is in force; secrets are hidden. `meridian config --keys` lists its keys."
    );
    for setting in settings {
        let setting = if setting.key == HIDDEN { setting.hidden() } else { setting };
        match &setting.value {
            Some(value) => println!("{} = {value}  # {}", setting.key, setting.origin),
            None => println!("# {} is not set", setting.key),
        }
    }
    println!("# The installation's own key {} set.", if key.is_some() { "is" } else { "is not" });
    Ok(())
}
