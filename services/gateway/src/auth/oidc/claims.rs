//! The claims of a token that holds.

use serde_json::{Map, Value};

/// Claims whose text is a list of words (RFC 8693, section 4.2; `scp` is Microsoft's name).
const WORD_LISTS: [&str; 2] = ["scope", "scp"];

/// The claims of a token that holds.
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// A claim by its whole name, or else by its path with dots, such as `realm_access.roles`.
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).or_else(|| {
            let (first, rest) = name.split_once('.')?;
            rest.split('.').try_fold(self.0.get(first)?, |value, part| value.get(part))
        })
    }

    /// The text of a claim that is one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// The texts of a claim: one, or those of a list.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        match self.get(name) {
            Some(Value::String(text)) if WORD_LISTS.contains(&name) => text.split_ascii_whitespace().collect(),
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            _ => vec![],
        }
    }

    /// A time in seconds since the Unix epoch, rounded down; `None` where the token has none.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<i64>, ()> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        // A cast of a number that is too large gives the largest.
        let floor = |number: f64| number.floor() as i64;
        value.as_i64().or_else(|| value.as_f64().map(floor)).map(Some).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let claims = json!({"groups": ["desk", 7, "all"], "realm_access": {"roles": ["owner"]}, "https://a.b/c": "d",
            "scope": "openid slots:read", "exp": 12.9, "nbf": "12", "sub": "ada"});
        let claims = Claims::new(claims.as_object().unwrap().clone());
        assert_eq!(claims.texts("groups"), ["desk", "all"]);
        assert_eq!(claims.texts("realm_access.roles"), ["owner"]);
        assert_eq!(claims.texts("https://a.b/c"), ["d"]);
        assert_eq!(claims.texts("scope"), ["openid", "slots:read"]);
        assert_eq!((claims.text("sub"), claims.text("groups"), claims.text("sub.x")), (Some("ada"), None, None));
        assert_eq!(
            (claims.seconds("exp"), claims.seconds("nbf"), claims.seconds("iat")),
            (Ok(Some(12)), Err(()), Ok(None))
        );
        for absent in ["", ".", "realm_access", "realm_access.", "groups.0", "none.at.all"] {
            assert_eq!(claims.texts(absent), Vec::<&str>::new(), "{absent}");
        }
    }
}
