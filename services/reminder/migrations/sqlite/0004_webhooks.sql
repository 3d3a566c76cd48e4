-- Where an organisation's own systems are told what happens, and each delivery to them.

CREATE TABLE webhook_endpoints (
    organization_id  blob    NOT NULL REFERENCES organizations (organization_id),
    id               blob    NOT NULL,
    version          integer NOT NULL,
    url              text    NOT NULL,
    -- JSON; an empty list means all.
    events           text    NOT NULL,
    description      text    NOT NULL,
    enabled          boolean NOT NULL,
    disabled_reason  text    NOT NULL,
    secret           text    NOT NULL,
    -- The secret before, which signs beside the present one for a while.
    old_secret       text    NOT NULL,
    old_until_us     integer NOT NULL,
    -- Since when no attempt has succeeded; NULL after a success.
    failing_since_us integer,
    -- How many deliveries it was ever given: the last one's number.
    queued           integer NOT NULL,
    created_at_us    integer NOT NULL,
    updated_at_us    integer NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE webhook_deliveries (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    endpoint_id     blob    NOT NULL,
    -- The order within the endpoint.
    number          integer NOT NULL,
    -- The appointment or plan; deliveries about one of them go one after another.
    subject_id      blob    NOT NULL,
    event           text    NOT NULL,
    -- The body, byte for byte the same on each attempt.
    payload         text    NOT NULL,
    status          text    NOT NULL,
    -- When a dispatcher looks at it next. NULL: it waits behind an earlier one of its subject, or nothing is left to do.
    wake_at_us      integer,
    -- Since when it is at the head of its line: how long it is tried counts from here.
    since_us        integer NOT NULL,
    -- The fencing token: rises with each lease and with each change from elsewhere.
    fence           integer NOT NULL,
    -- Attempts since it was told or replayed.
    tries           integer NOT NULL,
    attempts        integer NOT NULL,
    last_status     integer NOT NULL,
    last_error      text    NOT NULL,
    created_at_us   integer NOT NULL,
    updated_at_us   integer NOT NULL,
    delivered_at_us integer,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, endpoint_id, number),
    FOREIGN KEY (organization_id, endpoint_id) REFERENCES webhook_endpoints (organization_id, id)
);
CREATE INDEX webhook_deliveries_wake ON webhook_deliveries (wake_at_us) WHERE wake_at_us IS NOT NULL;
CREATE INDEX webhook_deliveries_line ON webhook_deliveries (organization_id, endpoint_id, subject_id, number)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (updated_at_us) WHERE status <> 'pending';
