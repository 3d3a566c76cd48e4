-- SQLite has no policies: this keeps the numbers of both engines alike.
SELECT 1;
