# shellcheck shell=sh
# Sourced by bin/run and bin/test, in the project's directory: makes .venv what uv.lock says. Needs Python and nothing else.

UV_VERSION=0.13.9
TOOLS=var/tools

fail() {
    echo "error: $1" >&2
    exit 1
}

can_apt() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1
}

apt_install() {
    echo "installing $* with apt-get …" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 || {
        apt-get update -qq >/dev/null 2>&1
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    }
}

# Sets PYTHON to a Python that fits; a name alone proves nothing, version managers put shims that end in an error.
find_python() {
    for PYTHON in .venv/bin/python python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
        if "$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; then
            return 0
        fi
    done
    return 1
}

need_python() {
    find_python && return 0
    if can_apt; then apt_install python3 python3-venv || true; fi
    find_python || fail "Postern needs Python 3.11, 3.12 or 3.13 (Debian, Ubuntu: apt install python3 python3-venv)"
}

# Sets UV to a uv that runs: the one on PATH, else a private one from PyPI.
find_uv() {
    for UV in uv "$PWD/$TOOLS/bin/uv" "$PWD/$TOOLS/lib/bin/uv"; do
        if "$UV" --version >/dev/null 2>&1; then return 0; fi
    done
    return 1
}

need_uv() {
    find_uv && return 0
    echo "installing uv into $TOOLS (first start only) …" >&2
    private_uv || { can_apt && apt_install python3-venv python3-pip && private_uv; } || true
    find_uv || fail "uv could not be installed; install it (https://docs.astral.sh/uv/) or, on Debian and Ubuntu, python3-venv"
}

private_uv() {
    mkdir -p "$TOOLS" || return 1
    { "$PYTHON" -m venv "$TOOLS" && "$TOOLS/bin/python" -m pip install --quiet "uv==$UV_VERSION"; } \
        >"$TOOLS/uv.log" 2>&1 && return 0
    "$PYTHON" -m pip install --quiet --target "$TOOLS/lib" "uv==$UV_VERSION" >>"$TOOLS/uv.log" 2>&1
}

# What the extra [ldap] is compiled with: there is no ready-made python-ldap.
LDAP_BUILD="gcc libc6-dev libldap-dev libsasl2-dev python3-dev"

can_build_ldap() {
    command -v gcc >/dev/null 2>&1 && find_python &&
        printf '#include <Python.h>\n#include <ldap.h>\n#include <sasl/sasl.h>\n' |
        gcc -E -I "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')" - >/dev/null 2>&1
}

has_ldap() {
    .venv/bin/python -c 'import ldap, django_auth_ldap' >/dev/null 2>&1
}

need_ldap_build() {
    if has_ldap || can_build_ldap; then return 0; fi
    # shellcheck disable=SC2086 # one word each
    if can_apt; then apt_install $LDAP_BUILD || true; fi
    can_build_ldap || fail "directories (LDAP) need $LDAP_BUILD to be set up; on Debian and Ubuntu: sudo apt install $LDAP_BUILD"
}

# need_packages GROUP: `run` (what the product needs), `ldap` (and what directories need) or `dev` (and what its tests need).
# Does nothing when nothing changed.
need_packages() {
    if find_python; then
        STATE="$(cat uv.lock pyproject.toml cli/pyproject.toml | cksum) $("$PYTHON" -V 2>&1)"
        case $1 in run) stamps="run ldap dev" ;; ldap) stamps="ldap dev" ;; *) stamps=dev ;; esac
        for stamp in $stamps; do
            [ -x .venv/bin/python ] && [ "$(cat ".venv/.postern-$stamp" 2>/dev/null)" = "$STATE" ] && return 0
        done
    fi
    need_python
    STATE="$(cat uv.lock pyproject.toml cli/pyproject.toml | cksum) $("$PYTHON" -V 2>&1)"
    if [ -d .venv ]; then [ -w .venv ]; else [ -w . ]; fi || fail "$PWD is not writable, and the packages go to .venv in it"
    need_uv
    [ -x .venv/bin/python ] && again="they have changed" || again="first start only"
    echo "installing the packages into .venv ($again) …" >&2
    # --inexact: what a developer added stays. uv's own lines are shown only when it fails.
    case $1 in
    # What uses directories goes on doing so: the extra stays in step with the rest.
    run) if has_ldap; then set -- run --no-dev --inexact --extra ldap; else set -- run --no-dev --inexact; fi ;;
    ldap) set -- ldap --no-dev --inexact --extra ldap ;;
    dev) set -- dev --all-extras ;;
    esac
    STAMP=".venv/.postern-$1"
    shift
    if ! problem=$(UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv UV_NO_PROGRESS=1 \
        "$UV" sync --quiet --frozen --python "$PYTHON" "$@" 2>&1); then
        echo "$problem" >&2
        fail "the packages could not be installed; uv's words are above"
    fi
    printf '%s\n' "$STATE" >"$STAMP"
}
