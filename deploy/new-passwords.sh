#!/bin/sh
# Prints an environment file for compose with fresh passwords: sh deploy/new-passwords.sh > deploy/.env
set -eu
umask 077
for name in ADMIN PROCESSES UPSTREAM READONLY GRAFANA; do
  echo "${name}_PASSWORD=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
done
echo "# The model. Without these, start the stand-in: docker compose --profile offline up"
echo "OPENAI_API_KEY="
echo "OPENAI_BASE_URL="
