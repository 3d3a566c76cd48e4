-- Booking's tables: patients, appointments and the claims that keep them apart, care plans, the waitlist, and the feed.
--
-- Every key begins with the organisation. Columns that end in `_us` are microseconds since the Unix epoch.

-- Patients

CREATE TABLE patients (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    version         integer NOT NULL,
    -- Folded names and telephone number: a returning patient with the same key is the same patient.
    match_key       text    NOT NULL,
    -- Number of proposed changes of the record that nobody has decided.
    open_changes    integer NOT NULL,
    -- JSON of `domain::patient::Details`: the record, the history of consents and the proposed changes.
    details         text    NOT NULL,
    created_at_us   integer NOT NULL,
    updated_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX patients_match ON patients (organization_id, match_key);
CREATE INDEX patients_with_changes ON patients (organization_id, id) WHERE open_changes > 0;

-- Folded words of a patient's record, for the search by prefix. They are compared byte by byte.
CREATE TABLE patient_words (
    organization_id blob NOT NULL,
    word            text NOT NULL,
    patient_id      blob NOT NULL,
    PRIMARY KEY (organization_id, word, patient_id)
) WITHOUT ROWID;

-- Appointments

CREATE TABLE appointments (
    organization_id       blob    NOT NULL,
    id                    blob    NOT NULL,
    version               integer NOT NULL,
    -- A status of FHIR R4's Appointment.
    status                text    NOT NULL,
    service_id            blob    NOT NULL,
    practitioner_id       blob    NOT NULL,
    location_id           blob    NOT NULL,
    room_id               blob,
    -- The group session that the patient attends.
    group_id              blob,
    starts_at_us          integer NOT NULL,
    ends_at_us            integer NOT NULL,
    time_zone             text    NOT NULL,
    -- The local start time at booking. It stays when the time zone's rules change, so that the instant can be corrected.
    starts_local          text    NOT NULL,
    patient_id            blob    NOT NULL,
    -- The session of a care plan that this appointment fulfils.
    plan_session_id       blob,
    -- The roster no longer allows this appointment.
    displaced             boolean NOT NULL,
    confirmed_at_us       integer,
    cancel_reason_code    text,
    cancel_reason         text,
    -- Who cancelled: `patient`, `staff` and so on.
    cancel_by             text,
    -- Whether the cancellation came inside the late window.
    cancel_late           boolean,
    -- Whether the patient has ever moved this appointment inside the late window.
    rescheduled_late      boolean NOT NULL,
    note                  text    NOT NULL,
    -- The start before the last reschedule.
    previous_starts_at_us integer,
    -- Part of the signed manage link: a higher number invalidates earlier links.
    link_generation       integer NOT NULL,
    created_at_us         integer NOT NULL,
    updated_at_us         integer NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id),
    CHECK (starts_at_us < ends_at_us)
);
CREATE INDEX appointments_start ON appointments (organization_id, starts_at_us, id);
CREATE INDEX appointments_patient ON appointments (organization_id, patient_id, starts_at_us);
CREATE INDEX appointments_end ON appointments (ends_at_us);

-- A link by which a patient manages one appointment without an account.
CREATE TABLE manage_links (
    -- SHA-256 of the link's token.
    token_hash      blob    PRIMARY KEY,
    organization_id blob    NOT NULL,
    appointment_id  blob    NOT NULL,
    expires_at_us   integer NOT NULL,
    FOREIGN KEY (organization_id, appointment_id) REFERENCES appointments (organization_id, id)
);
CREATE INDEX manage_links_appointment ON manage_links (organization_id, appointment_id);
CREATE INDEX manage_links_expiry ON manage_links (expires_at_us);

