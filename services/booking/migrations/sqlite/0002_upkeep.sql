-- What upkeep looks for, and what a booking replaces: without these each of them reads a whole table.
CREATE INDEX claims_end ON claims (ends_at_us);
CREATE INDEX changes_age ON changes (changed_at_us);
CREATE INDEX manage_links_appointment ON manage_links (organization_id, appointment_id);
CREATE INDEX manage_links_expiry ON manage_links (expires_at_us);
CREATE INDEX groups_end ON groups (ends_at_us);
