-- The fence between organisations: PostgreSQL itself displays and accepts the rows of the organisation that the transaction
-- names, and none where it names none. `SET LOCAL meridian.organization` names it: an id, or `*` for all.

-- The organisation that the transaction names; NULL for none or all.
CREATE FUNCTION current_organization() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
    $$SELECT nullif(nullif(current_setting('meridian.organization', true), ''), '*')::uuid$$;

-- Whether the transaction names all organisations.
CREATE FUNCTION spans_organizations() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
    $$SELECT coalesce(current_setting('meridian.organization', true) = '*', false)$$;

-- Fences a table, also from its owner. A migration that makes a table with an organisation calls it. The sub-selects run once
-- a statement.
CREATE FUNCTION fence(fenced regclass, organization name DEFAULT 'organization_id') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    condition text := format(
        '%I = (SELECT current_organization()) OR (SELECT spans_organizations())', organization);
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', fenced);
    EXECUTE format('CREATE POLICY organization ON %s USING (%s) WITH CHECK (%s)', fenced, condition, condition);
END $$;

SELECT fence('organizations', 'id');
SELECT fence('entries');
SELECT fence('idempotency');
