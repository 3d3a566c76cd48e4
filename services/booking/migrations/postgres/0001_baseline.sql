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
    -- The match of a returning patient: names, folded, and telephone.
    match_key        text   NOT NULL,
    -- How many changes are proposed of the record.
    open_changes     integer NOT NULL,
    -- What the patient says of themselves, their consents' history and what is proposed, JSON.
    details          text   NOT NULL,
    created_at_us    bigint NOT NULL,
    updated_at_us    bigint NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX patients_match ON patients (organization_id, match_key);
CREATE INDEX patients_with_changes ON patients (organization_id, id) WHERE open_changes > 0;

-- The words by which patients are found, folded; compared byte by byte. See src/patients/search.rs.
CREATE TABLE patient_words (
    organization_id uuid   NOT NULL,
    word            text COLLATE "C" NOT NULL,
    patient_id      uuid   NOT NULL,
    PRIMARY KEY (organization_id, word, patient_id)
);

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

-- The time zone that bookings at a location must be made by, for as long as one by another zone may be on its way.
CREATE TABLE location_zones (
    organization_id uuid    NOT NULL,
    location_id     uuid    NOT NULL,
    time_zone       text    NOT NULL,
    changed_at_us   bigint NOT NULL,
    -- Whether the directory is known to have it too.
    settled         boolean NOT NULL,
    PRIMARY KEY (organization_id, location_id)
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
    -- Whether the patient moved it within the late window, then or before.
    rescheduled_late     boolean NOT NULL,
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

-- What an organisation has written of the reasons for which visits are called off or moved; it stands over the list that the
-- product ships.
CREATE TABLE reason_codes (
    organization_id uuid    NOT NULL,
    code            text    NOT NULL,
    version         bigint  NOT NULL,
    -- JSON of `reasons::Meaning`.
    meaning         text    NOT NULL,
    -- Out of use: taken as a code that nobody knows.
    archived        boolean NOT NULL,
    created_at_us   bigint  NOT NULL,
    updated_at_us   bigint  NOT NULL,
    PRIMARY KEY (organization_id, code)
);

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
