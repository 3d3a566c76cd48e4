//! Search: filters, pages, days, nearest slots.

use serde_json::json;
use wire::{
    availability::{Near, SearchSlotsRequest, SearchSlotsResponse, SlotFilters},
    common::BookingChannel,
};

use crate::world::{Clinic, World, at, day, fault, roster, service, text_of, violations, worlds};

#[tokio::test]
async fn a_shift_is_at_nine_on_both_sides_of_a_clock_change() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let expected = ["09:00", "09:30", "10:00", "10:30", "11:00", "11:30"];
        // Alberta moves its clocks on 2026-03-08.
        for (date, first) in [("2026-03-06", "2026-03-06T16:00:00Z"), ("2026-03-09", "2026-03-09T15:00:00Z")] {
            let answer = world.slots("", day(&clinic, date)).await;
            assert_eq!(world.local_starts(&answer), expected, "{date}");
            assert_eq!(text_of(answer.slots[0].starts_at_us), first);
            assert_eq!(answer.slots[0].ends_at_us - answer.slots[0].starts_at_us, 30 * 60_000_000);
            assert_eq!((answer.slots[0].places_left, answer.next_cursor.as_str()), (1, ""));
        }
        let weekend = world.starts("", &clinic, "2026-03-07").await;
        assert!(weekend.is_empty());
    }
}

#[tokio::test]
async fn buffers_breaks_hours_and_alternate_weeks_are_kept() {
    for world in worlds().await {
        let hours = json!({"name": "A", "time_zone": "America/Edmonton",
            "opening_hours": [{"day": "mo", "from": "08:00", "to": "11:00"}, {"day": "tu", "from": "08:00", "to": "20:00"}]});
        let location = world.create("", "location", hours).await;
        let practitioner = world.create("", "practitioner", json!({"given_name": "Ada", "family_name": "B"})).await;
        let shift = |day: &str, week: u32| json!({"day": day, "from": "09:00", "to": "12:00", "breaks": [{"from": "10:00", "to": "10:15"}], "week": week});
        let weekly = json!({"location_id": location, "effective_from": "2026-03-02", "cycle_weeks": 2,
            "weekly": [shift("mo", 1), shift("tu", 2)]});
        world.create(&practitioner, "roster", weekly).await;
        let buffers = json!({"prep_minutes": 5, "cleanup_minutes": 10, "start_alignment_minutes": 5});
        let service = world.create("", "service", service(buffers)).await;
        let clinic =
            Clinic { location, room: String::new(), practitioner, roster: String::new(), service, shared: false };
        // 09:00 to 10:00 holds 45 minutes that begin at 09:00 to 09:15; the visit starts five minutes later.
        let monday = world.starts("", &clinic, "2026-03-02").await;
        assert_eq!(monday, ["09:05", "09:10", "09:15", "09:20", "10:20"], "open till 11:00 on Mondays");
        assert!(world.starts("", &clinic, "2026-03-03").await.is_empty(), "Tuesdays are of week 2");
        assert!(world.starts("", &clinic, "2026-03-09").await.is_empty());
        assert_eq!(world.starts("", &clinic, "2026-03-10").await.len(), 4 + 13);
    }
}

/// All slots of a request, page by page.
async fn pages(world: &World, request: &SearchSlotsRequest, limit: u32) -> Vec<wire::availability::Slot> {
    let (mut all, mut cursor) = (vec![], String::new());
    loop {
        let page = SearchSlotsRequest { limit, cursor, ..request.clone() };
        let SearchSlotsResponse { slots, next_cursor, searched_until_us, .. } = world.slots("", page).await;
        assert!(slots.iter().all(|slot| slot.starts_at_us <= searched_until_us));
        all.extend(slots);
        cursor = next_cursor;
        if cursor.is_empty() {
            return all;
        }
    }
}

