#!/bin/sh
# Makes .venv what requirements.lock says and installs this project into it, editable: creates the
# environment where it is missing, syncs it where a lock changed, and does nothing otherwise.
# Every failure is one line that says what would be right; the installers' output goes to the log.
#
#   tools/setup.sh            uses the first supported Python on PATH, or lets uv bring one
#   PYTHON=/path/to/python tools/setup.sh
set -eu

# A Git hook's variables name another repository; these settings of uv and Python would install
# elsewhere, or take packages from elsewhere, or are rules that the locks keep by themselves.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_OBJECT_DIRECTORY GIT_PREFIX \
    UV_TARGET UV_PREFIX UV_SYSTEM_PYTHON UV_PYTHON UV_CONSTRAINT UV_OVERRIDE UV_BUILD_CONSTRAINT \
    UV_NO_BINARY UV_NO_BUILD UV_NO_BUILD_ISOLATION UV_REQUIRE_HASHES UV_TORCH_BACKEND \
    UV_PROJECT UV_WORKING_DIR UV_WORKING_DIRECTORY \
    UV_PYTHON_PREFERENCE UV_MANAGED_PYTHON UV_NO_MANAGED_PYTHON \
    PYTHONHOME PYTHONPATH PYTHONUSERBASE PYTHONSAFEPATH PYTHONINSPECT PYTHONOPTIMIZE \
    PYTHONWARNINGS VIRTUAL_ENV
# Those of pip may also be in a file (pip.conf), which a variable goes before unless it is empty.
unset PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER=0 PIP_NO_DEPS=0 PIP_CONSTRAINT=/dev/null PIP_REQUIRE_VIRTUALENV=0 \
    PIP_NO_BINARY=:none: PIP_ONLY_BINARY=:none:

venv=.venv
log=$venv/setup.log
locked_stamp=$venv/.locked     # the checksum of the locks that were installed
project_stamp=$venv/.installed # the checksum of the project that was installed
locks="requirements-uv.lock requirements.lock"
pythons="python3 python3.13 python3.12 python3.11 python3.14"
room_gib=11 # the environment takes 7 GiB on Linux with CUDA's libraries, the study 3 GiB

fail() {
    echo "setup: $*" >&2
    exit 1
}

logged() { # runs a command; its output goes to the log
    "$@" >>"$log" 2>&1
}

