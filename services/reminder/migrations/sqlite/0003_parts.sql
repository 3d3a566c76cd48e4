-- In how many parts the text travels; 0 where nobody has said.
ALTER TABLE attempts ADD COLUMN parts integer NOT NULL DEFAULT 0;

-- Parts of a text that have arrived.
CREATE TABLE arrived_parts (
    organization_id blob    NOT NULL,
    message_id      blob    NOT NULL,
    attempt         integer NOT NULL,
    -- The provider's own id of the part.
    part_id         text    NOT NULL,
    arrived_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, message_id, attempt, part_id),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id)
);
CREATE INDEX arrived_parts_age ON arrived_parts (arrived_at_us);
