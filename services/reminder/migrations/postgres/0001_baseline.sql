-- Reminder's tables: rules, the messages that they plan, patients' replies and webhooks.
--
-- Every key begins with the organisation. Columns that end in `_us` are microseconds since the Unix epoch.

CREATE TABLE organizations (
    organization_id  uuid   PRIMARY KEY,
    first_seen_at_us bigint NOT NULL,
    -- Number of writes of rules and of planned messages. Each such write locks this row first.
    writes           bigint NOT NULL
);

-- Booking's feed

-- The feed position that is applied, in one row. It is written in the transaction that applies the changes.
CREATE TABLE feed_position (
    id           smallint PRIMARY KEY CHECK (id = 1),
    -- Opaque: booking alone reads it.
    position     text     NOT NULL,
    stored_at_us bigint   NOT NULL
);

-- Progress of reading appointments that had ended before the last snapshot, in one row.
CREATE TABLE history (
    id          integer PRIMARY KEY CHECK (id = 1),
    -- When reading began. Appointments that ended before it are read.
    begun_at_us bigint  NOT NULL,
    -- Cursor of the next page: empty for the first page, NULL when all pages are read.
    cursor      text
);

-- Copies of booking's appointments: ids and times, no names.
CREATE TABLE appointments (
    organization_id           uuid   NOT NULL REFERENCES organizations (organization_id),
    id                        uuid   NOT NULL,
    version                   bigint NOT NULL,
    status                    text   NOT NULL,
    service_id                uuid   NOT NULL,
    practitioner_id           uuid   NOT NULL,
    patient_id                uuid   NOT NULL,
    location_id               uuid   NOT NULL,
    starts_at_us              bigint NOT NULL,
    ends_at_us                bigint NOT NULL,
    time_zone                 text   NOT NULL,
    -- The version at which the present time, location, practitioner and service became true.
    visit_version             bigint NOT NULL,
    -- The arrangement that the patient knows: the one that was booked, or the one in the last message.
    announced_starts_at_us    bigint NOT NULL,
    announced_location_id     uuid   NOT NULL,
    announced_practitioner_id uuid   NOT NULL,
    announced_service_id      uuid   NOT NULL,
    -- When the last change was applied.
    seen_at_us                bigint NOT NULL,
    plan_session_id           uuid,
    -- When it was booked. A patient's sessions that were booked at one instant are one series. NULL if the booking was
    -- not in the feed.
    booked_at_us              bigint,
    confirmed_at_us           bigint,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX appointments_ahead ON appointments (organization_id, starts_at_us, id);
CREATE INDEX appointments_patient ON appointments (organization_id, patient_id, booked_at_us);

-- Copies of booking's offers of free slots to patients on the waitlist.
CREATE TABLE offers (
    organization_id uuid    NOT NULL REFERENCES organizations (organization_id),
    id              uuid    NOT NULL,
    version         bigint  NOT NULL,
    -- Whether the patient can still accept it.
    open            boolean NOT NULL,
    patient_id      uuid    NOT NULL,
    service_id      uuid    NOT NULL,
    practitioner_id uuid    NOT NULL,
    location_id     uuid    NOT NULL,
    starts_at_us    bigint  NOT NULL,
    ends_at_us      bigint  NOT NULL,
    time_zone       text    NOT NULL,
    -- When the last change was applied.
    seen_at_us      bigint  NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX offers_start ON offers (organization_id, starts_at_us, id);

-- Rules and messages

CREATE TABLE rules (
    organization_id uuid   NOT NULL REFERENCES organizations (organization_id),
    id              uuid   NOT NULL,
    version         bigint NOT NULL,
    -- JSON of `rule::Body`.
    body            text   NOT NULL,
    created_at_us   bigint NOT NULL,
    updated_at_us   bigint NOT NULL,
    archived_at_us  bigint,
    PRIMARY KEY (organization_id, id)
);

-- A message to a patient, planned by a rule.
CREATE TABLE messages (
    organization_id uuid     NOT NULL,
    id              uuid     NOT NULL,
    -- `appointment`, `offer` or `plan`.
    subject_kind    text     NOT NULL,
    subject_id      uuid     NOT NULL,
    -- The subject's version at which the message's content became true: for a plan its last day, for a reply a number that
    -- keeps it unique.
    subject_version bigint   NOT NULL,
    -- The appointment through which the patient is reached. NULL for an offer.
    appointment_id  uuid,
    patient_id      uuid     NOT NULL,
    rule_id         uuid     NOT NULL,
    trigger         text     NOT NULL,
    channel         text     NOT NULL,
    status          text     NOT NULL,
    reason          text     NOT NULL,
    -- The instant that the rule's offset counts from.
    base_at_us      bigint   NOT NULL,
    due_at_us       bigint   NOT NULL,
    -- When the dispatcher reads the message next: it is due, a retry is due, or its lease ends. NULL when it is finished.
    wake_at_us      bigint,
    starts_at_us    bigint   NOT NULL,
    location_id     uuid     NOT NULL,
    time_zone       text     NOT NULL,
    -- The fencing token. Each lease and each change from elsewhere raises it.
    fence           bigint   NOT NULL DEFAULT 0,
    -- Attempts that the provider refused, since the message was planned or retried.
    tries           integer  NOT NULL DEFAULT 0,
    attempts        integer  NOT NULL DEFAULT 0,
    -- Rank of the furthest status that the provider has reported.
    provider_rank   smallint NOT NULL DEFAULT 0,
    provider        text     NOT NULL DEFAULT '',
    -- The patient's address. Personal data, as are subject and body.
    recipient       text     NOT NULL DEFAULT '',
    subject         text     NOT NULL DEFAULT '',
    body            text     NOT NULL DEFAULT '',
    -- What the message announces as changed, one letter each: time, location, practitioner, service.
    changed         text     NOT NULL DEFAULT '',
    sent_at_us      bigint,
    created_at_us   bigint   NOT NULL,
    updated_at_us   bigint   NOT NULL,
    -- Billed SMS segments. 0 for e-mail.
    segments        integer  NOT NULL DEFAULT 0,
    -- The attempt whose name was the idempotency key of the last attempt. Retries that share a key count once for
    -- providers that deduplicate.
    key_attempt     integer  NOT NULL DEFAULT 0,
    -- The last provider may have accepted the message although it reported a failure, so no other provider gets it.
    held            boolean  NOT NULL DEFAULT false,
    -- The provider of the next attempt. Empty: the first provider.
    next_provider   text     NOT NULL DEFAULT '',
    -- The message that this one replaces because it could not reach the patient on its own channel.
    fallback_for    uuid,
    -- Whether the message was sent once more because the first outcome was unknown.
    repeated        boolean  NOT NULL DEFAULT false,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, subject_id, subject_kind, subject_version, rule_id, channel),
    FOREIGN KEY (organization_id, appointment_id) REFERENCES appointments (organization_id, id),
    FOREIGN KEY (organization_id, rule_id) REFERENCES rules (organization_id, id)
);
CREATE INDEX messages_appointment ON messages (organization_id, appointment_id);
CREATE INDEX messages_wake ON messages (wake_at_us) WHERE wake_at_us IS NOT NULL;
CREATE INDEX messages_due ON messages (organization_id, due_at_us, id);
CREATE INDEX messages_rule ON messages (organization_id, rule_id, id) WHERE wake_at_us IS NOT NULL;
CREATE INDEX messages_recipient ON messages (recipient, sent_at_us) WHERE sent_at_us IS NOT NULL;
-- Finds expired leases among any number of due messages.
CREATE INDEX messages_sending ON messages (wake_at_us) WHERE status = 'sending';

CREATE TABLE attempts (
    organization_id     uuid    NOT NULL,
    message_id          uuid    NOT NULL,
    -- From 1.
    number              integer NOT NULL,
    at_us               bigint  NOT NULL,
    -- `unknown` until the outcome is recorded.
    outcome             text    NOT NULL,
    provider_message_id text    NOT NULL,
    error_code          text    NOT NULL,
    detail              text    NOT NULL,
    -- Number of SMS parts. 0 if the provider has not reported it.
    parts               integer NOT NULL DEFAULT 0,
    provider            text    NOT NULL DEFAULT '',
    PRIMARY KEY (organization_id, message_id, number),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id)
);

