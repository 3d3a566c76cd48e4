//! Patients' records: their rows and the words by which they are found.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::super::batch::{Batch, Refusal};

pub(super) async fn add_patients(tx: &mut SqliteConnection, batch: &Batch) -> Result<(), Refusal> {
    let statement = "INSERT INTO patients (organization_id, id, version, match_key, open_changes, details, created_at_us, \
         updated_at_us) VALUES ($1, $2, 1, $3, $4, $5, $6, $6)";
    for patient in &batch.patients {
        let query = sqlx::query(statement).bind(batch.organization_id).bind(patient.id).bind(&patient.match_key);
        let query = query.bind(patient.open_changes).bind(&patient.details).bind(batch.now_us);
        query.execute(&mut *tx).await?;
        add_words(tx, batch.organization_id, patient.id, &patient.words).await?;
    }
    Ok(())
}

pub(super) async fn change_patients(tx: &mut SqliteConnection, batch: &Batch) -> Result<(), Refusal> {
    let statement = "UPDATE patients SET version = $3, details = $4, match_key = $5, open_changes = $6, \
         updated_at_us = $7 WHERE organization_id = $1 AND id = $2 AND version = $3 - 1";
    for patient in &batch.change_patients {
        let query = sqlx::query(statement).bind(batch.organization_id).bind(patient.id).bind(patient.version);
        let query = query.bind(&patient.details).bind(&patient.match_key).bind(patient.open_changes);
        if query.bind(batch.now_us).execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(Refusal::Stale);
        }
        for word in &patient.words_removed {
            let statement = "DELETE FROM patient_words WHERE organization_id = $1 AND word = $2 AND patient_id = $3";
            let query = sqlx::query(statement).bind(batch.organization_id).bind(word).bind(patient.id);
            query.execute(&mut *tx).await?;
        }
        add_words(tx, batch.organization_id, patient.id, &patient.words_added).await?;
    }
    Ok(())
}

async fn add_words(tx: &mut SqliteConnection, org: Uuid, patient: Uuid, words: &[String]) -> Result<(), Refusal> {
    let statement = "INSERT INTO patient_words (organization_id, word, patient_id) VALUES ($1, $2, $3) \
         ON CONFLICT DO NOTHING";
    for word in words {
        sqlx::query(statement).bind(org).bind(word).bind(patient).execute(&mut *tx).await?;
    }
    Ok(())
}