#[tokio::test]
async fn filters_narrow_and_pages_fit_together() {
    for world in worlds().await {
        let near = world.clinic().await;
        let far = json!({"name": "Far", "time_zone": "Europe/London", "latitude": 51.5, "longitude": -0.1});
        let far = world.create("", "location", far).await;
        let other = json!({"given_name": "Bo", "family_name": "C", "languages": ["de"], "online": false});
        let other = world.create("", "practitioner", other).await;
        world.create(&other, "roster", roster(&near.location, "09:00", "12:00")).await;
        let third = json!({"given_name": "Di", "family_name": "E", "languages": ["en"]});
        let third = world.create("", "practitioner", third).await;
        world.create(&third, "roster", roster(&far, "09:00", "12:00")).await;
        world.create(&third, "roster", roster(&near.location, "09:00", "12:00")).await;
        let service = world.create("", "service", service(json!({}))).await;
        let near = Clinic { service, ..near };
        let week = SearchSlotsRequest { to_us: at("2026-03-09T06:00:00Z"), ..day(&near, "2026-03-02") };
        let staff = SearchSlotsRequest { channel: BookingChannel::Staff as i32, ..week.clone() };
        let filtered = |filters: SlotFilters| SearchSlotsRequest { filters: Some(filters), ..staff.clone() };
        let count = async |request: SearchSlotsRequest| world.slots("", request).await.slots.len();

        assert_eq!(count(week.clone()).await, 5 * 6 * 3, "online: two people, one of them at two places");
        assert_eq!(count(staff.clone()).await, 5 * 6 * 4);
        let at_one = filtered(SlotFilters { location_ids: vec![far.clone()], ..SlotFilters::default() });
        assert_eq!(count(at_one).await, 5 * 6);
        let of_one = filtered(SlotFilters { practitioner_ids: vec![third.clone()], ..SlotFilters::default() });
        assert_eq!(count(of_one).await, 5 * 6 * 2);
        assert_eq!(count(filtered(SlotFilters { language: "fr".into(), ..SlotFilters::default() })).await, 5 * 6);
        assert_eq!(
            count(filtered(SlotFilters { days: vec!["tu".into(), "th".into()], ..SlotFilters::default() })).await,
            2 * 6 * 4
        );
        let near_edmonton = Near { latitude: 53.5, longitude: -113.5, within_km: 10.0 };
        let around = SlotFilters { near: Some(near_edmonton), ..SlotFilters::default() };
        assert_eq!(count(filtered(around)).await, 5 * 6 * 3);
        let hours = SlotFilters { not_before: "09:30".into(), not_after: "10:30".into(), ..SlotFilters::default() };
        let hours = SearchSlotsRequest { limit: 200, ..filtered(hours) };
        assert_eq!(count(hours).await, 5 * 2 * 4);

        let whole = world.slots("", staff.clone()).await;
        let key = |slot: &wire::availability::Slot| (slot.starts_at_us, slot.location_id.clone());
        assert!(whole.slots.is_sorted_by_key(key), "by start, then location");
        assert_eq!(pages(&world, &staff, 1).await, whole.slots);
        assert_eq!(pages(&world, &staff, 7).await, whole.slots);
        // Ranks rotate over all practitioners, whatever the filters.
        let two = filtered(SlotFilters {
            practitioner_ids: vec![near.practitioner.clone(), other],
            ..SlotFilters::default()
        });
        assert_eq!(pages(&world, &two, 1).await, world.slots("", two).await.slots);

        let firsts: Vec<_> = whole.slots.iter().filter(|slot| slot.location_id == near.location).step_by(3).collect();
        let shares = firsts.iter().filter(|slot| slot.practitioner_id == third).count();
        assert!(shares > 0 && shares < firsts.len(), "the first of equally early practitioners rotates with the days");
    }
}

#[tokio::test]
async fn days_and_next_say_the_same_as_search() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let week = SearchSlotsRequest { to_us: at("2026-03-12T06:00:00Z"), ..day(&clinic, "2026-03-06") };
        let slots = world.slots("", week.clone()).await.slots;
        let days = world.search.clone().search_days(world.request(week.clone())).await.unwrap().into_inner().days;
        let dates: Vec<_> = days.iter().map(|day| (day.date.as_str(), day.open_slots)).collect();
        assert_eq!(dates, [("2026-03-06", 6), ("2026-03-09", 6), ("2026-03-10", 6), ("2026-03-11", 6)]);
        assert_eq!(days[0].first_starts_at_us, slots[0].starts_at_us);
        let next = world.search.clone().next_slots(world.request(week)).await.unwrap().into_inner().locations;
        assert_eq!((next.len(), &next[0].slots), (1, &slots[..3].to_vec()));
    }
}

