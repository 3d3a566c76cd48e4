//! Entries: created, changed, archived, listed, and hidden from other organisations.

use domain::directory::Kind;
use rpc::{Code, Context, Idempotency};
use serde_json::json;
use wire::{
    availability::{
        ArchiveEntryRequest, CreateEntryRequest, CreateOrganizationRequest, EntryKind, GetEntryRequest,
        GetOrganizationRequest, ListEntriesRequest, UpdateEntryRequest, WriteEntryResponse,
    },
    convert::directory::kind_to_wire,
};

use crate::{
    fake_booking::FakeBooking,
    world::{World, body, fault, revision, roster, service, violations, worlds},
};

fn get(kind: Kind, id: &str) -> GetEntryRequest {
    GetEntryRequest { kind: kind_to_wire(kind) as i32, id: id.into(), parent_id: String::new() }
}

fn list(kind: EntryKind, parent: &str) -> ListEntriesRequest {
    ListEntriesRequest { kind: kind as i32, parent_id: parent.into(), ..Default::default() }
}

#[tokio::test]
async fn an_entry_is_created_changed_and_archived() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        world.advance(5);
        let changed = world.update(&clinic.room, "room", json!({"name": "One", "type": "gym"}), 1).await.unwrap();
        assert_eq!((changed.version, changed.created_at_us < changed.updated_at_us), (2, true));
        let stale = world.update(&clinic.room, "room", json!({"name": "Uno", "type": "gym"}), 1).await.unwrap_err();
        assert_eq!(stale.code, Code::VersionMismatch);
        let read = world.directory.clone().get_entry(world.request(get(Kind::Room, &clinic.room))).await.unwrap();
        assert_eq!(read.into_inner(), changed);

        let archived = world.archive(Kind::Room, &clinic.room).await.entry.unwrap();
        assert_eq!((archived.version, archived.archived_at_us > 0), (3, true));
        let again = world.archive(Kind::Room, &clinic.room).await.entry.unwrap();
        assert_eq!(again, archived, "archiving an archived entry changes nothing");
        let late = world.update(&clinic.room, "room", json!({"name": "Uno", "type": "gym"}), 0).await.unwrap_err();
        assert_eq!(late.code, Code::Archived);

        let mut directory = world.directory.clone();
        let rooms = list(EntryKind::Room, &clinic.location);
        let live = directory.list_entries(world.request(rooms.clone())).await.unwrap().into_inner();
        let all = ListEntriesRequest { archived: true, ..rooms };
        let all = directory.list_entries(world.request(all)).await.unwrap().into_inner();
        assert_eq!((live.entries.len(), all.entries), (0, vec![archived]));
    }
}

#[tokio::test]
async fn nothing_is_added_below_an_archived_entry() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        world.archive(Kind::Location, &clinic.location).await;
        let room = world.try_create(&clinic.location, "room", json!({"name": "2", "type": "gym"}), false).await;
        assert_eq!(fault(room).code, Code::Archived);
        let elsewhere =
            world.try_create(&clinic.practitioner, "roster", roster(&clinic.location, "08:00", "09:00"), false).await;
        assert_eq!(violations(&fault(elsewhere)), ["/location_id unknown_reference"]);
    }
}

#[tokio::test]
async fn every_fault_comes_at_once_and_changes_nothing() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let code = "massage";
        world.create("", "service", service(json!({"code": code}))).await;
        let twice = service(json!({"code": code, "requires_prior": "svc_01h455vb4pex5vsknk084sn02q"}));
        let refused = fault(world.try_create("", "service", twice, false).await);
        assert_eq!(violations(&refused), ["/requires_prior unknown_reference", "/code duplicate"]);
        let own =
            fault(world.try_create("", "service", service(json!({"duration_minutes": 7, "capacity": 0})), false).await);
        assert_eq!(violations(&own), ["/duration_minutes out_of_range", "/capacity out_of_range"]);
        let orphan = world.try_create(&clinic.practitioner, "room", json!({"name": "2", "type": "gym"}), false).await;
        assert_eq!(fault(orphan).code, Code::NotFound, "a practitioner has no rooms");
        let services = world.directory.clone().list_entries(world.request(list(EntryKind::Service, ""))).await.unwrap();
        assert_eq!(services.into_inner().entries.len(), 2);
    }
}

