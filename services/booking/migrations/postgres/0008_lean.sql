-- As before, with less work: a step that has nothing to do costs no statement, and each statement is planned once a
-- connection. All of them look rows up by their keys, whatever the parameters and however large the tables are by now, so
-- no plan that reads a whole table is wanted either: one made while a table was small would stay.
--
-- Commits a batch and answers what it has told: the position, and of each change its number in the feed and its version, in
-- the order in which they were told. Anything that must not be raises one of the errors MR001 to MR007, and then nothing of
-- it has happened. `b` is a Batch; see src/store/batch.rs.
CREATE OR REPLACE FUNCTION commit_told(b jsonb, OUT pos text, OUT seqs bigint[], OUT versions bigint[])
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    org    uuid   := (b->>'organization_id')::uuid;
    now_us bigint := (b->>'now_us')::bigint;
    n      bigint;
    wanted jsonb  := b->'claims';
    v      bigint;
    broken text;
    wants_limits boolean := jsonb_array_length(b->'limits') > 0;
    g      jsonb;
    zone   jsonb := nullif(b->'set_zone', 'null');
BEGIN
    seqs := '{}';
    versions := '{}';
    -- Who adds to one practitioner's claims under a limit takes turns, before anything else is locked: each then counts
    -- what the one before has laid.
    IF wants_limits THEN
        PERFORM pg_advisory_xact_lock(turns.key) FROM (
            SELECT DISTINCT hashtextextended(org::text || (l->>'practitioner'), 0) AS key
            FROM jsonb_array_elements(b->'limits') AS l ORDER BY key) AS turns;
    END IF;

    -- Bookings at a location share its time zone, a change of the zone has it alone: what was checked by another zone comes
    -- before the change, which then sees it, or is refused.
    IF jsonb_array_length(b->'zones') > 0 THEN
        PERFORM pg_advisory_xact_lock_shared(turns.key) FROM (
            SELECT DISTINCT hashtextextended('zone' || org::text || (z->>'location_id'), 0) AS key
            FROM jsonb_array_elements(b->'zones') AS z ORDER BY key) AS turns;
        PERFORM FROM jsonb_to_recordset(b->'zones') AS z(location_id uuid, time_zone text)
        JOIN location_zones l ON l.organization_id = org AND l.location_id = z.location_id
        WHERE l.time_zone <> z.time_zone;
        IF FOUND THEN RAISE EXCEPTION 'zone' USING ERRCODE = 'MR007'; END IF;
    END IF;
    IF zone IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('zone' || org::text || (zone->>'location_id'), 0));
        INSERT INTO location_zones (organization_id, location_id, time_zone, changed_at_us, settled)
        VALUES (org, (zone->>'location_id')::uuid, zone->>'time_zone', now_us, false)
        ON CONFLICT (organization_id, location_id) DO UPDATE SET time_zone = excluded.time_zone,
            changed_at_us = excluded.changed_at_us, settled = false;
        -- What a hold keeps there is to be ended first.
        PERFORM FROM claims c WHERE c.organization_id = org AND c.location_id = (zone->>'location_id')::uuid
            AND c.expires_at_us > now_us;
        IF FOUND THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;
    END IF;

    IF jsonb_typeof(b->'idempotency') = 'object' THEN
        INSERT INTO idempotency SELECT org, i.caller, i.route, i.key, i.fingerprint, decode(i.response, 'hex'), '', now_us
        FROM jsonb_to_record(b->'idempotency') AS i(caller text, route text, key text, fingerprint text, response text)
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n = 0 THEN RAISE EXCEPTION 'replay' USING ERRCODE = 'MR001'; END IF;
    END IF;

    IF b->>'consume_hold' IS NOT NULL THEN
        DELETE FROM holds WHERE organization_id = org AND id = (b->>'consume_hold')::uuid AND expires_at_us > now_us;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n = 0 THEN RAISE EXCEPTION 'hold' USING ERRCODE = 'MR002'; END IF;
    END IF;

    IF jsonb_array_length(b->'drop_holds') > 0 THEN
        DELETE FROM holds USING jsonb_array_elements_text(b->'drop_holds') AS d(id)
        WHERE holds.organization_id = org AND holds.id = d.id::uuid;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n <> jsonb_array_length(b->'drop_holds') THEN RAISE EXCEPTION 'hold' USING ERRCODE = 'MR002'; END IF;
    END IF;

    IF jsonb_array_length(b->'patients') > 0 THEN
        INSERT INTO patients SELECT org, p.id, 1, p.match_key, p.open_changes, p.details, now_us, now_us
        FROM jsonb_to_recordset(b->'patients') AS p(id uuid, match_key text, open_changes integer, details text);
        INSERT INTO patient_words SELECT org, w.word, p.id
        FROM jsonb_to_recordset(b->'patients') AS p(id uuid, words jsonb), jsonb_array_elements_text(p.words) AS w(word)
        ON CONFLICT DO NOTHING;
    END IF;

    IF jsonb_array_length(b->'change_patients') > 0 THEN
        UPDATE patients SET version = p.version, details = p.details, match_key = p.match_key,
            open_changes = p.open_changes, updated_at_us = now_us
        FROM jsonb_to_recordset(b->'change_patients') AS p(id uuid, version bigint, match_key text, open_changes integer,
                                                           details text)
        WHERE patients.organization_id = org AND patients.id = p.id AND patients.version = p.version - 1;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n <> jsonb_array_length(b->'change_patients') THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;
        DELETE FROM patient_words USING jsonb_to_recordset(b->'change_patients') AS p(id uuid, words_removed jsonb),
            jsonb_array_elements_text(p.words_removed) AS w(word)
        WHERE patient_words.organization_id = org AND patient_words.word = w.word AND patient_words.patient_id = p.id;
        INSERT INTO patient_words SELECT org, w.word, p.id
        FROM jsonb_to_recordset(b->'change_patients') AS p(id uuid, words_added jsonb),
            jsonb_array_elements_text(p.words_added) AS w(word)
        ON CONFLICT DO NOTHING;
    END IF;

    IF jsonb_array_length(b->'appointments') > 0 THEN
        -- Appointments are locked before their claims go, so that two writers of one appointment meet here.
        INSERT INTO appointments SELECT org, a.* FROM jsonb_to_recordset(b->'appointments') AS a(
            id uuid, version bigint, status text, service_id uuid, practitioner_id uuid, location_id uuid, room_id uuid,
            group_id uuid, starts_at_us bigint, ends_at_us bigint, time_zone text, starts_local text, patient_id uuid,
            plan_session_id uuid, displaced boolean, confirmed_at_us bigint, cancel_reason_code text, cancel_reason text,
            cancel_by text, cancel_late boolean, rescheduled_late boolean, note text, previous_starts_at_us bigint,
            link_generation integer,
            created_at_us bigint, updated_at_us bigint)
        ON CONFLICT (organization_id, id) DO UPDATE SET
            version = excluded.version, status = excluded.status, practitioner_id = excluded.practitioner_id,
            location_id = excluded.location_id, room_id = excluded.room_id, group_id = excluded.group_id,
            starts_at_us = excluded.starts_at_us, ends_at_us = excluded.ends_at_us, time_zone = excluded.time_zone,
            starts_local = excluded.starts_local, displaced = excluded.displaced,
            confirmed_at_us = excluded.confirmed_at_us, cancel_reason_code = excluded.cancel_reason_code,
            cancel_reason = excluded.cancel_reason, cancel_by = excluded.cancel_by, cancel_late = excluded.cancel_late,
            rescheduled_late = excluded.rescheduled_late, note = excluded.note,
            previous_starts_at_us = excluded.previous_starts_at_us, link_generation = excluded.link_generation,
            updated_at_us = excluded.updated_at_us
        WHERE appointments.version = excluded.version - 1;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n <> jsonb_array_length(b->'appointments') THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;
    END IF;

    IF jsonb_typeof(b->'reason_code') = 'object' THEN
        INSERT INTO reason_codes SELECT org, r.code, r.version, r.meaning, r.archived, r.created_at_us, now_us
        FROM jsonb_to_record(b->'reason_code') AS r(code text, version bigint, meaning text, archived boolean,
                                                    created_at_us bigint)
        ON CONFLICT (organization_id, code) DO UPDATE SET version = excluded.version, meaning = excluded.meaning,
            archived = excluded.archived, updated_at_us = excluded.updated_at_us
        WHERE reason_codes.version = excluded.version - 1;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n = 0 THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;
    END IF;

    IF zone IS NOT NULL THEN
        -- A visit that was booked since they were read is to move with the others.
        PERFORM FROM appointments a WHERE a.organization_id = org AND a.location_id = (zone->>'location_id')::uuid
            AND a.starts_at_us > now_us AND a.time_zone <> zone->>'time_zone'
            AND a.status IN ('pending', 'booked', 'arrived', 'checked-in', 'fulfilled');
        IF FOUND THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;
    END IF;

    IF jsonb_array_length(b->'plans') > 0 THEN PERFORM commit_plans(org, now_us, b->'plans'); END IF;

    IF jsonb_typeof(b->'leave_group') = 'object' OR jsonb_typeof(b->'join_group') = 'object' THEN
        -- Groups are locked before any place in them is freed or taken, and always in the same order: who leaves and who
        -- joins would otherwise wait for each other, one with the place and one with the group.
        PERFORM FROM groups WHERE organization_id = org
            AND id IN ((b->'leave_group'->>'id')::uuid, (b->'join_group'->'row'->>'id')::uuid)
        ORDER BY id FOR UPDATE;
    END IF;

    IF jsonb_array_length(b->'move_groups') > 0 THEN
        PERFORM FROM groups WHERE organization_id = org
            AND id IN (SELECT (m->>'from')::uuid FROM jsonb_array_elements(b->'move_groups') AS m)
        ORDER BY id FOR UPDATE;
    END IF;

    IF jsonb_array_length(b->'release') > 0 THEN
        DELETE FROM claims USING jsonb_array_elements_text(b->'release') AS r(owner)
        WHERE claims.organization_id = org AND claims.owner = r.owner::uuid;
    END IF;

    IF jsonb_array_length(b->'move_groups') > 0 THEN
        -- All are freed before any is made: one may take the place of another.
        FOR g IN SELECT m FROM jsonb_array_elements(b->'move_groups') AS m LOOP
            UPDATE groups SET version = version + 1, live = false
            WHERE organization_id = org AND id = (g->>'from')::uuid AND live RETURNING version INTO v;
            IF NOT FOUND OR EXISTS (SELECT FROM claims c WHERE c.organization_id = org AND c.kind = 6
                                    AND c.resource = (g->>'from')::uuid) THEN
                RAISE EXCEPTION 'group' USING ERRCODE = 'MR004';
            END IF;
            DELETE FROM claims c WHERE c.organization_id = org AND c.owner = (g->>'from')::uuid;
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            VALUES (org, v, now_us, decode(g->>'freed', 'hex')) RETURNING seq INTO n;
            seqs := seqs || n;
            versions := versions || v;
        END LOOP;
        FOR g IN SELECT m FROM jsonb_array_elements(b->'move_groups') AS m LOOP
            INSERT INTO groups (organization_id, id, version, live, service_id, practitioner_id, location_id, room_id,
                                starts_at_us, ends_at_us, capacity)
            SELECT org, r.id, 1, true, r.service_id, r.practitioner_id, r.location_id, r.room_id,
                   r.starts_at_us, r.ends_at_us, r.capacity
            FROM jsonb_to_record(g->'row') AS r(id uuid, service_id uuid, practitioner_id uuid, location_id uuid,
                room_id uuid, starts_at_us bigint, ends_at_us bigint, capacity integer)
            ON CONFLICT (organization_id, id) DO UPDATE SET version = groups.version + 1, live = true,
                room_id = excluded.room_id, ends_at_us = excluded.ends_at_us, capacity = excluded.capacity
            WHERE NOT groups.live RETURNING version INTO v;
            IF NOT FOUND THEN RAISE EXCEPTION 'group' USING ERRCODE = 'MR004'; END IF;
            wanted := wanted || (g->'claims');
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            VALUES (org, v, now_us, decode(g->>'made', 'hex')) RETURNING seq INTO n;
            seqs := seqs || n;
            versions := versions || v;
        END LOOP;
    END IF;

    IF jsonb_typeof(b->'leave_group') = 'object'
       AND NOT EXISTS (SELECT FROM claims c WHERE c.organization_id = org AND c.kind = 6
                       AND c.resource = (b->'leave_group'->>'id')::uuid) THEN
        UPDATE groups SET version = version + 1, live = false
        WHERE organization_id = org AND id = (b->'leave_group'->>'id')::uuid AND live RETURNING version INTO v;
        IF FOUND THEN
            DELETE FROM claims c WHERE c.organization_id = org AND c.owner = (b->'leave_group'->>'id')::uuid;
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            VALUES (org, v, now_us, decode(b->'leave_group'->>'freed', 'hex')) RETURNING seq INTO n;
            seqs := seqs || n;
            versions := versions || v;
        END IF;
    END IF;

    IF jsonb_typeof(b->'join_group') = 'object' THEN
        INSERT INTO groups SELECT org, g.id, 1, true, g.service_id, g.practitioner_id, g.location_id, g.room_id,
               g.starts_at_us, g.ends_at_us, g.capacity
        FROM jsonb_to_record(b->'join_group'->'row') AS g(id uuid, service_id uuid, practitioner_id uuid,
            location_id uuid, room_id uuid, starts_at_us bigint, ends_at_us bigint, capacity integer)
        ON CONFLICT (organization_id, id) DO UPDATE SET version = groups.version + 1
        WHERE groups.live = (b->'join_group'->>'exists')::boolean
          AND (NOT groups.live OR groups.ends_at_us = excluded.ends_at_us)
        RETURNING version INTO v;
        IF NOT FOUND OR (v = 1 AND (b->'join_group'->>'exists')::boolean) THEN
            RAISE EXCEPTION 'group' USING ERRCODE = 'MR004';
        END IF;
        IF NOT (b->'join_group'->>'exists')::boolean THEN
            UPDATE groups SET live = true, room_id = (b->'join_group'->'row'->>'room_id')::uuid,
                ends_at_us = (b->'join_group'->'row'->>'ends_at_us')::bigint,
                capacity = (b->'join_group'->'row'->>'capacity')::integer
            WHERE organization_id = org AND id = (b->'join_group'->'row'->>'id')::uuid;
            wanted := wanted || (b->'join_group'->'claims');
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            VALUES (org, v, now_us, decode(b->'join_group'->>'made', 'hex')) RETURNING seq INTO n;
            seqs := seqs || n;
            versions := versions || v;
        END IF;
    END IF;

    IF jsonb_array_length(wanted) > 0 THEN
        -- An expired hold blocks nobody, at once.
        DELETE FROM claims c
        USING jsonb_to_recordset(wanted) AS w(kind smallint, resource uuid, unit smallint, starts_at_us bigint, ends_at_us bigint)
        WHERE c.organization_id = org AND c.kind = w.kind AND c.resource = w.resource AND c.unit = w.unit
          AND int8range(c.starts_at_us, c.ends_at_us, '[)') && int8range(w.starts_at_us, w.ends_at_us, '[)')
          AND c.expires_at_us <= now_us;

        -- Sorted, so that writers never wait in a circle; a short count means that something is taken.
        INSERT INTO claims SELECT org, w.kind, w.resource, w.unit, w.starts_at_us, w.ends_at_us, w.owner, w.expires_at_us,
            w.location_id, coalesce(w.needling, false)
        FROM jsonb_to_recordset(wanted) AS w(
            kind smallint, resource uuid, unit smallint, starts_at_us bigint, ends_at_us bigint, owner uuid,
            expires_at_us bigint, location_id uuid, needling boolean)
        ORDER BY w.kind, w.resource, w.unit, w.starts_at_us
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n <> jsonb_array_length(wanted) THEN
            RAISE EXCEPTION 'taken' USING ERRCODE = 'MR005', DETAIL = coalesce((
                SELECT string_agg(w.kind || ':' || w.resource, ',')
                FROM jsonb_to_recordset(wanted) AS w(kind smallint, resource uuid, unit smallint, starts_at_us bigint,
                                                     ends_at_us bigint, owner uuid)
                WHERE NOT EXISTS (
                    SELECT FROM claims c WHERE c.organization_id = org AND c.kind = w.kind AND c.resource = w.resource
                    AND c.unit = w.unit AND c.owner = w.owner AND c.starts_at_us = w.starts_at_us)), '');
        END IF;
    END IF;

    IF b->'join_group'->>'most' IS NOT NULL THEN
        -- Who joins a session has its row locked, so that each counts the places that the one before has taken.
        SELECT count(*) INTO n FROM claims c WHERE c.organization_id = org AND c.kind = 6
            AND c.resource = (b->'join_group'->'row'->>'id')::uuid
            AND (c.expires_at_us IS NULL OR c.expires_at_us > now_us);
        IF n > (b->'join_group'->>'most')::bigint THEN
            RAISE EXCEPTION 'taken' USING ERRCODE = 'MR005', DETAIL = '6:' || (b->'join_group'->'row'->>'id');
        END IF;
    END IF;

    IF wants_limits THEN
        SELECT l.code INTO broken FROM jsonb_to_recordset(b->'limits') AS l(code text, practitioner uuid, location_id uuid,
            needling boolean, from_us bigint, to_us bigint, most bigint)
        WHERE l.most < (
            SELECT count(*) FROM claims c WHERE c.organization_id = org AND c.kind = 1 AND c.resource = l.practitioner
            AND int8range(c.starts_at_us, c.ends_at_us, '[)') && int8range(l.from_us, l.to_us, '[)')
            AND (c.expires_at_us IS NULL OR c.expires_at_us > now_us) AND (c.needling OR NOT l.needling)
            AND CASE WHEN l.location_id IS NULL THEN c.starts_at_us >= l.from_us ELSE c.location_id = l.location_id END)
        LIMIT 1;
        IF FOUND THEN RAISE EXCEPTION 'limit' USING ERRCODE = 'MR006', DETAIL = broken; END IF;
    END IF;

    IF jsonb_array_length(b->'holds') > 0 THEN
        INSERT INTO holds SELECT org, h.id, h.expires_at_us, h.slots
        FROM jsonb_to_recordset(b->'holds') AS h(id uuid, expires_at_us bigint, slots text);
    END IF;

    IF jsonb_array_length(b->'links') > 0 THEN
        -- As an array, so that the planner looks its few links up instead of reading them all.
        DELETE FROM manage_links m WHERE m.organization_id = org AND m.appointment_id = ANY (ARRAY(
            SELECT (l->>'appointment_id')::uuid FROM jsonb_array_elements(b->'links') AS l));
        INSERT INTO manage_links SELECT decode(l.token_hash, 'hex'), org, l.appointment_id, l.expires_at_us
        FROM jsonb_to_recordset(b->'links') AS l(token_hash text, appointment_id uuid, expires_at_us bigint);
    END IF;

    IF jsonb_array_length(b->'changes') > 0 THEN
        WITH told AS (
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            SELECT org, c.version, now_us, decode(c.payload, 'hex')
            FROM jsonb_to_recordset(b->'changes') AS c(version bigint, payload text)
            RETURNING seq, version)
        SELECT seqs || array_agg(t.seq ORDER BY t.seq), versions || array_agg(t.version ORDER BY t.seq)
        INTO seqs, versions FROM told t;
    END IF;

    SELECT e.value || '.' || pg_current_xact_id()::text || '.' || coalesce(seqs[cardinality(seqs)], 0) INTO pos
    FROM epoch e WHERE e.id = 1;
    IF jsonb_typeof(b->'idempotency') = 'object' THEN
        UPDATE idempotency SET revision = pos WHERE organization_id = org AND caller = b->'idempotency'->>'caller'
        AND route = b->'idempotency'->>'route' AND key = b->'idempotency'->>'key';
    END IF;
