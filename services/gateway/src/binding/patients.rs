//! The patients of a limited key: those with an appointment, a plan or a waitlist entry at its locations, and those without
//! any of them anywhere, such as one that was just created.

use std::collections::HashMap;

use futures::future::try_join_all;
use rpc::Fault;
use serde_json::Value;

use super::{Guard, Place};
use crate::params::Params;

/// The lists of what a patient has, and where each entry says its location.
const LISTS: [(&str, Place); 3] =
    [("list_appointments", Place::Location), ("list_plans", Place::Locations), ("list_waitlist", Place::Locations)];
/// The fields of a patient with an appointment.
const VISITS: [&str; 2] = ["next_visit", "last_visit"];
/// The most pages of each list.
const PAGES_MAX: usize = 20;
const PAGE_SIZE: &str = "200";
/// The most patients that are looked up at one time.
const CONCURRENCY: usize = 16;

impl Guard {
    /// Whether a patient is of the locations.
    pub(super) async fn sees_patient(&self, id: &str) -> Result<bool, Fault> {
        let mut has_anything = false;
        for (list, place) in LISTS {
            let mut cursor = None;
            for _ in 0..PAGES_MAX {
                let pairs =
                    [("patient_id", Some(id.to_owned())), ("limit", Some(PAGE_SIZE.to_owned())), ("cursor", cursor)];
                let given = pairs.into_iter().filter_map(|(name, value)| Some((name, vec![value?])));
                let page = self.run(list, HashMap::new(), Params::of(given)).await?;
                let entries = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
                if entries.iter().any(|entry| self.at(place, entry)) {
                    return Ok(true);
                }
                has_anything |= !entries.is_empty();
                cursor = page["next_cursor"].as_str().map(str::to_owned);
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(!has_anything)
    }

    pub(super) async fn see_all(&self, ids: Vec<String>) -> Result<bool, Fault> {
        for id in ids {
            if !self.sees_patient(&id).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes a patient's visits elsewhere.
    pub(super) fn cut_visits(&self, patient: &mut Value) {
        if let Some(fields) = patient.as_object_mut() {
            fields.retain(|name, value| !VISITS.contains(&name.as_str()) || self.at(Place::Location, value));
        }
    }

    /// Removes the patients of other locations from a page.
    pub(super) async fn cut_patients(&self, page: &mut Value) -> Result<(), Fault> {
        let Some(patients) = page["data"].as_array_mut() else { return Ok(()) };
        let ids: Vec<String> =
            patients.iter().filter_map(|patient| patient["id"].as_str().map(str::to_owned)).collect();
        let mut seen = Vec::with_capacity(ids.len());
        for some in ids.chunks(CONCURRENCY) {
            let lookups: Vec<_> = some.iter().map(|id| self.sees_patient(id)).collect();
            seen.extend(try_join_all(lookups).await?);
        }
        let mut seen = seen.into_iter();
        patients.retain(|_| seen.next().unwrap_or(false));
        patients.iter_mut().for_each(|patient| self.cut_visits(patient));
        Ok(())
    }
}
