-- Commits a batch in one round trip. `batch` is the JSON of a `Batch` (src/store/batch.rs).
--
-- Returns the feed position of the write, and the sequence number and version of each change in feed order. A refused batch
-- raises one of these errors and leaves nothing behind:
--
--   MR001  the idempotency key has a stored response
--   MR002  a hold is gone
--   MR003  a row has another version than the batch was computed from
--   MR004  a group session has changed
--   MR005  a claim is taken; the detail lists `kind:resource` pairs
--   MR006  a limit is exceeded; the detail is the limit's error code
--   MR007  a location has another time zone
--   MR008  a visitor, or a key, holds as much as it may; the detail is the limit and the instant of the next try
--   MR009  a day has enough bookings that cause messages; the detail is the kind of the count
--
-- A step without work runs no statement: its field is absent or empty. A connection plans each statement once. Each statement finds its rows by key, so
-- sequential scans, hash joins and merge joins are off: a plan that was made while a table was small would stay.
--
-- The tables' policies let no condition look a row up by index before they have seen it, unless its operators are leakproof
-- (PostgreSQL's manual, "Rules and Privileges"). Comparisons are; `&&` of ranges and casts of columns are not. So overlaps are
-- written as comparisons, and lists of ids are cast in a sub-select of their own.
CREATE OR REPLACE FUNCTION commit_batch(batch jsonb, OUT feed_position text, OUT seqs bigint[], OUT versions bigint[])
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    org           uuid    := (batch->>'organization_id')::uuid;
    now_us        bigint  := (batch->>'now_us')::bigint;
    new_claims    jsonb   := coalesce(batch->'claims', '[]');
    has_limits    boolean := coalesce(jsonb_array_length(batch->'limits') > 0, false);
    new_zone      jsonb   := nullif(batch->'set_zone', 'null');
    move          jsonb;
    affected      bigint;
    group_version bigint;
    change_seq    bigint;
    members       bigint;
    broken_limit  text;
    ended_holds   uuid[];
    full_count    text;
BEGIN
    seqs := '{}';
    versions := '{}';
    -- Until the end of the transaction the tables have the rows of this organisation alone.
    PERFORM set_config('meridian.organization', org::text, true);

    -- Advisory locks.

    -- Writers that add to one practitioner's claims under a limit run one after another, before any row is locked, so that
    -- each counts the claims of the writer before it.
    IF has_limits THEN
        PERFORM pg_advisory_xact_lock(locks.key) FROM (
            SELECT DISTINCT hashtextextended(org::text || (l->>'practitioner'), 0) AS key
            FROM jsonb_array_elements(batch->'limits') AS l ORDER BY key) AS locks;
    END IF;

    -- Bookings at a location share its zone lock; a change of the zone takes the lock alone. So a booking that was checked by
    -- another zone either commits before the change, which then sees it, or is refused.
    IF jsonb_array_length(batch->'zones') > 0 THEN
        PERFORM pg_advisory_xact_lock_shared(locks.key) FROM (
            SELECT DISTINCT hashtextextended('zone' || org::text || (z->>'location_id'), 0) AS key
            FROM jsonb_array_elements(batch->'zones') AS z ORDER BY key) AS locks;
        PERFORM FROM jsonb_to_recordset(batch->'zones') AS z(location_id uuid, time_zone text)
        JOIN location_zones l ON l.organization_id = org AND l.location_id = z.location_id
        WHERE l.time_zone <> z.time_zone;
        IF FOUND THEN RAISE EXCEPTION 'zone' USING ERRCODE = 'MR007'; END IF;
    END IF;
    IF new_zone IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('zone' || org::text || (new_zone->>'location_id'), 0));
        INSERT INTO location_zones (organization_id, location_id, time_zone, changed_at_us, settled)
        VALUES (org, (new_zone->>'location_id')::uuid, new_zone->>'time_zone', now_us, false)
        ON CONFLICT (organization_id, location_id) DO UPDATE SET
            time_zone = excluded.time_zone, changed_at_us = excluded.changed_at_us, settled = false;
        -- The caller ends the location's holds first.
        PERFORM FROM claims c WHERE c.organization_id = org AND c.location_id = (new_zone->>'location_id')::uuid
            AND c.expires_at_us > now_us;
        IF FOUND THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;
    END IF;

    -- Idempotency key and holds.

    IF jsonb_typeof(batch->'idempotency') = 'object' THEN
        INSERT INTO idempotency (organization_id, caller, route, key, fingerprint, response, revision, created_at_us)
        SELECT org, i.caller, i.route, i.key, i.fingerprint, decode(i.response, 'hex'), '', now_us
        FROM jsonb_to_record(batch->'idempotency') AS i(
            caller text, route text, key text, fingerprint text, response text)
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS affected = ROW_COUNT;
        IF affected = 0 THEN RAISE EXCEPTION 'replay' USING ERRCODE = 'MR001'; END IF;
    END IF;

    IF batch->>'consume_hold' IS NOT NULL THEN
        DELETE FROM holds
        WHERE organization_id = org AND id = (batch->>'consume_hold')::uuid AND expires_at_us > now_us
        RETURNING CASE WHEN visitor <> '' THEN ARRAY[id] ELSE '{}' END INTO ended_holds;
        IF NOT FOUND THEN RAISE EXCEPTION 'hold' USING ERRCODE = 'MR002'; END IF;
        IF cardinality(ended_holds) > 0 THEN
            DELETE FROM held_slots WHERE organization_id = org AND hold_id = ended_holds[1];
        END IF;
    END IF;

    IF jsonb_array_length(batch->'drop_holds') > 0 THEN
        WITH ended AS (
            DELETE FROM holds
            WHERE holds.organization_id = org AND holds.id = ANY (ARRAY(
                SELECT d.id::uuid FROM jsonb_array_elements_text(batch->'drop_holds') AS d(id)))
            RETURNING holds.id, holds.visitor)
        SELECT count(*), coalesce(array_agg(ended.id) FILTER (WHERE ended.visitor <> ''), '{}')
        INTO affected, ended_holds FROM ended;
        IF affected <> jsonb_array_length(batch->'drop_holds') THEN RAISE EXCEPTION 'hold' USING ERRCODE = 'MR002'; END IF;
        IF cardinality(ended_holds) > 0 THEN
            UPDATE held_slots SET expires_at_us = now_us
            WHERE organization_id = org AND hold_id = ANY (ended_holds) AND expires_at_us > now_us;
        END IF;
    END IF;

    IF jsonb_typeof(batch->'visitor_hold') = 'object' THEN
        PERFORM commit_held_slots(org, now_us, batch->'visitor_hold');
    END IF;

    -- Patients.

    IF jsonb_array_length(batch->'patients') > 0 THEN
        INSERT INTO patients (organization_id, id, version, match_key, open_changes, details, created_at_us, updated_at_us)
        SELECT org, p.id, 1, p.match_key, p.open_changes, p.details, now_us, now_us
        FROM jsonb_to_recordset(batch->'patients') AS p(id uuid, match_key text, open_changes integer, details text);
        INSERT INTO patient_words (organization_id, word, patient_id)
        SELECT org, w.word, p.id
        FROM jsonb_to_recordset(batch->'patients') AS p(id uuid, words jsonb),
            jsonb_array_elements_text(p.words) AS w(word);
    END IF;

    IF jsonb_array_length(batch->'change_patients') > 0 THEN
        UPDATE patients SET version = p.version, details = p.details, match_key = p.match_key,
            open_changes = p.open_changes, updated_at_us = now_us
        FROM jsonb_to_recordset(batch->'change_patients') AS p(
            id uuid, version bigint, match_key text, open_changes integer, details text)
        WHERE patients.organization_id = org AND patients.id = p.id AND patients.version = p.version - 1;
        GET DIAGNOSTICS affected = ROW_COUNT;
        IF affected <> jsonb_array_length(batch->'change_patients') THEN
            RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003';
        END IF;
        DELETE FROM patient_words USING jsonb_to_recordset(batch->'change_patients') AS p(id uuid, words_removed jsonb),
            jsonb_array_elements_text(p.words_removed) AS w(word)
        WHERE patient_words.organization_id = org AND patient_words.word = w.word AND patient_words.patient_id = p.id;
        INSERT INTO patient_words (organization_id, word, patient_id)
        SELECT org, w.word, p.id
        FROM jsonb_to_recordset(batch->'change_patients') AS p(id uuid, words_added jsonb),
            jsonb_array_elements_text(p.words_added) AS w(word)
        ON CONFLICT DO NOTHING;
    END IF;

    -- Appointments, reason codes and plans.

    -- Appointments are locked before their claims are deleted, so that two writers of one appointment meet here.
    IF jsonb_array_length(batch->'appointments') > 0 THEN
        INSERT INTO appointments (
            organization_id, id, version, status, service_id, practitioner_id, location_id, room_id, group_id, starts_at_us,
            ends_at_us, time_zone, starts_local, patient_id, plan_session_id, displaced, confirmed_at_us,
            cancel_reason_code, cancel_reason, cancel_by, cancel_late, rescheduled_late, note, previous_starts_at_us,
            link_generation, created_at_us, updated_at_us, channel, created_by, arrived_at_us, started_at_us,
            completed_at_us, cancelled_at_us, external_id, custom, noshow_at_us, freed_claims)
        SELECT
            org, a.id, a.version, a.status, a.service_id, a.practitioner_id, a.location_id, a.room_id, a.group_id,
            a.starts_at_us, a.ends_at_us, a.time_zone, a.starts_local, a.patient_id, a.plan_session_id, a.displaced,
            a.confirmed_at_us, a.cancel_reason_code, a.cancel_reason, a.cancel_by, a.cancel_late, a.rescheduled_late,
            a.note, a.previous_starts_at_us, a.link_generation, a.created_at_us, a.updated_at_us,
            -- A process of the release before names none of these.
            coalesce(a.channel, ''), coalesce(a.created_by, ''), a.arrived_at_us, a.started_at_us, a.completed_at_us,
            a.cancelled_at_us, coalesce(a.external_id, ''), coalesce(a.custom, '{}'), a.noshow_at_us, a.freed_claims
        FROM jsonb_to_recordset(batch->'appointments') AS a(
            id uuid, version bigint, status text, service_id uuid, practitioner_id uuid, location_id uuid, room_id uuid,
            group_id uuid, starts_at_us bigint, ends_at_us bigint, time_zone text, starts_local text, patient_id uuid,
            plan_session_id uuid, displaced boolean, confirmed_at_us bigint, cancel_reason_code text, cancel_reason text,
            cancel_by text, cancel_late boolean, rescheduled_late boolean, note text, previous_starts_at_us bigint,
            link_generation integer, created_at_us bigint, updated_at_us bigint, channel text, created_by text,
            arrived_at_us bigint, started_at_us bigint, completed_at_us bigint, cancelled_at_us bigint, external_id text,
            custom text, noshow_at_us bigint, freed_claims text)
        ON CONFLICT (organization_id, id) DO UPDATE SET
            version = excluded.version, status = excluded.status, practitioner_id = excluded.practitioner_id,
            location_id = excluded.location_id, room_id = excluded.room_id, group_id = excluded.group_id,
            starts_at_us = excluded.starts_at_us, ends_at_us = excluded.ends_at_us, time_zone = excluded.time_zone,
            starts_local = excluded.starts_local, displaced = excluded.displaced,
            confirmed_at_us = excluded.confirmed_at_us, cancel_reason_code = excluded.cancel_reason_code,
            cancel_reason = excluded.cancel_reason, cancel_by = excluded.cancel_by, cancel_late = excluded.cancel_late,
            rescheduled_late = excluded.rescheduled_late, note = excluded.note,
            previous_starts_at_us = excluded.previous_starts_at_us, link_generation = excluded.link_generation,
            updated_at_us = excluded.updated_at_us, arrived_at_us = excluded.arrived_at_us,
            started_at_us = excluded.started_at_us, completed_at_us = excluded.completed_at_us,
            cancelled_at_us = excluded.cancelled_at_us, external_id = excluded.external_id, custom = excluded.custom,
            noshow_at_us = excluded.noshow_at_us, freed_claims = excluded.freed_claims
        WHERE appointments.version = excluded.version - 1;
        GET DIAGNOSTICS affected = ROW_COUNT;
        IF affected <> jsonb_array_length(batch->'appointments') THEN
            RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003';
        END IF;
    END IF;

    IF jsonb_typeof(batch->'reason_code') = 'object' THEN
        INSERT INTO reason_codes (organization_id, code, version, meaning, archived, created_at_us, updated_at_us)
        SELECT org, r.code, r.version, r.meaning, r.archived, r.created_at_us, now_us
        FROM jsonb_to_record(batch->'reason_code') AS r(
            code text, version bigint, meaning text, archived boolean, created_at_us bigint)
        ON CONFLICT (organization_id, code) DO UPDATE SET
            version = excluded.version, meaning = excluded.meaning, archived = excluded.archived,
            updated_at_us = excluded.updated_at_us
        WHERE reason_codes.version = excluded.version - 1;
        GET DIAGNOSTICS affected = ROW_COUNT;
        IF affected = 0 THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;
    END IF;

    -- The batch must move all upcoming appointments of the location to the new zone, also those that were booked since the
    -- caller read them.
    IF new_zone IS NOT NULL THEN
        PERFORM FROM appointments a WHERE a.organization_id = org AND a.location_id = (new_zone->>'location_id')::uuid
            AND a.starts_at_us > now_us AND a.time_zone <> new_zone->>'time_zone'
            AND a.status IN ('pending', 'booked', 'arrived', 'checked-in', 'fulfilled');
        IF FOUND THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;
    END IF;

    IF jsonb_array_length(batch->'plans') > 0 THEN PERFORM commit_plans(org, now_us, batch->'plans'); END IF;

    -- Group sessions and released claims.

    -- Group sessions are locked by id before any claim of their members changes. Otherwise a leaving and a joining member
    -- could wait for each other, one with the claim and one with the group.
    IF jsonb_typeof(batch->'leave_group') = 'object' OR jsonb_typeof(batch->'join_group') = 'object' THEN
        PERFORM FROM groups WHERE organization_id = org
            AND id IN ((batch->'leave_group'->>'id')::uuid, (batch->'join_group'->'row'->>'id')::uuid)
        ORDER BY id FOR UPDATE;
    END IF;
    IF jsonb_array_length(batch->'move_groups') > 0 THEN
        PERFORM FROM groups WHERE organization_id = org
            AND id = ANY (ARRAY(SELECT (m->>'from')::uuid FROM jsonb_array_elements(batch->'move_groups') AS m))
        ORDER BY id FOR UPDATE;
    END IF;

    IF jsonb_array_length(batch->'release') > 0 THEN
        DELETE FROM claims
        WHERE claims.organization_id = org AND claims.owner = ANY (ARRAY(
            SELECT r.owner::uuid FROM jsonb_array_elements_text(batch->'release') AS r(owner)));
    END IF;

    -- All moving group sessions are freed before any is made, since one may take the time of another.
    IF jsonb_array_length(batch->'move_groups') > 0 THEN
        FOR move IN SELECT m FROM jsonb_array_elements(batch->'move_groups') AS m LOOP
            UPDATE groups SET version = version + 1, live = false
            WHERE organization_id = org AND id = (move->>'from')::uuid AND live RETURNING version INTO group_version;
            IF NOT FOUND OR EXISTS (SELECT FROM claims c WHERE c.organization_id = org AND c.kind = 6
                                    AND c.resource = (move->>'from')::uuid) THEN
                RAISE EXCEPTION 'group' USING ERRCODE = 'MR004';
            END IF;
            DELETE FROM claims c WHERE c.organization_id = org AND c.owner = (move->>'from')::uuid;
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            VALUES (org, group_version, now_us, decode(move->>'freed', 'hex')) RETURNING seq INTO change_seq;
            seqs := seqs || change_seq;
            versions := versions || group_version;
        END LOOP;
        FOR move IN SELECT m FROM jsonb_array_elements(batch->'move_groups') AS m LOOP
            INSERT INTO groups (organization_id, id, version, live, service_id, practitioner_id, location_id, room_id,
                                starts_at_us, ends_at_us, capacity)
            SELECT org, r.id, 1, true, r.service_id, r.practitioner_id, r.location_id, r.room_id, r.starts_at_us,
                   r.ends_at_us, r.capacity
            FROM jsonb_to_record(move->'row') AS r(
                id uuid, service_id uuid, practitioner_id uuid, location_id uuid, room_id uuid, starts_at_us bigint,
                ends_at_us bigint, capacity integer)
            ON CONFLICT (organization_id, id) DO UPDATE SET
                version = groups.version + 1, live = true, room_id = excluded.room_id, ends_at_us = excluded.ends_at_us,
                capacity = excluded.capacity
            WHERE NOT groups.live RETURNING version INTO group_version;
            IF NOT FOUND THEN RAISE EXCEPTION 'group' USING ERRCODE = 'MR004'; END IF;
            new_claims := new_claims || (move->'claims');
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            VALUES (org, group_version, now_us, decode(move->>'made', 'hex')) RETURNING seq INTO change_seq;
            seqs := seqs || change_seq;
            versions := versions || group_version;
        END LOOP;
    END IF;

    -- The last member to leave frees the group session.
    IF coalesce(jsonb_typeof(batch->'leave_group') = 'object', false)
       AND NOT EXISTS (SELECT FROM claims c WHERE c.organization_id = org AND c.kind = 6
                       AND c.resource = (batch->'leave_group'->>'id')::uuid) THEN
        UPDATE groups SET version = version + 1, live = false
        WHERE organization_id = org AND id = (batch->'leave_group'->>'id')::uuid AND live
        RETURNING version INTO group_version;
        IF FOUND THEN
            DELETE FROM claims c WHERE c.organization_id = org AND c.owner = (batch->'leave_group'->>'id')::uuid;
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            VALUES (org, group_version, now_us, decode(batch->'leave_group'->>'freed', 'hex'))
            RETURNING seq INTO change_seq;
            seqs := seqs || change_seq;
            versions := versions || group_version;
        END IF;
    END IF;

    -- The first member to join makes the group session, or revives one that was freed.
    IF jsonb_typeof(batch->'join_group') = 'object' THEN
        INSERT INTO groups (organization_id, id, version, live, service_id, practitioner_id, location_id, room_id,
                            starts_at_us, ends_at_us, capacity)
        SELECT org, r.id, 1, true, r.service_id, r.practitioner_id, r.location_id, r.room_id, r.starts_at_us, r.ends_at_us,
               r.capacity
        FROM jsonb_to_record(batch->'join_group'->'row') AS r(
            id uuid, service_id uuid, practitioner_id uuid, location_id uuid, room_id uuid, starts_at_us bigint,
            ends_at_us bigint, capacity integer)
        ON CONFLICT (organization_id, id) DO UPDATE SET version = groups.version + 1
        WHERE groups.live = (batch->'join_group'->>'exists')::boolean
          AND (NOT groups.live OR groups.ends_at_us = excluded.ends_at_us)
        RETURNING version INTO group_version;
        IF NOT FOUND OR (group_version = 1 AND (batch->'join_group'->>'exists')::boolean) THEN
            RAISE EXCEPTION 'group' USING ERRCODE = 'MR004';
        END IF;
        IF NOT (batch->'join_group'->>'exists')::boolean THEN
            UPDATE groups SET live = true, room_id = (batch->'join_group'->'row'->>'room_id')::uuid,
                ends_at_us = (batch->'join_group'->'row'->>'ends_at_us')::bigint,
                capacity = (batch->'join_group'->'row'->>'capacity')::integer
            WHERE organization_id = org AND id = (batch->'join_group'->'row'->>'id')::uuid;
            new_claims := new_claims || (batch->'join_group'->'claims');
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            VALUES (org, group_version, now_us, decode(batch->'join_group'->>'made', 'hex'))
            RETURNING seq INTO change_seq;
            seqs := seqs || change_seq;
            versions := versions || group_version;
        END IF;
    END IF;

    -- New claims and limits.

    IF jsonb_array_length(new_claims) > 0 THEN
        -- An expired hold blocks nobody, also before it is swept.
        DELETE FROM claims c
        USING jsonb_to_recordset(new_claims) AS w(
            kind smallint, resource uuid, unit smallint, starts_at_us bigint, ends_at_us bigint)
        WHERE c.organization_id = org AND c.kind = w.kind AND c.resource = w.resource AND c.unit = w.unit
          AND c.starts_at_us < w.ends_at_us AND c.ends_at_us > w.starts_at_us
          AND c.expires_at_us <= now_us;

        -- In order, so that two writers never wait for each other. Fewer inserted claims than asked: some are taken.
        INSERT INTO claims (organization_id, kind, resource, unit, starts_at_us, ends_at_us, owner, expires_at_us,
                            location_id, needling)
        SELECT org, w.kind, w.resource, w.unit, w.starts_at_us, w.ends_at_us, w.owner, w.expires_at_us, w.location_id,
               coalesce(w.needling, false)
        FROM jsonb_to_recordset(new_claims) AS w(
            kind smallint, resource uuid, unit smallint, starts_at_us bigint, ends_at_us bigint, owner uuid,
            expires_at_us bigint, location_id uuid, needling boolean)
        ORDER BY w.kind, w.resource, w.unit, w.starts_at_us
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS affected = ROW_COUNT;
        IF affected <> jsonb_array_length(new_claims) THEN
            RAISE EXCEPTION 'taken' USING ERRCODE = 'MR005', DETAIL = coalesce((
                SELECT string_agg(w.kind || ':' || w.resource, ',')
                FROM jsonb_to_recordset(new_claims) AS w(
                    kind smallint, resource uuid, unit smallint, starts_at_us bigint, ends_at_us bigint, owner uuid)
                WHERE NOT EXISTS (
                    SELECT FROM claims c WHERE c.organization_id = org AND c.kind = w.kind AND c.resource = w.resource
                    AND c.unit = w.unit AND c.owner = w.owner AND c.starts_at_us = w.starts_at_us)), '');
        END IF;
    END IF;

    -- The group session's row is locked, so each joining member counts the members before it.
    IF batch->'join_group'->>'most' IS NOT NULL THEN
        SELECT count(*) INTO members FROM claims c WHERE c.organization_id = org AND c.kind = 6
            AND c.resource = (batch->'join_group'->'row'->>'id')::uuid
            AND (c.expires_at_us IS NULL OR c.expires_at_us > now_us);
        IF members > (batch->'join_group'->>'most')::bigint THEN
            RAISE EXCEPTION 'taken' USING ERRCODE = 'MR005', DETAIL = '6:' || (batch->'join_group'->'row'->>'id');
        END IF;
    END IF;

    IF has_limits THEN
        SELECT l.code INTO broken_limit FROM jsonb_to_recordset(batch->'limits') AS l(
            code text, practitioner uuid, location_id uuid, needling boolean, from_us bigint, to_us bigint, most bigint)
        WHERE l.most < (
            -- A practitioner's claim takes 12 hours at most, so the day before has all that reach into this one. The order
            -- makes the index by start the cheapest, also while the table is small.
            SELECT count(*) FROM (
                SELECT FROM claims c WHERE c.organization_id = org AND c.kind = 1 AND c.resource = l.practitioner
                AND c.starts_at_us < l.to_us AND c.starts_at_us > l.from_us - 86400000000 AND c.ends_at_us > l.from_us
                AND (c.expires_at_us IS NULL OR c.expires_at_us > now_us) AND (c.needling OR NOT l.needling)
                AND CASE WHEN l.location_id IS NULL THEN c.starts_at_us >= l.from_us ELSE c.location_id = l.location_id END
                ORDER BY c.starts_at_us) AS counted)
        LIMIT 1;
        IF FOUND THEN RAISE EXCEPTION 'limit' USING ERRCODE = 'MR006', DETAIL = broken_limit; END IF;
    END IF;

    -- Holds, manage links, changes and the position.

    IF jsonb_array_length(batch->'holds') > 0 THEN
        INSERT INTO holds (organization_id, id, expires_at_us, slots, caller, visitor, created_at_us)
        SELECT org, h.id, h.expires_at_us, h.slots, coalesce(h.caller, ''), coalesce(h.visitor, ''), now_us
        FROM jsonb_to_recordset(batch->'holds') AS h(
            id uuid, expires_at_us bigint, slots text, caller text, visitor text);
    END IF;

    -- In order, so that two writers never wait for each other, and late, since all bookings of a key meet in one row.
    IF jsonb_array_length(batch->'message_counts') > 0 THEN
        INSERT INTO message_counts (organization_id, subject, day, count)
        SELECT org, c.subject, now_us / 86400000000, 1
        FROM jsonb_to_recordset(batch->'message_counts') AS c(subject text)
        ORDER BY c.subject
        ON CONFLICT (organization_id, subject, day) DO UPDATE SET count = message_counts.count + 1;
        SELECT split_part(c.subject, ':', 1) INTO full_count
        FROM jsonb_to_recordset(batch->'message_counts') AS c(subject text, most bigint)
        JOIN message_counts m ON m.organization_id = org AND m.subject = c.subject AND m.day = now_us / 86400000000
        WHERE m.count > c.most
        ORDER BY c.subject LIMIT 1;
        IF FOUND THEN RAISE EXCEPTION 'message limit' USING ERRCODE = 'MR009', DETAIL = full_count; END IF;
    END IF;

    IF jsonb_array_length(batch->'links') > 0 THEN
        -- A process of the release before does not say whether a link replaces one. As an array, so that the planner looks up
        -- the few links by index.
        IF batch->'links' @> '[{"replaces": true}]' OR NOT batch->'links'->0 ? 'replaces' THEN
            DELETE FROM manage_links m WHERE m.organization_id = org AND m.appointment_id = ANY (ARRAY(
                SELECT (l->>'appointment_id')::uuid FROM jsonb_array_elements(batch->'links') AS l));
        END IF;
        INSERT INTO manage_links (token_hash, organization_id, appointment_id, expires_at_us)
        SELECT decode(l.token_hash, 'hex'), org, l.appointment_id, l.expires_at_us
        FROM jsonb_to_recordset(batch->'links') AS l(token_hash text, appointment_id uuid, expires_at_us bigint);
    END IF;

    IF jsonb_array_length(batch->'changes') > 0 THEN
        WITH inserted AS (
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            SELECT org, c.version, now_us, decode(c.payload, 'hex')
            FROM jsonb_to_recordset(batch->'changes') AS c(version bigint, payload text)
            RETURNING seq, version)
        SELECT seqs || array_agg(i.seq ORDER BY i.seq), versions || array_agg(i.version ORDER BY i.seq)
        INTO seqs, versions FROM inserted i;
    END IF;

    SELECT e.value || '.' || pg_current_xact_id()::text || '.' || coalesce(seqs[cardinality(seqs)], 0) INTO feed_position
    FROM epoch e WHERE e.id = 1;
    IF jsonb_typeof(batch->'idempotency') = 'object' THEN
        UPDATE idempotency SET revision = feed_position
        WHERE organization_id = org AND caller = batch->'idempotency'->>'caller'
          AND route = batch->'idempotency'->>'route' AND key = batch->'idempotency'->>'key';
    END IF;
END $$;
