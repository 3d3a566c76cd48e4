//! Patients and the words by which they are found.

use sqlx::{SqliteConnection, query};
use uuid::Uuid;

use super::require_row;
use crate::store::batch::{Batch, CommitError};

const INSERT: &str = r#"
    INSERT INTO patients (organization_id, id, version, match_key, open_changes, details, created_at_us, updated_at_us)
    VALUES ($1, $2, 1, $3, $4, $5, $6, $6)
"#;
const UPDATE: &str = r#"
    UPDATE patients
    SET version = $3, details = $4, match_key = $5, open_changes = $6, updated_at_us = $7
    WHERE organization_id = $1 AND id = $2 AND version = $3 - 1
"#;
const INSERT_WORD: &str = r#"
    INSERT INTO patient_words (organization_id, word, patient_id)
    VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING
"#;
const DELETE_WORD: &str = "DELETE FROM patient_words WHERE organization_id = $1 AND word = $2 AND patient_id = $3";

pub(super) async fn insert(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for patient in &batch.patients {
        let insert = query(INSERT).bind(batch.organization_id).bind(patient.id).bind(&patient.match_key);
        let insert = insert.bind(patient.open_changes).bind(&patient.details).bind(batch.now_us);
        insert.execute(&mut *conn).await?;
        insert_words(conn, batch.organization_id, patient.id, &patient.words).await?;
    }
    Ok(())
}

pub(super) async fn update(conn: &mut SqliteConnection, batch: &Batch) -> Result<(), CommitError> {
    for patient in &batch.change_patients {
        let update = query(UPDATE).bind(batch.organization_id).bind(patient.id).bind(patient.version);
        let update = update.bind(&patient.details).bind(&patient.match_key).bind(patient.open_changes);
        require_row(update.bind(batch.now_us).execute(&mut *conn).await?.rows_affected())?;
        for word in &patient.words_removed {
            let delete = query(DELETE_WORD).bind(batch.organization_id).bind(word).bind(patient.id);
            delete.execute(&mut *conn).await?;
        }
        insert_words(conn, batch.organization_id, patient.id, &patient.words_added).await?;
    }
    Ok(())
}

async fn insert_words(
    conn: &mut SqliteConnection,
    organization: Uuid,
    patient: Uuid,
    words: &[String],
) -> Result<(), CommitError> {
    for word in words {
        query(INSERT_WORD).bind(organization).bind(word).bind(patient).execute(&mut *conn).await?;
    }
    Ok(())
}
