-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS appointments_updated ON appointments (organization_id, updated_at_us, id);
