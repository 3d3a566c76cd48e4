-- Care plans. A plan is one document, changed as one thing; its sessions are listed beside it, so that an appointment
-- finds the plan that it belongs to.
CREATE TABLE plans (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    version         integer NOT NULL,
    patient_id      blob    NOT NULL,
    status          text    NOT NULL,
    -- JSON of careplan::plan::Plan.
    document        text    NOT NULL,
    created_at_us   integer NOT NULL,
    updated_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id)
);
CREATE INDEX plans_patient ON plans (organization_id, patient_id, id);

CREATE TABLE plan_sessions (
    organization_id blob NOT NULL,
    id              blob NOT NULL,
    plan_id         blob NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id)
);

-- Series that were proposed, remembered for a day so that they can be booked by their id.
CREATE TABLE proposals (
    organization_id blob NOT NULL,
    id              blob NOT NULL,
    plan_id         blob NOT NULL,
    -- JSON: pairs of a session's id and a slot's.
    sessions        text NOT NULL,
    expires_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id)
);
CREATE INDEX proposals_expiry ON proposals (expires_at_us);
