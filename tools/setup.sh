#!/bin/sh
# Makes .venv what requirements.lock says: creates it if it is missing, syncs it if a lock changed,
# and otherwise does nothing. Every failure is one line that says what would be right.
#
#   tools/setup.sh            uses the first supported Python on PATH
#   PYTHON=/path/to/python tools/setup.sh
set -eu

venv=.venv
stamp=$venv/.synced
locks="requirements-uv.lock requirements.lock"
room_gib=11 # the environment takes 7 GiB on Linux with CUDA's libraries, the study 3 GiB

fail() {
    echo "setup: $*" >&2
    exit 1
}

supported() { # prints nothing; succeeds where $1 is Python 3.11 to 3.13
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if command -v "$candidate" >/dev/null 2>&1 && supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    found=$("${PYTHON:-python3}" --version 2>&1 | head -n 1) || found="no Python"
    fail "Python 3.11, 3.12 or 3.13 is needed and ${PYTHON:-python3} is '$found';" \
        "install one and name it: make PYTHON=/path/to/python3.12 repro"
}

command -v git >/dev/null 2>&1 || fail "git is needed and was not found on PATH; install it (Debian: apt install git)"
git rev-parse --git-dir >/dev/null 2>&1 ||
    fail "$(pwd) is not a Git checkout, which DVC needs; use 'git clone', or 'git init' here"

# shellcheck disable=SC2086 # the list is meant to be split
wanted=$(cat $locks | cksum)
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && supported "$venv/bin/python"; then
    exit 0
fi

python=$(find_python)
if [ ! -x "$venv/bin/uv" ]; then
    free_kib=$(df -Pk . | awk 'NR == 2 { print $4 }')
    [ "$free_kib" -ge $((room_gib * 1024 * 1024)) ] ||
        fail "$room_gib GiB of free disk are needed here and $((free_kib / 1024 / 1024)) GiB are free; make room in $(pwd)"
fi
if [ ! -x "$venv/bin/python" ] || ! supported "$venv/bin/python"; then
    rm -rf "$venv"
    "$python" -m venv "$venv" >/dev/null 2>&1 ||
        fail "'$python -m venv $venv' failed; install Python's venv module (Debian: apt install python3-venv)"
fi
echo "setup: installing the locked requirements into $venv (about a minute where the network is fast)" >&2
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock ||
    fail "uv could not be installed (see above); check the network and run the same command again"
# Compiled now, since some twenty short processes import torch and pandas in one study, and where
# PYTHONDONTWRITEBYTECODE is set each of them would compile anew (6 s a stage instead of 3).
# shellcheck disable=SC2086
"$venv/bin/uv" pip sync --compile-bytecode --python "$venv/bin/python" --require-hashes $locks ||
    fail "the locked requirements could not be installed (see above); run the same command again"
echo "$wanted" >"$stamp"
