-- The message for which this one stands in, since that could not reach its patient on its own channel.
ALTER TABLE messages ADD COLUMN instead_of uuid;