#[tokio::test]
async fn lists_come_in_pages_that_hold_while_entries_are_added() {
    for world in worlds().await {
        let location = world.create("", "location", json!({"name": "A", "time_zone": "Europe/London"})).await;
        for name in 0..5 {
            world.create(&location, "room", json!({"name": name.to_string(), "type": "gym"})).await;
        }
        let (mut names, mut cursor) = (vec![], String::new());
        loop {
            let request = ListEntriesRequest { limit: 2, cursor, ..list(EntryKind::Room, &location) };
            let page = world.directory.clone().list_entries(world.request(request)).await.unwrap().into_inner();
            assert!(page.entries.len() <= 2);
            names.extend(page.entries.iter().map(|entry| entry.id.clone()));
            cursor = page.next_cursor;
            if cursor.is_empty() {
                break;
            }
            if names.len() == 2 {
                world.create(&location, "room", json!({"name": "new", "type": "gym"})).await;
            }
        }
        assert_eq!(names.len(), 6);
        assert!(names.is_sorted());
        let bad = ListEntriesRequest { limit: 201, cursor: "x".into(), ..list(EntryKind::Room, &location) };
        let refused = fault(world.directory.clone().list_entries(world.request(bad)).await);
        assert_eq!(violations(&refused), ["limit out_of_range", "cursor invalid_cursor"]);
    }
}

#[tokio::test]
async fn another_organisations_ids_are_unknown_ids() {
    for mut world in worlds().await {
        let theirs = world.clinic().await;
        world.organization = world.new_organization().await;
        let unknown = "loc_01h455vb4pex5vsknk084sn02q";
        for kind in Kind::ALL {
            let answers = async |id: &str| {
                let found = fault(world.directory.clone().get_entry(world.request(get(kind, id))).await);
                let request =
                    ArchiveEntryRequest { kind: kind_to_wire(kind) as i32, id: id.into(), ..Default::default() };
                (found, fault(world.directory.clone().archive_entry(world.request(request)).await))
            };
            let foreign = match kind {
                Kind::Location => &theirs.location,
                Kind::Room => &theirs.room,
                Kind::Practitioner => &theirs.practitioner,
                Kind::Roster => &theirs.roster,
                Kind::Service => &theirs.service,
                _ => unknown,
            };
            let nobodys = format!("{}_01h455vb4pex5vsknk084sn02q", kind.prefix());
            assert_eq!(answers(foreign).await, answers(&nobodys).await, "{kind:?}");
        }
        let below = world.try_create(&theirs.location, "room", json!({"name": "2", "type": "gym"}), false).await;
        assert_eq!(fault(below).code, Code::NotFound);
        let mine = world.create("", "practitioner", json!({"given_name": "B", "family_name": "C"})).await;
        let there = world.try_create(&mine, "roster", roster(&theirs.location, "08:00", "09:00"), false).await;
        let nowhere = world.try_create(&mine, "roster", roster(unknown, "08:00", "09:00"), false).await;
        assert_eq!(fault(there), fault(nowhere));
        let none = world.directory.clone().list_entries(world.request(list(EntryKind::Location, ""))).await.unwrap();
        assert!(none.into_inner().entries.is_empty());
    }
}

