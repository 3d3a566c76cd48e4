-- Patients who want no e-mails about what follows their visits; those about their appointments go on.
CREATE TABLE unsubscribed (
    organization_id    uuid   NOT NULL,
    patient_id         uuid   NOT NULL,
    unsubscribed_at_us bigint NOT NULL,
    PRIMARY KEY (organization_id, patient_id)
);
