-- A booking reads the patients of one match key, the oldest first: the index has both. Without the id SQLite reads all patients of
-- the organisation in the order of the primary key.
CREATE INDEX patients_namesakes ON patients (organization_id, match_key, id);
