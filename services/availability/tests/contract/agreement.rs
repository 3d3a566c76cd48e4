//! Search returns exactly the slots that a check accepts, in random chains with random bookings; and the refusals for a
//! practitioner's caps and travel equal a count by hand.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    claim::{Claim, Kind},
    id::{EquipmentId, LocationId, PractitionerId, RoomId},
};
use jiff::tz::TimeZone;
use runtime::Ids;
use serde_json::{Value, json};
use testkit::database::Database;
use wire::{
    availability::{CheckSlotsRequest, CheckedSlot, SearchSlotsRequest},
    common::BookingChannel,
};

use crate::{
    fake_booking::{claim, new_id},
    world::{Clinic, World, at, service, slot_of},
};

/// Zones with a clock change in the window below, with one of half an hour, and without any.
const ZONES: [&str; 5] =
    ["America/Edmonton", "America/St_Johns", "Australia/Lord_Howe", "Europe/London", "Pacific/Apia"];
const WINDOWS: [&str; 3] = ["2026-03-07T12:00:00Z", "2026-03-28T18:00:00Z", "2026-04-04T06:00:00Z"];
const WINDOW_MINUTES: i64 = 36 * 60;
const CASES_DEFAULT: u64 = 30;

/// Seeded random numbers.
struct Dice(Ids);

impl Dice {
    fn below(&self, bound: usize) -> usize {
        // A fraction below 1 times a small number keeps enough precision here.
        (self.0.fraction() * bound as f64) as usize
    }

    fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

struct Chain {
    clinics: Vec<Clinic>,
    /// By location: its zone and its longitude on the equator, in degrees.
    places: BTreeMap<String, (TimeZone, f64)>,
    /// The configured minutes from the first location to the second.
    table: Option<u32>,
    /// By practitioner.
    people: BTreeMap<String, Value>,
    /// The practitioner and the location of every roster.
    seats: BTreeSet<(String, String)>,
    needling: bool,
    rooms: Vec<String>,
    pools: Vec<String>,
    capacity: u32,
    /// The minutes of a visit; an existing group session takes 30.
    minutes: u16,
}

#[tokio::test]
async fn search_shows_exactly_what_a_check_accepts() {
    let mut world = World::over(Database::sqlite().unwrap()).await;
    let cases = std::env::var("MERIDIAN_TEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES_DEFAULT);
    let mut shown_in_all = 0;
    for seed in 0..cases {
        world.organization = world.new_organization().await;
        let dice = Dice(Ids::seeded(seed));
        let from_us = at(dice.one::<&str>(&WINDOWS));
        let chain = chain(&world, &dice).await;
        let (busy, revision) = bookings(&world, &dice, &chain, from_us);
        for channel in [BookingChannel::Online, BookingChannel::Staff] {
            shown_in_all += agree(&world, &chain, &busy, (from_us, channel), &revision, seed).await;
        }
    }
    assert!(
        shown_in_all > 20 * usize::try_from(cases).unwrap(),
        "the chains are too bare to test anything: {shown_in_all}"
    );
}

async fn chain(world: &World, dice: &Dice) -> Chain {
    let mut chain = Chain {
        clinics: vec![],
        places: BTreeMap::new(),
        table: None,
        people: BTreeMap::new(),
        seats: BTreeSet::new(),
        needling: dice.chance(40),
        rooms: vec![],
        pools: vec![],
        capacity: 1,
        minutes: 5 * u16::try_from(1 + dice.below(14)).unwrap(),
    };
    if dice.chance(30) {
        chain.capacity = 3;
    }
    let mut wanted = json!({"duration_minutes": chain.minutes, "prep_minutes": 5 * dice.below(3),
        "cleanup_minutes": 5 * dice.below(4), "start_alignment_minutes": dice.one(&[5, 10, 15, 20, 30, 60]),
        "capacity": chain.capacity, "min_notice_minutes": dice.one(&[0, 7500, 8000]), "online": dice.chance(90),
        "needling": chain.needling});
    for (key, value) in [("room_type", "gym"), ("equipment_type", "electro"), ("required_certificate", "needles")] {
        if dice.chance(50) {
            wanted[key] = value.into();
        }
    }
    let service = world.create("", "service", service(wanted)).await;
    let mut places = vec![];
    for _ in 0..=dice.below(2) {
        let (zone, degrees) = (*dice.one(&ZONES), 0.05 * dice.below(9) as f64);
        let mut place = json!({"name": "P", "time_zone": zone, "latitude": 0.0, "longitude": degrees});
        if !places.is_empty() && dice.chance(40) {
            chain.table = Some(7 * u32::try_from(dice.below(10)).unwrap());
            place["travel_times"] = json!([{"location_id": places[0], "minutes": chain.table}]);
        }
        if dice.chance(30) {
            let hours = |day: &str| json!({"day": day, "from": "08:00", "to": "13:30"});
            place["opening_hours"] = ["sa", "su", "mo", "tu"].map(hours).to_vec().into();
        }
        let place = world.create("", "location", place).await;
        chain.places.insert(place.clone(), (TimeZone::get(zone).unwrap(), degrees));
        for _ in 0..=dice.below(3) {
            chain.rooms.push(
                world.create(&place, "room", json!({"name": "R", "type": dice.one(&["gym", "gym", "pool"])})).await,
            );
        }
        let pool = json!({"name": "E", "type": "electro", "units": 1 + dice.below(2)});
        chain.pools.push(world.create(&place, "equipment", pool).await);
        if dice.chance(20) {
            let closure = json!({"starts_on": "2026-03-08", "ends_on": "2026-03-08", "reason": "spring clean"});
            world.create(&place, "closure", closure).await;
        }
        places.push(place);
    }
    for _ in 0..=dice.below(3) {
        let practitioner = practitioner(world, dice, &places, &mut chain).await;
        let at_place = |location: &String| Clinic {
            location: location.clone(),
            room: String::new(),
            practitioner: practitioner.clone(),
            roster: String::new(),
            service: service.clone(),
            shared: chain.capacity > 1,
        };
        chain.clinics.extend(places.iter().map(at_place));
    }
    chain
}

async fn practitioner(world: &World, dice: &Dice, places: &[String], chain: &mut Chain) -> String {
    let mut person = json!({"given_name": "A", "family_name": "B", "online": dice.chance(80)});
    for (cap, least) in [("daily_cap", 2), ("weekly_cap", 6), ("daily_needling_cap", 1), ("weekly_needling_cap", 3)] {
        if dice.chance(30) {
            person[cap] = (least + dice.below(5)).into();
        }
    }
    let body = person.clone();
    let person = world.create("", "practitioner", person).await;
    chain.people.insert(person.clone(), body);
    for place in places.iter().filter(|_| dice.chance(85)) {
        let shift = |day: &str| {
            let begins = 5 * dice.below(24 * 12);
            let ends = (begins + 240 + 5 * dice.below(150)) % 1440;
            let wall = |minutes: usize| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            json!({"day": day, "from": wall(begins), "to": wall(ends)})
        };
        let weekly: Vec<Value> = ["sa", "su", "mo"].into_iter().map(shift).collect();
        let roster = json!({"location_id": place, "effective_from": "2026-01-05", "weekly": weekly});
        world.create(&person, "roster", roster).await;
        chain.seats.insert((person.clone(), place.clone()));
    }
    let days = dice.one(&[("2026-01-01", "2026-03-07"), ("2026-01-01", "2026-03-29"), ("2026-03-08", "2027-01-01")]);
    let certificate =
        json!({"code": "needles", "issuer": "C", "jurisdiction": "X", "valid_from": days.0, "valid_to": days.1});
    if dice.chance(80) {
        world.create(&person, "certificate", certificate).await;
    }
    if dice.chance(30) {
        let off = json!({"starts_at": "2026-03-08T01:02:03Z", "ends_at": "2026-03-08T04:59:59Z", "reason": "dentist"});
        world.create(&person, "time_off", off).await;
    }
    person
}

/// The occupied time of a practitioner.
struct Busy {
    practitioner: String,
    location: String,
    starts_at_us: i64,
    ends_at_us: i64,
    needling: bool,
}

/// Books random claims on practitioners, rooms and equipment, and group sessions with members; returns the practitioners'
/// occupied time and the last revision.
fn bookings(world: &World, dice: &Dice, chain: &Chain, from_us: i64) -> (Vec<Busy>, String) {
    let mut busy = Vec::new();
    let minutes = |count: usize| i64::try_from(count).unwrap() * 60_000_000;
    let mut revision = String::new();
    for _ in 0..10 + dice.below(30) {
        let clinic = dice.one(&chain.clinics);
        let start = from_us - minutes(60) + minutes(5 * dice.below(38 * 12));
        let end = start + minutes(5 + dice.below(80));
        let practitioner = clinic.practitioner.parse::<PractitionerId>().unwrap().uuid();
        let needling = dice.chance(40);
        let location = Some(clinic.location.parse::<LocationId>().unwrap().uuid());
        let mut claims: Vec<Claim> =
            vec![Claim { location, needling, ..claim(Kind::Practitioner, practitioner, 0, start, end) }];
        busy.push(Busy {
            practitioner: clinic.practitioner.clone(),
            location: clinic.location.clone(),
            starts_at_us: start,
            ends_at_us: end,
            needling,
        });
        if !chain.rooms.is_empty() && dice.chance(60) {
            claims.push(claim(Kind::Room, dice.one(&chain.rooms).parse::<RoomId>().unwrap().uuid(), 0, start, end));
        }
        if dice.chance(50) {
            let pool = dice.one(&chain.pools).parse::<EquipmentId>().unwrap().uuid();
            claims.push(claim(Kind::Equipment, pool, i16::try_from(dice.below(2)).unwrap(), start, end));
        }
        let text = jiff::Timestamp::from_microsecond(start).unwrap().to_string();
        let visit = crate::fake_booking::Visit {
            room: chain.rooms.first().cloned().unwrap_or_default(),
            patient: new_id(),
            claims,
            ..world.visit(&Clinic { room: new_room(), ..clinic.clone() }, &text, 30)
        };
        revision = match dice.below(4) {
            0 => world.booking.hold(world.organization, &visit.claims, start).1,
            1 if chain.capacity > 1 => {
                world.booking.group(&visit, chain.capacity, i16::try_from(1 + dice.below(3)).unwrap()).1
            }
            _ => world.booking.book(&visit).1,
        };
    }
    (busy, revision)
}

const BY_HAND: [&str; 3] = ["daily_cap", "weekly_cap", "travel_time"];

/// The rules that a start breaks, counted visit by visit.
fn by_hand(chain: &Chain, busy: &[Busy], checked: &CheckedSlot) -> BTreeSet<&'static str> {
    let (Some(slot), Some(claim)) = (&checked.slot, checked.claim) else { return BTreeSet::new() };
    let (zone, degrees) = &chain.places[&slot.location_id];
    let date = |us: i64| jiff::Timestamp::from_microsecond(us).unwrap().to_zoned(zone.clone()).date();
    let mine: Vec<&Busy> = busy.iter().filter(|busy| busy.practitioner == slot.practitioner_id).collect();
    let (day, week) = (date(slot.starts_at_us), date(slot.starts_at_us).iso_week_date());
    let same_day = |busy: &&&Busy| date(busy.starts_at_us) == day;
    let same_week = |busy: &&&Busy| {
        let other = date(busy.starts_at_us).iso_week_date();
        (other.year(), other.week()) == (week.year(), week.week())
    };
    let needles = |busy: &&&Busy| busy.needling;
    let person = &chain.people[&slot.practitioner_id];
    let full = |cap: &str, count: usize| person[cap].as_u64().is_some_and(|cap| count as u64 >= cap);
    let mut broken = BTreeSet::new();
    if full("daily_cap", mine.iter().filter(same_day).count())
        || chain.needling && full("daily_needling_cap", mine.iter().filter(same_day).filter(needles).count())
    {
        broken.insert("daily_cap");
    }
    if full("weekly_cap", mine.iter().filter(same_week).count())
        || chain.needling && full("weekly_needling_cap", mine.iter().filter(same_week).filter(needles).count())
    {
        broken.insert("weekly_cap");
    }
    let too_far = |other: &&Busy| {
        // On the equator a degree is 1/360 of 40,030 km, at 30 km/h.
        let km = (chain.places[&other.location].1 - degrees).abs() * 40_030.0 / 360.0;
        let minutes = chain.table.unwrap_or((km * 2.0).ceil().max(10.0) as u32).next_multiple_of(5);
        let road_us = i64::from(minutes) * 60_000_000;
        other.location != slot.location_id
            && other.ends_at_us + road_us > claim.starts_at_us
            && other.starts_at_us - road_us < claim.ends_at_us
    };
    // Travel to locations without a roster does not count.
    let works = |at: &String| chain.seats.contains(&(slot.practitioner_id.clone(), at.clone()));
    if works(&slot.location_id) && mine.into_iter().any(|other| works(&other.location) && too_far(&other)) {
        broken.insert("travel_time");
    }
    broken
}

fn new_room() -> String {
    RoomId::new(new_id()).to_string()
}

/// Compares all pages of a search with the check of every five minutes; returns the number of slots.
async fn agree(
    world: &World,
    chain: &Chain,
    busy: &[Busy],
    (from_us, channel): (i64, BookingChannel),
    revision: &str,
    seed: u64,
) -> usize {
    let question = SearchSlotsRequest {
        service_id: chain.clinics[0].service.clone(),
        from_us,
        to_us: from_us + WINDOW_MINUTES * 60_000_000,
        channel: channel as i32,
        limit: 17,
        ..SearchSlotsRequest::default()
    };
    let (mut listed, mut cursor, mut last) = (BTreeSet::new(), String::new(), i64::MIN);
    loop {
        let page = world.slots(revision, SearchSlotsRequest { cursor, ..question.clone() }).await;
        for slot in &page.slots {
            assert!(slot.starts_at_us >= last, "seed {seed}: out of order");
            last = slot.starts_at_us;
            assert!(listed.insert((slot.slot_id.clone(), slot.places_left)), "seed {seed}: listed twice");
        }
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    let days = world.search.clone().search_days(world.request(question)).await.unwrap().into_inner().days;
    let counted: u32 = days.iter().map(|day| day.open_slots).sum();
    assert_eq!(usize::try_from(counted).unwrap(), listed.len(), "seed {seed}");

    let starts = (0..WINDOW_MINUTES / 5).map(|tick| from_us + tick * 300_000_000);
    let every: Vec<(&Clinic, i64)> =
        starts.flat_map(|start| chain.clinics.iter().map(move |clinic| (clinic, start))).collect();
    let lengths = if chain.minutes == 30 { vec![30] } else { vec![chain.minutes, 30] };
    let every: Vec<String> = every
        .iter()
        .flat_map(|(clinic, start)| lengths.iter().map(|length| slot_of(clinic, *start, *length)))
        .collect();
    let mut accepted = BTreeSet::new();
    for part in every.chunks(200) {
        let request = CheckSlotsRequest { slot_ids: part.to_vec(), channel: channel as i32, ..Default::default() };
        let checked = world.search.clone().check_slots(world.request(request)).await.unwrap().into_inner().slots;
        for (id, checked) in part.iter().zip(&checked).filter(|(_, checked)| checked.group_id.is_empty()) {
            let refused = checked.refusals.iter().map(|refusal| refusal.code.as_str());
            let refused: BTreeSet<&str> = refused.filter(|code| BY_HAND.contains(code)).collect();
            assert_eq!(refused, by_hand(chain, busy, checked), "seed {seed}, {id}");
        }
        let open = part.iter().zip(checked).filter(|(_, checked)| checked.refusals.is_empty());
        accepted.extend(open.map(|(id, checked)| (id.clone(), checked.slot.unwrap().places_left)));
    }
    assert_eq!(listed, accepted, "seed {seed}, {channel:?}");
    listed.len()
}
