-- Who has which time. Every key leads with the organisation; instants are microseconds since the Unix epoch.

-- One life of this database; a restore gives it a new one, so that followers of the feed start over.
CREATE TABLE epoch (
    id        integer  PRIMARY KEY CHECK (id = 1),
    value     integer  NOT NULL,
    -- The newest change that retention has removed: a reader who stands before it has missed some.
    floor_xid integer  NOT NULL DEFAULT 0,
    floor_seq integer  NOT NULL DEFAULT 0
);
INSERT INTO epoch (id, value) VALUES (1, 1 + abs(random() % 2000000000));

CREATE TABLE patients (
    organization_id  blob   NOT NULL,
    id               blob   NOT NULL,
    version          integer NOT NULL,
    -- The match of a returning patient: names, folded, and telephone.
    match_key        text   NOT NULL,
    -- How many changes are proposed of the record.
    open_changes     integer NOT NULL,
    -- What the patient says of themselves, their consents' history and what is proposed, JSON.
    details          text   NOT NULL,
    created_at_us    integer NOT NULL,
    updated_at_us    integer NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX patients_match ON patients (organization_id, match_key);
CREATE INDEX patients_with_changes ON patients (organization_id, id) WHERE open_changes > 0;

-- The words by which patients are found, folded; compared byte by byte. See src/patients/search.rs.
CREATE TABLE patient_words (
    organization_id blob   NOT NULL,
    word            text   NOT NULL,
    patient_id      blob   NOT NULL,
    PRIMARY KEY (organization_id, word, patient_id)
) WITHOUT ROWID;

CREATE TABLE holds (
    organization_id blob   NOT NULL,
    id              blob   NOT NULL,
    expires_at_us   integer NOT NULL,
    -- The slots kept, JSON.
    slots           text   NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX holds_expiry ON holds (expires_at_us);

-- A group session owns its practitioner's, room's and equipment's claims while it has members.
CREATE TABLE groups (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    version         integer  NOT NULL,
    live            boolean NOT NULL,
    service_id      blob    NOT NULL,
    practitioner_id blob    NOT NULL,
    location_id     blob    NOT NULL,
    room_id         blob,
    starts_at_us    integer  NOT NULL,
    ends_at_us      integer  NOT NULL,
    capacity        integer NOT NULL,
    PRIMARY KEY (organization_id, id)
);

-- The time zone that bookings at a location must be made by, for as long as one by another zone may be on its way.
CREATE TABLE location_zones (
    organization_id blob    NOT NULL,
    location_id     blob    NOT NULL,
    time_zone       text    NOT NULL,
    changed_at_us   integer NOT NULL,
    -- Whether the directory is known to have it too.
    settled         boolean NOT NULL,
    PRIMARY KEY (organization_id, location_id)
);

CREATE TABLE appointments (
    organization_id      blob    NOT NULL,
    id                   blob    NOT NULL,
    version              integer  NOT NULL,
    status               text    NOT NULL,
    service_id           blob    NOT NULL,
    practitioner_id      blob    NOT NULL,
    location_id          blob    NOT NULL,
    room_id              blob,
    group_id             blob,
    starts_at_us         integer  NOT NULL,
    ends_at_us           integer  NOT NULL,
    time_zone            text    NOT NULL,
    -- The wall clock that the patient was told, kept beside the instant in case the zone's rules change.
    starts_local         text    NOT NULL,
    patient_id           blob    NOT NULL,
    plan_session_id      blob,
    displaced            boolean NOT NULL,
    confirmed_at_us      integer,
    cancel_reason_code   text,
    cancel_reason        text,
    cancel_by            text,
    cancel_late          boolean,
    -- Whether the patient moved it within the late window, then or before.
    rescheduled_late     boolean NOT NULL,
    note                 text    NOT NULL,
    previous_starts_at_us integer,
    link_generation      integer NOT NULL,
    created_at_us        integer  NOT NULL,
    updated_at_us        integer  NOT NULL,
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
    organization_id blob    NOT NULL,
    code            text    NOT NULL,
    version         integer  NOT NULL,
    -- JSON of `reasons::Meaning`.
    meaning         text    NOT NULL,
    -- Out of use: taken as a code that nobody knows.
    archived        boolean NOT NULL,
    created_at_us   integer  NOT NULL,
    updated_at_us   integer  NOT NULL,
    PRIMARY KEY (organization_id, code)
);

-- The guard: no two claims on one unit of one resource overlap, whatever the code above it does.
CREATE TABLE claims (
    organization_id blob     NOT NULL,
    kind            integer NOT NULL,
    resource        blob     NOT NULL,
    unit            integer NOT NULL,
    starts_at_us    integer   NOT NULL,
    ends_at_us      integer   NOT NULL,
    owner           blob     NOT NULL,
    expires_at_us   integer,
    CHECK (starts_at_us < ends_at_us)
);
CREATE INDEX claims_owner ON claims (organization_id, owner);
CREATE INDEX claims_resource ON claims (organization_id, kind, resource, unit, ends_at_us, starts_at_us);
-- Claims never overlap, so the first one that ends after the new one starts is the only one that can be in its way.
CREATE TRIGGER claims_do_not_overlap BEFORE INSERT ON claims
BEGIN
    SELECT RAISE(ABORT, 'claim taken') WHERE NEW.ends_at_us > (
        SELECT c.starts_at_us FROM claims c
        WHERE c.organization_id = NEW.organization_id AND c.kind = NEW.kind AND c.resource = NEW.resource
          AND c.unit = NEW.unit AND c.ends_at_us > NEW.starts_at_us
        ORDER BY c.ends_at_us LIMIT 1
    );
END;
CREATE TRIGGER claims_are_not_moved BEFORE UPDATE ON claims
BEGIN
    SELECT RAISE(ABORT, 'claims are replaced, never moved');
END;

CREATE TABLE manage_links (
    token_hash      blob   PRIMARY KEY,
    organization_id blob   NOT NULL,
    appointment_id  blob   NOT NULL,
    expires_at_us   integer NOT NULL,
    FOREIGN KEY (organization_id, appointment_id) REFERENCES appointments (organization_id, id)
);

CREATE TABLE secrets (
    name  text  PRIMARY KEY,
    value blob  NOT NULL
);

-- The change feed. One writer commits after another, so the sequence is commit order.
CREATE TABLE changes (
    seq             integer PRIMARY KEY AUTOINCREMENT,
    organization_id blob   NOT NULL,
    version         integer NOT NULL,
    changed_at_us   integer NOT NULL,
    payload         blob   NOT NULL
);

CREATE TABLE idempotency (
    organization_id blob   NOT NULL,
    caller          text   NOT NULL,
    route           text   NOT NULL,
    key             text   NOT NULL,
    fingerprint     text   NOT NULL,
    response        blob   NOT NULL,
    revision        text   NOT NULL,
    created_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, caller, route, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at_us);

