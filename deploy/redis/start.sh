#!/bin/sh
# Becomes a Redis server with Trunkline's users; more arguments are handed on to it.
#
# ADMIN_PASSWORD, PROCESSES_PASSWORD, UPSTREAM_PASSWORD, READONLY_PASSWORD   of the users of users.acl.template
# TRUNKLINE_NAMESPACE (trunkline)      the first part of all keys, which the users are limited to
# REDIS_MAXMEMORY (1gb)                leave the file's rewriting as much again
# REDIS_SERVER (valkey-server), DATA (/data)
#
# The server is told hashes, in a file that only its own user can read.
set -eu

folder=$(cd "$(dirname "$0")" && pwd)
data=${DATA:-/data}

hash_of() {
  eval "password=\${$1:-}"
  [ "${#password}" -ge 16 ] || { echo "$1: set a password of 16 characters or more" >&2; exit 2; }
  printf %s "$password" | sha256sum | cut -c 1-64
}

admin=$(hash_of ADMIN_PASSWORD)
processes=$(hash_of PROCESSES_PASSWORD)
upstream=$(hash_of UPSTREAM_PASSWORD)
readonly_=$(hash_of READONLY_PASSWORD)

umask 077
sed -e "s/@ADMIN@/$admin/; s/@PROCESSES@/$processes/; s/@UPSTREAM@/$upstream/; s/@READONLY@/$readonly_/" \
  -e "s/@NS@/{${TRUNKLINE_NAMESPACE:-trunkline}}/g" "$folder/users.acl.template" >"$data/users.acl"
unset ADMIN_PASSWORD PROCESSES_PASSWORD UPSTREAM_PASSWORD
exec "${REDIS_SERVER:-valkey-server}" "$folder/redis.conf" --dir "$data" --aclfile "$data/users.acl" \
  --maxmemory "${REDIS_MAXMEMORY:-1gb}" "$@"
