CREATE INDEX appointments_updated ON appointments (organization_id, updated_at_us, id);
