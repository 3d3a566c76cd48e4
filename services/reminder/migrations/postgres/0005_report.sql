-- Whether a patient wrote about a visit, for the report on reminders.
CREATE INDEX inbound_appointment ON inbound (organization_id, appointment_id) WHERE appointment_id IS NOT NULL;
-- What waits for a person anywhere, which is counted every minute.
CREATE INDEX inbound_unread ON inbound (received_at_us) WHERE attention <> '' AND read_at_us IS NULL;
