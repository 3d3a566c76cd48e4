//! The countries of an organisation's locations, by their time zones.

use std::collections::BTreeSet;

use domain::phone;
use rpc::{Context, Fault};
use wire::availability::{EntryKind, ListEntriesRequest, directory_client::DirectoryClient, entry_body::Body};

use crate::page;

/// Most pages of locations that are read.
const PAGES_MAX: usize = 50;

/// The countries (ISO 3166-1, two letters) in which an organisation has locations.
///
/// # Errors
/// When availability does not answer.
pub async fn of_locations(
    directory: &DirectoryClient<rpc::Channel>,
    ctx: &Context,
) -> Result<BTreeSet<&'static str>, Fault> {
    let mut countries = BTreeSet::new();
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let request = ListEntriesRequest {
            kind: EntryKind::Location.into(),
            limit: page::LIMIT_MAX,
            cursor,
            ..ListEntriesRequest::default()
        };
        let answer = directory.clone().list_entries(ctx.request(request)).await?.into_inner();
        let zones = answer.entries.into_iter().filter_map(|entry| match entry.body?.body? {
            Body::Location(location) => Some(location.time_zone),
            _ => None,
        });
        countries.extend(zones.filter_map(|zone| phone::country_of_zone(&zone)));
        if answer.next_cursor.is_empty() {
            break;
        }
        cursor = answer.next_cursor;
    }
    Ok(countries)
}
