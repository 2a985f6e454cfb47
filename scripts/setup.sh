#!/usr/bin/env bash
# Makes .venv hold exactly what requirements.txt locks, and this project in editable form.
# A second run that finds nothing changed ends at once. PYTHON names another interpreter, VENV another directory.
# A checkout that was copied or moved with its .venv is told its new place: the scripts in it, and this project's
# entry, name the old one, and would run the code there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Certificates of a company's own proxy are known to the system, not to uv.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}

venv=${VENV:-.venv}
stamp=$venv/.autostream-setup
inputs=(requirements.txt pyproject.toml scripts/setup.sh)

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

fingerprint() { cat "${inputs[@]}" | sha256sum | cut -d' ' -f1; }
# What a set-up leaves: what it was made from, and where.
written() { printf '%s\n%s\n' "$(fingerprint)" "$PWD"; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3.11}" python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 was not found (looked for ${PYTHON:-python3.11}, python3, python). requirements.txt is locked for it:" \
        "install it (Debian 12: apt-get install python3 python3-venv python3-dev) or set PYTHON to its path."
}

have_krb5_headers() { command -v krb5-config >/dev/null; }
have_compiler() { command -v gcc >/dev/null || command -v cc >/dev/null; }
have_python_headers() {
    "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

# gssapi and krb5, which WebHDFS needs for Kerberos, are published as source only.
install_system_packages() {
    local python=$1 missing=()
    have_krb5_headers || missing+=(libkrb5-dev)
    have_compiler || missing+=(gcc libc6-dev)
    have_python_headers "$python" || missing+=(python3-dev)
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    ((${#missing[@]})) || return 0
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        say "installing the system packages ${missing[*]}"
        local log
        log=$(mktemp)
        if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
            "${missing[@]}"; } >"$log" 2>&1; then
            tail -n 20 "$log" >&2
            rm -f "$log"
            die "apt-get could not install ${missing[*]} (see above). Install them by hand, then run this again."
        fi
        rm -f "$log"
    else
        die "the system packages ${missing[*]} (their names on Debian and Ubuntu) are missing, and only root may install" \
            "them. Run: sudo apt-get install ${missing[*]}   then run this again."
    fi
}

# The lines of one package in requirements.txt, its hashes included.
locked() { awk -v name="$1" '/^[^ #]/ {on = index($0, name "==") == 1} on' requirements.txt; }

install_locked() {
    local python=$venv/bin/python
    say "installing $(grep -c '^[^ #].*==' requirements.txt) locked packages into $venv"
    # uv takes seconds where pip takes minutes; it is itself locked. What only pip knows (a pip.conf, say) may make pip
    # succeed where uv does not, so pip has the last word.
    if "$python" -m pip install -q --disable-pip-version-check --require-hashes -r <(locked uv) &&
        "$python" -m uv pip sync -q --python "$python" --require-hashes requirements.txt; then
        return
    fi
    say "uv could not install them; trying with pip"
    "$python" -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt ||
        die "the locked packages could not be installed (the reason is above)."
}

install_project() {
    # The build backend is locked too: nothing is downloaded outside the lock.
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . ||
        die "autostream itself could not be installed (the reason is above)."
}

# Have a copied or moved .venv know its place: scripts begin with the path of their interpreter.
relocate() {
    local old=$1 new
    new=$(cd "$venv" && pwd)
    case $venv in /*) return 1 ;; esac  # elsewhere: it was not copied with the checkout
    say "this checkout was copied or moved from $old: telling $venv"
    "$venv/bin/python" -S - "$old/$venv" "$new" <<'END'
import pathlib, sys
old, new = map(str.encode, sys.argv[1:])
venv = pathlib.Path(sys.argv[2])
for file in (venv / "pyvenv.cfg", *(venv / "bin").iterdir()):
    if file.is_file() and not file.is_symlink() and old in (text := file.read_bytes()):
        file.write_bytes(text.replace(old, new))
END
    install_project
}

main() {
    local python stamped=()
    [[ -f $stamp ]] && mapfile -t stamped <"$stamp"
    if [[ -x $venv/bin/python && ${stamped[0]:-} == "$(fingerprint)" ]]; then
        [[ ${stamped[1]:-} == "$PWD" ]] && return
        if [[ -n ${stamped[1]:-} ]] && relocate "${stamped[1]}"; then
            written >"$stamp"
            say "done: autostream runs from $PWD"
            return
        fi
    fi
    python=$(find_python)
    install_system_packages "$python"
    if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
        say "creating $venv with $("$python" --version): about 250 MB to download, 1.1 GB on disk, one to three minutes"
        "$python" -m venv --clear "$venv"
    fi
    install_locked
    install_project
    # Compiled once here. With PYTHONDONTWRITEBYTECODE each of Airflow's many processes would compile again. Templates
    # among the packages are no valid Python, hence no failure.
    "$venv/bin/python" -m compileall -q -j 0 "$venv"/lib/python3.11/site-packages >/dev/null 2>&1 || true
    written >"$stamp"
    say "done: $("$venv/bin/autostream" --version 2>/dev/null || echo autostream) is in $venv/bin"
}

main "$@"
