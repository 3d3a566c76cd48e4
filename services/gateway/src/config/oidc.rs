//! The section `auth.oidc`.

use std::net::IpAddr;

use domain::id::OrganizationId;
use http::Uri;
use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};

use crate::auth::{Role, Scope};

/// The most rules.
const RULES_MAX: usize = 500;
/// The longest name and the longest value of a claim in a rule, in bytes.
const TEXT_BYTES_MAX: usize = 300;

/// Tokens of an OpenID provider, which people send instead of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Oidc {
    /// The issuer of the tokens, exactly as their claim `iss` has it, such as `https://login.example.org/realms/clinic`. Not
    /// set: the gateway takes keys only.
    pub issuer: Option<String>,
    /// The audience that the tokens' claim `aud` must contain. An issuer needs it.
    pub audience: Option<String>,
    /// The URL of the issuer's keys, a JWK Set (RFC 7517). Not set: the issuer's `/.well-known/openid-configuration` names it.
    pub jwks_url: Option<String>,
    /// Whether the issuer and its keys may be reached over `http` beyond this machine, because a mesh protects the connection.
    pub plaintext: bool,
    /// The most seconds by which the issuer's clock may differ from ours, 0 to 300.
    pub clock_skew_seconds: u32,
    /// The age of the issuer's keys in seconds at which they are fetched again, 60 to 86400. A key that the issuer has
    /// withdrawn is accepted for at most this time.
    pub keys_max_age_seconds: u32,
    /// The longest use of fetched keys in seconds while the issuer cannot be reached, `keys_max_age_seconds` to 604800.
    pub keys_stale_seconds: u32,
    /// The claim with the name of the person, for the audit log.
    pub name_claim: String,
    /// The claim with the ids (`org_…`) of the person's organisations: one text, or a list. Not set: a rule names the
    /// organisation, or it is the default one.
    pub organization_claim: Option<String>,
    /// The rules that give tokens their permissions. Each gives the tokens whose `claim` is or contains `value` a `role`, some
    /// `scopes` or both, and applies in one `organization` or else in each of the token's:
    /// `[{claim = "groups", value = "front-desk", role = "reception"}]`. A claim inside another one is named with dots:
    /// `realm_access.roles`. A token that fits no rule may do nothing.
    pub rules: Vec<Rule>,
}

/// A rule that gives tokens permissions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The name of a claim, or its path with dots.
    pub claim: String,
    /// The text that the claim is or contains.
    pub value: String,
    /// The role that the rule gives.
    #[serde(default)]
    pub role: Option<Role>,
    /// The scopes that the rule gives besides those of the role.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// The organisation in which the rule applies; not set: each organisation of the token.
    #[serde(default)]
    pub organization: Option<OrganizationId>,
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            jwks_url: None,
            plaintext: false,
            clock_skew_seconds: 60,
            keys_max_age_seconds: 600,
            keys_stale_seconds: 86_400,
            name_claim: "name".into(),
            organization_claim: None,
            rules: vec![],
        }
    }
}