-- The parts of a multi-part SMS that the provider has reported as delivered.
CREATE TABLE arrived_parts (
    organization_id uuid    NOT NULL,
    message_id      uuid    NOT NULL,
    attempt         integer NOT NULL,
    -- The provider's id of the part.
    part_id         text    NOT NULL,
    arrived_at_us   bigint  NOT NULL,
    PRIMARY KEY (organization_id, message_id, attempt, part_id),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id)
);
CREATE INDEX arrived_parts_age ON arrived_parts (arrived_at_us);

-- Providers' delivery reports, unchanged.
CREATE TABLE provider_events (
    organization_id uuid    NOT NULL,
    id              uuid    NOT NULL,
    message_id      uuid    NOT NULL,
    attempt         integer NOT NULL,
    received_at_us  bigint  NOT NULL,
    -- JSON of the report's form fields.
    form            text    NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id)
);
CREATE INDEX provider_events_age ON provider_events (received_at_us);

-- Addresses that get no messages because their owners opted out, by a reply or with their carrier.
CREATE TABLE blocked (
    organization_id uuid   NOT NULL,
    channel         text   NOT NULL,
    -- SHA-256 of the address.
    address_hash    bytea  NOT NULL,
    blocked_at_us   bigint NOT NULL,
    PRIMARY KEY (organization_id, channel, address_hash)
);

