-- When a key ends by itself; null: never. Microseconds since the Unix epoch.
ALTER TABLE keys ADD COLUMN expires_at_us integer;
