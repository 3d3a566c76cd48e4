//! Tokens of another implementation: PyPI's PyJWT makes keys of every kind and signs with every algorithm.

use std::path::Path;

use super::*;

const PACKAGE: &str = "pyjwt[crypto]==2.15.1";
/// Keys, a token for each algorithm, and forgeries by the RSA key's public part, which everybody knows.
const SIGN: &str = r#"
import base64, hashlib, hmac, json, sys
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
claims = json.load(sys.stdin)
encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
makers = {
    "RS": lambda: rsa.generate_private_key(65537, 2048),
    "PS": lambda: rsa.generate_private_key(65537, 3072),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "small": lambda: rsa.generate_private_key(65537, 1024),
}
private = {kid: make() for kid, make in makers.items()}
def public_jwk(kid):
    kinds = {"E": jwt.algorithms.ECAlgorithm, "O": jwt.algorithms.OKPAlgorithm, "R": jwt.algorithms.RSAAlgorithm}
    kind = "O" if kid == "EdDSA" else "E" if kid.startswith("ES") else "R"
    jwk = json.loads(kinds[kind].to_jwk(private[kid].public_key()))
    jwk.pop("key_ops", None)
    return {**jwk, "kid": kid, "use": "sig"}
algorithms = {"RS256": "RS", "RS384": "RS", "RS512": "RS", "PS256": "PS", "PS384": "PS", "PS512": "PS",
    "ES256": "ES256", "ES384": "ES384", "EdDSA": "EdDSA"}
sign = lambda algorithm, kid: jwt.encode(claims, private[kid], algorithm=algorithm, headers={"kid": kid})
tokens = {algorithm: sign(algorithm, kid) for algorithm, kid in algorithms.items()}
forged = {}
public = private["RS"].public_key()
for name, form in {"PEM": serialization.Encoding.PEM, "DER": serialization.Encoding.DER}.items():
    secret = public.public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "RS"}).encode())
    message = header + "." + encode(json.dumps(claims).encode())
    signature = hmac.new(secret, message.encode(), hashlib.sha256).digest()
    forged["HS256 by " + name] = message + "." + encode(signature)
forged["none"] = jwt.encode(claims, None, algorithm="none", headers={"kid": "RS"})
forged["1024 bits"] = sign("RS256", "small")
forged["another key's id"] = jwt.encode(claims, private["PS"], algorithm="RS256", headers={"kid": "RS"})
for algorithm in ["RS384", "PS256", "ES256", "EdDSA"]:
    header = encode(json.dumps({"alg": algorithm, "typ": "JWT", "kid": algorithms[algorithm]}).encode())
    _, payload, signature = tokens["RS256"].split(".")
    forged["RS256 as " + algorithm] = ".".join([header, payload, signature])
print(json.dumps({"keys": [public_jwk(kid) for kid in private], "tokens": tokens, "forged": forged}))
"#;

#[tokio::test]
async fn every_algorithm_of_another_implementation_is_verified() {
    let gateway = Fixture::start(&[]).await;
    let input = gateway.claims().to_string();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let output =
        tokio::task::spawn_blocking(move || testkit::python::run(&folder, PACKAGE, SIGN, input.as_bytes())).await;
    let made: Value = serde_json::from_str(&output.unwrap().unwrap()).unwrap();
    gateway.issuer.pages.say(KEYS_PATH, 200, "", json!({"keys": made["keys"]}).to_string().as_bytes());
    let tokens = made["tokens"].as_object().unwrap();
    assert_eq!(tokens.len(), 9);
    for (algorithm, token) in tokens {
        gateway.assert_taken(algorithm, token.as_str().unwrap()).await;
    }
    let forged = made["forged"].as_object().unwrap();
    assert_eq!(forged.len(), 9);
    for (name, token) in forged {
        gateway.assert_refused(name, token.as_str().unwrap(), "the token").await;
    }
}
