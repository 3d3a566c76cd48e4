-- The roles of a PostgreSQL database for Meridian. An administrator runs this once in the new database, and again after any
-- change; it may run any number of times. It also hands over the tables of an installation that had one role for everything.
--
--   psql -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql 'postgres://admin@host/meridian'
--
-- `meridian_migrate` owns everything, and `meridian migrate` alone uses it. Each service has a login role that owns nothing.
-- None is a superuser or bypasses row-level security, so PostgreSQL itself keeps organisations apart.
--
-- Passwords are read from MIGRATE_PASSWORD, AVAILABILITY_PASSWORD, BOOKING_PASSWORD, GATEWAY_PASSWORD and REMINDER_PASSWORD of
-- the environment. A role whose variable is not set keeps its password; a new one has none, for certificates or peer login.

\set ON_ERROR_STOP on
\getenv migrate_password MIGRATE_PASSWORD
\getenv availability_password AVAILABILITY_PASSWORD
\getenv booking_password BOOKING_PASSWORD
\getenv gateway_password GATEWAY_PASSWORD
\getenv reminder_password REMINDER_PASSWORD

-- Roles

SELECT format('CREATE ROLE meridian_%s', name)
FROM unnest(ARRAY['migrate', 'availability', 'booking', 'gateway', 'reminder']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'meridian_' || name)
\gexec
SELECT format('ALTER ROLE meridian_%s LOGIN NOCREATEDB NOCREATEROLE', name)
FROM unnest(ARRAY['migrate', 'availability', 'booking', 'gateway', 'reminder']) AS name
\gexec
-- Only a superuser may change these, and only where someone has given them.
SELECT format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOREPLICATION', rolname)
FROM pg_roles
WHERE rolname IN ('meridian_migrate', 'meridian_availability', 'meridian_booking', 'meridian_gateway', 'meridian_reminder')
    AND (rolsuper OR rolbypassrls OR rolreplication)
\gexec
\if :{?migrate_password}
ALTER ROLE meridian_migrate PASSWORD :'migrate_password';
\endif
\if :{?availability_password}
ALTER ROLE meridian_availability PASSWORD :'availability_password';
\endif
\if :{?booking_password}
ALTER ROLE meridian_booking PASSWORD :'booking_password';
\endif
\if :{?gateway_password}
ALTER ROLE meridian_gateway PASSWORD :'gateway_password';
\endif
\if :{?reminder_password}
ALTER ROLE meridian_reminder PASSWORD :'reminder_password';
\endif
-- An administrator who is no superuser makes objects for the role as its member.
GRANT meridian_migrate TO CURRENT_USER;

-- The database

GRANT CONNECT ON DATABASE :"DBNAME"
TO meridian_migrate, meridian_availability, meridian_booking, meridian_gateway, meridian_reminder;
-- Booking's exclusion constraint needs it.
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;

-- Schemas, and what earlier roles have made in them

CREATE TEMP TABLE meridian_schemas AS SELECT unnest(ARRAY['availability', 'booking', 'gateway', 'reminder']) AS name;
SELECT format('CREATE SCHEMA IF NOT EXISTS %I', name) FROM meridian_schemas
\gexec
SELECT format('ALTER SCHEMA %I OWNER TO meridian_migrate', name) FROM meridian_schemas
\gexec
SELECT format('ALTER TABLE %s OWNER TO meridian_migrate', c.oid::regclass)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN meridian_schemas s ON s.name = n.nspname
WHERE c.relkind IN ('r', 'p', 'v') AND pg_get_userbyid(c.relowner) <> 'meridian_migrate'
\gexec
SELECT format('ALTER ROUTINE %s OWNER TO meridian_migrate', p.oid::regprocedure)
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN meridian_schemas s ON s.name = n.nspname
WHERE pg_get_userbyid(p.proowner) <> 'meridian_migrate'
\gexec

-- What each service may do, now and with what later migrations make

SELECT format(
    'GRANT USAGE ON SCHEMA %1$I TO meridian_%1$s;'
    'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %1$I TO meridian_%1$s;'
    'GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %1$I TO meridian_%1$s;'
    'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %1$I TO meridian_%1$s;'
    'ALTER DEFAULT PRIVILEGES FOR ROLE meridian_migrate IN SCHEMA %1$I'
    ' GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO meridian_%1$s;'
    'ALTER DEFAULT PRIVILEGES FOR ROLE meridian_migrate IN SCHEMA %1$I'
    ' GRANT USAGE, SELECT ON SEQUENCES TO meridian_%1$s;'
    'ALTER DEFAULT PRIVILEGES FOR ROLE meridian_migrate IN SCHEMA %1$I'
    ' GRANT EXECUTE ON FUNCTIONS TO meridian_%1$s', name)
FROM meridian_schemas
\gexec
-- What each session begins with: a service asks for the same when it connects, but a pooler may not forward that

SELECT format('ALTER ROLE meridian_%s IN DATABASE %I SET %s', name, current_database(), setting)
FROM meridian_schemas, unnest(ARRAY[
    format('search_path = %I, public', name),
    'idle_in_transaction_session_timeout = ''10s''',
    'statement_timeout = ''30s''',
    'lock_timeout = ''10s''',
    'jit = off'
]) AS setting
\gexec
DROP TABLE meridian_schemas;
