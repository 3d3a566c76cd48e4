-- no-transaction
-- A booking reads the patients of one match key, the oldest first: the index has both. A plan in the order of the primary key
-- reads all patients of the organisation.
CREATE INDEX CONCURRENTLY IF NOT EXISTS patients_namesakes ON patients (organization_id, match_key, id);
