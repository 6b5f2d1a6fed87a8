#!/usr/bin/env bash
# Builds the Debian package from programs that are already built: `packaging/deb.sh BUILD REVISION`.
#
# packaging/debian is the package's source, but for its changelog, which is written here so that the
# version stands in one place (Sources/Service/Version.swift). All happens in .build/deb, where the
# package is at the end; the tree stays clean.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD build=$(realpath "$1") revision=$2

version=$(sed -n 's/.* text = "\(.*\)"$/\1/p' Sources/Service/Version.swift)
if [ "$("$build/sluice" --version 2>&1)" != "sluice $version" ]; then
  echo "deb: $build/sluice is not version $version: make build" >&2
  exit 1
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH SLUICE_ROOT=$root SLUICE_BUILD=$build

stage=.build/deb/sluice
rm -rf .build/deb
mkdir -p "$stage"
cp -r packaging/debian "$stage/debian"
cat >"$stage/debian/changelog" <<CHANGELOG
sluice ($version-$revision) unstable; urgency=medium

  * Built from version $version; see changelog.gz for what it brings.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
CHANGELOG

(cd "$stage" && dpkg-buildpackage --build=binary --no-sign) >.build/deb/log 2>&1 || {
  tail -30 .build/deb/log >&2
  exit 1
}
ls .build/deb/*.deb
