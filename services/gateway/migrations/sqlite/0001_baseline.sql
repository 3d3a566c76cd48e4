-- The gateway's tables: API keys, the audit log, stored responses and calendar links.
--
-- Columns that end in `_us` are microseconds since the Unix epoch.

CREATE TABLE keys (
    id              blob    PRIMARY KEY,
    organization_id blob    NOT NULL,
    name            text    NOT NULL,
    -- SHA-256 of the key. The key itself is displayed once and never stored.
    hash            blob    NOT NULL UNIQUE,
    -- Scope names, separated by spaces.
    scopes          text    NOT NULL,
    created_at_us   integer NOT NULL,
    revoked_at_us   integer
);
CREATE INDEX keys_organization ON keys (organization_id, id);

-- The audit log: which caller read or changed which resource. It holds ids, no names and no contents.
CREATE TABLE audit (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    at_us           integer NOT NULL,
    caller          text    NOT NULL,
    action          text    NOT NULL,
    target          text    NOT NULL,
    patient_id      blob,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX audit_patient ON audit (organization_id, patient_id, id);

-- The stored response of a write, by its idempotency key, for one day: of the gateway's own writes and of the calls that
-- no service stores.
CREATE TABLE answers (
    organization_id blob    NOT NULL,
    caller          text    NOT NULL,
    action          text    NOT NULL,
    key             text    NOT NULL,
    -- Hash of the request. The same key with another request is refused.
    fingerprint     text    NOT NULL,
    salt            blob    NOT NULL,
    -- The response, encrypted. The encryption key is derived from the caller's API key, the idempotency key and the salt,
    -- and is stored nowhere.
    sealed          blob    NOT NULL,
    created_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, caller, action, key)
);
CREATE INDEX answers_age ON answers (created_at_us);

-- The calendar link of a practitioner, a location or a patient. The link is signed and stored nowhere.
CREATE TABLE calendars (
    organization_id blob    NOT NULL,
    -- 1 practitioner, 2 location, 3 patient.
    kind            integer NOT NULL,
    -- The id of that practitioner, location or patient.
    subject         blob    NOT NULL,
    -- Rises with each new link. A link of an earlier generation no longer opens.
    generation      integer NOT NULL,
    -- False after the link was withdrawn.
    live            boolean NOT NULL,
    PRIMARY KEY (organization_id, kind, subject)
);

-- Random signing keys, each written once.
CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value blob NOT NULL
);
