//! The reads of a statement do not grow with the patients and appointments of an organisation.

use std::path::Path;

use service::store::Database as Engine;
use testkit::{
    database::Database,
    query_plans::{Known, growing_reads, literals, understood},
};

use super::{on, statements};

const KNOWN: Known<'_> = Known {
    small_tables: &["epoch", "location_zones", "reason_codes", "secrets", "holds"],
    exceptions: &[
        ("AS oldest)", "the oldest rows, limited"),
        ("patient_id FROM patient_words", "the beginning of a search, whose conditions follow"),
        ("SELECT 1 FROM patient_words w", "the same"),
        ("SELECT EXISTS (SELECT 1 FROM patients)", "one row at most"),
        ("SELECT organization_id, id, version, document, created_at_us, updated_at_us, at_risk", "all plans at risk"),
        (
            "FROM groups\n    WHERE organization_id = $1 AND location_id = $2",
            "a location's change of its zone, once in years",
        ),
    ],
};

#[tokio::test]
async fn no_statement_reads_a_whole_table_on_sqlite() {
    let (store, _database) = on(Database::sqlite().unwrap()).await;
    let Engine::Sqlite(pools) = store.database() else { panic!("it is not on SQLite") };
    let mut connection = pools.reader.acquire().await.unwrap();
    let source = literals(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let source = understood(&mut connection, source).await;
    assert!(source.len() > 60, "the sources have {} statements", source.len());
    let all: Vec<&str> = statements().into_iter().chain(source.iter().map(String::as_str)).collect();
    let found = growing_reads(&mut connection, &all, &KNOWN).await.unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn a_statement_without_its_index_is_found() {
    let (store, _database) = on(Database::sqlite().unwrap()).await;
    let Engine::Sqlite(pools) = store.database() else { panic!("it is not on SQLite") };
    let mut connection = pools.writer.acquire().await.unwrap();
    for index in ["patients_namesakes", "offers_patient", "claims_expiry"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP INDEX {index}"))).execute(&mut *connection).await.unwrap();
    }
    let found = growing_reads(&mut connection, &statements(), &KNOWN).await.unwrap();
    for part in ["match_key = $2", "SELECT slot_id", "c.expires_at_us > $3"] {
        assert!(found.iter().any(|fault| fault.contains(part)), "{part}: {}", found.join("\n"));
    }
}
