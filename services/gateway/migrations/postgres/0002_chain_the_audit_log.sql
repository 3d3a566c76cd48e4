-- The audit log as a chain: each line of an organisation holds the hash of the line before, so that a line which is changed,
-- deleted, inserted or moved by hand is found. The canonical form of a line is in README.md of the service.

CREATE TABLE audit_lines (
    organization_id uuid     NOT NULL,
    -- The place in the organisation's chain, from 1 without a gap.
    number          bigint   NOT NULL,
    at_us           bigint   NOT NULL,
    -- A key's id, `admin`, `patient`, `command_line`, or `nobody` without a valid key.
    caller          text     NOT NULL,
    -- The name of a person with a token of an OpenID provider; empty for others.
    person          text     NOT NULL,
    -- The id of the operation, `authenticate` or `lines_lost`.
    action          text     NOT NULL,
    -- The id of the resource, as asked; empty without one.
    target          text     NOT NULL,
    patient_id      uuid,
    -- HTTP status of the answer; 0 for a line of an earlier version.
    status          smallint NOT NULL,
    -- The query as asked, without its texts.
    filter          text     NOT NULL,
    -- The rows of a list; null for other answers.
    row_count       bigint,
    -- The requests for which the line stands.
    requests        bigint   NOT NULL,
    -- The client's address, where the request had no valid key.
    address         text     NOT NULL,
    previous_hash   bytea    NOT NULL,
    hash            bytea    NOT NULL,
    PRIMARY KEY (organization_id, number)
);

-- The end of each organisation's chain. Writers take turns by its row.
CREATE TABLE audit_chains (
    organization_id uuid   PRIMARY KEY,
    -- The first line with a hash; lines before it are of an earlier version.
    first_number    bigint NOT NULL,
    -- The last line and its hash.
    number          bigint NOT NULL,
    hash            bytea  NOT NULL
);

INSERT INTO audit_lines (organization_id, number, at_us, caller, person, action, target, patient_id, status, filter,
    row_count, requests, address, previous_hash, hash)
SELECT organization_id, row_number() OVER (PARTITION BY organization_id ORDER BY id), at_us, caller, '', action, target,
    patient_id, 0, '', NULL, 1, '', '\x'::bytea, '\x'::bytea
FROM audit;

INSERT INTO audit_chains (organization_id, first_number, number, hash)
SELECT organization_id, count(*) + 1, count(*), '\x'::bytea
FROM audit
GROUP BY organization_id;

DROP TABLE audit;

CREATE INDEX audit_lines_patient ON audit_lines (organization_id, patient_id, number);
CREATE INDEX audit_lines_caller ON audit_lines (organization_id, caller, number);
CREATE INDEX audit_lines_person ON audit_lines (organization_id, person, number) WHERE person <> '';
CREATE INDEX audit_lines_action ON audit_lines (organization_id, action, number);
CREATE INDEX audit_lines_at ON audit_lines (organization_id, at_us, number);
