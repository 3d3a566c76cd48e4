//! Group sessions: as many as there are places, the practitioner and the room taken once.

use rpc::Code;
use testkit::database::Database;
use wire::booking::change::Owner;

use crate::harness::{CLASS, GRACE, PLACES, PLAIN, World, after, code, slot, visit};

testkit::engines!(as_many_as_there_are_places_get_one, the_last_to_leave_frees_the_practitioner);

async fn as_many_as_there_are_places_get_one(database: Database) {
    let world = World::over(&database).await;
    for round in 0..3 {
        let class = slot(CLASS, GRACE, after(round * 60));
        let many = (0..20).map(|number| world.try_book(visit(&class, number)));
        let answers = futures::future::join_all(many).await;
        let won: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        assert_eq!(won.len(), PLACES as usize, "{answers:?}");
        assert!(won.iter().all(|visit| visit.room_id == won[0].room_id && visit.group_id == won[0].group_id));
        for fault in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert!(matches!(fault.code, Code::SlotTaken | Code::Overloaded), "{fault:?}");
        }
        let single = world.try_book(visit(&slot(PLAIN, GRACE, after(round * 60)), 99)).await;
        assert_eq!(code(single), Code::SlotTaken, "the practitioner is taken by the session");
    }
}

async fn the_last_to_leave_frees_the_practitioner(database: Database) {
    let world = World::over(&database).await;
    let class = slot(CLASS, GRACE, after(0));
    let single = visit(&slot(PLAIN, GRACE, after(0)), 9);
    for _ in 0..2 {
        let (first, second) = (world.book(visit(&class, 1)).await, world.book(visit(&class, 2)).await);
        world.cancel(&first.id).await;
        assert_eq!(code(world.try_book(single.clone()).await), Code::SlotTaken, "one is still in it");
        let again = world.book(visit(&class, 3)).await;
        assert_eq!(again.group_id, second.group_id);
        // Both leave in the same moment.
        let (one, other) = tokio::join!(world.cancel(&second.id), world.cancel(&again.id));
        assert_eq!((one.status.as_str(), other.status.as_str()), ("cancelled", "cancelled"));
        let (changes, _) = world.snapshot().await;
        assert!(!changes.iter().any(|change| matches!(change.owner, Some(Owner::Group(_)))), "no session is left");
        let alone = world.book(single.clone()).await;
        world.cancel(&alone.id).await;
    }
}
