-- A proof of a telephone number or an e-mail address: a code was sent there, and comes back.
CREATE TABLE verifications (
    organization_id uuid   NOT NULL,
    id              uuid   NOT NULL,
    -- `sms` or `email`.
    channel         text   NOT NULL,
    -- SHA-256 of the address.
    address_hash    bytea  NOT NULL,
    -- SHA-256 of the id and the code.
    code_hash       bytea  NOT NULL,
    -- Tries that are left; 0 once the code was right.
    tries_left      integer NOT NULL,
    caller          text   NOT NULL,
    -- The visitor of the front end, as `rpc::Visitor` writes it; empty for staff.
    visitor         text   NOT NULL,
    created_at_us   bigint NOT NULL,
    expires_at_us   bigint NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX verifications_recipient ON verifications (organization_id, address_hash, created_at_us);
CREATE INDEX verifications_visitor ON verifications (organization_id, caller, visitor, created_at_us);
CREATE INDEX verifications_age ON verifications (created_at_us);
