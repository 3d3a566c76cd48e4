-- Stores the slots of a visitor's hold, a part of the commit of a batch. `hold` is the JSON of a `VisitorHold`
-- (src/store/visitors.rs). A hold beyond a limit raises MR008; the detail is the limit and the instant, in microseconds since the
-- Unix epoch, at which the hold may be tried again.
--
-- Holds of one visitor, and holds of one key at one location and day, run one after another, so that each counts those before.
CREATE OR REPLACE FUNCTION commit_held_slots(org uuid, now_us bigint, hold jsonb) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    of_caller  text   := hold->>'caller';
    of_visitor text   := hold->>'visitor';
    hold_ends  bigint := (hold->>'expires_at_us')::bigint;
    held       bigint;
    until_us   bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(locks.key) FROM (
        SELECT hashtextextended('visitor' || org::text || of_caller || of_visitor, 0) AS key
        UNION
        SELECT hashtextextended('day' || org::text || of_caller || (s->>'location_id') || (s->>'day_us'), 0)
        FROM jsonb_array_elements(hold->'slots') AS s
        ORDER BY key) AS locks;

    SELECT count(DISTINCT h.hold_id), min(h.expires_at_us) INTO held, until_us
    FROM held_slots h
    WHERE h.organization_id = org AND h.caller = of_caller AND h.visitor = of_visitor AND h.expires_at_us > now_us;
    IF held >= (hold->>'holds_max')::bigint THEN
        RAISE EXCEPTION 'hold limit' USING ERRCODE = 'MR008', DETAIL = 'visitor:' || until_us;
    END IF;

    SELECT max(2 * h.expires_at_us - h.held_from_us) INTO until_us
    FROM jsonb_to_recordset(hold->'slots') AS s(practitioner_id uuid, starts_at_us bigint, ends_at_us bigint)
    JOIN held_slots h ON h.practitioner_id = s.practitioner_id
        AND h.starts_at_us < s.ends_at_us AND s.starts_at_us < h.ends_at_us
    WHERE h.organization_id = org AND h.caller = of_caller AND h.visitor = of_visitor AND h.expires_at_us <= now_us;
    IF until_us > now_us THEN
        RAISE EXCEPTION 'hold limit' USING ERRCODE = 'MR008', DETAIL = 'slot:' || until_us;
    END IF;

    -- One slot may always be held, however short the day is.
    SELECT coalesce(min(day.until_us), hold_ends) INTO until_us
    FROM (
        SELECT wanted.minutes + coalesce(sum(h.minutes), 0) AS minutes, wanted.slots + count(h.hold_id) AS slots,
               wanted.minutes_max, min(h.expires_at_us) AS until_us
        FROM (
            SELECT s.location_id, s.day_us, sum(s.minutes) AS minutes, count(*) AS slots, min(s.minutes_max) AS minutes_max
            FROM jsonb_to_recordset(hold->'slots') AS s(
                location_id uuid, day_us bigint, minutes bigint, minutes_max bigint)
            GROUP BY s.location_id, s.day_us) AS wanted
        LEFT JOIN held_slots h ON h.organization_id = org AND h.caller = of_caller
            AND h.location_id = wanted.location_id AND h.day_us = wanted.day_us AND h.expires_at_us > now_us
        GROUP BY wanted.location_id, wanted.day_us, wanted.minutes, wanted.slots, wanted.minutes_max) AS day
    WHERE day.minutes > day.minutes_max AND day.slots > 1
    HAVING count(*) > 0;
    IF FOUND THEN
        RAISE EXCEPTION 'hold limit' USING ERRCODE = 'MR008', DETAIL = 'share:' || until_us;
    END IF;

    INSERT INTO held_slots (organization_id, hold_id, caller, visitor, practitioner_id, starts_at_us, ends_at_us,
                            location_id, day_us, minutes, held_from_us, expires_at_us)
    SELECT org, (hold->>'hold_id')::uuid, of_caller, of_visitor, s.practitioner_id, s.starts_at_us, s.ends_at_us,
           s.location_id, s.day_us, s.minutes, now_us, hold_ends
    FROM jsonb_to_recordset(hold->'slots') AS s(
        practitioner_id uuid, starts_at_us bigint, ends_at_us bigint, location_id uuid, day_us bigint, minutes bigint);
END $$;
