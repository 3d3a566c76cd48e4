-- Writes the plans of a batch, with their sessions and ledger entries. A new plan has version 1. A changed plan must follow
-- the stored version, else MR003.
CREATE OR REPLACE FUNCTION commit_plans(org uuid, now_us bigint, plan_changes jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    affected bigint;
BEGIN
    INSERT INTO plans (organization_id, id, version, patient_id, status, document, created_at_us, updated_at_us, risk_at_us,
                       at_risk)
    SELECT org, p.id, p.version, p.patient_id, p.status, p.document, now_us, now_us, p.risk_at_us, p.at_risk
    FROM jsonb_to_recordset(plan_changes) AS p(
        id uuid, version bigint, patient_id uuid, status text, document text, risk_at_us bigint, at_risk boolean)
    ON CONFLICT (organization_id, id) DO UPDATE SET
        version = excluded.version, status = excluded.status, document = excluded.document, updated_at_us = now_us,
        risk_at_us = excluded.risk_at_us, at_risk = excluded.at_risk
    WHERE plans.version = excluded.version - 1;
    GET DIAGNOSTICS affected = ROW_COUNT;
    IF affected <> jsonb_array_length(plan_changes) THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;

    INSERT INTO plan_sessions (organization_id, id, plan_id)
    SELECT org, s.id::uuid, p.id
    FROM jsonb_to_recordset(plan_changes) AS p(id uuid, sessions jsonb), jsonb_array_elements_text(p.sessions) AS s(id)
    ON CONFLICT DO NOTHING;

    INSERT INTO plan_entries (organization_id, plan_id, version, entries)
    SELECT org, p.id, p.version, p.entries
    FROM jsonb_to_recordset(plan_changes) AS p(id uuid, version bigint, entries text) WHERE p.entries IS NOT NULL;
END $$;
