-- The patients of one name and telephone number, the oldest first. The first read of most bookings: as a function that names
-- its organisation by itself it is one round trip, where a statement in a transaction of its own is three.
CREATE OR REPLACE FUNCTION namesakes(org uuid, key text, row_limit bigint)
RETURNS TABLE (id uuid, version bigint, details text, created_at_us bigint, updated_at_us bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('meridian.organization', org::text, true);
    RETURN QUERY
    SELECT p.id, p.version, p.details, p.created_at_us, p.updated_at_us
    FROM patients p
    WHERE p.organization_id = org AND p.match_key = key
    ORDER BY p.id
    LIMIT row_limit;
END $$;
