//! Statistics for the planner of a young PostgreSQL database, before autovacuum comes.

use sqlx::{PgPool, query_scalar};

use crate::{Failure, Function};

/// The function that analyzes; [`functions!`](crate::functions) gives it to each service.
pub const ANALYZE_YOUNG_TABLES: Function = Function {
    name: "analyze_young_tables",
    text: include_str!("../migrations/postgres/functions/analyze_young_tables.sql"),
};
const CALL: &str = "SELECT analyze_young_tables()";

/// Analyzes the tables of a pool's schema that have grown to twice their size since they last were. Answers their number.
///
/// # Errors
/// When the database cannot be reached.
pub async fn analyze_young_tables(pool: &PgPool) -> Result<i64, Failure> {
    Ok(query_scalar(CALL).fetch_one(pool).await?)
}
