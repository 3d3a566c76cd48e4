-- When a plan begins to be at risk (a session left, none booked, the last day for it near), and whether that has been told.
ALTER TABLE plans ADD COLUMN risk_at_us integer;
ALTER TABLE plans ADD COLUMN at_risk boolean NOT NULL DEFAULT false;
CREATE INDEX plans_risk ON plans (risk_at_us) WHERE NOT at_risk AND risk_at_us IS NOT NULL;
CREATE INDEX plans_at_risk ON plans (organization_id, id) WHERE at_risk;

-- The ledger: what each version of a plan changed about its sessions. Nothing here is ever changed.
CREATE TABLE plan_entries (
    organization_id blob    NOT NULL,
    plan_id         blob    NOT NULL,
    version         integer NOT NULL,
    -- JSON of careplan::ledger::Entry, in their order.
    entries         text    NOT NULL,
    PRIMARY KEY (organization_id, plan_id, version),
    FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id)
);

-- Moves that were proposed for displaced appointments, remembered for a day.
CREATE TABLE displaced_proposals (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    -- JSON: pairs of an appointment's id and a slot's.
    moves           text    NOT NULL,
    expires_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX displaced_proposals_expiry ON displaced_proposals (expires_at_us);
