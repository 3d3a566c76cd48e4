-- Whether a message was sent once more since nobody knew whether it was sent.
ALTER TABLE messages ADD COLUMN repeated boolean NOT NULL DEFAULT false;