#[tokio::test]
async fn one_key_makes_one_entry() {
    for world in worlds().await {
        let keyed = |key: &str, fingerprint: &str| Context {
            idempotency: Some(Idempotency { key: key.into(), fingerprint: fingerprint.into() }),
            ..world.context()
        };
        let request = CreateEntryRequest {
            body: Some(body("practitioner", json!({"given_name": "Ada", "family_name": "Byron"}))),
            ..Default::default()
        };
        let copies = (0..5).map(|_| {
            let (directory, ctx, request) = (world.directory.clone(), keyed("k", "f"), request.clone());
            tokio::spawn(async move {
                loop {
                    match directory.clone().create_entry(ctx.forward(request.clone())).await {
                        Ok(answer) => return answer,
                        Err(status) => {
                            assert_eq!(rpc::Fault::from(status).code, Code::IdempotencyInProgress);
                            tokio::task::yield_now().await;
                        }
                    }
                }
            })
        });
        let mut answers = Vec::new();
        for copy in copies.collect::<Vec<_>>() {
            answers.push(copy.await.unwrap());
        }
        let replayed = answers.iter().filter(|answer| answer.metadata().contains_key("meridian-replayed")).count();
        assert_eq!(replayed, 4);
        assert!(answers.iter().all(|answer| revision(answer) == revision(&answers[0])));
        assert!(answers.windows(2).all(|pair| pair[0].get_ref() == pair[1].get_ref()));
        let other = world.directory.clone().create_entry(keyed("k", "g").forward(request)).await;
        assert_eq!(fault(other).code, Code::IdempotencyKeyReused);
        let practitioners = list(EntryKind::Practitioner, "");
        let practitioners =
            world.directory.clone().list_entries(world.request(practitioners)).await.unwrap().into_inner();
        assert_eq!(practitioners.entries.len(), 1);

        let chain = CreateOrganizationRequest {
            name: "N".into(),
            default_language: "en".into(),
            country: "CA".into(),
            ..Default::default()
        };
        let mut directory = world.directory.clone();
        let first = directory.create_organization(keyed("o", "f").forward(chain.clone())).await.unwrap();
        let second = directory.create_organization(keyed("o", "f").forward(chain.clone())).await.unwrap();
        assert_eq!(first.get_ref(), second.get_ref());
        let named = CreateOrganizationRequest { id: first.get_ref().id.clone(), name: "Other".into(), ..chain };
        let there = directory.create_organization(world.request(named)).await.unwrap().into_inner();
        assert_eq!(there, first.into_inner(), "an existing organisation stays as it is");
    }
}

#[tokio::test]
async fn a_key_is_refused_while_its_first_request_runs() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        world.booking.hold_rezoning(true);
        let request = UpdateEntryRequest {
            id: clinic.location.clone(),
            body: Some(body("location", json!({"name": "Whyte", "time_zone": "America/Vancouver"}))),
            ..Default::default()
        };
        let send = || {
            let idempotency = Some(Idempotency { key: "k".into(), fingerprint: "f".into() });
            let call = Context { idempotency, ..world.context() }.forward(request.clone());
            let mut directory = world.directory.clone();
            tokio::spawn(async move { directory.update_entry(call).await })
        };
        let first = send();
        world.booking.rezoning_arrived().await;
        let second = tokio::time::timeout(std::time::Duration::from_secs(5), send()).await;
        let second = second.expect("the second request is refused at once").unwrap();
        assert_eq!(fault(second).code, Code::IdempotencyInProgress);
        world.booking.hold_rezoning(false);
        let first = first.await.unwrap().unwrap();
        let replay = send().await.unwrap().unwrap();
        assert!(rpc::is_replay(&replay));
        assert_eq!(first.get_ref(), replay.get_ref());
    }
}

