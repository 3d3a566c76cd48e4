-- Commits a batch and answers what it has told, so that followers in the same process need not read it: the position,
-- and of each change its number in the feed and its version, in the order in which they were told.
CREATE FUNCTION commit_told(b jsonb, OUT pos text, OUT seqs bigint[], OUT versions bigint[]) LANGUAGE plpgsql AS $$
BEGIN
    pos := commit_batch(b);
    SELECT coalesce(array_agg(c.seq ORDER BY c.seq), '{}'), coalesce(array_agg(c.version ORDER BY c.seq), '{}')
    INTO seqs, versions FROM changes c WHERE c.xid = pg_current_xact_id();
END $$;