impl Oidc {
    /// Whether a URL may be fetched: `https`, or `http` on this machine or where a mesh protects the connection.
    pub(crate) fn permits_url(&self, url: &str) -> bool {
        let Ok(uri) = url.parse::<Uri>() else { return false };
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else { return false };
        match uri.scheme_str() {
            Some("https") => true,
            Some("http") => self.plaintext || is_loopback(host),
            _ => false,
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl Section for Oidc {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        let mut check = |holds: bool, key: &str, problem: &str| {
            if !holds {
                faults.push(Fault { key: format!("{at}{key}"), problem: problem.to_owned() });
            }
        };
        let url = "write a URL that begins with https://, or with http:// on this machine or with plaintext = true";
        let permitted = |url: &Option<String>| url.as_deref().is_none_or(|url| self.permits_url(url));
        let has_no_query = self.issuer.as_deref().is_none_or(|issuer| !issuer.contains(['?', '#']));
        check(permitted(&self.issuer), "issuer", url);
        check(has_no_query, "issuer", "an issuer has neither `?` nor `#`");
        check(permitted(&self.jwks_url), "jwks_url", url);
        let audience = self.audience.as_deref().is_some_and(|audience| !audience.is_empty());
        check(self.issuer.is_none() || audience, "audience", "name the audience of the tokens: an issuer needs it");
        let unused = self.audience.is_none() && self.jwks_url.is_none() && self.rules.is_empty();
        check(self.issuer.is_some() || unused, "issuer", "name the issuer: the other keys mean nothing without it");
        check(self.clock_skew_seconds <= 300, "clock_skew_seconds", "must lie between 0 and 300");
        let max_age = self.keys_max_age_seconds;
        check((60..=86_400).contains(&max_age), "keys_max_age_seconds", "must lie between 60 and 86400");
        let stale = (max_age..=604_800).contains(&self.keys_stale_seconds);
        check(stale, "keys_stale_seconds", "must lie between keys_max_age_seconds and 604800");
        let is_text = |text: &str| (1..=TEXT_BYTES_MAX).contains(&text.len());
        check(is_text(&self.name_claim), "name_claim", "name a claim, such as name");
        let claim = self.organization_claim.as_deref().is_none_or(is_text);
        check(claim, "organization_claim", "name a claim, such as organization");
        check(self.rules.len() <= RULES_MAX, "rules", "write at most 500 rules");
        for (rule, number) in self.rules.iter().zip(1..) {
            let holds = is_text(&rule.claim) && is_text(&rule.value);
            check(holds, "rules", &format!("rule {number} needs a claim and a value of 1 to 300 bytes"));
            let gives = rule.role.is_some() || !rule.scopes.is_empty();
            check(gives, "rules", &format!("rule {number} needs a role or scopes"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &Oidc) -> Vec<String> {
        let mut faults = Vec::new();
        config.validate("", &mut faults);
        faults.into_iter().map(|fault| fault.key).collect()
    }

    #[test]
    fn each_fault_is_named() {
        let rule = Rule {
            claim: "groups".into(),
            value: "desk".into(),
            role: Some(Role::Reception),
            scopes: vec![],
            organization: None,
        };
        let good = Oidc {
            issuer: Some("https://login.example.org".into()),
            audience: Some("meridian".into()),
            rules: vec![rule.clone()],
            ..Oidc::default()
        };
        assert_eq!(keys(&Oidc::default()), Vec::<String>::new());
        assert_eq!(keys(&good), Vec::<String>::new());
        let empty = Rule { role: None, ..rule.clone() };
        let issuer = |issuer: &str| Oidc { issuer: Some(issuer.into()), ..good.clone() };
        for (config, key) in [
            (issuer("http://login.example.org"), "issuer"),
            (issuer("login.example.org"), "issuer"),
            (issuer("https://login.example.org?a=b"), "issuer"),
            (Oidc { issuer: None, ..good.clone() }, "issuer"),
            (Oidc { audience: None, ..good.clone() }, "audience"),
            (Oidc { jwks_url: Some("ftp://login.example.org".into()), ..good.clone() }, "jwks_url"),
            (Oidc { clock_skew_seconds: 301, ..good.clone() }, "clock_skew_seconds"),
            (Oidc { keys_max_age_seconds: 59, ..good.clone() }, "keys_max_age_seconds"),
            (Oidc { keys_stale_seconds: 599, ..good.clone() }, "keys_stale_seconds"),
            (Oidc { name_claim: String::new(), ..good.clone() }, "name_claim"),
            (Oidc { organization_claim: Some(String::new()), ..good.clone() }, "organization_claim"),
            (Oidc { rules: vec![rule; RULES_MAX + 1], ..good.clone() }, "rules"),
            (Oidc { rules: vec![empty], ..good.clone() }, "rules"),
        ] {
            assert_eq!(keys(&config), [key], "{config:?}");
        }
        for reached in ["http://127.0.0.1:9000", "http://localhost/realms/a", "http://[::1]:9000/a"] {
            assert_eq!(keys(&issuer(reached)), Vec::<String>::new(), "{reached}");
        }
        let mesh = Oidc { plaintext: true, ..issuer("http://login.svc") };
        assert_eq!(keys(&mesh), Vec::<String>::new());
    }
}
