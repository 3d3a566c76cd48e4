//! Keys that are limited to locations: what they list and change is of these locations alone.
//!
//! `table.rs` says of each operation how it is bound to locations. An operation without a row is refused to a limited key, and
//! a test fails. A foreign location is answered like an unknown id. The checks run in front of the operation and on its
//! answer, for every operation in the same place, so that no handler can forget them.

mod patients;
mod table;

use std::{collections::HashMap, sync::Arc};

use axum::http::HeaderMap;
use domain::{id::LocationId, slot};
use rpc::{Code, Fault};
use serde_json::Value;

use crate::{auth::Locations, call::Call, interface::Interface, operation::Operation, params::Params, reply::Reply};

/// How an operation is bound to locations.
#[derive(Debug, Clone, Copy)]
enum Binding {
    /// No limited key may call it.
    Refused,
    /// These checks pass first, and then the answer is cut.
    Checked { before: &'static [Check], after: After },
}

/// A condition of a request. A field of the body is named by its path with dots; lists on the way are gone through.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// The path's parameter is one of the locations.
    Path(&'static str),
    /// What this operation reads at the same path is at the locations.
    Resource(&'static str, Place),
    /// The path's parameter is a patient of the locations.
    PathPatient(&'static str),
    /// The query's parameter, if there, is a patient of the locations.
    QueriedPatient(&'static str),
    /// The query's parameter, if there, names what this operation reads at the locations.
    Queried(&'static str, &'static str, Place),
    /// The query's locations are some of the locations; without any, all of them.
    Narrowed(&'static str),
    /// The query names one of the locations; where there is only one, it may be left out.
    One(&'static str),
    /// The body's field has a value.
    Needed(&'static str),
    /// The body has no such field.
    Absent(&'static str),
    /// The body's locations are some of the locations.
    Locations(&'static str),
    /// The body's slots are at the locations.
    Slots(&'static str),
    /// The body's field, if there, names what this operation reads at the locations.
    Named(&'static str, &'static str, Place),
    /// The body's field, if there, is a patient of the locations.
    Patient(&'static str),
}

/// Where a JSON resource says its location.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// It is a location.
    Id,
    /// `location_id`.
    Location,
    /// All of `location_ids`, of which there must be one.
    Locations,
    /// `slot.location_id`.
    Slot,
    /// All of `slots.location_id`, of which there must be one.
    Slots,
}

/// What is left of an answer.
#[derive(Debug, Clone, Copy)]
enum After {
    /// All of it.
    Whole,
    /// The resource, if it is at the locations.
    Entry(Place),
    /// The entries of `data` that are at the locations.
    List(Place),
    /// The patient, without visits elsewhere.
    Patient,
    /// The patients of `data` that are of the locations, without visits elsewhere.
    Patients,
}

/// The guard of one request with a limited key.
pub(crate) struct Guard {
    locations: Locations,
    interface: Arc<Interface>,
    /// The request, for the reads that a check needs.
    call: Call,
    after: After,
}

impl Guard {
    /// Checks a request. `None` for a caller without a limit.
    ///
    /// # Errors
    /// `forbidden` for an operation that no limited key may call, `not_found` for another location's resource.
    pub(crate) async fn check(
        interface: &Arc<Interface>,
        operation: &Operation,
        call: &mut Call,
    ) -> Result<Option<Self>, Fault> {
        let Some(locations) = call.caller.locations.clone() else { return Ok(None) };
        let Some(Binding::Checked { before, after }) = table::of(&operation.id) else {
            return Err(Fault::new(Code::Forbidden, "a key that is limited to locations may not do this"));
        };
        let guard = Self { locations, interface: interface.clone(), call: call.clone(), after };
        for check in before {
            guard.check_one(*check, call).await?;
        }
        Ok(Some(guard))
    }

    async fn check_one(&self, check: Check, call: &mut Call) -> Result<(), Fault> {
        let holds = match check {
            Check::Path(name) => self.is_ours(&self.call.path_param(name)),
            Check::Resource(read, place) => self.at(place, &self.read(read, self.call.path_params.clone()).await?),
            Check::PathPatient(name) => self.sees_patient(&self.call.path_param(name)).await?,
            Check::QueriedPatient(name) => self.see_all(self.asked(name)).await?,
            Check::Queried(name, read, place) => self.are_at(self.asked(name), read, place).await?,
            Check::Narrowed(name) => {
                let named = self.asked(name);
                if named.is_empty() {
                    call.params.set(name, self.locations.iter().map(ToString::to_string).collect());
                }
                named.iter().all(|id| self.is_ours(id))
            }
            Check::One(name) => match (self.call.params.text(name), self.locations.first()) {
                (Some(id), _) => self.is_ours(id),
                (None, Some(only)) if self.locations.len() == 1 => {
                    call.params.set(name, vec![only.to_string()]);
                    true
                }
                (None, _) => {
                    let fault = Fault::violation(name, "missing", "name one of the key's locations");
                    return Err(Fault { code: Code::InvalidParameter, ..fault });
                }
            },
            Check::Needed(field) if self.body(field).is_empty() => {
                let detail = "a key that is limited to locations must name some of them";
                return Err(Fault::violation(&format!("/{field}"), "missing", detail));
            }
            Check::Absent(field) if !self.body(field).is_empty() => {
                let detail = "a key that is limited to locations books sessions with POST /v1/plans/{id}/book";
                return Err(Fault::new(Code::Forbidden, detail));
            }
            Check::Needed(_) | Check::Absent(_) => true,
            Check::Locations(field) => self.body(field).iter().all(|id| self.is_ours(id)),
            Check::Slots(field) => self.body(field).iter().all(|slot| self.is_open_slot(slot)),
            Check::Named(field, read, place) => self.are_at(self.body(field), read, place).await?,
            Check::Patient(field) => self.see_all(self.body(field)).await?,
        };
        if holds { Ok(()) } else { Err(Fault::not_found()) }
    }

    /// Cuts an answer to what is of the locations.
    ///
    /// # Errors
    /// `not_found` for another location's resource.
    pub(crate) async fn cut(&self, reply: Reply) -> Result<Reply, Fault> {
        if matches!(self.after, After::Whole) {
            return Ok(reply);
        }
        // Only JSON can be cut: any other form is refused, since it would pass whole.
        let body = reply.body.as_deref().filter(|_| reply.media_type == "application/json" && reply.stream.is_none());
        let body = body.and_then(|body| serde_json::from_slice::<Value>(body).ok());
        let mut body = body
            .ok_or_else(|| Fault::new(Code::Forbidden, "a key that is limited to locations reads this as JSON only"))?;
        match self.after {
            After::Whole => {}
            After::Entry(place) if !self.at(place, &body) => return Err(Fault::not_found()),
            After::Entry(_) => {}
            After::List(place) => {
                if let Some(entries) = body["data"].as_array_mut() {
                    entries.retain(|entry| self.at(place, entry));
                }
            }
            After::Patient => self.cut_visits(&mut body),
            After::Patients => self.cut_patients(&mut body).await?,
        }
        let rows = reply.rows.and(body["data"].as_array().map(Vec::len));
        Ok(Reply { body: Some(serde_json::to_vec(&body).map_err(Fault::internal)?), rows, ..reply })
    }

    /// The texts of a field of the body.
    fn body(&self, field: &str) -> Vec<String> {
        texts(&self.call.body, field)
    }

    /// The values of a parameter of the query.
    fn asked(&self, name: &str) -> Vec<String> {
        self.call.params.all(name)
    }

    fn is_ours(&self, id: &str) -> bool {
        id.parse().is_ok_and(|id: LocationId| self.locations.contains(&id))
    }

    /// Whether a slot is at the locations. The service refuses a text that is no slot, with the reason.
    fn is_open_slot(&self, text: &str) -> bool {
        text.parse().is_ok_and(|slot: slot::Slot| self.locations.contains(&slot.location))
            || text.parse::<slot::Slot>().is_err()
    }

    fn at(&self, place: Place, resource: &Value) -> bool {
        let is_ours = |id: &Value| id.as_str().is_some_and(|id| self.is_ours(id));
        let all = |ids: &Value, of: fn(&Value) -> &Value| {
            ids.as_array().is_some_and(|ids| !ids.is_empty() && ids.iter().map(of).all(is_ours))
        };
        match place {
            Place::Id => is_ours(&resource["id"]),
            Place::Location => is_ours(&resource["location_id"]),
            Place::Locations => all(&resource["location_ids"], |id| id),
            Place::Slots => all(&resource["slots"], |slot| &slot["location_id"]),
            Place::Slot => is_ours(&resource["slot"]["location_id"]),
        }
    }

    async fn are_at(&self, ids: Vec<String>, read: &str, place: Place) -> Result<bool, Fault> {
        for id in ids {
            let path = [("id".to_owned(), id)].into();
            if !self.at(place, &self.read(read, path).await?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What an operation of the interface reads.
    async fn read(&self, id: &str, path_params: HashMap<String, String>) -> Result<Value, Fault> {
        self.run(id, path_params, Params::default()).await
    }

    async fn run(&self, id: &str, path_params: HashMap<String, String>, params: Params) -> Result<Value, Fault> {
        let operation = self.interface.operations.iter().find(|operation| operation.id == id);
        let operation = operation.ok_or_else(|| Fault::internal("a check reads an operation that does not exist"))?;
        let call = Call {
            operation_id: id.to_owned(),
            path_params,
            params,
            headers: HeaderMap::new(),
            body: Value::Null,
            form: vec![],
            raw_body: vec![],
            idempotency: None,
            ..self.call.clone()
        };
        let reply = (operation.handler)(call).await?;
        serde_json::from_slice(&reply.body.unwrap_or_default()).map_err(Fault::internal)
    }
}

/// The texts at a path of a JSON body; lists on the way and at its end are gone through.
fn texts(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Array(entries) => entries.iter().flat_map(|entry| texts(entry, path)).collect(),
        Value::String(text) if path.is_empty() => vec![text.clone()],
        Value::Object(fields) => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            fields.get(first).map(|value| texts(value, rest)).unwrap_or_default()
        }
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_found_through_lists() {
        let body =
            json!({"slot_id": "a", "slot_ids": ["b", 7, "c"], "sessions": [{"slot_id": "d"}, {}, {"slot_id": "e"}]});
        assert_eq!(texts(&body, "slot_id"), ["a"]);
        assert_eq!(texts(&body, "slot_ids"), ["b", "c"]);
        assert_eq!(texts(&body, "sessions.slot_id"), ["d", "e"]);
        for nothing in ["", "sessions", "slot_id.x", "none"] {
            assert_eq!(texts(&body, nothing), Vec::<String>::new(), "{nothing}");
        }
    }
}
