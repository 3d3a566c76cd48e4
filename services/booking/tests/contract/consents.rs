//! Consents: the present ones, and the history of their author, time and source.

use rpc::Code;
use testkit::database::Database;
use wire::booking::{
    Consent, ConsentHistory, CreatePatientRequest, GetPatientRequest, Patient, PatientDetails, RecordConsentRequest,
    RecordReplyConsentRequest, UpdatePatientRequest,
};

use crate::harness::{Harness, fault};

testkit::engines!(a_consent_has_a_history, a_stop_word_applies_to_all_patients_at_the_number);

const PHONE: &str = "+17805550123";

fn consent(channel: &str, kind: &str) -> Consent {
    Consent { channel: channel.into(), kind: kind.into() }
}

fn details(name: &str, phone: &str, consents: Vec<Consent>) -> PatientDetails {
    PatientDetails {
        given_name: name.into(),
        family_name: "Example".into(),
        phone: phone.into(),
        email: format!("{name}@example.org"),
        consents,
        ..PatientDetails::default()
    }
}

async fn patient(harness: &Harness, details: PatientDetails) -> Patient {
    let request = CreatePatientRequest { details: Some(details), staff: None };
    harness.booking.clone().create_patient(harness.request(request)).await.unwrap().into_inner()
}

async fn history(harness: &Harness, id: &str) -> ConsentHistory {
    let request = harness.request(GetPatientRequest { id: id.to_owned() });
    harness.booking.clone().list_consents(request).await.unwrap().into_inner()
}

/// `channel kind given how by`, the newest first.
fn lines(history: &ConsentHistory) -> Vec<String> {
    let line = |one: &wire::booking::ConsentEvent| {
        format!("{} {} {} {} {}", one.channel, one.kind, one.given, one.how, one.by)
    };
    history.events.iter().map(line).collect()
}

async fn a_consent_has_a_history(database: Database) {
    let harness = Harness::over(&database).await;
    let ada = patient(&harness, details("ada", PHONE, vec![consent("sms", "service")])).await;
    let record = |given, how: &str, kind: &str| RecordConsentRequest {
        patient_id: ada.id.clone(),
        channel: "sms".into(),
        kind: kind.into(),
        given,
        how: how.into(),
    };
    let mut client = harness.booking.clone();
    client.record_consent(harness.request(record(true, "form", "marketing"))).await.unwrap();
    let before = history(&harness, &ada.id).await;
    // Repeating a consent changes nothing.
    let again = client.record_consent(harness.request(record(true, "phone", "marketing"))).await.unwrap().into_inner();
    assert_eq!(again, before);
    let request = record(false, "phone", "service");
    let first = client.record_consent(harness.keyed("key-1", "a", request.clone())).await.unwrap().into_inner();
    client.record_consent(harness.request(record(true, "in_person", "service"))).await.unwrap();
    let replayed = client.record_consent(harness.keyed("key-1", "a", request)).await.unwrap().into_inner();
    assert_eq!(replayed, first, "a repeated request has one effect and one answer");
    let wish = PatientDetails { consents: vec![consent("email", "service")], ..ada.details.clone().unwrap() };
    let update =
        UpdatePatientRequest { id: ada.id.clone(), details: Some(wish.clone()), ..UpdatePatientRequest::default() };
    client.update_patient(harness.request(update)).await.unwrap();
    let now = history(&harness, &ada.id).await;
    assert_eq!(now.consents, wish.consents);
    assert_eq!(
        lines(&now),
        [
            "email service true details key_test",
            "sms marketing false details key_test",
            "sms service false details key_test",
            "sms service true in_person key_test",
            "sms service false phone key_test",
            "sms marketing true form key_test",
            "sms service true details key_test",
        ]
    );
    let refused = client.record_consent(harness.request(RecordConsentRequest::default())).await.unwrap_err();
    let named: Vec<_> = fault(&refused).violations.into_iter().map(|one| one.pointer).collect();
    assert_eq!(named, ["/channel", "/kind", "/how"]);
}

async fn a_stop_word_applies_to_all_patients_at_the_number(database: Database) {
    let harness = Harness::over(&database).await;
    let both = || vec![consent("sms", "service"), consent("sms", "marketing"), consent("email", "service")];
    let ada = patient(&harness, details("ada", PHONE, both())).await;
    let child = patient(&harness, details("byron", PHONE, vec![consent("sms", "service")])).await;
    let other = patient(&harness, details("charles", "+17805550124", both())).await;
    let mut client = harness.booking.clone();
    // Ada withdrew this one at the desk: no word by telephone gives it back.
    let desk = RecordConsentRequest {
        patient_id: ada.id.clone(),
        channel: "sms".into(),
        kind: "marketing".into(),
        given: false,
        how: "in_person".into(),
    };
    client.record_consent(harness.request(desk)).await.unwrap();
    let word = |given, channel: &str, address: &str| RecordReplyConsentRequest {
        channel: channel.into(),
        address: address.into(),
        given,
        how: "reply".into(),
        kind: String::new(),
    };
    let mut say = async |given, channel: &str, address: &str| {
        let answer = client.record_reply_consent(harness.request(word(given, channel, address))).await;
        answer.map(|answer| answer.into_inner().changed)
    };
    assert_eq!(say(false, "sms", PHONE).await.unwrap(), 2);
    assert_eq!(say(false, "sms", PHONE).await.unwrap(), 0, "nothing is left to withdraw");
    assert_eq!(history(&harness, &ada.id).await.consents, [consent("email", "service")]);
    assert_eq!(history(&harness, &child.id).await.consents, []);
    assert_eq!(history(&harness, &other.id).await.consents.len(), 3);
    assert_eq!(say(true, "sms", PHONE).await.unwrap(), 2);
    let back = history(&harness, &ada.id).await.consents;
    assert_eq!(back, [consent("email", "service"), consent("sms", "service")]);
    assert_eq!(say(false, "email", "ADA@example.org").await.unwrap(), 1);
    assert_eq!(fault(&say(false, "pigeon", "").await.unwrap_err()).code, Code::ValidationFailed);
}
