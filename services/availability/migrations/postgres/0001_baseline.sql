-- Availability's tables: the directory of each organisation.
--
-- Every key begins with the organisation. Columns that end in `_us` are microseconds since the Unix epoch.

CREATE TABLE organizations (
    id                uuid   PRIMARY KEY,
    name              text   NOT NULL,
    default_language  text   NOT NULL,
    country           text   NOT NULL,
    created_at_us     bigint NOT NULL,
    -- Rises with each change of the directory. A change is refused unless it was checked against this version.
    directory_version bigint NOT NULL
);

-- A directory entry of any kind: a location, a practitioner, a service, a room and so on. All kinds share one life cycle,
-- so they share one table.
CREATE TABLE entries (
    organization_id uuid   NOT NULL REFERENCES organizations (id),
    id              uuid   NOT NULL,
    kind            text   NOT NULL,
    -- The entry that this one belongs to, such as a room's location.
    parent_id       uuid,
    version         bigint NOT NULL,
    created_at_us   bigint NOT NULL,
    updated_at_us   bigint NOT NULL,
    archived_at_us  bigint,
    -- The JSON that the REST interface returns.
    body            text   NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, parent_id) REFERENCES entries (organization_id, id)
);

-- The stored response of a write, by its idempotency key. A repeated request gets the same response.
CREATE TABLE idempotency (
    organization_id uuid   NOT NULL,
    caller          text   NOT NULL,
    route           text   NOT NULL,
    key             text   NOT NULL,
    -- Hash of the request. The same key with another request is refused.
    fingerprint     text   NOT NULL,
    response        bytea  NOT NULL,
    -- The revision that the write returned.
    revision        text   NOT NULL,
    created_at_us   bigint NOT NULL,
    PRIMARY KEY (organization_id, caller, route, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at_us);
