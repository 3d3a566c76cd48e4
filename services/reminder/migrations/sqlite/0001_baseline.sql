-- Rules, the messages that they plan, and what became of them. Every key leads with the organisation; instants are
-- microseconds since the Unix epoch.

-- How far booking's feed is applied; written in the transaction of what was derived from it.
CREATE TABLE feed_position (
    id           integer PRIMARY KEY CHECK (id = 1),
    -- Opaque.
    position     text     NOT NULL,
    stored_at_us integer   NOT NULL
);

-- How far visits are read that had ended when the last snapshot was taken.
CREATE TABLE history (
    id          integer PRIMARY KEY CHECK (id = 1),
    -- When reading began; what ended before is what is read.
    begun_at_us integer NOT NULL,
    -- Where it goes on; empty: from the earliest. NULL: all is read.
    place       text
);

CREATE TABLE organizations (
    organization_id  blob   PRIMARY KEY,
    first_seen_at_us integer NOT NULL,
    -- Counts writes of rules and of plans: whoever writes either locks this row first.
    writes           integer NOT NULL
);

CREATE TABLE rules (
    organization_id blob   NOT NULL REFERENCES organizations (organization_id),
    id              blob   NOT NULL,
    version         integer NOT NULL,
    -- JSON.
    body            text   NOT NULL,
    created_at_us   integer NOT NULL,
    updated_at_us   integer NOT NULL,
    archived_at_us  integer,
    PRIMARY KEY (organization_id, id)
);

-- Derived from the feed: ids and times, no names.
CREATE TABLE appointments (
    organization_id    blob   NOT NULL REFERENCES organizations (organization_id),
    id                 blob   NOT NULL,
    version            integer NOT NULL,
    status             text   NOT NULL,
    service_id         blob   NOT NULL,
    practitioner_id    blob   NOT NULL,
    patient_id         blob   NOT NULL,
    location_id        blob   NOT NULL,
    starts_at_us       integer NOT NULL,
    ends_at_us         integer NOT NULL,
    time_zone          text   NOT NULL,
    -- The version at which the present time, place, practitioner and service became true.
    visit_version      integer NOT NULL,
    -- What the patient knows: what was booked, or what the last message said.
    told_starts_at_us  integer NOT NULL,
    told_location_id   blob   NOT NULL,
    told_practitioner_id blob NOT NULL,
    told_service_id    blob   NOT NULL,
    seen_at_us         integer NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX appointments_ahead ON appointments (organization_id, starts_at_us, id);

CREATE TABLE messages (
    organization_id     blob     NOT NULL,
    id                  blob     NOT NULL,
    appointment_id      blob     NOT NULL,
    -- The appointment's version at which what it says became true.
    appointment_version integer   NOT NULL,
    rule_id             blob     NOT NULL,
    trigger             text     NOT NULL,
    channel             text     NOT NULL,
    status              text     NOT NULL,
    reason              text     NOT NULL,
    -- What the rule's offset counts from.
    base_at_us          integer   NOT NULL,
    due_at_us           integer   NOT NULL,
    -- When a dispatcher looks at it next: due, tried again, or its lease over. NULL: nothing is left to do.
    wake_at_us          integer,
    starts_at_us        integer   NOT NULL,
    location_id         blob     NOT NULL,
    time_zone           text     NOT NULL,
    -- The fencing token: rises with each lease and with each change from elsewhere.
    fence               integer   NOT NULL DEFAULT 0,
    -- Attempts that the provider did not take, since the message was planned or retried.
    tries               integer  NOT NULL DEFAULT 0,
    attempts            integer  NOT NULL DEFAULT 0,
    -- The furthest status that the provider has reported.
    provider_rank       integer NOT NULL DEFAULT 0,
    provider            text     NOT NULL DEFAULT '',
    recipient           text     NOT NULL DEFAULT '',
    subject             text     NOT NULL DEFAULT '',
    body                text     NOT NULL DEFAULT '',
    -- What it says has changed, a letter each: time, location, practitioner, service.
    changed             text     NOT NULL DEFAULT '',
    sent_at_us          integer,
    created_at_us       integer   NOT NULL,
    updated_at_us       integer   NOT NULL,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, appointment_id, appointment_version, rule_id, channel),
    FOREIGN KEY (organization_id, appointment_id) REFERENCES appointments (organization_id, id),
    FOREIGN KEY (organization_id, rule_id) REFERENCES rules (organization_id, id)
);
CREATE INDEX messages_wake ON messages (wake_at_us) WHERE wake_at_us IS NOT NULL;
CREATE INDEX messages_due ON messages (organization_id, due_at_us, id);
CREATE INDEX messages_rule ON messages (organization_id, rule_id, id) WHERE wake_at_us IS NOT NULL;

CREATE TABLE attempts (
    organization_id     blob    NOT NULL,
    message_id          blob    NOT NULL,
    number              integer NOT NULL,
    at_us               integer  NOT NULL,
    -- `unknown` until the outcome is recorded.
    outcome             text    NOT NULL,
    provider_message_id text    NOT NULL,
    error_code          text    NOT NULL,
    detail              text    NOT NULL,
    PRIMARY KEY (organization_id, message_id, number),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id)
);

-- What providers called, as it came.
CREATE TABLE provider_events (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    message_id      blob    NOT NULL,
    attempt         integer NOT NULL,
    received_at_us  integer  NOT NULL,
    -- JSON.
    form            text    NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id)
);
CREATE INDEX provider_events_age ON provider_events (received_at_us);

-- Addresses whose owner has told the carrier to stop.
CREATE TABLE blocked (
    organization_id blob   NOT NULL,
    channel         text   NOT NULL,
    -- SHA-256.
    address_hash    blob   NOT NULL,
    blocked_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, channel, address_hash)
);

CREATE TABLE idempotency (
    organization_id blob   NOT NULL,
    caller          text   NOT NULL,
    route           text   NOT NULL,
    key             text   NOT NULL,
    fingerprint     text   NOT NULL,
    response        blob   NOT NULL,
    revision        text   NOT NULL,
    created_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, caller, route, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at_us);
