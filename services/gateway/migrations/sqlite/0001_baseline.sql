-- API keys and the audit log. Instants are microseconds since the Unix epoch.
CREATE TABLE keys (
    id              blob   PRIMARY KEY,
    organization_id blob   NOT NULL,
    name            text   NOT NULL,
    -- SHA-256 of the key: the key itself is shown once and kept nowhere.
    hash            blob  NOT NULL UNIQUE,
    -- Separated by spaces.
    scopes          text   NOT NULL,
    created_at_us   integer NOT NULL,
    revoked_at_us   integer
);
CREATE INDEX keys_organization ON keys (organization_id, id);

-- Who read or changed what. No names, no contents.
CREATE TABLE audit (
    organization_id blob   NOT NULL,
    id              blob   NOT NULL,
    at_us           integer NOT NULL,
    caller          text   NOT NULL,
    action          text   NOT NULL,
    target          text   NOT NULL,
    patient_id      blob,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX audit_patient ON audit (organization_id, patient_id, id);

-- Answers for idempotency keys, kept for a day: those of the gateway's own writes, and those that no service keeps. Each is
-- sealed with a key that is not here: it is made of the caller's API key, the idempotency key and the salt.
CREATE TABLE answers (
    organization_id blob  NOT NULL,
    caller          text   NOT NULL,
    action          text   NOT NULL,
    key             text   NOT NULL,
    fingerprint     text   NOT NULL,
    salt            blob  NOT NULL,
    sealed          blob  NOT NULL,
    created_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, caller, action, key)
);
CREATE INDEX answers_age ON answers (created_at_us);
