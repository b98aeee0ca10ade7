#!/bin/sh
# Stands for the entry point of the postgres image: makes the cluster on first start, with POSTGRES_PASSWORD, then serves.
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
PATH="$bin:$PATH"
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  printf '%s' "$POSTGRES_PASSWORD" > "$PGDATA.password"
  initdb --username="${POSTGRES_USER:-postgres}" --pwfile="$PGDATA.password" --auth-host=scram-sha-256 --no-locale -E UTF8 -D "$PGDATA"
  rm "$PGDATA.password"
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  if [ -n "${POSTGRES_DB:-}" ] && [ "$POSTGRES_DB" != postgres ]; then
    echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -D "$PGDATA" postgres >/dev/null
  fi
fi
exec "$@"
