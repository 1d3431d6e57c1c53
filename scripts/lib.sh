# shellcheck shell=bash
# What the scripts share: how they tell, how they fail, and how each kind of package is installed.
# Sourced, never run. Every failure is one line: what went wrong, and the remedy.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
LOGS="$ROOT/run/logs"
BIN="$VENV/bin"
export PATH="$PATH:/usr/games:/usr/local/games" # where Debian puts the game server
export PIP_DISABLE_PIP_VERSION_CHECK=1

# Models are kept in the home folder; a machine without one keeps them in the checkout.
[ -n "${HOME:-}" ] || export HOME="$ROOT/run/home"
mkdir -p "$HOME" "$LOGS"

step() { printf '==> %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# logged NAME TEXT COMMAND...: runs COMMAND with its output in run/logs/NAME.log.
logged() {
    local log="$LOGS/$1.log" text="$2"
    shift 2
    step "$text"
    "$@" >"$log" 2>&1 </dev/null || fail "$text: $(reason "$log")"
}

# reason LOG: what a package manager's log says went wrong, with the remedy.
reason() {
    if grep -qE 'Could not get lock|Unable to acquire the dpkg' "$1"; then
        echo "another package manager is at work: wait until it is done, then run this again"
    elif grep -qE 'No space left on device' "$1"; then
        echo "the disk is full: make room, then run this again"
    elif grep -qE 'resolution|Could not resolve|NewConnectionError|Failed to establish|ENOTFOUND|EAI_AGAIN|Connection timed out|Failed to fetch|network is unreachable' "$1"; then
        echo "no network: connect this machine (or set its proxy), then run this again; details in $1"
    else
        echo "$(grep -E '^(E: |ERROR: |npm error )|[Ee]rror:' "$1" | head -1 | cut -c1-300) (all of it in $1)"
    fi
}

# need_disk FOLDER MB WHAT: refuses before anything is half-made.
need_disk() {
    local free
    free="$(df -Pm "$1" | awk 'NR == 2 { print $4 }')"
    [ "$free" -ge "$2" ] || fail "$3 needs $2 MB in $1, where $free MB are free: make room, then run this again"
}

# as_root COMMAND...: by sudo where the user is not root.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ -t 2 ]; then
        sudo "$@" # may ask for the password
    else
        sudo -n "$@"
    fi
}

# apt_install PACKAGE...: the missing ones among them.
apt_install() {
    local package missing=()
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local by_hand="install by hand: apt-get install ${missing[*]}"
    have apt-get || fail "this system has no apt-get: get the like of ${missing[*]} from its own packages"
    [ "$(id -u)" = 0 ] || have sudo || fail "neither root nor sudo: as root, $by_hand"
    # Without lists apt knows no package; old ones lead to files that are gone.
    if ! apt-get install --simulate "${missing[@]}" >/dev/null 2>&1; then
        logged apt-update "updating the package lists" as_root apt-get update
    fi
    logged apt-install "installing ${missing[*]}" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=120 "${missing[@]}"
}

# pip_install NAME PACKAGE...: into the virtual environment.
pip_install() {
    local name="$1"
    shift
    logged "pip-$name" "installing Python packages ($name)" "$BIN/python" -m pip install --quiet "$@"
}

# find_python: a Python of 3.11 or newer.
find_python() {
    local python
    for python in python3.11 python3.12 python3.13 python3; do
        if have "$python" && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    fail "needs Python 3.11 or newer, found $(python3 --version 2>&1 | head -1): install python3.11"
}

# find_game_server: the first server on the PATH; clients can serve as well.
find_game_server() {
    local name
    for name in luantiserver minetestserver luanti minetest; do
        if have "$name"; then
            command -v "$name"
            return
        fi
    done
    return 1
}
