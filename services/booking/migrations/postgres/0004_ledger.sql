-- When a plan begins to be at risk (a session left, none booked, the last day for it near), and whether that has been told.
ALTER TABLE plans ADD COLUMN risk_at_us bigint, ADD COLUMN at_risk boolean NOT NULL DEFAULT false;
CREATE INDEX plans_risk ON plans (risk_at_us) WHERE NOT at_risk AND risk_at_us IS NOT NULL;
CREATE INDEX plans_at_risk ON plans (organization_id, id) WHERE at_risk;

-- The ledger: what each version of a plan changed about its sessions. Nothing here is ever changed.
CREATE TABLE plan_entries (
    organization_id uuid   NOT NULL,
    plan_id         uuid   NOT NULL,
    version         bigint NOT NULL,
    -- JSON of careplan::ledger::Entry, in their order.
    entries         text   NOT NULL,
    PRIMARY KEY (organization_id, plan_id, version),
    FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id)
);

-- Moves that were proposed for displaced appointments, remembered for a day.
CREATE TABLE displaced_proposals (
    organization_id uuid   NOT NULL,
    id              uuid   NOT NULL,
    -- JSON: pairs of an appointment's id and a slot's.
    moves           text   NOT NULL,
    expires_at_us   bigint NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX displaced_proposals_expiry ON displaced_proposals (expires_at_us);

CREATE OR REPLACE FUNCTION commit_plans(org uuid, now_us bigint, wanted jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    INSERT INTO plans SELECT org, p.id, p.version, p.patient_id, p.status, p.document, now_us, now_us, p.risk_at_us,
           p.at_risk
    FROM jsonb_to_recordset(wanted) AS p(id uuid, version bigint, patient_id uuid, status text, document text,
                                         risk_at_us bigint, at_risk boolean)
    ON CONFLICT (organization_id, id) DO UPDATE SET
        version = excluded.version, status = excluded.status, document = excluded.document, updated_at_us = now_us,
        risk_at_us = excluded.risk_at_us, at_risk = excluded.at_risk
    WHERE plans.version = excluded.version - 1;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n <> jsonb_array_length(wanted) THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;

    INSERT INTO plan_sessions SELECT org, s.id::uuid, p.id
    FROM jsonb_to_recordset(wanted) AS p(id uuid, sessions jsonb), jsonb_array_elements_text(p.sessions) AS s(id)
    ON CONFLICT DO NOTHING;

    INSERT INTO plan_entries SELECT org, p.id, p.version, p.entries
    FROM jsonb_to_recordset(wanted) AS p(id uuid, version bigint, entries text) WHERE p.entries IS NOT NULL;
END $$;
