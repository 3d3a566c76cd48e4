-- The maker of each hold, and the slots that visitors of front ends hold.

-- The caller that made the hold; empty for one that is older than this column.
ALTER TABLE holds ADD COLUMN caller text NOT NULL DEFAULT '';
-- The visitor of the front end that made it, as `rpc::Visitor` writes it; empty for staff.
ALTER TABLE holds ADD COLUMN visitor text NOT NULL DEFAULT '';
ALTER TABLE holds ADD COLUMN created_at_us bigint NOT NULL DEFAULT 0;

-- A slot that a visitor's hold keeps. The row outlives the hold for a while, so that the visitor cannot keep the slot by
-- holding it again and again.
CREATE TABLE held_slots (
    organization_id uuid   NOT NULL,
    hold_id         uuid   NOT NULL,
    caller          text   NOT NULL,
    visitor         text   NOT NULL,
    practitioner_id uuid   NOT NULL,
    starts_at_us    bigint NOT NULL,
    ends_at_us      bigint NOT NULL,
    location_id     uuid   NOT NULL,
    -- The beginning of the location's day on which the slot starts.
    day_us          bigint NOT NULL,
    -- The practitioner's minutes that the slot takes; for a place of a group session its part of them.
    minutes         bigint NOT NULL,
    held_from_us    bigint NOT NULL,
    -- When the hold expires, or when it was released.
    expires_at_us   bigint NOT NULL
);
CREATE INDEX held_slots_hold ON held_slots (organization_id, hold_id);
CREATE INDEX held_slots_visitor ON held_slots (organization_id, caller, visitor);
CREATE INDEX held_slots_day ON held_slots (organization_id, caller, location_id, day_us);
CREATE INDEX held_slots_expiry ON held_slots (expires_at_us);