-- Patients who opted out of e-mails after their visits. They still get e-mails about their appointments.
CREATE TABLE unsubscribed (
    organization_id    uuid   NOT NULL,
    patient_id         uuid   NOT NULL,
    unsubscribed_at_us bigint NOT NULL,
    PRIMARY KEY (organization_id, patient_id)
);

-- Replies

-- A text message from a patient.
CREATE TABLE inbound (
    organization_id     uuid   NOT NULL,
    id                  uuid   NOT NULL,
    provider            text   NOT NULL,
    -- The provider's id: a message that is delivered twice is stored once.
    provider_message_id text   NOT NULL,
    received_at_us      bigint NOT NULL,
    -- Personal data, both.
    sender              text   NOT NULL,
    body                text   NOT NULL,
    -- The command that was recognised in the body.
    meaning             text   NOT NULL,
    -- The result of that command. Empty until it is handled.
    outcome             text   NOT NULL,
    -- The message that it replies to, with its appointment and patient. NULL if there is none.
    message_id          uuid,
    appointment_id      uuid,
    patient_id          uuid,
    -- 0 to 10, in reply to a question about the patient's health.
    score               smallint,
    -- Why a person must read it. Empty if nobody must.
    attention           text   NOT NULL,
    read_at_us          bigint,
    read_by             text   NOT NULL DEFAULT '',
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, provider, provider_message_id)
);
CREATE INDEX inbound_attention ON inbound (organization_id, received_at_us, id) WHERE attention <> '';
-- Unread messages of all organisations, which a metric counts every minute.
CREATE INDEX inbound_unread ON inbound (received_at_us) WHERE attention <> '' AND read_at_us IS NULL;
CREATE INDEX inbound_sender ON inbound (organization_id, sender, received_at_us);
-- For the report on reminders: appointments whose patients replied.
CREATE INDEX inbound_appointment ON inbound (organization_id, appointment_id) WHERE appointment_id IS NOT NULL;
CREATE INDEX inbound_age ON inbound (received_at_us);

-- Webhooks

CREATE TABLE webhook_endpoints (
    organization_id  uuid    NOT NULL REFERENCES organizations (organization_id),
    id               uuid    NOT NULL,
    version          bigint  NOT NULL,
    url              text    NOT NULL,
    -- JSON list of event names. Empty: all events.
    events           text    NOT NULL,
    description      text    NOT NULL,
    enabled          boolean NOT NULL,
    disabled_reason  text    NOT NULL,
    secret           text    NOT NULL,
    -- The previous secret, which also signs until `old_until_us`.
    old_secret       text    NOT NULL,
    old_until_us     bigint  NOT NULL,
    -- The first failure since the last success. NULL after a success.
    failing_since_us bigint,
    -- Number of the last delivery.
    queued           bigint  NOT NULL,
    created_at_us    bigint  NOT NULL,
    updated_at_us    bigint  NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE webhook_deliveries (
    organization_id uuid    NOT NULL,
    id              uuid    NOT NULL,
    endpoint_id     uuid    NOT NULL,
    -- Position in the endpoint's order.
    number          bigint  NOT NULL,
    -- The appointment or plan. Deliveries about one subject go out one after another.
    subject_id      uuid    NOT NULL,
    event           text    NOT NULL,
    -- The body, the same bytes on each attempt.
    payload         text    NOT NULL,
    -- `pending`, `delivered` or `dead`.
    status          text    NOT NULL,
    -- When the dispatcher reads the delivery next. NULL while an earlier delivery of its subject is pending, and when it is
    -- finished.
    wake_at_us      bigint,
    -- When it became the first pending delivery of its subject. The retry period counts from here.
    since_us        bigint  NOT NULL,
    -- The fencing token. Each lease and each change from elsewhere raises it.
    fence           bigint  NOT NULL,
    -- Attempts since it was queued or replayed.
    tries           integer NOT NULL,
    attempts        integer NOT NULL,
    -- HTTP status of the last attempt. 0 without a response.
    last_status     integer NOT NULL,
    last_error      text    NOT NULL,
    created_at_us   bigint  NOT NULL,
    updated_at_us   bigint  NOT NULL,
    delivered_at_us bigint,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, endpoint_id, number),
    FOREIGN KEY (organization_id, endpoint_id) REFERENCES webhook_endpoints (organization_id, id)
);
CREATE INDEX webhook_deliveries_wake ON webhook_deliveries (wake_at_us) WHERE wake_at_us IS NOT NULL;
CREATE INDEX webhook_deliveries_line ON webhook_deliveries (organization_id, endpoint_id, subject_id, number)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (updated_at_us) WHERE status <> 'pending';

-- The service's own state

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
