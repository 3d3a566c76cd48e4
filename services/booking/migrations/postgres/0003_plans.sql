-- Care plans. A plan is one document, changed as one thing; its sessions are listed beside it, so that an appointment
-- finds the plan that it belongs to.
CREATE TABLE plans (
    organization_id uuid   NOT NULL,
    id              uuid   NOT NULL,
    version         bigint NOT NULL,
    patient_id      uuid   NOT NULL,
    status          text   NOT NULL,
    -- JSON of careplan::plan::Plan.
    document        text   NOT NULL,
    created_at_us   bigint NOT NULL,
    updated_at_us   bigint NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id)
);
CREATE INDEX plans_patient ON plans (organization_id, patient_id, id);

CREATE TABLE plan_sessions (
    organization_id uuid NOT NULL,
    id              uuid NOT NULL,
    plan_id         uuid NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id)
);

-- Series that were proposed, remembered for a day so that they can be booked by their id.
CREATE TABLE proposals (
    organization_id uuid NOT NULL,
    id              uuid NOT NULL,
    plan_id         uuid NOT NULL,
    -- JSON: pairs of a session's id and a slot's.
    sessions        text NOT NULL,
    expires_at_us   bigint NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id)
);
CREATE INDEX proposals_expiry ON proposals (expires_at_us);

-- The plans of a batch: new ones have version 1, changed ones follow on the version that is stored, else MR003.
CREATE FUNCTION commit_plans(org uuid, now_us bigint, wanted jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    INSERT INTO plans SELECT org, p.id, p.version, p.patient_id, p.status, p.document, now_us, now_us
    FROM jsonb_to_recordset(wanted) AS p(id uuid, version bigint, patient_id uuid, status text, document text)
    ON CONFLICT (organization_id, id) DO UPDATE SET
        version = excluded.version, status = excluded.status, document = excluded.document, updated_at_us = now_us
    WHERE plans.version = excluded.version - 1;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n <> jsonb_array_length(wanted) THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;

    INSERT INTO plan_sessions SELECT org, s.id::uuid, p.id
    FROM jsonb_to_recordset(wanted) AS p(id uuid, sessions jsonb), jsonb_array_elements_text(p.sessions) AS s(id)
    ON CONFLICT DO NOTHING;
END $$;
