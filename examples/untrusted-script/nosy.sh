#!/bin/bash
# Tries what a malicious script tries: keys of any home, the network, the directory it lies in, other processes.
#
#   nosy.sh [HOST PORT [HOME...]]
#
# Prints a line for each try. The status is the number of tries that worked: 0 in the sandbox, more outside.
host=${1:-example.com} port=${2:-443}
shift $(($# < 2 ? $# : 2))
worked=0

try() {
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then
        echo "WORKED   $what"
        worked=$((worked + 1))
    else
        echo "refused  $what"
    fi
}

for home in "$HOME" /root /home/* "$@"; do
    try "list $home/.ssh" ls "$home/.ssh"
    try "read $home/.ssh/id_ed25519" cat "$home/.ssh/id_ed25519"
done
try "connect to $host port $port" timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$host" "$port"
try "write beside the script" touch "${BASH_SOURCE%/*}/was-here"
try "write to /usr/local/bin" test -w /usr/local/bin
try "see the process that started it" test -e "/proc/$PPID/environ" -a "$PPID" -ne 1
exit "$worked"
