-- What patients answer, and what that needs of a message and of a visit.

CREATE TABLE inbound (
    organization_id     blob     NOT NULL,
    id                  blob     NOT NULL,
    provider            text     NOT NULL,
    -- The provider's own id: what comes twice counts once.
    provider_message_id text     NOT NULL,
    received_at_us      integer   NOT NULL,
    -- Personal data, both.
    sender              text     NOT NULL,
    body                text     NOT NULL,
    -- What it was taken for.
    meaning             text     NOT NULL,
    -- What became of it.
    outcome             text     NOT NULL,
    -- The message that it answers, and whose it is; NULL where nobody can say.
    message_id          blob,
    appointment_id      blob,
    patient_id          blob,
    -- 0 to 10, where it answers how the patient is.
    score               integer,
    -- Why a person must read it; empty: nobody need.
    attention           text     NOT NULL,
    read_at_us          integer,
    read_by             text     NOT NULL DEFAULT '',
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, provider, provider_message_id)
);
CREATE INDEX inbound_attention ON inbound (organization_id, received_at_us, id) WHERE attention <> '';
CREATE INDEX inbound_sender ON inbound (organization_id, sender, received_at_us);
CREATE INDEX inbound_age ON inbound (received_at_us);

-- What was sent, as carriers count it; 0 for e-mail.
ALTER TABLE messages ADD COLUMN segments integer NOT NULL DEFAULT 0;
CREATE INDEX messages_recipient ON messages (recipient, sent_at_us) WHERE sent_at_us IS NOT NULL;

ALTER TABLE appointments ADD COLUMN plan_session_id blob;
-- When it was booked; visits booked in one moment for one patient are one series. NULL: not seen.
ALTER TABLE appointments ADD COLUMN booked_at_us integer;
ALTER TABLE appointments ADD COLUMN confirmed_at_us integer;
CREATE INDEX appointments_patient ON appointments (organization_id, patient_id, booked_at_us);
