-- The waitlist: who would like a time that is taken, and to whom one that came free is offered.
CREATE TABLE waitlist (
    organization_id   uuid   NOT NULL,
    id                uuid   NOT NULL,
    version           bigint NOT NULL,
    -- waiting, offered, booked, left, expired.
    status            text   NOT NULL,
    patient_id        uuid   NOT NULL,
    service_id        uuid   NOT NULL,
    -- What is wished for, JSON.
    wish              text   NOT NULL,
    -- What the wish comes to, however it was written: one patient's live entries never share it.
    wish_key          text   NOT NULL,
    -- Which of the few entries that one patient may have at a time it is, from 1.
    place             smallint NOT NULL,
    -- Past this instant nothing is offered any more.
    ends_at_us        bigint NOT NULL,
    -- Nothing is offered before: a patient is not flooded.
    rests_until_us    bigint NOT NULL,
    created_at_us     bigint NOT NULL,
    updated_at_us     bigint NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id)
);
CREATE INDEX waitlist_waiting ON waitlist (created_at_us, id) WHERE status IN ('waiting', 'offered');
CREATE INDEX waitlist_patient ON waitlist (organization_id, patient_id, id);
-- The same wish waits once, and a patient has so many live entries as there are places, whatever the code above does.
CREATE UNIQUE INDEX waitlist_one_a_wish ON waitlist (organization_id, patient_id, wish_key)
    WHERE status IN ('waiting', 'offered');
CREATE UNIQUE INDEX waitlist_one_a_place ON waitlist (organization_id, patient_id, place)
    WHERE status IN ('waiting', 'offered');

CREATE TABLE offers (
    organization_id   uuid   NOT NULL,
    id                uuid   NOT NULL,
    version           bigint NOT NULL,
    waitlist_id       uuid   NOT NULL,
    patient_id        uuid   NOT NULL,
    hold_id           uuid   NOT NULL,
    -- making (its hold is not laid yet), open, accepting, accepted, declined, expired, withdrawn.
    status            text   NOT NULL,
    slot_id           text   NOT NULL,
    -- The slot as availability showed it, JSON.
    slot              text   NOT NULL,
    token_hash        bytea  NOT NULL,
    appointment_id    uuid,
    expires_at_us     bigint NOT NULL,
    created_at_us     bigint NOT NULL,
    decided_at_us     bigint,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, waitlist_id) REFERENCES waitlist (organization_id, id)
);
-- Never two offers of one slot, never two to one patient, whatever the code above does.
CREATE UNIQUE INDEX offers_one_a_patient ON offers (organization_id, patient_id)
    WHERE status IN ('making', 'open', 'accepting');
CREATE UNIQUE INDEX offers_one_a_slot ON offers (organization_id, slot_id)
    WHERE status IN ('making', 'open', 'accepting');
CREATE INDEX offers_open ON offers (expires_at_us) WHERE status IN ('making', 'open', 'accepting');
CREATE INDEX offers_entry ON offers (organization_id, waitlist_id, id);
CREATE UNIQUE INDEX offers_token ON offers (token_hash);
