-- Who has a calendar link: a practitioner (1), a location (2) or a patient (3). The link is signed and kept nowhere; one
-- of an older generation no longer opens.
CREATE TABLE calendars (
    organization_id uuid NOT NULL,
    kind            smallint NOT NULL,
    subject         uuid NOT NULL,
    generation      integer NOT NULL,
    live            boolean NOT NULL,
    PRIMARY KEY (organization_id, kind, subject)
);

CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);
