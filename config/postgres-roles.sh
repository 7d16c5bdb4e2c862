#!/bin/sh
# Runs once, when the database of docker-compose.yml is made: the same two roles as config/runtime.py makes. One
# migrates, the other serves and may neither make nor alter tables.
set -eu
psql -v ON_ERROR_STOP=1 --username postgres \
     -v owner_password="$DATABASE_OWNER_PASSWORD" -v app_password="$DATABASE_APP_PASSWORD" <<'SQL'
CREATE ROLE registry_owner LOGIN NOBYPASSRLS PASSWORD :'owner_password';
CREATE ROLE registry_app LOGIN NOBYPASSRLS PASSWORD :'app_password';
CREATE DATABASE registry OWNER registry_owner;
REVOKE ALL ON DATABASE registry FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE registry TO registry_app;
SQL
