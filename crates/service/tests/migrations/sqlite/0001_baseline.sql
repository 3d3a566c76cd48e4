CREATE TABLE notes (id blob PRIMARY KEY, body text NOT NULL);
CREATE TABLE idempotency (
    organization_id blob    NOT NULL,
    caller          text    NOT NULL,
    route           text    NOT NULL,
    key             text    NOT NULL,
    fingerprint     text    NOT NULL,
    response        blob    NOT NULL,
    revision        text    NOT NULL,
    created_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, caller, route, key)
);
