//! How staff find patients: the best match first, page by page.

use testkit::database::Database;
use wire::{
    booking::{CreatePatientRequest, ListPatientsRequest, ListPatientsResponse, PatientDetails},
    common::Page,
};

use crate::harness::Harness;

testkit::engines!(whole_words_come_before_beginnings_on_every_page, one_letter_lists_the_newest_first,);

const PEOPLE: [(&str, &str, &str); 6] = [
    ("Ann", "Smith", "+17805550001"),
    ("Annabel", "Smithers", "+17805550002"),
    ("Anna", "Smith", "+17805550003"),
    ("Smith", "Ann", "+17805550004"),
    ("Ann", "Smithson", "+17805550005"),
    ("Bob", "Ng", "+17809990001"),
];

async fn staffed(database: &Database) -> Harness {
    let harness = Harness::over(database).await;
    for (given, family, phone) in PEOPLE {
        let details = PatientDetails {
            given_name: given.into(),
            family_name: family.into(),
            phone: phone.into(),
            ..PatientDetails::default()
        };
        let request = harness.request(CreatePatientRequest { details: Some(details), staff: None });
        harness.booking.clone().create_patient(request).await.unwrap();
    }
    harness
}

async fn page(harness: &Harness, query: &str, limit: u32, cursor: String) -> ListPatientsResponse {
    let request = ListPatientsRequest {
        query: query.into(),
        best_first: true,
        page: Some(Page { limit, cursor }),
        ..ListPatientsRequest::default()
    };
    harness.booking.clone().list_patients(harness.request(request)).await.unwrap().into_inner()
}

/// The last digits of the telephone numbers, in the order of the list.
fn digits(answer: &ListPatientsResponse) -> String {
    let phones = answer.patients.iter().map(|it| it.details.as_ref().unwrap().phone.clone());
    phones.filter_map(|phone| phone.chars().last()).collect()
}

async fn whole_words_come_before_beginnings_on_every_page(database: Database) {
    let harness = staffed(&database).await;
    for (query, expected) in [
        // All words whole, the newest first; one of them; none.
        ("ann smith", "41532"),
        ("smith ann", "41532"),
        ("ann smi", "54132"),
        ("smithers", "2"),
        ("7805550003 ann", "3"),
        ("0001", "11"),
        ("0001 ann", "1"),
        ("ng", "1"),
        ("bob smith", ""),
    ] {
        assert_eq!(digits(&page(&harness, query, 0, String::new()).await), expected, "{query}");
        for limit in 1..=4 {
            let (mut found, mut cursor) = (String::new(), String::new());
            loop {
                let next = page(&harness, query, limit, cursor).await;
                assert!(next.patients.len() <= limit as usize);
                found.push_str(&digits(&next));
                cursor = next.next_cursor;
                if cursor.is_empty() {
                    break;
                }
            }
            assert_eq!(found, expected, "{query}, {limit} on each page");
        }
    }
}

async fn one_letter_lists_the_newest_first(database: Database) {
    let harness = staffed(&database).await;
    for (query, expected) in [("a", "54321"), ("s a", "54321"), ("n", "6"), ("b n", "6"), ("", "654321"), ("x", "")] {
        // The last of these is Bob Ng's number, which ends like Ann Smith's.
        let expected = expected.replace('6', "1");
        assert_eq!(digits(&page(&harness, query, 0, String::new()).await), expected, "{query}");
    }
}
