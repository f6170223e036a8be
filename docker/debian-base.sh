#!/bin/sh
# Makes a Debian base image where none can be pulled: the release that this host runs, from the mirror that this host uses, so that a
# program built here finds the same system libraries there.
#
#   docker/debian-base.sh [IMAGE]          IMAGE is timed-debian unless named
#
# DEBIAN_SUITE and DEBIAN_MIRROR name another release or mirror. Ends with 3, and says why, where no image can be made.
set -eu

image=${1:-timed-debian}

cannot() {
    echo "debian-base.sh: $1" >&2
    exit 3
}

[ "$(id -u)" = 0 ] || cannot "only root can unpack a system: run it as root"
[ -r /etc/os-release ] && . /etc/os-release
suite=${DEBIAN_SUITE:-${VERSION_CODENAME:-}}
[ -n "$suite" ] || cannot "this host names no Debian release: set DEBIAN_SUITE, such as bookworm"

mirror=${DEBIAN_MIRROR:-}
if [ -z "$mirror" ] && command -v apt-get >/dev/null; then
    mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
        awk -v suite="$suite" '$1 == suite { print $2; exit }')
fi
[ -n "$mirror" ] || cannot "this host's apt has no mirror of $suite: set DEBIAN_MIRROR"

if ! command -v debootstrap >/dev/null; then
    command -v apt-get >/dev/null || cannot "debootstrap is needed: install it"
    echo "debian-base.sh: installing debootstrap" >&2
    if ! { apt-get -qq update && apt-get -qq install -y --no-install-recommends debootstrap; } >&2; then
        cannot "debootstrap is needed and could not be installed"
    fi
fi
[ -e "/usr/share/debootstrap/scripts/$suite" ] || cannot "debootstrap does not know the release $suite: set DEBIAN_SUITE"

# debootstrap fetches by itself; a proxy that apt is set to counts for it too.
if [ -z "${http_proxy:-}" ] && command -v apt-config >/dev/null; then
    eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
    case ${http_proxy:-} in http*) export http_proxy ;; esac
fi

root=$(mktemp -d)
tidy() {
    # Left behind only by a debootstrap that was cut off.
    for mount in proc sys; do
        umount "$root/$mount" 2>/dev/null || true
    done
    rm -rf --one-file-system "$root"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

echo "debian-base.sh: making $image from $suite of $mirror" >&2
if ! debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1; then
    tail -n 5 "$root.log" >&2
    rm -f "$root.log"
    cannot "debootstrap failed: is the mirror reachable?"
fi
rm -f "$root.log"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/doc/* "$root"/usr/share/man/* \
    "$root"/usr/share/locale/*
tar --numeric-owner --one-file-system -C "$root" -cf - . | docker import --change 'CMD ["bash"]' - "$image" >/dev/null
echo "debian-base.sh: made $image" >&2
