-- Gives the planner statistics of the tables that have grown to twice their size since it last had any, and returns the
-- number of these tables. A table of one page needs none, and of 1,024 pages (8 MiB) on autovacuum comes soon enough:
-- each of these transactions holds back the feed while it runs.
--
-- Without statistics the planner takes any condition for one that leaves a single row, so an index that has only the
-- organisation of a look-up costs as much as the primary key. The plan is made once a connection, also those of the foreign
-- keys' own checks, and reads all rows of the organisation from then on. New statistics end such plans.
--
-- Only the owner of a table may analyze it, and the role of a service owns none. The function runs with its owner's rights, so
-- every name in it has its schema: an unqualified one might be of the caller's temporary tables and types.
CREATE OR REPLACE FUNCTION analyze_young_tables() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    young    pg_catalog.regclass;
    analyzed bigint := 0;
BEGIN
    FOR young IN
        SELECT c.oid
        FROM pg_catalog.pg_class c
        WHERE c.relnamespace = pg_catalog.current_schema()::pg_catalog.regnamespace AND c.relkind = 'r'
            AND pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint
                BETWEEN greatest(2, 2 * c.relpages) AND 1024
    LOOP
        -- Not where another process is at it.
        EXECUTE pg_catalog.format('ANALYZE (SKIP_LOCKED) %s', young);
        analyzed := analyzed + 1;
    END LOOP;
    RETURN analyzed;
END $$;