-- A hold: slots that are kept for a caller until an instant.
CREATE TABLE holds (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    expires_at_us   integer NOT NULL,
    -- JSON of the kept slots.
    slots           text    NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX holds_expiry ON holds (expires_at_us);

-- A group session. While it has members it owns the claims on its practitioner, room and equipment.
CREATE TABLE groups (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    version         integer NOT NULL,
    -- False when the last member has left.
    live            boolean NOT NULL,
    service_id      blob    NOT NULL,
    practitioner_id blob    NOT NULL,
    location_id     blob    NOT NULL,
    room_id         blob,
    starts_at_us    integer NOT NULL,
    ends_at_us      integer NOT NULL,
    capacity        integer NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX groups_end ON groups (ends_at_us);

-- A claim takes one unit of one resource for one interval. The trigger refuses overlapping claims, so no two bookings
-- collide whatever the code above does.
CREATE TABLE claims (
    organization_id blob    NOT NULL,
    -- `domain::claim::Kind`: 1 practitioner, 2 room, 3 equipment, 4 patient, 5 needling interval, 6 member of a group.
    kind            integer NOT NULL,
    resource        blob    NOT NULL,
    -- The unit of a resource that has several, from 0.
    unit            integer NOT NULL,
    starts_at_us    integer NOT NULL,
    ends_at_us      integer NOT NULL,
    -- The appointment, hold or group session that has the time.
    owner           blob    NOT NULL,
    -- Set for a hold's claims: after this instant they block nothing.
    expires_at_us   integer,
    -- Where the practitioner works during the claim; daily limits and travel times are counted by it.
    location_id     blob,
    -- Whether the practitioner's time is spent on needling, which has a limit of its own.
    needling        boolean NOT NULL DEFAULT false,
    CHECK (starts_at_us < ends_at_us)
);
CREATE INDEX claims_owner ON claims (organization_id, owner);
CREATE INDEX claims_end ON claims (ends_at_us);
CREATE INDEX claims_resource ON claims (organization_id, kind, resource, unit, ends_at_us, starts_at_us);
-- Claims never overlap, so only the first claim that ends after the new one starts can conflict with it.
CREATE TRIGGER claims_do_not_overlap BEFORE INSERT ON claims
BEGIN
    SELECT RAISE(ABORT, 'claim taken') WHERE NEW.ends_at_us > (
        SELECT c.starts_at_us FROM claims c
        WHERE c.organization_id = NEW.organization_id AND c.kind = NEW.kind AND c.resource = NEW.resource
          AND c.unit = NEW.unit AND c.ends_at_us > NEW.starts_at_us
        ORDER BY c.ends_at_us LIMIT 1
    );
END;
-- The overlap trigger checks inserts only.
CREATE TRIGGER claims_are_not_moved BEFORE UPDATE ON claims
BEGIN
    SELECT RAISE(ABORT, 'claims are replaced, never moved');
END;

-- The new time zone of a location, while bookings that were checked by the old one may still arrive.
CREATE TABLE location_zones (
    organization_id blob    NOT NULL,
    location_id     blob    NOT NULL,
    time_zone       text    NOT NULL,
    changed_at_us   integer NOT NULL,
    -- Whether availability's directory has the same zone.
    settled         boolean NOT NULL,
    PRIMARY KEY (organization_id, location_id)
);

-- A proposed move of displaced appointments, kept for a day so that it can be applied by its id.
CREATE TABLE displaced_proposals (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    -- JSON: pairs of an appointment's id and a slot's id.
    moves           text    NOT NULL,
    expires_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX displaced_proposals_expiry ON displaced_proposals (expires_at_us);

-- An organisation's own wording of a cancellation or reschedule reason. It replaces the product's wording of that code.
CREATE TABLE reason_codes (
    organization_id blob    NOT NULL,
    code            text    NOT NULL,
    version         integer NOT NULL,
    -- JSON of the reason's wording and rules.
    meaning         text    NOT NULL,
    -- An archived code is refused like an unknown one.
    archived        boolean NOT NULL,
    created_at_us   integer NOT NULL,
    updated_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, code)
);

-- Care plans

-- A care plan is one document and changes as a whole.
CREATE TABLE plans (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    version         integer NOT NULL,
    patient_id      blob    NOT NULL,
    status          text    NOT NULL,
    -- JSON of `careplan::plan::Plan`.
    document        text    NOT NULL,
    created_at_us   integer NOT NULL,
    updated_at_us   integer NOT NULL,
    -- When the plan becomes at risk: a session is left, none is booked, and its last day is near.
    risk_at_us      integer,
    -- Whether the feed has published that the plan is at risk.
    at_risk         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id)
);
CREATE INDEX plans_patient ON plans (organization_id, patient_id, id);
CREATE INDEX plans_risk ON plans (risk_at_us) WHERE NOT at_risk AND risk_at_us IS NOT NULL;
CREATE INDEX plans_at_risk ON plans (organization_id, id) WHERE at_risk;

-- The plan of each session, so that an appointment finds the plan that it belongs to.
CREATE TABLE plan_sessions (
    organization_id blob NOT NULL,
    id              blob NOT NULL,
    plan_id         blob NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id)
);

-- The ledger: the session changes of each version of a plan. Rows are only added.
CREATE TABLE plan_entries (
    organization_id blob    NOT NULL,
    plan_id         blob    NOT NULL,
    version         integer NOT NULL,
    -- JSON list of `careplan::ledger::Entry`, in order.
    entries         text    NOT NULL,
    PRIMARY KEY (organization_id, plan_id, version),
    FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id)
);

-- A proposed series of sessions, kept for a day so that it can be booked by its id.
CREATE TABLE proposals (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    plan_id         blob    NOT NULL,
    -- JSON: pairs of a session's id and a slot's id.
    sessions        text    NOT NULL,
    expires_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, plan_id) REFERENCES plans (organization_id, id)
);
CREATE INDEX proposals_expiry ON proposals (expires_at_us);

-- Waitlist

