-- `patients_namesakes` replaces it.
DROP INDEX patients_match;
-- The offers that a patient has had, also those that are over.
CREATE INDEX offers_patient ON offers (organization_id, patient_id);
-- The claims of holds. PostgreSQL has `claims_held`.
CREATE INDEX claims_expiry ON claims (organization_id, expires_at_us) WHERE expires_at_us IS NOT NULL;
