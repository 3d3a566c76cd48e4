-- By whom an attempt went; empty for those from before this was kept.
ALTER TABLE attempts ADD COLUMN provider text NOT NULL DEFAULT '';

-- The attempt whose name is the key of the last one: attempts that a provider seemed not to take are one by their key.
ALTER TABLE messages ADD COLUMN key_attempt integer NOT NULL DEFAULT 0;
-- Whether the last provider may hold the message, though it seemed not to take it: nobody else is given it.
ALTER TABLE messages ADD COLUMN held boolean NOT NULL DEFAULT false;
-- The provider that is asked next; empty: the first one.
ALTER TABLE messages ADD COLUMN next_way text NOT NULL DEFAULT '';

-- Only this provider keeps count by keys. Of what is over, a late report speaks for its own attempt.
UPDATE messages SET key_attempt = attempts - tries
    + CASE WHEN status = 'scheduled' AND reason = 'provider_busy' THEN 1 ELSE 0 END,
    held = (status = 'scheduled' AND reason = 'provider_busy')
WHERE wake_at_us IS NOT NULL AND provider = 'http' AND attempts > 0;
