-- Who has which time. Every key leads with the organisation; instants are microseconds since the Unix epoch.
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;

-- One life of this database; a restore gives it a new one, so that followers of the feed start over.
CREATE TABLE epoch (
    id        smallint PRIMARY KEY CHECK (id = 1),
    value     bigint   NOT NULL,
    -- The newest change that retention has removed: a reader who stands before it has missed some.
    floor_xid bigint   NOT NULL DEFAULT 0,
    floor_seq bigint   NOT NULL DEFAULT 0
);
INSERT INTO epoch (id, value) VALUES (1, 1 + floor(random() * 2000000000)::bigint);

CREATE TABLE patients (
    organization_id  uuid   NOT NULL,
    id               uuid   NOT NULL,
    version          bigint NOT NULL,
    -- The match of a returning patient: name in lower case, telephone, date of birth.
    match_key        text   NOT NULL,
    search_text      text   NOT NULL,
    -- What the patient says of themselves, JSON.
    details          text   NOT NULL,
    created_at_us    bigint NOT NULL,
    updated_at_us    bigint NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX patients_match ON patients (organization_id, match_key);

CREATE TABLE holds (
    organization_id uuid   NOT NULL,
    id              uuid   NOT NULL,
    expires_at_us   bigint NOT NULL,
    -- The slots kept, JSON.
    slots           text   NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX holds_expiry ON holds (expires_at_us);

-- A group session owns its practitioner's, room's and equipment's claims while it has members.
CREATE TABLE groups (
    organization_id uuid    NOT NULL,
    id              uuid    NOT NULL,
    version         bigint  NOT NULL,
    live            boolean NOT NULL,
    service_id      uuid    NOT NULL,
    practitioner_id uuid    NOT NULL,
    location_id     uuid    NOT NULL,
    room_id         uuid,
    starts_at_us    bigint  NOT NULL,
    ends_at_us      bigint  NOT NULL,
    capacity        integer NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE appointments (
    organization_id      uuid    NOT NULL,
    id                   uuid    NOT NULL,
    version              bigint  NOT NULL,
    status               text    NOT NULL,
    service_id           uuid    NOT NULL,
    practitioner_id      uuid    NOT NULL,
    location_id          uuid    NOT NULL,
    room_id              uuid,
    group_id             uuid,
    starts_at_us         bigint  NOT NULL,
    ends_at_us           bigint  NOT NULL,
    time_zone            text    NOT NULL,
    -- The wall clock that the patient was told, kept beside the instant in case the zone's rules change.
    starts_local         text    NOT NULL,
    patient_id           uuid    NOT NULL,
    plan_session_id      uuid,
    displaced            boolean NOT NULL,
    confirmed_at_us      bigint,
    cancel_reason_code   text,
    cancel_reason        text,
    cancel_by            text,
    cancel_late          boolean,
    note                 text    NOT NULL,
    previous_starts_at_us bigint,
    link_generation      integer NOT NULL,
    created_at_us        bigint  NOT NULL,
    updated_at_us        bigint  NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id),
    CHECK (starts_at_us < ends_at_us)
);
CREATE INDEX appointments_start ON appointments (organization_id, starts_at_us, id);
CREATE INDEX appointments_patient ON appointments (organization_id, patient_id, starts_at_us);
CREATE INDEX appointments_end ON appointments (ends_at_us);

-- The guard: no two claims on one unit of one resource overlap, whatever the code above it does.
CREATE TABLE claims (
    organization_id uuid     NOT NULL,
    kind            smallint NOT NULL,
    resource        uuid     NOT NULL,
    unit            smallint NOT NULL,
    starts_at_us    bigint   NOT NULL,
    ends_at_us      bigint   NOT NULL,
    owner           uuid     NOT NULL,
    expires_at_us   bigint,
    CHECK (starts_at_us < ends_at_us),
    CONSTRAINT claims_do_not_overlap EXCLUDE USING gist (
        organization_id WITH =, kind WITH =, resource WITH =, unit WITH =,
        int8range(starts_at_us, ends_at_us, '[)') WITH &&
    )
);
CREATE INDEX claims_owner ON claims (organization_id, owner);

CREATE TABLE manage_links (
    token_hash      bytea  PRIMARY KEY,
    organization_id uuid   NOT NULL,
    appointment_id  uuid   NOT NULL,
    expires_at_us   bigint NOT NULL,
    FOREIGN KEY (organization_id, appointment_id) REFERENCES appointments (organization_id, id)
);

CREATE TABLE secrets (
    name  text  PRIMARY KEY,
    value bytea NOT NULL
);

-- The change feed. A sequence is not commit order, so the writing transaction is stored beside it.
CREATE TABLE changes (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid             xid8   NOT NULL DEFAULT pg_current_xact_id(),
    organization_id uuid   NOT NULL,
    version         bigint NOT NULL,
    changed_at_us   bigint NOT NULL,
    payload         bytea  NOT NULL
);
CREATE INDEX changes_order ON changes (xid, seq);

CREATE TABLE idempotency (
    organization_id uuid   NOT NULL,
    caller          text   NOT NULL,
    route           text   NOT NULL,
    key             text   NOT NULL,
    fingerprint     text   NOT NULL,
    response        bytea  NOT NULL,
    revision        text   NOT NULL,
    created_at_us   bigint NOT NULL,
    PRIMARY KEY (organization_id, caller, route, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at_us);

-- The whole write of a booking in one round trip. Anything that must not be raises one of the errors MR001 to
-- MR006, and then nothing of it has happened. `b` is a Batch; see src/store/batch.rs.
CREATE FUNCTION commit_batch(b jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    org    uuid   := (b->>'organization_id')::uuid;
    now_us bigint := (b->>'now_us')::bigint;
    n      bigint;
    wanted jsonb  := b->'claims';
    v      bigint;
    last   bigint;
    pos    text;
BEGIN
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

    INSERT INTO patients SELECT org, p.id, 1, p.match_key, p.search_text, p.details, now_us, now_us
    FROM jsonb_to_recordset(b->'patients') AS p(id uuid, match_key text, search_text text, details text);

    -- Appointments are locked before their claims go, so that two writers of one appointment meet here.
    INSERT INTO appointments SELECT org, a.* FROM jsonb_to_recordset(b->'appointments') AS a(
        id uuid, version bigint, status text, service_id uuid, practitioner_id uuid, location_id uuid, room_id uuid,
        group_id uuid, starts_at_us bigint, ends_at_us bigint, time_zone text, starts_local text, patient_id uuid,
        plan_session_id uuid, displaced boolean, confirmed_at_us bigint, cancel_reason_code text, cancel_reason text,
        cancel_by text, cancel_late boolean, note text, previous_starts_at_us bigint, link_generation integer,
        created_at_us bigint, updated_at_us bigint)
    ON CONFLICT (organization_id, id) DO UPDATE SET
        version = excluded.version, status = excluded.status, practitioner_id = excluded.practitioner_id,
        location_id = excluded.location_id, room_id = excluded.room_id, group_id = excluded.group_id,
        starts_at_us = excluded.starts_at_us, ends_at_us = excluded.ends_at_us, time_zone = excluded.time_zone,
        starts_local = excluded.starts_local, displaced = excluded.displaced,
        confirmed_at_us = excluded.confirmed_at_us, cancel_reason_code = excluded.cancel_reason_code,
        cancel_reason = excluded.cancel_reason, cancel_by = excluded.cancel_by, cancel_late = excluded.cancel_late,
        previous_starts_at_us = excluded.previous_starts_at_us, link_generation = excluded.link_generation,
        updated_at_us = excluded.updated_at_us
    WHERE appointments.version = excluded.version - 1;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n <> jsonb_array_length(b->'appointments') THEN RAISE EXCEPTION 'stale' USING ERRCODE = 'MR003'; END IF;

    DELETE FROM claims USING jsonb_array_elements_text(b->'release') AS r(owner)
    WHERE claims.organization_id = org AND claims.owner = r.owner::uuid;

    IF jsonb_typeof(b->'leave_group') = 'object' THEN
        UPDATE groups SET version = version + 1 WHERE organization_id = org AND id = (b->'leave_group'->>'id')::uuid
        RETURNING version INTO v;
        IF NOT EXISTS (SELECT FROM claims c WHERE c.organization_id = org AND c.kind = 6
                       AND c.resource = (b->'leave_group'->>'id')::uuid) THEN
            UPDATE groups SET live = false WHERE organization_id = org AND id = (b->'leave_group'->>'id')::uuid;
            DELETE FROM claims c WHERE c.organization_id = org AND c.owner = (b->'leave_group'->>'id')::uuid;
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            VALUES (org, v, now_us, decode(b->'leave_group'->>'freed', 'hex'));
        END IF;
    END IF;

    IF jsonb_typeof(b->'join_group') = 'object' THEN
        INSERT INTO groups SELECT org, g.id, 1, true, g.service_id, g.practitioner_id, g.location_id, g.room_id,
               g.starts_at_us, g.ends_at_us, g.capacity
        FROM jsonb_to_record(b->'join_group'->'row') AS g(id uuid, service_id uuid, practitioner_id uuid,
            location_id uuid, room_id uuid, starts_at_us bigint, ends_at_us bigint, capacity integer)
        ON CONFLICT (organization_id, id) DO UPDATE SET version = groups.version + 1
        WHERE groups.live = (b->'join_group'->>'exists')::boolean
        RETURNING version INTO v;
        IF v IS NULL OR (v = 1 AND (b->'join_group'->>'exists')::boolean) THEN
            RAISE EXCEPTION 'group' USING ERRCODE = 'MR004';
        END IF;
        IF NOT (b->'join_group'->>'exists')::boolean THEN
            UPDATE groups SET live = true, room_id = (b->'join_group'->'row'->>'room_id')::uuid
            WHERE organization_id = org AND id = (b->'join_group'->'row'->>'id')::uuid;
            wanted := wanted || (b->'join_group'->'claims');
            INSERT INTO changes (organization_id, version, changed_at_us, payload)
            VALUES (org, v, now_us, decode(b->'join_group'->>'made', 'hex'));
        END IF;
    END IF;

    -- An expired hold blocks nobody, at once.
    DELETE FROM claims c
    USING jsonb_to_recordset(wanted) AS w(kind smallint, resource uuid, unit smallint, starts_at_us bigint, ends_at_us bigint)
    WHERE c.organization_id = org AND c.kind = w.kind AND c.resource = w.resource AND c.unit = w.unit
      AND int8range(c.starts_at_us, c.ends_at_us, '[)') && int8range(w.starts_at_us, w.ends_at_us, '[)')
      AND c.expires_at_us <= now_us;

    -- Sorted, so that writers never wait in a circle; a short count means that something is taken.
    INSERT INTO claims SELECT org, w.* FROM jsonb_to_recordset(wanted) AS w(
        kind smallint, resource uuid, unit smallint, starts_at_us bigint, ends_at_us bigint, owner uuid,
        expires_at_us bigint)
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

    INSERT INTO holds SELECT org, h.id, h.expires_at_us, h.slots
    FROM jsonb_to_recordset(b->'holds') AS h(id uuid, expires_at_us bigint, slots text);
    DELETE FROM holds USING jsonb_array_elements_text(b->'drop_holds') AS d(id)
    WHERE holds.organization_id = org AND holds.id = d.id::uuid;

    DELETE FROM manage_links m USING jsonb_to_recordset(b->'links') AS l(appointment_id uuid)
    WHERE m.organization_id = org AND m.appointment_id = l.appointment_id;
    INSERT INTO manage_links SELECT decode(l.token_hash, 'hex'), org, l.appointment_id, l.expires_at_us
    FROM jsonb_to_recordset(b->'links') AS l(token_hash text, appointment_id uuid, expires_at_us bigint);

    INSERT INTO changes (organization_id, version, changed_at_us, payload)
    SELECT org, c.version, now_us, decode(c.payload, 'hex')
    FROM jsonb_to_recordset(b->'changes') AS c(version bigint, payload text);

    SELECT max(seq) INTO last FROM changes WHERE xid = pg_current_xact_id();
    SELECT e.value || '.' || pg_current_xact_id()::text || '.' || coalesce(last, 0) INTO pos FROM epoch e;
    IF jsonb_typeof(b->'idempotency') = 'object' THEN
        UPDATE idempotency SET revision = pos WHERE organization_id = org AND caller = b->'idempotency'->>'caller'
        AND route = b->'idempotency'->>'route' AND key = b->'idempotency'->>'key';
    END IF;
    RETURN pos;
END $$;
