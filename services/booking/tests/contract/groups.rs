//! Group sessions: as many as there are places, the practitioner and the room taken once.

use rpc::Code;
use testkit::database::Database;
use wire::booking::change::Owner;

use crate::harness::{CLASS, GRACE, Harness, PLACES, PLAIN, after, code, slot, visit};

testkit::engines!(a_session_takes_as_many_members_as_places, the_last_to_leave_frees_the_practitioner);

async fn a_session_takes_as_many_members_as_places(database: Database) {
    let harness = Harness::over(&database).await;
    for round in 0..3 {
        let class = slot(CLASS, GRACE, after(round * 60));
        let many = (0..20).map(|number| harness.try_book(visit(&class, number)));
        let answers = futures::future::join_all(many).await;
        let won: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        assert_eq!(won.len(), PLACES as usize, "{answers:?}");
        assert!(won.iter().all(|visit| visit.room_id == won[0].room_id && visit.group_id == won[0].group_id));
        for fault in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert!(matches!(fault.code, Code::SlotTaken | Code::Overloaded), "{fault:?}");
        }
        let single = harness.try_book(visit(&slot(PLAIN, GRACE, after(round * 60)), 99)).await;
        assert_eq!(code(single), Code::SlotTaken, "the practitioner is taken by the session");
    }
}

async fn the_last_to_leave_frees_the_practitioner(database: Database) {
    let harness = Harness::over(&database).await;
    let class = slot(CLASS, GRACE, after(0));
    let single = visit(&slot(PLAIN, GRACE, after(0)), 9);
    for _ in 0..2 {
        let (first, second) = (harness.book(visit(&class, 1)).await, harness.book(visit(&class, 2)).await);
        harness.cancel(&first.id).await;
        assert_eq!(code(harness.try_book(single.clone()).await), Code::SlotTaken, "one is still in it");
        let again = harness.book(visit(&class, 3)).await;
        assert_eq!(again.group_id, second.group_id);
        // Both leave in the same moment.
        let (one, other) = tokio::join!(harness.cancel(&second.id), harness.cancel(&again.id));
        assert_eq!((one.status.as_str(), other.status.as_str()), ("cancelled", "cancelled"));
        let (changes, _) = harness.snapshot().await;
        assert!(!changes.iter().any(|change| matches!(change.owner, Some(Owner::Group(_)))), "no session is left");
        let alone = harness.book(single.clone()).await;
        harness.cancel(&alone.id).await;
    }
}
