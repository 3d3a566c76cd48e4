CREATE INDEX appointments_external ON appointments (organization_id, external_id, starts_at_us)
    WHERE external_id <> '';
