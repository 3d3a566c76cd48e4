//! Arguments that hold secrets.

use std::ffi::OsString;

use runtime::config::is_secret;

/// The arguments without those that hold a secret, and the variables that say the same.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hidden {
    pub(crate) arguments: Vec<OsString>,
    pub(crate) variables: Vec<(String, String)>,
}

/// Moves `--database-url`, and each `--set` of a secret or of a URL, to a variable. A variable stands below a flag, but nothing
/// else sets the same key by a flag then.
pub(crate) fn hide(arguments: impl Iterator<Item = OsString>) -> Hidden {
    let mut hidden = Hidden::default();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        let (flag, joined) = text.split_once('=').map_or((text, None), |(flag, value)| (flag, Some(value)));
        let value = match (flag, joined) {
            ("--database-url" | "--set", Some(value)) => Some(value.to_owned()),
            ("--database-url" | "--set", None) => arguments.peek().and_then(|next| next.to_str()).map(str::to_owned),
            _ => None,
        };
        match value.and_then(|value| variable(flag, &value)) {
            Some(variable) => {
                hidden.variables.push(variable);
                if joined.is_none() {
                    arguments.next();
                }
            }
            None => hidden.arguments.push(argument),
        }
    }
    hidden
}

/// The variable for the value of a flag that holds a secret.
fn variable(flag: &str, value: &str) -> Option<(String, String)> {
    let (key, value) = if flag == "--set" { value.split_once('=')? } else { ("database.url", value) };
    let hides = is_secret(key) || key.ends_with(".url");
    // An empty variable counts as unset, an empty flag does not.
    (hides && !value.is_empty())
        .then(|| (format!("MERIDIAN_{}", key.to_uppercase().replace('.', "__")), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hide_all(arguments: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
        let hidden = hide(arguments.iter().map(OsString::from));
        (hidden.arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect(), hidden.variables)
    }

    #[test]
    fn secrets_move_to_variables_and_other_arguments_stay() {
        let url = ("MERIDIAN_DATABASE__URL".to_owned(), "postgres://me:hunter2@db/main".to_owned());
        for arguments in [
            &["serve", "--database-url", "postgres://me:hunter2@db/main", "--role", "booking"][..],
            &["serve", "--database-url=postgres://me:hunter2@db/main", "--role", "booking"],
            &["serve", "--set", "database.url=postgres://me:hunter2@db/main", "--role", "booking"],
            &["serve", "--set=database.url=postgres://me:hunter2@db/main", "--role", "booking"],
        ] {
            let kept = ["serve", "--role", "booking"].map(str::to_owned).to_vec();
            assert_eq!(hide_all(arguments), (kept, vec![url.clone()]));
        }
        let token = ("MERIDIAN_REMINDER__PROVIDERS__TWILIO__AUTH_TOKEN".to_owned(), "x=y".to_owned());
        assert_eq!(hide_all(&["--set", "reminder.providers.twilio.auth_token=x=y"]), (vec![], vec![token]));
        for arguments in [
            &["serve", "--set", "booking.link_days=9"][..],
            &["--set"],
            &["--database-url"],
            &["--set", "database.url="],
        ] {
            let kept: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            assert_eq!(hide_all(arguments), (kept, vec![]));
        }
    }
}
