-- no-transaction
-- The claims of one resource: the members of a class, a practitioner's limits, and what overlaps a time. The guard's own index
-- has served the first and the last; the next migration makes one of it that does not.
CREATE INDEX CONCURRENTLY IF NOT EXISTS claims_resource ON claims (organization_id, kind, resource, starts_at_us);
