# Shared by the set-up scripts: how they speak, and how they become root. Sourced, not run.

say() { printf '%s\n' "landline: $*"; }

# fail SENTENCE [REMEDY…]: what went wrong, then what to do about it.
fail() {
    printf '%s\n' "landline: $1" >&2
    shift
    for remedy in "$@"; do printf '%s\n' "          $remedy" >&2; done
    exit 1
}

# Debian keeps servers where an ordinary user's PATH does not look.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# apt_install PACKAGE…: through apt-get as root, or say why not and what to do by hand.
apt_install() {
    local remedy="Install by hand what provides: $*" as_root=()
    command -v apt-get >/dev/null || fail "missing here: $*; and there is no apt-get to install it with." "$remedy"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "missing here: $*; and installing needs root." \
            "As root: apt-get install --no-install-recommends $*"
        as_root=(sudo)
    fi
    say "installing from Debian: $* (apt-get${as_root[*]:+ through ${as_root[*]}})"
    local log
    log=$(mktemp)
    # An image's package lists are often absent or stale, so they are fetched first.
    if ! { "${as_root[@]}" apt-get update -q &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } \
        >"$log" 2>&1 </dev/null; then
        tail -n 25 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install: $*; its last lines are above." "$remedy, then run make again."
    fi
    rm -f "$log"
}
