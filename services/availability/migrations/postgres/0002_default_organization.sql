-- The default organisation: the first start makes it, with an id of its own. Installations that were made before keep the
-- id that was the same in all of them.
ALTER TABLE organizations ADD COLUMN is_default boolean NOT NULL DEFAULT false;
UPDATE organizations SET is_default = true WHERE id = '01900000-0000-7000-8000-000000000001';
-- Two processes that start together make one.
CREATE UNIQUE INDEX organizations_default ON organizations (is_default) WHERE is_default;
