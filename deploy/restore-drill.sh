#!/bin/sh
# Restores a backup into a new place, checks all of it, and takes the place away again: run it once a month.
#   restore-drill.sh BACKUP.tar.gz [URL]      URL: an empty PostgreSQL database, for a backup made of PostgreSQL
set -eu
backup=$1
SECONDREAD_DATABASE=${2:-}
export SECONDREAD_DATABASE
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

secondread restore "$backup" --data-folder "$place/data"
secondread db status --data-folder "$place/data"
secondread trail verify --data-folder "$place/data"
secondread user list --data-folder "$place/data"
echo "restored and checked: $backup"
