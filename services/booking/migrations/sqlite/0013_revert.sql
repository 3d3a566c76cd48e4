-- When the patient was marked as missed.
ALTER TABLE appointments ADD COLUMN noshow_at_us integer;
-- JSON of the claims that a cancelled or missed appointment had, for a revert; NULL for any other appointment.
ALTER TABLE appointments ADD COLUMN freed_claims text;
