CREATE TABLE notes (id uuid PRIMARY KEY, body text NOT NULL);
CREATE TABLE idempotency (
    organization_id uuid   NOT NULL,
    caller          text   NOT NULL,
    route           text   NOT NULL,
    key             text   NOT NULL,
    fingerprint     text   NOT NULL,
    response        bytea  NOT NULL,
    revision        text   NOT NULL,
    created_at_us   bigint NOT NULL,
    PRIMARY KEY (organization_id, caller, route, key)
);
