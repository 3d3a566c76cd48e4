//! The person, the organisation and the permissions that a token's claims give by the configured rules.

use domain::id::OrganizationId;
use rpc::{Code, Fault};

use super::claims::Claims;
use crate::{
    auth::{
        Caller, Scope,
        caller::PERSON_PREFIX,
        invalid_token,
        organization::{HEADER, invalid},
        role::joined_scopes,
    },
    config::{Oidc, Rule},
};

/// The longest subject (OpenID Connect Core 1.0, section 2).
const SUBJECT_CHARACTERS_MAX: usize = 255;
/// The longest name of a person.
const NAME_CHARACTERS_MAX: usize = 200;

/// The caller that a token's claims describe. `named` is the organisation that the request names.
///
/// # Errors
/// `unauthenticated` without a usable subject, `forbidden` where the token is not of the organisation, `invalid_parameter`
/// where it is of several and the request names none.
pub(super) fn caller(
    config: &Oidc,
    claims: &Claims,
    named: Option<OrganizationId>,
    default: OrganizationId,
) -> Result<Caller, Fault> {
    let fitting: Vec<&Rule> = config.rules.iter().filter(|rule| fits(rule, claims)).collect();
    let organization = choose(&organizations(config, claims, &fitting, default), named)?;
    let applying = fitting.into_iter().filter(|rule| rule.organization.is_none_or(|of| of == organization));
    let scopes: Vec<Scope> = applying.flat_map(|rule| joined_scopes(rule.role, &rule.scopes)).collect();
    let caller =
        Caller::key(organization, format!("{PERSON_PREFIX}{}", subject(claims)?), joined_scopes(None, &scopes));
    Ok(Caller { display_name: display_name(config, claims), ..caller })
}

fn fits(rule: &Rule, claims: &Claims) -> bool {
    claims.texts(&rule.claim).contains(&rule.value.as_str())
}

/// The organisations of a token: those of the configured claim; else those of the rules that it fits.
fn organizations(config: &Oidc, claims: &Claims, fitting: &[&Rule], default: OrganizationId) -> Vec<OrganizationId> {
    let mut found: Vec<OrganizationId> = match &config.organization_claim {
        Some(claim) => claims.texts(claim).into_iter().filter_map(|id| id.parse().ok()).collect(),
        None if fitting.is_empty() => vec![default],
        None => fitting.iter().map(|rule| rule.organization.unwrap_or(default)).collect(),
    };
    found.sort_unstable();
    found.dedup();
    found
}

fn choose(found: &[OrganizationId], named: Option<OrganizationId>) -> Result<OrganizationId, Fault> {
    match (found, named) {
        (found, Some(named)) if found.contains(&named) => Ok(named),
        (_, Some(_)) => {
            Err(Fault::new(Code::Forbidden, format!("the token is not of the organisation that {HEADER} names")))
        }
        ([one], None) => Ok(*one),
        ([], None) => {
            let detail = "the token names no organisation: see `auth.oidc.organization_claim` in the configuration";
            Err(Fault::new(Code::Forbidden, detail))
        }
        (_, None) => Err(invalid("missing", "the token is of several organisations; name one of them: org_…")),
    }
}