#[tokio::test]
async fn writers_at_once_lose_nothing() {
    for world in worlds().await {
        let location = world.create("", "location", json!({"name": "A", "time_zone": "Europe/London"})).await;
        let writers: Vec<_> = (0..40)
            .map(|name| {
                let request = CreateEntryRequest {
                    parent_id: location.clone(),
                    body: Some(body("room", json!({"name": name.to_string(), "type": "gym"}))),
                    dry_run: false,
                };
                let (mut directory, call) = (world.directory.clone(), world.request(request));
                tokio::spawn(async move { directory.create_entry(call).await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        let rooms = list(EntryKind::Room, &location);
        let rooms = world.directory.clone().list_entries(world.request(rooms)).await.unwrap().into_inner();
        assert_eq!(rooms.entries.len(), 40);
    }
}

#[tokio::test]
async fn another_replica_sees_a_change_by_its_revision_and_after_a_restart() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let mut other = World::start(world.target.clone(), FakeBooking::new(), world.clock.clone(), 2).await;
        other.organization = world.organization;
        let organization = other.directory.clone().get_organization(other.request(GetOrganizationRequest {})).await;
        assert_eq!(organization.unwrap().into_inner().name, "Prairie Physio");
        other.directory.clone().get_entry(other.request(get(Kind::Room, &clinic.room))).await.unwrap();

        let made =
            world.try_create(&clinic.location, "room", json!({"name": "2", "type": "gym"}), false).await.unwrap();
        let request = get(Kind::Room, &made.get_ref().entry.as_ref().unwrap().id);
        other.directory.clone().get_entry(other.after(&revision(&made), request)).await.unwrap();
        // Both replicas write: the outdated one checks again and loses nothing.
        world.create(&clinic.location, "room", json!({"name": "3", "type": "gym"})).await;
        other.create(&clinic.location, "room", json!({"name": "4", "type": "gym"})).await;
        let rooms = list(EntryKind::Room, &clinic.location);
        let rooms = other.directory.clone().list_entries(other.request(rooms)).await.unwrap().into_inner();
        assert_eq!(rooms.entries.len(), 4);
    }
}

#[tokio::test]
async fn a_dry_run_counts_the_starts_that_a_change_opens() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let opened = |answer: tonic::Response<WriteEntryResponse>| -> Vec<(String, u32)> {
            let opened = answer.into_inner().opened.into_iter();
            assert!(opened.clone().all(|one| one.service_id == clinic.service && one.location_id == clinic.location));
            opened.map(|one| (one.date, one.slots)).collect()
        };
        let dry = async |parent: &str, kind: &str, body| world.try_create(parent, kind, body, true).await.unwrap();
        // Another practitioner's roster on two Saturdays, 09:00 to 10:00.
        let person = world.create("", "practitioner", json!({"given_name": "B", "family_name": "C"})).await;
        let saturdays = json!({"location_id": clinic.location, "effective_from": "2026-03-02",
            "effective_to": "2026-03-14", "weekly": [{"day": "sa", "from": "09:00", "to": "10:00"}]});
        let twice = vec![("2026-03-07".to_owned(), 2), ("2026-03-14".to_owned(), 2)];
        assert_eq!(opened(dry(&person, "roster", saturdays.clone()).await), twice);
        // The only room is booked, so no start opens then.
        world.booking.book(&world.visit(&clinic, "2026-03-07T16:00:00Z", 30));
        let (_, revision) = world.booking.book(&world.visit(&clinic, "2026-03-14T15:00:00Z", 60));
        world.starts(&revision, &clinic, "2026-03-14").await;
        assert_eq!(opened(dry(&person, "roster", saturdays).await), [("2026-03-07".to_owned(), 1)]);
        // A second service without a room, and the room that it needs.
        let gym = world.create("", "service", service(json!({"room_type": "gym"}))).await;
        let room = dry(&clinic.location, "room", json!({"name": "G", "type": "gym"})).await.into_inner().opened;
        assert!(room.iter().all(|one| one.service_id == gym && one.slots == 6), "{room:?}");
        assert_eq!(room.len(), 20, "the weekdays of four weeks");
        // The end of a closure opens starts; a new one opens none.
        let closed = json!({"starts_on": "2026-03-05", "ends_on": "2026-03-06", "reason": "flood"});
        assert!(dry(&clinic.location, "closure", closed.clone()).await.into_inner().opened.is_empty());
        let closure = world.create(&clinic.location, "closure", closed).await;
        let request = ArchiveEntryRequest {
            kind: kind_to_wire(Kind::Closure) as i32,
            id: closure,
            dry_run: true,
            ..ArchiveEntryRequest::default()
        };
        let ended = world.directory.clone().archive_entry(world.request(request)).await.unwrap();
        assert_eq!(opened(ended), [("2026-03-05".to_owned(), 6), ("2026-03-06".to_owned(), 6)]);
        let real =
            world.try_create(&clinic.location, "room", json!({"name": "G", "type": "gym"}), false).await.unwrap();
        assert!(real.into_inner().opened.is_empty(), "only a dry run counts openings");
    }
}
