-- Random signing keys, each sealed and written once.
CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);