fn subject(claims: &Claims) -> Result<&str, Fault> {
    let is_usable = |subject: &&str| {
        (1..=SUBJECT_CHARACTERS_MAX).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let detail = "the token's claim `sub` must have 1 to 255 visible ASCII characters";
    claims.text("sub").filter(is_usable).ok_or_else(|| invalid_token(detail))
}

fn display_name(config: &Oidc, claims: &Claims) -> Option<String> {
    let name = claims.text(&config.name_claim)?.trim();
    let visible: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARACTERS_MAX).collect();
    (!visible.is_empty()).then_some(visible)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::auth::Role;

    const DEFAULT: OrganizationId = OrganizationId::new(Uuid::from_u128(1));
    const OTHER: OrganizationId = OrganizationId::new(Uuid::from_u128(2));

    fn rule(value: &str, role: Role, organization: Option<OrganizationId>) -> Rule {
        Rule { claim: "groups".into(), value: value.into(), role: Some(role), scopes: vec![], organization }
    }

    fn of(config: &Oidc, more: Value, named: Option<OrganizationId>) -> Result<Caller, Fault> {
        let mut claims = json!({"sub": "ada", "name": " Ada\u{7} Example "});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        caller(config, &Claims::new(claims.as_object().unwrap().clone()), named, DEFAULT)
    }

    #[test]
    fn rules_give_the_permissions_of_all_that_fit() {
        let mut further = rule("numbers", Role::Practitioner, None);
        (further.role, further.scopes) = (None, vec![Scope::ReportsRead]);
        let config = Oidc { rules: vec![rule("treats", Role::Practitioner, None), further], ..Oidc::default() };
        let both = of(&config, json!({"groups": ["treats", "numbers", "x"]}), None).unwrap();
        assert_eq!(both.scopes(), [Scope::SlotsRead, Scope::BookingsWrite, Scope::PatientsRead, Scope::ReportsRead]);
        assert_eq!((both.organization, both.name.as_str(), both.is_installation), (DEFAULT, "oidc:ada", false));
        assert_eq!(both.display_name.as_deref(), Some("Ada Example"));
        for nothing in [json!({}), json!({"groups": "treat"}), json!({"groups": {"treats": true}})] {
            assert!(of(&config, nothing, None).unwrap().scopes().is_empty());
        }
    }

    #[test]
    fn a_rule_of_one_organisation_gives_nothing_in_another() {
        let rules = vec![rule("a", Role::Owner, Some(OTHER)), rule("b", Role::Practitioner, None)];
        let config = Oidc { rules, ..Oidc::default() };
        let groups = json!({"groups": ["a", "b"]});
        assert_eq!(of(&config, groups.clone(), None).unwrap_err().code, Code::InvalidParameter, "two organisations");
        let other = of(&config, groups.clone(), Some(OTHER)).unwrap();
        assert!(other.organization == OTHER && other.has(Scope::ReportsRead));
        let default = of(&config, groups, Some(DEFAULT)).unwrap();
        assert!(default.organization == DEFAULT && !default.has(Scope::ReportsRead) && default.has(Scope::SlotsRead));
        let only_other = of(&config, json!({"groups": "a"}), None).unwrap();
        assert_eq!(only_other.organization, OTHER);
        assert_eq!(of(&config, json!({"groups": "a"}), Some(DEFAULT)).unwrap_err().code, Code::Forbidden);
    }

    #[test]
    fn the_claim_alone_names_the_organisations_where_it_is_configured() {
        let rules = vec![rule("a", Role::Owner, Some(OTHER)), rule("a", Role::Practitioner, None)];
        let config = Oidc { rules, organization_claim: Some("org".into()), ..Oidc::default() };
        let of = |org: Value, named| of(&config, json!({"groups": "a", "org": org}), named);
        assert_eq!(of(json!(null), None).unwrap_err().code, Code::Forbidden);
        assert_eq!(of(json!("everything"), None).unwrap_err().code, Code::Forbidden);
        let default = of(json!(DEFAULT.to_string()), None).unwrap();
        assert!(default.organization == DEFAULT && !default.has(Scope::ReportsRead));
        assert_eq!(of(json!(DEFAULT.to_string()), Some(OTHER)).unwrap_err().code, Code::Forbidden);
        let both = json!([DEFAULT.to_string(), OTHER.to_string()]);
        assert!(of(both.clone(), Some(OTHER)).unwrap().has(Scope::ReportsRead));
        assert_eq!(of(both, None).unwrap_err().code, Code::InvalidParameter);
    }

    #[test]
    fn a_subject_without_a_usable_form_is_refused() {
        let config = Oidc::default();
        for subject in
            [json!(""), json!("a b"), json!("a\n"), json!("é"), json!("x".repeat(256)), json!(7), json!(null)]
        {
            let refused = of(&config, json!({"sub": subject}), None).unwrap_err();
            assert_eq!(refused.code, Code::Unauthenticated, "{subject}");
        }
    }
}