install_failed() { # says what failed and where the log is; CI shows the log, which it does not keep
    [ -z "${CI:-}" ] || cat "$log" >&2
    reason=$(awk '
        /^ *(error|ERROR):/ { said = $0; next }
        /^ *(cause|Caused by):/ { sub(/^ */, "", $0); said = said ", " $0 }
        tolower($0) ~ /error/ { last = $0 }
        END { if (!said) said = last; sub(/^ */, "", said); print said }' "$log")
    fail "$1 could not be installed: ${reason:-no reason was given}; mend that and run the same" \
        "command again ($log has all that was printed)"
}

supported() { # prints nothing; succeeds where $1 is Python 3.11 to 3.14
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

usable() { # succeeds where the environment is of a supported Python, with what installs uv
    supported "$venv/bin/python" && { [ -x "$venv/bin/uv" ] || has_pip; }
}

has_pip() {
    "$venv/bin/python" -c 'import pip' 2>/dev/null
}

find_python() { # prints the first supported Python; fails where there is none
    for candidate in ${PYTHON:-$pythons}; do
        if command -v "$candidate" >/dev/null 2>&1 && supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

refuse_python() {
    python=${PYTHON:-python3}
    version="not found"
    ! command -v "$python" >/dev/null 2>&1 || version=$("$python" --version 2>&1 | head -n 1)
    fail "Python 3.11, 3.12, 3.13 or 3.14 is needed and $python is '$version';" \
        "install one and name it (make PYTHON=/path/to/python3.13 repro), or install uv, which brings one"
}

create_environment() {
    python=$(find_python) || python=
    [ -n "$python" ] || { [ -z "${PYTHON:-}" ] && command -v uv >/dev/null 2>&1; } || refuse_python
    free_kib=$(df -Pk . | awk 'NR == 2 { print $4 }')
    [ "$free_kib" -ge $((room_gib * 1024 * 1024)) ] ||
        fail "$room_gib GiB of free disk are needed here and $((free_kib / 1024 / 1024)) GiB are free; make room in $(pwd)"
    rm -rf "$venv"
    mkdir "$venv"
    if [ -n "$python" ]; then
        logged "$python" -m venv "$venv" ||
            fail "'$python -m venv $venv' failed ($log says why); install Python's venv module (Debian: apt install python3-venv)"
    else
        echo "setup: no supported Python is on PATH; uv brings Python 3.13" >&2
        logged uv venv --allow-existing --python 3.13 "$venv" || install_failed "Python 3.13"
    fi
    settle_environment
}

# A moved or copied checkout has its own: the scripts that activate the environment name its folder as
# it is now, and the programs that uv installs (relocatable) look for Python beside them.
settle_environment() {
    logged "$venv/bin/python" -m venv --without-pip "$venv" || install_failed "the environment"
    echo "relocatable = true" >>"$venv/pyvenv.cfg"
}

install_uv() { # the locked one; a Python that uv brought has no pip
    if has_pip; then
        logged "$venv/bin/python" -m pip install --disable-pip-version-check --require-hashes \
            -r requirements-uv.lock
    else
        logged uv pip install --python "$venv/bin/python" --require-hashes -r requirements-uv.lock
    fi
}

install_locked() {
    echo "setup: installing the locked requirements into $venv (about a minute where the network is fast)" >&2
    : >"$log"
    [ -x "$venv/bin/uv" ] || install_uv || install_failed "uv"
    [ -x "$venv/bin/uv" ] || fail "pip put uv elsewhere than into $venv, as its settings say" \
        "(pip config list has them); run: PIP_CONFIG_FILE=/dev/null make setup"
    # Compiled now, since some twenty short processes import torch and pandas in one study, and where
    # PYTHONDONTWRITEBYTECODE is set each of them would compile anew (6 s a stage instead of 3).
    # shellcheck disable=SC2086 # the list is meant to be split
    logged "$venv/bin/uv" pip sync --compile-bytecode --python "$venv/bin/python" --require-hashes $locks ||
        install_failed "the locked requirements"
    echo "$locked" >"$locked_stamp"
    rm -f "$project_stamp" # what no lock names was removed, this project too
}

install_project() { # fetches nothing: the build backend is a locked requirement
    settle_environment
    logged "$venv/bin/uv" pip install --no-config --offline --no-deps --no-build-isolation --reinstall \
        --python "$venv/bin/python" --editable . || install_failed "this project"
    echo "$project" >"$project_stamp"
}

# Make and an activated environment put its programs first on PATH; a Python or uv that creates the
# environment has to be another.
binaries=$(pwd -P)/$venv/bin
while [ "${PATH#"$binaries:"}" != "$PATH" ]; do PATH=${PATH#"$binaries:"}; done

command -v git >/dev/null 2>&1 || fail "git is needed and was not found on PATH; install it (Debian: apt install git)"
git_says=$(LC_ALL=C git rev-parse --git-dir 2>&1) || case $git_says in
*"not a git repository"*)
    fail "$(pwd) is not a Git checkout, which DVC needs; use 'git clone', or 'git init' here" ;;
*"dubious ownership"*)
    fail "$(pwd) belongs to another user, and Git refuses it; if you trust it:" \
        "git config --global --add safe.directory '$(pwd -P)'" ;;
*) fail "Git refuses $(pwd): $(echo "$git_says" | head -n 1)" ;;
esac

if git check-ignore --quiet --no-index dvc.yaml; then
    fail "the Git repository around $(pwd) ignores this folder, and DVC refuses what Git ignores;" \
        "use 'git init' here, or change that repository's .gitignore"
fi
case $(pwd -P) in *[:?]*)
    fail "$(pwd -P) has a ':' or '?', which PATH or SQLite's addresses cannot have; rename that folder" ;;
esac

[ -n "${HOME:-}" ] || getent passwd "$(id -u)" >/dev/null 2>&1 ||
    fail "HOME is not set, and this user has no home, where DVC looks for settings; run: HOME=/tmp make …"

# shellcheck disable=SC2086 # the list is meant to be split
locked=$(cat $locks | cksum)
project=$({ pwd && cat pyproject.toml vanishing/version.py; } | cksum)
# uv's cache needs another place where the home cannot be written, as that of a service's user.
mkdir -p "${XDG_CACHE_HOME:-${HOME:-}/.cache}" 2>/dev/null ||
    export UV_CACHE_DIR="${UV_CACHE_DIR:-$venv/cache}"
usable || create_environment
[ "$(cat "$locked_stamp" 2>/dev/null)" = "$locked" ] || install_locked
[ "$(cat "$project_stamp" 2>/dev/null)" = "$project" ] || install_project
