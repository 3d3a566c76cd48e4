-- Bookings of front ends in a day, which cause messages.
CREATE TABLE message_counts (
    organization_id uuid NOT NULL,
    -- `number`, `address`, `visitor` or `key`, a colon, and an HMAC or the id of the caller.
    subject         text NOT NULL,
    -- Days since the Unix epoch, in UTC.
    day             bigint NOT NULL,
    count           bigint NOT NULL,
    PRIMARY KEY (organization_id, subject, day)
);
CREATE INDEX message_counts_day ON message_counts (day);
