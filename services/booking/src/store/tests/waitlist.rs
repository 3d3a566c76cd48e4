//! Entries and offers.

use uuid::Uuid;

use super::{ORG, ROOM, batch, both};
use crate::store::{
    Store,
    batch::{Batch, NewPatient},
    offers::OfferRow,
    waitlist_entries::EntryRow,
};

/// A patient with a waiting entry.
async fn waiting(store: &Store, number: u128) -> EntryRow {
    let id = Uuid::from_u128(20 + number);
    let (match_key, details, words) = (number.to_string(), "{}".into(), vec![]);
    let patient = NewPatient { id, match_key, open_changes: 0, details, words };
    store.commit(&Batch { patients: vec![patient], ..batch(0, vec![]) }).await.unwrap();
    let entry = EntryRow {
        organization_id: ORG,
        id: Uuid::from_u128(30 + number),
        version: 1,
        status: "waiting".into(),
        patient_id: id,
        service_id: ROOM,
        criteria: "{}".into(),
        criteria_key: String::new(),
        number: 1,
        ends_at_us: 1000,
        cool_down_until_us: 0,
        created_at_us: 0,
        updated_at_us: 0,
    };
    assert!(store.insert_entry(&entry).await.unwrap());
    entry
}

fn offer(entry: &EntryRow, id: u128) -> OfferRow {
    OfferRow {
        organization_id: entry.organization_id,
        id: Uuid::from_u128(id),
        version: 1,
        waitlist_id: entry.id,
        patient_id: entry.patient_id,
        hold_id: Uuid::from_u128(id + 100),
        status: "making".into(),
        slot_id: format!("slot_{id}"),
        slot: "{}".into(),
        token_hash: id.to_be_bytes().to_vec(),
        appointment_id: None,
        expires_at_us: 500,
        created_at_us: 1,
        decided_at_us: None,
    }
}

#[tokio::test]
async fn no_offer_is_made_to_an_entry_that_has_left_since_it_was_read() {
    for (store, _database) in both().await {
        let entry = waiting(&store, 1).await;
        store.end_entry(ORG, entry.id, 0, "left", 1).await.unwrap().unwrap();
        assert!(!store.insert_offer(&offer(&entry, 40)).await.unwrap());
        assert!(store.offer(ORG, Uuid::from_u128(40)).await.unwrap().is_none(), "nothing of it stays");
        assert_eq!(store.entry(ORG, entry.id).await.unwrap().unwrap().status, "left");
    }
}

#[tokio::test]
async fn an_entry_that_has_changed_since_it_was_read_does_not_end() {
    for (store, _database) in both().await {
        let entry = waiting(&store, 1).await;
        assert!(store.insert_offer(&offer(&entry, 40)).await.unwrap());
        assert!(store.end_entry(ORG, entry.id, entry.version, "left", 1).await.unwrap().is_none());
        let offered = store.entry(ORG, entry.id).await.unwrap().unwrap();
        assert_eq!(store.end_entry(ORG, entry.id, offered.version, "left", 1).await.unwrap().unwrap().status, "left");
    }
}

#[tokio::test]
async fn the_database_itself_refuses_a_second_offer_of_a_slot_or_to_a_patient() {
    for (store, _database) in both().await {
        let (first, second) = (waiting(&store, 1).await, waiting(&store, 2).await);
        assert!(store.insert_offer(&offer(&first, 40)).await.unwrap());
        let same_slot = OfferRow { slot_id: offer(&first, 40).slot_id, ..offer(&second, 41) };
        assert!(!store.insert_offer(&same_slot).await.unwrap());
        // Another entry of the same patient.
        let second_entry =
            EntryRow { id: Uuid::from_u128(39), criteria_key: "other".into(), number: 2, ..first.clone() };
        assert!(store.insert_entry(&second_entry).await.unwrap());
        assert!(!store.insert_offer(&offer(&second_entry, 42)).await.unwrap());
        assert_eq!(store.entry(ORG, second_entry.id).await.unwrap().unwrap().status, "waiting", "nothing of it stays");
        // What is decided stands in nobody's way.
        let open = offer(&first, 40);
        store.transition_offer(&open, "making", "declined", None, 2).await.unwrap().unwrap();
        assert!(
            store.insert_offer(&same_slot).await.unwrap()
                && store.insert_offer(&offer(&second_entry, 42)).await.unwrap()
        );
    }
}
