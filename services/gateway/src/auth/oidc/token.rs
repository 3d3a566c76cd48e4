//! Verifies a token: its form, its signature, and its claims about issuer, audience and time (RFC 7519, RFC 8725).

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, Header, Validation, decode, decode_header,
    errors::{Error, ErrorKind},
};
use rpc::Fault;

use super::{Provider, claims::Claims};
use crate::auth::invalid_token;

/// The longest token in bytes.
const TOKEN_BYTES_MAX: usize = 16 << 10;

const UNREADABLE: &str = "the token is not a JWT that is signed by RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or \
                          EdDSA";

impl Provider {
    /// The claims of a token that holds.
    ///
    /// # Errors
    /// `unauthenticated` with the reason; `unavailable` where the issuer's keys cannot be fetched.
    pub(super) async fn verify(&self, token: &str) -> Result<Claims, Fault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid_token(format!("a token has at most {TOKEN_BYTES_MAX} bytes")));
        }
        let header = header(token)?;
        let key = self.keys.find(header.kid.as_deref(), header.alg).await?;
        let decoded = decode(token, &key, &self.validation(header.alg)).map_err(|error| refusal(&error))?;
        let claims = Claims::new(decoded.claims);
        // The library also takes a list that contains the issuer.
        if claims.text("iss") != Some(&self.issuer) {
            return Err(refusal(&ErrorKind::InvalidIssuer.into()));
        }
        self.check_times(&claims)?;
        Ok(claims)
    }

    /// The library checks issuer and audience. It reads times from the system, so they are checked here.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[self.config.audience.as_deref().unwrap_or_default()]);
        validation.validate_exp = false;
        validation
    }

    fn check_times(&self, claims: &Claims) -> Result<(), Fault> {
        let skew = i64::from(self.config.clock_skew_seconds);
        let now = self.clock.now().as_second();
        let time = |name: &str| {
            claims
                .seconds(name)
                .map_err(|()| invalid_token(format!("the token's claim `{name}` is not a number of seconds")))
        };
        let (expires, starts, issued) = (time("exp")?, time("nbf")?, time("iat")?);
        if expires.is_none_or(|at| now >= at.saturating_add(skew)) {
            return Err(invalid_token("the token has expired; get another one from the OpenID provider"));
        }
        if starts.is_some_and(|at| now < at.saturating_sub(skew)) {
            return Err(invalid_token(
                "the token is not valid yet; compare the clocks of its issuer and of this server",
            ));
        }
        if issued.is_some_and(|at| now < at.saturating_sub(skew)) {
            let detail = "the token was issued in the future; compare the clocks of its issuer and of this server";
            return Err(invalid_token(detail));
        }
        Ok(())
    }
}

/// The header of a token. Of its parameters `alg` and `kid` are read; keys and addresses in it (`jwk`, `jku`, `x5u`, `x5c`) are
/// the sender's word and mean nothing.
fn header(token: &str) -> Result<Header, Fault> {
    let header = decode_header(token).map_err(|_| invalid_token(UNREADABLE))?;
    if header.alg.family() == AlgorithmFamily::Hmac {
        return Err(invalid_token(UNREADABLE));
    }
    if header.crit.is_some() {
        return Err(invalid_token("the token has critical parameters (`crit`), which the gateway does not know"));
    }
    Ok(header)
}

/// The refusal of a token, in words that never repeat it.
fn refusal(error: &Error) -> Fault {
    invalid_token(match error.kind() {
        ErrorKind::InvalidSignature => "the token's signature does not match".to_owned(),
        ErrorKind::InvalidIssuer => {
            "the token is of another issuer than the configured one (`auth.oidc.issuer`)".to_owned()
        }
        ErrorKind::InvalidAudience => {
            "the token is for another audience than the configured one (`auth.oidc.audience`)".to_owned()
        }
        ErrorKind::MissingRequiredClaim(name) => format!("the token lacks the claim `{name}`"),
        _ => UNREADABLE.to_owned(),
    })
}
