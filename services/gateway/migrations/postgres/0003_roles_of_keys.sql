-- The role of a key. Its scopes are those that the running version gives the role, and those of the column `scopes`.
ALTER TABLE keys ADD COLUMN role text;
