-- SQLite's guard is a trigger: this keeps the numbers of both engines alike.
SELECT 1;