#[tokio::test]
async fn every_fault_of_a_request_is_named() {
    for mut world in worlds().await {
        let theirs = world.clinic().await;
        world.organization = world.new_organization().await;
        let clinic = world.clinic().await;
        let refused = async |request: SearchSlotsRequest| {
            let refused = fault(world.search.clone().search_slots(world.request(request)).await);
            violations(&refused)
        };
        let good = day(&clinic, "2026-03-06");
        let bad = SearchSlotsRequest {
            service_id: "svc_".into(),
            to_us: good.from_us,
            filters: Some(SlotFilters {
                days: vec!["monday".into()],
                not_before: "9".into(),
                near: Some(Near { latitude: 91.0, ..Near::default() }),
                ..SlotFilters::default()
            }),
            limit: 201,
            cursor: "?".into(),
            patient_id: "pat".into(),
            ..good.clone()
        };
        let expected = [
            "service_id invalid_id",
            "to ends_before_start",
            "near out_of_range",
            "within_km out_of_range",
            "day invalid_value",
            "not_before invalid_time",
            "patient_id invalid_id",
            "limit out_of_range",
            "cursor invalid_cursor",
        ];
        assert_eq!(refused(bad).await, expected);
        let long = SearchSlotsRequest { to_us: good.from_us + 401 * 86_400_000_000, ..good.clone() };
        assert_eq!(refused(long).await, ["to too_long"]);
        let absurd = SearchSlotsRequest { from_us: i64::MIN, to_us: i64::MAX, ..good.clone() };
        assert_eq!(refused(absurd).await, ["from absurd_date", "to absurd_date"]);
        let foreign = SearchSlotsRequest {
            service_id: theirs.service,
            filters: Some(SlotFilters {
                location_ids: vec![theirs.location],
                practitioner_ids: vec![theirs.practitioner],
                ..SlotFilters::default()
            }),
            ..good.clone()
        };
        let unknown =
            ["service_id unknown_reference", "location_id unknown_reference", "practitioner_id unknown_reference"];
        assert_eq!(refused(foreign).await, unknown);
    }
}

#[tokio::test]
async fn a_distance_is_at_most_the_documented_one() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let within = |within_km: f64| {
            let near = Some(Near { latitude: 53.5, longitude: -113.5, within_km });
            let filters = Some(SlotFilters { near, ..SlotFilters::default() });
            world.request(SearchSlotsRequest { filters, ..day(&clinic, "2026-03-06") })
        };
        let max = f64::from(domain::slot::WITHIN_KM_MAX);
        let slots = world.search.clone().search_slots(within(max)).await.unwrap().into_inner().slots;
        assert_eq!(slots.len(), 6);
        let refused = fault(world.search.clone().search_slots(within(max + 1.0)).await);
        assert_eq!(violations(&refused), ["within_km out_of_range"]);
    }
}

#[tokio::test]
async fn the_nearest_slots_lie_on_both_sides_of_the_booked_one() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        let nearest = async |start: &str| {
            let slot_id = crate::world::slot_id(&clinic, at(start));
            let request = wire::availability::NearestSlotsRequest { slot_id, ..Default::default() };
            let answer = world.search.clone().nearest_slots(world.request(request)).await.unwrap().into_inner();
            answer.slots.iter().map(|slot| text_of(slot.starts_at_us)).collect::<Vec<_>>()
        };
        let middle = nearest("2026-03-06T17:00:00Z").await;
        assert_eq!(middle.len(), 3);
        assert!(!middle.contains(&"2026-03-06T17:00:00Z".to_owned()), "not the booked one itself");
        assert!(middle.contains(&"2026-03-06T16:30:00Z".into()) && middle.contains(&"2026-03-06T17:30:00Z".into()));
        let evening = nearest("2026-03-06T20:00:00Z").await;
        assert_eq!(evening, ["2026-03-06T17:30:00Z", "2026-03-06T18:00:00Z", "2026-03-06T18:30:00Z"]);
        assert!(nearest("2025-03-06T20:00:00Z").await.is_empty(), "the past has none");
    }
}

