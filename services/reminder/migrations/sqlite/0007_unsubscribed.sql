-- Patients who want no e-mails about what follows their visits; those about their appointments go on.
CREATE TABLE unsubscribed (
    organization_id    blob    NOT NULL,
    patient_id         blob    NOT NULL,
    unsubscribed_at_us integer NOT NULL,
    PRIMARY KEY (organization_id, patient_id)
);