END $$;

-- Processes of before the changes were answered call this one.
CREATE OR REPLACE FUNCTION commit_batch(b jsonb) RETURNS text LANGUAGE sql AS 'SELECT pos FROM commit_told(b)';

-- The feed past a position, or nothing where there is no news, and what it was read at. All of it in one statement, so of one
-- snapshot: a row below its oldest running transaction is in order, any other is early. Planned once a connection: it is read
-- fifty times a second, and planning it takes longer than that.
CREATE FUNCTION feed_tail(after_xid xid8, after_seq bigint, early boolean, told bigint[], most bigint)
RETURNS TABLE (epoch bigint, floor_xid bigint, floor_seq bigint, seen text, horizon bigint, seq bigint, xid bigint,
               organization_id uuid, version bigint, changed_at_us bigint, payload bytea)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT e.value, e.floor_xid, e.floor_seq, s::text, pg_snapshot_xmin(s)::text::bigint,
        c.seq, c.xid, c.organization_id, c.version, c.changed_at_us, c.payload
    FROM epoch e CROSS JOIN pg_current_snapshot() s LEFT JOIN LATERAL (
        SELECT r.seq, r.xid::text::bigint AS xid, r.organization_id, r.version, r.changed_at_us, r.payload FROM changes r
        WHERE (r.xid, r.seq) > (after_xid, after_seq) AND (early OR r.xid < pg_snapshot_xmin(s)) AND r.seq <> ALL (told)
        ORDER BY r.xid, r.seq LIMIT most) c ON true
    WHERE e.id = 1 ORDER BY c.xid, c.seq;
END $$;
