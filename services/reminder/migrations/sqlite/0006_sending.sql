-- What is being sent, among all that is due: a crowd must not hide who has stopped.
CREATE INDEX messages_sending ON messages (wake_at_us) WHERE status = 'sending';
