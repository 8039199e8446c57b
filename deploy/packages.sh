#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that a task needs and that are missing.
# This is the one place that lists them.
#
#   deploy/packages.sh GROUP...           build, run, test, e2e, image
#   deploy/packages.sh --list GROUP...    only name them
#
# Without root rights it tries sudo, and else says which command to run.
# Optional packages, which not every release has, are installed where they
# exist and named where they do not: only what they would do is missing then.
set -euo pipefail

required=() optional=() list=
if [ "${1:-}" = --list ]; then
  list=1
  shift
fi
for group in "$@"; do
  case $group in
    build) # the compiler, headers (libretro.h is in retroarch-dev), libyuv and Opus to link
      required+=(gcc libc6-dev retroarch-dev libyuv-dev libopus-dev libx264-dev libopenh264-dev) ;;
    run) # cores; the encoders came with their headers, see build
      required+=(libretro-nestopia)
      optional+=(libretro-gambatte libretro-mgba libretro-bsnes-mercury-balanced
        libretro-beetle-pce-fast libretro-beetle-vb libretro-beetle-wswan) ;;
    test) # node for the page's tests, cc65 and ffmpeg to check what is built against
      required+=(nodejs)
      optional+=(cc65 ffmpeg libretro-core-info) ;;
    e2e)
      required+=(chromium) ;;
    image) # what the binary loads at run time on Debian 12, without headers
      required+=(ca-certificates libx264-164 libopenh264-7
        libstdc++6 libinih1 zlib1g libsndfile1) ;; # the second line for the cores
    *)
      echo "packages.sh: no group $group" >&2
      exit 2 ;;
  esac
done

if [ -n "$list" ]; then
  echo "${required[@]}" "${optional[@]}"
  exit
fi

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || {
  echo "packages.sh: this is neither Debian nor Ubuntu; install what stands for: ${required[*]} ${optional[*]}" >&2
  exit 0 # the build says what is missing
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
# A program that came another way (nodesource, snap) does as well.
present() {
  case $1 in
    nodejs) command -v node >/dev/null ;;
    chromium) command -v chromium >/dev/null ;;
    *) installed "$1" ;;
  esac
}
known() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }

missing=() wanted=()
for p in "${required[@]}"; do present "$p" || missing+=("$p"); done
for p in "${optional[@]}"; do present "$p" || wanted+=("$p"); done
[ ${#missing[@]} -gt 0 ] || [ ${#wanted[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    if [ ${#missing[@]} -gt 0 ]; then
      echo "Packages are missing, and this user may not install any. Run:" >&2
      echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]} ${wanted[*]}" >&2
      exit 1
    fi
    echo "Optional packages are missing; for all systems run: sudo apt-get install -y --no-install-recommends ${wanted[*]}" >&2
    exit 0
  fi
  as_root=(sudo -n)
fi

{
  "${as_root[@]}" apt-get update -q
  there=()
  for p in "${wanted[@]}"; do
    if known "$p"; then there+=("$p"); else echo "packages.sh: this release has no $p; going on without it"; fi
  done
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" "${there[@]}"
} >&2
