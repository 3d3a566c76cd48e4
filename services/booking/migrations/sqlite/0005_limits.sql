-- Where a practitioner's time is spent, and on what: caps and the road between two locations are counted by them.
ALTER TABLE claims ADD COLUMN location_id blob;
ALTER TABLE claims ADD COLUMN needling boolean NOT NULL DEFAULT false;
