-- Where an organisation's own systems are told what happens, and each delivery to them.

CREATE TABLE webhook_endpoints (
    organization_id  uuid    NOT NULL REFERENCES organizations (organization_id),
    id               uuid    NOT NULL,
    version          bigint  NOT NULL,
    url              text    NOT NULL,
    -- JSON; an empty list means all.
    events           text    NOT NULL,
    description      text    NOT NULL,
    enabled          boolean NOT NULL,
    disabled_reason  text    NOT NULL,
    secret           text    NOT NULL,
    -- The secret before, which signs beside the present one for a while.
    old_secret       text    NOT NULL,
    old_until_us     bigint  NOT NULL,
    -- Since when no attempt has succeeded; NULL after a success.
    failing_since_us bigint,
    -- How many deliveries it was ever given: the last one's number.
    queued           bigint  NOT NULL,
    created_at_us    bigint  NOT NULL,
    updated_at_us    bigint  NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE webhook_deliveries (
    organization_id uuid    NOT NULL,
    id              uuid    NOT NULL,
    endpoint_id     uuid    NOT NULL,
    -- The order within the endpoint.
    number          bigint  NOT NULL,
    -- The appointment or plan; deliveries about one of them go one after another.
    subject_id      uuid    NOT NULL,
    event           text    NOT NULL,
    -- The body, byte for byte the same on each attempt.
    payload         text    NOT NULL,
    status          text    NOT NULL,
    -- When a dispatcher looks at it next. NULL: it waits behind an earlier one of its subject, or nothing is left to do.
    wake_at_us      bigint,
    -- Since when it is at the head of its line: how long it is tried counts from here.
    since_us        bigint  NOT NULL,
    -- The fencing token: rises with each lease and with each change from elsewhere.
    fence           bigint  NOT NULL,
    -- Attempts since it was told or replayed.
    tries           integer NOT NULL,
    attempts        integer NOT NULL,
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
