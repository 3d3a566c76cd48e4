-- The locations to which a key is limited, separated by spaces; null for all.
ALTER TABLE keys ADD COLUMN location_ids text;
