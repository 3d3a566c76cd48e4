-- `patients_namesakes` replaces it.
DROP INDEX patients_match;
-- The offers that a patient has had, also those that are over.
CREATE INDEX offers_patient ON offers (organization_id, patient_id);