#[tokio::test]
async fn a_name_for_each_part_of_a_visit() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        world.archive(domain::directory::Kind::Service, &clinic.service).await;
        let request = wire::availability::DescribeVisitRequest {
            service_id: clinic.service.clone(),
            location_id: clinic.location.clone(),
            practitioner_id: clinic.practitioner.clone(),
        };
        let visit = world.search.clone().describe_visit(world.request(request)).await.unwrap().into_inner();
        assert_eq!((visit.location_name.as_str(), visit.practitioner_given_name.as_str()), ("Whyte", "Ada"));
        assert_eq!((visit.organization_name.as_str(), visit.default_language.as_str()), ("Prairie Physio", "en"));
    }
}

#[tokio::test]
async fn search_goes_on_from_day_to_day() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        for _ in 0..5 {
            world.advance(30 * 24 * 60);
            let now = world.clock.now().as_microsecond();
            let week =
                SearchSlotsRequest { from_us: now, to_us: now + 7 * 86_400_000_000, ..day(&clinic, "2026-03-06") };
            let open = world.slots("", week.clone()).await.slots;
            assert_eq!(open.len(), 30, "five days of six");
            let (_, revision) = world.booking.book(&world.visit(&clinic, &text_of(open[7].starts_at_us), 30));
            assert_eq!(world.slots(&revision, week).await.slots.len(), 29);
        }
    }
}

#[tokio::test]
async fn pages_fit_together_while_others_book() {
    for world in worlds().await {
        let clinic = world.clinic().await;
        for _ in 0..3 {
            let person = world.create("", "practitioner", json!({"given_name": "B", "family_name": "C"})).await;
            world.create(&person, "roster", roster(&clinic.location, "09:00", "12:00")).await;
        }
        let anywhere = world.create("", "service", service(json!({}))).await;
        let clinic = Clinic { service: anywhere, ..clinic };
        let request = SearchSlotsRequest { limit: 5, ..day(&clinic, "2026-03-06") };
        let whole = world.slots("", SearchSlotsRequest { limit: 200, ..request.clone() }).await.slots;
        assert_eq!(whole.len(), 4 * 6);
        let (mut listed, mut cursor, mut revision, mut booked) = (Vec::new(), String::new(), String::new(), Vec::new());
        loop {
            let page = world.slots(&revision, SearchSlotsRequest { cursor, ..request.clone() }).await;
            listed.extend(page.slots.iter().map(|slot| slot.slot_id.clone()));
            // Book the first slot of this page and the last slot that is not listed yet.
            let ahead =
                whole.iter().rev().find(|slot| !listed.contains(&slot.slot_id) && !booked.contains(&slot.slot_id));
            for slot in page.slots.first().into_iter().chain(ahead) {
                let visit = Clinic { practitioner: slot.practitioner_id.clone(), ..clinic.clone() };
                let mut visit = world.visit(&visit, &text_of(slot.starts_at_us), 30);
                visit.claims.retain(|claim| claim.kind == domain::claim::Kind::Practitioner);
                revision = world.booking.book(&visit).1;
                booked.push(slot.slot_id.clone());
            }
            cursor = page.next_cursor;
            if cursor.is_empty() {
                break;
            }
        }
        let mut once = listed.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), listed.len(), "none is listed twice");
        let missing: Vec<_> = whole.iter().filter(|slot| !listed.contains(&slot.slot_id)).collect();
        assert!(
            missing.iter().all(|slot| booked.contains(&slot.slot_id)),
            "only booked slots are left out: {missing:?}"
        );
        assert!(!missing.is_empty(), "a slot was booked before its page");
    }
}
