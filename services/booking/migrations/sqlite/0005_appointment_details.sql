-- How it was booked: `online`, `staff`, or empty where that is not known.
ALTER TABLE appointments ADD COLUMN channel text NOT NULL DEFAULT '';
-- The caller that booked it.
ALTER TABLE appointments ADD COLUMN created_by text NOT NULL DEFAULT '';
-- When the patient arrived, the visit began, it was completed, it was cancelled.
ALTER TABLE appointments ADD COLUMN arrived_at_us integer;
ALTER TABLE appointments ADD COLUMN started_at_us integer;
ALTER TABLE appointments ADD COLUMN completed_at_us integer;
ALTER TABLE appointments ADD COLUMN cancelled_at_us integer;
-- The id in a system of the clinic's own.
ALTER TABLE appointments ADD COLUMN external_id text NOT NULL DEFAULT '';
-- JSON object of the clinic's own pairs.
ALTER TABLE appointments ADD COLUMN custom text NOT NULL DEFAULT '{}';
