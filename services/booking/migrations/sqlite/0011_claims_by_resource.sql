-- SQLite has this index from the start: this keeps the numbers of both engines alike.
SELECT 1;
