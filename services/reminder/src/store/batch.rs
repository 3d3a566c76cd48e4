//! Parts of statements that grow with their rows.

use sqlx::{Database, Encode, QueryBuilder, Type, query_builder::Separated};
use uuid::Uuid;

/// Most rows of one statement: both engines bound the number of its parameters.
pub(crate) const ROWS_MAX: usize = 500;

/// Organisation and id.
pub(crate) type Key = (Uuid, Uuid);

/// Begins a statement with `WITH given (g_<column>, …) AS (VALUES …)`: one row of parameters for each of `rows`.
pub(super) fn with_given<'a, D: Database, T>(
    columns: &[&str],
    rows: &'a [T],
    push: impl FnMut(Separated<'_, D, &'static str>, &'a T),
) -> QueryBuilder<D> {
    let mut query = QueryBuilder::new("WITH given (");
    let mut names = query.separated(", ");
    for column in columns {
        names.push(format_args!("g_{column}"));
    }
    query.push(") AS (").push_values(rows, push).push(")");
    query
}

/// `(organization_id, id) IN (…)`.
pub(super) fn push_keys<D: Database>(query: &mut QueryBuilder<D>, keys: &[Key])
where
    Uuid: for<'q> Encode<'q, D> + Type<D>,
{
    query.push("(organization_id, id) IN (").push_values(keys, |mut row, key| {
        row.push_bind(key.0).push_bind(key.1);
    });
    query.push(")");
}

/// ` AND column NOT IN (…)`; nothing without ids.
pub(super) fn push_not_in<D: Database>(query: &mut QueryBuilder<D>, column: &'static str, ids: &[Uuid])
where
    Uuid: for<'q> Encode<'q, D> + Type<D>,
{
    if ids.is_empty() {
        return;
    }
    query.push(" AND ").push(column).push(" NOT IN (");
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    query.push(")");
}

/// ` AND column IN (…)`; nothing without values.
pub(super) fn push_in<D: Database>(query: &mut QueryBuilder<D>, column: &'static str, values: &[String])
where
    for<'v> &'v str: Encode<'v, D> + Type<D>,
{
    if values.is_empty() {
        return;
    }
    query.push(" AND ").push(column).push(" IN (");
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value.as_str());
    }
    query.push(")");
}
