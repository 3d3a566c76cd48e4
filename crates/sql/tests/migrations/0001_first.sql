CREATE TABLE first (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
