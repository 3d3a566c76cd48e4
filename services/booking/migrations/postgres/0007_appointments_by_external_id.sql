-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS appointments_external ON appointments (organization_id, external_id, starts_at_us)
    WHERE external_id <> '';
