//! Secrets that the installation generates for itself.

use sql::Failure;
use sqlx::{query, query_scalar};

use super::Store;

const INSERT_SECRET: &str = r#"
    INSERT INTO secrets (name, value)
    VALUES ($1, $2)
    ON CONFLICT DO NOTHING
"#;
const SELECT_SECRET: &str = r#"
    SELECT value
    FROM secrets
    WHERE name = $1
"#;

impl Store {
    /// The secret with this name. `generated` becomes the secret if there is none.
    pub(crate) async fn load_or_insert_secret(&self, name: &str, generated: &[u8]) -> Result<Vec<u8>, Failure> {
        service::write!(self.database, "gateway.insert_secret", |pool| {
            query(INSERT_SECRET).bind(name.to_owned()).bind(generated.to_vec()).execute(pool).await.map(drop)
        })?;
        service::write!(self.database, "gateway.find_secret", |pool| {
            query_scalar(SELECT_SECRET).bind(name.to_owned()).fetch_one(pool).await
        })
    }
}