-- A waitlist entry: the criteria of a slot that a patient waits for.
CREATE TABLE waitlist (
    organization_id    blob    NOT NULL,
    id                 blob    NOT NULL,
    version            integer NOT NULL,
    -- `waiting`, `offered`, `booked`, `left` or `expired`. The first two are live.
    status             text    NOT NULL,
    patient_id         blob    NOT NULL,
    service_id         blob    NOT NULL,
    -- JSON of the criteria that a slot must meet.
    criteria           text    NOT NULL,
    -- The criteria in a normal form. A patient's live entries differ in it.
    criteria_key       text    NOT NULL,
    -- Number of this entry among the patient's live entries, from 1. It bounds how many there are.
    number             integer NOT NULL,
    -- After this instant the entry gets no offer.
    ends_at_us         integer NOT NULL,
    -- Before this instant the entry gets no offer, so that offers to one patient stay apart.
    cool_down_until_us integer NOT NULL,
    created_at_us      integer NOT NULL,
    updated_at_us      integer NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id)
);
CREATE INDEX waitlist_waiting ON waitlist (created_at_us, id) WHERE status IN ('waiting', 'offered');
CREATE INDEX waitlist_patient ON waitlist (organization_id, patient_id, id);
CREATE UNIQUE INDEX waitlist_one_per_criteria ON waitlist (organization_id, patient_id, criteria_key)
    WHERE status IN ('waiting', 'offered');
CREATE UNIQUE INDEX waitlist_one_per_number ON waitlist (organization_id, patient_id, number)
    WHERE status IN ('waiting', 'offered');

-- An offer of a free slot to a waitlist entry. The unique indexes refuse a second live offer of a slot or to a patient.
CREATE TABLE offers (
    organization_id blob    NOT NULL,
    id              blob    NOT NULL,
    version         integer NOT NULL,
    waitlist_id     blob    NOT NULL,
    patient_id      blob    NOT NULL,
    hold_id         blob    NOT NULL,
    -- `making` (its hold is not stored yet), `open`, `accepting`, `accepted`, `declined`, `expired` or `withdrawn`.
    -- The first three are live.
    status          text    NOT NULL,
    slot_id         text    NOT NULL,
    -- JSON of the slot as availability returned it.
    slot            text    NOT NULL,
    -- SHA-256 of the token in the offer's link.
    token_hash      blob    NOT NULL,
    -- The appointment of an accepted offer.
    appointment_id  blob,
    expires_at_us   integer NOT NULL,
    created_at_us   integer NOT NULL,
    decided_at_us   integer,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, waitlist_id) REFERENCES waitlist (organization_id, id)
);
CREATE UNIQUE INDEX offers_one_per_patient ON offers (organization_id, patient_id)
    WHERE status IN ('making', 'open', 'accepting');
CREATE UNIQUE INDEX offers_one_per_slot ON offers (organization_id, slot_id)
    WHERE status IN ('making', 'open', 'accepting');
CREATE INDEX offers_open ON offers (expires_at_us) WHERE status IN ('making', 'open', 'accepting');
CREATE INDEX offers_entry ON offers (organization_id, waitlist_id, id);
CREATE UNIQUE INDEX offers_token ON offers (token_hash);

-- The feed and the service's own state

-- The change feed. One writer commits after another, so sequence order is commit order.
CREATE TABLE changes (
    seq             integer PRIMARY KEY AUTOINCREMENT,
    organization_id blob    NOT NULL,
    -- The version of the changed appointment, hold, group session or plan.
    version         integer NOT NULL,
    changed_at_us   integer NOT NULL,
    -- The change as a protobuf message.
    payload         blob    NOT NULL
);
CREATE INDEX changes_age ON changes (changed_at_us);

-- The feed's epoch, in one row. Positions of different epochs never compare: a new file has a new epoch, so that
-- subscribers start over.
CREATE TABLE epoch (
    id        integer PRIMARY KEY CHECK (id = 1),
    value     integer NOT NULL,
    -- The newest change that retention has deleted. A subscriber before it has missed changes.
    floor_xid integer NOT NULL DEFAULT 0,
    floor_seq integer NOT NULL DEFAULT 0
);
INSERT INTO epoch (id, value) VALUES (1, 1 + abs(random() % 2000000000));

-- The stored response of a write, by its idempotency key. A repeated request gets the same response.
CREATE TABLE idempotency (
    organization_id blob    NOT NULL,
    caller          text    NOT NULL,
    route           text    NOT NULL,
    key             text    NOT NULL,
    -- Hash of the request. The same key with another request is refused.
    fingerprint     text    NOT NULL,
    response        blob    NOT NULL,
    -- The feed position of the write.
    revision        text    NOT NULL,
    created_at_us   integer NOT NULL,
    PRIMARY KEY (organization_id, caller, route, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at_us);

-- Random signing keys, each written once.
CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value blob NOT NULL
);
