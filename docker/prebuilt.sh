#!/bin/sh
# Makes the image of `timed` from programs that were built on this host, pulling nothing.
#
#   cargo build --release && docker/prebuilt.sh [IMAGE [FOLDER]]
#
# IMAGE is timed, FOLDER with the programs is target/release unless named. TIMED_BASE names the base image; without it that is
# timed-debian, which docker/debian-base.sh makes when it is absent.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
image=${1:-timed}
folder=$(cd "${2:-$here/../target/release}" && pwd)
base=${TIMED_BASE:-timed-debian}

for program in timed time-cli; do
    [ -x "$folder/$program" ] || { echo "prebuilt.sh: there is no $folder/$program: run cargo build --release" >&2; exit 1; }
done
docker image inspect "$base" >/dev/null 2>&1 || "$here/debian-base.sh" "$base"
# As a stream, so that the engine is sent these files only.
tar -cf - -C "$here" Dockerfile.prebuilt -C "$folder" timed time-cli |
    docker build --quiet --file Dockerfile.prebuilt --build-arg RUNTIME="$base" --tag "$image" -
