//! The case of the benchmark: a chronic plan of 16 sessions in 12 weeks, 50 practitioners at 6 locations, 60% of their
//! time occupied.

use std::sync::Arc;

use domain::{
    directory::GapDays,
    id::{LocationId, PractitionerId},
    time::Interval,
};
use jiff::{SignedDuration, civil::Date, tz::TimeZone};
use uuid::Uuid;

use crate::series::{Candidate, Outside, Problem, Session, Weights};

const PRACTITIONERS: u64 = 50;
const LOCATIONS: u64 = 6;

/// The case; the seed decides which time is occupied.
///
/// # Panics
/// Never: all its dates and hours exist.
pub fn chronic_case(seed: u64) -> Problem {
    let start_on = jiff::civil::date(2026, 3, 2);
    let gap = |least, ideal, most| GapDays { least, ideal, most };
    let gaps: Vec<GapDays> = [vec![gap(0, 1, 7)], vec![gap(2, 3, 4); 6], vec![gap(6, 7, 8); 9]].concat();
    let (mut earliest, mut latest) = (0, 0);
    let whole: u32 = gaps.iter().map(|gap| gap.most).sum();
    let pool = Arc::new((0..=whole).flat_map(|day| open_starts(start_on, day, seed)).collect::<Vec<_>>());
    let date = |day: u32| start_on.saturating_add(jiff::Span::new().days(i64::from(day)));
    let sessions = gaps.into_iter().enumerate().map(|(at, gap)| {
        if at > 0 {
            (earliest, latest) = (earliest + gap.least, latest + gap.most);
        } else {
            latest = gap.most;
        }
        Session {
            gap: (at > 0).then_some(gap),
            back: 1,
            paired: false,
            needling: true,
            open: pool.clone(),
            days: (date(earliest), date(latest)),
            current: None,
            fixed: false,
        }
    });
    let sessions = sessions.collect();
    Problem { sessions, start_on, practitioner: None, weights: Weights::default(), steady: false }
}

/// The open starts of one day: half-hour visits on the quarter hour, 40% of them.
fn open_starts(start_on: Date, day: u32, seed: u64) -> Vec<Candidate> {
    let date = start_on.saturating_add(jiff::Span::new().days(i64::from(day)));
    if date.weekday().to_monday_zero_offset() >= 5 {
        return vec![];
    }
    let all = (0..PRACTITIONERS).flat_map(|practitioner| (0..32_u64).map(move |quarter| (practitioner, quarter)));
    let free = all.filter(|(practitioner, quarter)| {
        split_mix64(seed ^ (u64::from(day) << 32) ^ (practitioner << 8) ^ quarter) % 10 < 4
    });
    free.filter_map(|(practitioner, quarter)| {
        let minute = 480 + quarter as u16 * 15;
        let time = jiff::civil::time((minute / 60) as i8, (minute % 60) as i8, 0, 0);
        let starts = TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()?;
        Some(Candidate {
            visit: Interval::new(starts, starts + SignedDuration::from_mins(30))?,
            date,
            minute,
            practitioner: PractitionerId::new(Uuid::from_u128(u128::from(practitioner) + 1)),
            location: LocationId::new(Uuid::from_u128(u128::from((practitioner + u64::from(day % 2)) % LOCATIONS) + 1)),
            demand: (split_mix64(quarter) % 1000) as u16,
            outside: Outside::default(),
        })
    })
    .collect()
}

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>), which gives the same numbers on every platform.
fn split_mix64(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
