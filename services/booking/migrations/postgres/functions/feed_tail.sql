-- Reads the changes after a position of the feed, with the epoch, the floor and the snapshot that they were read at. Without
-- changes it returns one row whose change columns are NULL.
--
-- It is one statement, so it reads one snapshot. Changes of transactions below the snapshot's horizon (`xmin`) are in
-- order; with `unordered`, later committed changes are returned too. `skipped_seqs` lists changes that the caller has
-- already received unordered.
--
-- The feed is read fifty times a second, and planning takes longer than reading: a connection plans the statement once.
CREATE OR REPLACE FUNCTION feed_tail(
    after_xid xid8, after_seq bigint, unordered boolean, skipped_seqs bigint[], row_limit bigint)
RETURNS TABLE (epoch bigint, floor_xid bigint, floor_seq bigint, seen text, horizon bigint, seq bigint, xid bigint,
               organization_id uuid, version bigint, changed_at_us bigint, payload bytea)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    -- The feed has the changes of all organisations.
    PERFORM set_config('meridian.organization', '*', true);
    RETURN QUERY
    SELECT e.value, e.floor_xid, e.floor_seq, s::text, pg_snapshot_xmin(s)::text::bigint,
           c.seq, c.xid, c.organization_id, c.version, c.changed_at_us, c.payload
    FROM epoch e CROSS JOIN pg_current_snapshot() s LEFT JOIN LATERAL (
        SELECT r.seq, r.xid::text::bigint AS xid, r.organization_id, r.version, r.changed_at_us, r.payload
        FROM changes r
        WHERE (r.xid, r.seq) > (after_xid, after_seq) AND (unordered OR r.xid < pg_snapshot_xmin(s))
          AND r.seq <> ALL (skipped_seqs)
        ORDER BY r.xid, r.seq LIMIT row_limit) c ON true
    WHERE e.id = 1 ORDER BY c.xid, c.seq;
END $$;
