-- no-transaction
-- What is being sent, among all that is due: a crowd must not hide who has stopped. Without a lock on those who write.
CREATE INDEX CONCURRENTLY IF NOT EXISTS messages_sending ON messages (wake_at_us) WHERE status = 'sending';
