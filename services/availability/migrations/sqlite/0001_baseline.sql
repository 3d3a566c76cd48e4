-- The directory. Every key leads with the organisation; instants are microseconds since the Unix epoch.
CREATE TABLE organizations (
    id                blob   PRIMARY KEY,
    name              text   NOT NULL,
    default_language  text   NOT NULL,
    country           text   NOT NULL,
    created_at_us     integer NOT NULL,
    -- Rises with each change of the directory: a change is made only from the version that it was checked against.
    directory_version integer NOT NULL
);

-- One table for all kinds: they share one life, and the body is the JSON that the public interface shows.
CREATE TABLE entries (
    organization_id blob   NOT NULL REFERENCES organizations (id),
    id              blob   NOT NULL,
    kind            text   NOT NULL,
    parent_id       blob,
    version         integer NOT NULL,
    created_at_us   integer NOT NULL,
    updated_at_us   integer NOT NULL,
    archived_at_us  integer,
    body            text   NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, parent_id) REFERENCES entries (organization_id, id)
);

CREATE TABLE idempotency (
    organization_id blob   NOT NULL,
    caller          text   NOT NULL,
    route           text   NOT NULL,
    key             text   NOT NULL,
    fingerprint     text   NOT NULL,
    response        blob  NOT NULL,
    revision        text   NOT NULL,
    created_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, caller, route, key)
);

CREATE INDEX idempotency_age ON idempotency (created_at_us);
