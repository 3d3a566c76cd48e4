use super::*;

/// The vector `test_sign` of the specification's reference library for Rust.
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
const AT: i64 = 1_649_367_553;
const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

fn secret() -> Secret {
    SECRET.parse().unwrap()
}

fn verifies(id: &str, timestamp: &str, signature: &str, body: &[u8], now: i64) -> bool {
    secret().verifies(&Headers { id, timestamp, signature }, body, now)
}

#[test]
fn the_vector_of_the_rust_reference_signs_and_verifies() {
    assert_eq!(secret().sign(ID, AT, BODY), SIGNATURE);
    assert!(verifies(ID, &AT.to_string(), SIGNATURE, BODY, AT));
}

/// The vector that the reference libraries for Go, Python and JavaScript share.
#[test]
fn the_vector_of_the_other_references_signs() {
    let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn another_id_time_body_or_secret_does_not_verify() {
    let at = AT.to_string();
    assert!(!verifies("msg_1", &at, SIGNATURE, BODY, AT));
    assert!(!verifies("", &at, SIGNATURE, BODY, AT));
    assert!(!verifies(ID, &at, SIGNATURE, b"{}", AT));
    assert!(!verifies(ID, &(AT + 1).to_string(), SIGNATURE, BODY, AT));
    let other = Secret::from_random(&[7; 32]);
    assert!(!other.verifies(&Headers { id: ID, timestamp: &at, signature: SIGNATURE }, BODY, AT));
    for bad in ["", "v1,", "v1,AAAA", "v1a,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=", &SIGNATURE[3..]] {
        assert!(!verifies(ID, &at, bad, BODY, AT), "{bad}");
    }
}

#[test]
fn one_of_several_signatures_is_enough_and_their_number_is_bounded() {
    let at = AT.to_string();
    assert!(verifies(ID, &at, &format!("v1,AAAA v2,x {SIGNATURE}"), BODY, AT));
    assert!(!verifies(ID, &at, &format!("{}{SIGNATURE}", "v1,AAAA ".repeat(SIGNATURES_MAX)), BODY, AT));
}

#[test]
fn the_header_holds_one_signature_for_each_secret() {
    let header = signature_header(&[Secret::from_random(&[7; 32]), secret()], ID, AT, BODY);
    assert!(header.starts_with("v1,") && header.ends_with(&format!(" {SIGNATURE}")), "{header}");
    assert!(verifies(ID, &AT.to_string(), &header, BODY, AT));
    assert_eq!(signature_header(&[], ID, AT, BODY), "");
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    let at = AT.to_string();
    for (now, expected) in [(AT + 300, true), (AT - 300, true), (AT + 301, false), (AT - 301, false), (i64::MIN, false)]
    {
        assert_eq!(verifies(ID, &at, SIGNATURE, BODY, now), expected, "{now}");
    }
    for odd in [format!("+{AT}"), format!("0{AT}"), format!("{AT}.0"), String::new()] {
        assert!(!verifies(ID, &odd, SIGNATURE, BODY, AT), "{odd}");
    }
}

#[test]
fn a_secret_has_24_to_64_bytes() {
    let parse = |bytes| format!("whsec_{}", STANDARD.encode(vec![7u8; bytes])).parse::<Secret>().is_ok();
    assert_eq!([23, 24, 64, 65].map(parse), [false, true, true, false]);
    for bad in ["C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_", "whsec_?"] {
        assert_eq!(bad.parse::<Secret>(), Err(InvalidSecret), "{bad}");
    }
}

#[test]
fn a_new_secret_reads_back_and_its_debug_hides_it() {
    let secret = Secret::from_random(&[7; 32]);
    assert_eq!(secret.encode().parse(), Ok(secret.clone()));
    assert_eq!(format!("{secret:?}"), "Secret(…)");
}
