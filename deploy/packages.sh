#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that a task needs and that are missing.
# This is the one place that lists them.
#
#   deploy/packages.sh GROUP...           build, run, test, e2e, bench, image
#   deploy/packages.sh --list GROUP...    only name them
#
# Without root rights it tries sudo, and else says which command to run.
# Optional packages, which not every release has, are installed where they
# exist: only what they would do is missing without them.
#
# Debian's libretro cores depend on a desktop frontend, 900 MB that nobody needs
# here. So of their packages only the core is unpacked, into a folder that the
# binary looks in, and what it links is installed. A core that was installed in
# the ordinary way is left alone and used.
set -euo pipefail

cores_dir=/usr/local/lib/libretro
groups=("$@")
required=() optional=() list=
if [ "${1:-}" = --list ]; then
  list=1
  shift
fi
for group in "$@"; do
  case $group in
    build) # the compiler, headers (libretro.h is in retroarch-dev), libyuv, Opus and SpeexDSP to link
      required+=(gcc libc6-dev retroarch-dev libyuv-dev libopus-dev libspeexdsp-dev libx264-dev libopenh264-dev) ;;
    run) # cores; the encoders came with their headers, see build
      required+=(libretro-nestopia)
      optional+=(libretro-gambatte libretro-mgba libretro-bsnes-mercury-balanced
        libretro-beetle-pce-fast libretro-beetle-vb libretro-beetle-wswan) ;;
    test) # node and a browser for the page's tests; cc65, ffmpeg and GStreamer to check what is built against
      required+=(nodejs chromium)
      optional+=(cc65 ffmpeg gstreamer1.0-tools gstreamer1.0-plugins-good) ;;
    e2e) # a browser; what makes pictures, and decodes them as the browser should
      required+=(chromium ffmpeg vpx-tools) ;;
    bench) # the server that ours is compared with, and its tools
      required+=(coturn) ;;
    image) # what the binary loads at run time on Debian 12, without headers
      required+=(ca-certificates libx264-164 libopenh264-7) ;;
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

is_core() { [[ $1 == libretro-* ]]; }
# core_file turns libretro-beetle-vb into mednafen_vb_libretro.so.
core_file() {
  local name=${1#libretro-}
  name=${name/beetle/mednafen}
  echo "${name//-/_}_libretro.so"
}
# A program that came another way (nodesource, snap) does as well.
present() {
  case $1 in
    nodejs) command -v node >/dev/null ;;
    chromium) command -v chromium >/dev/null ;;
    libretro-*)
      local file
      file=$(core_file "$1")
      compgen -G "/usr/lib/*/libretro/$file" >/dev/null ||
        [ -e "/usr/lib/libretro/$file" ] || [ -e "$cores_dir/$file" ] ;;
    *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
  esac
}
known() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }

missing=() wanted=()
for p in "${required[@]}"; do present "$p" || missing+=("$p"); done
for p in "${optional[@]}"; do present "$p" || wanted+=("$p"); done
# Optional packages alone are a reason to install only where they can be had:
# else each start would ask the network for what a release never had.
if [ ${#missing[@]} = 0 ]; then
  all=("${wanted[@]}") wanted=()
  for p in "${all[@]}"; do if known "$p"; then wanted+=("$p"); fi; done
  [ ${#wanted[@]} -gt 0 ] || exit 0
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    command="sudo deploy/packages.sh ${groups[*]}"
    if [ ${#missing[@]} = 0 ]; then
      echo "Going on without ${wanted[*]}; to install: $command" >&2
      exit 0
    fi
    echo "Packages are missing (${missing[*]}), and this user may not install any. Run:" >&2
    echo "  $command" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi

apt_get() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@"; }

# unpack_cores PACKAGE...: downloads them, installs what they link, and puts
# the cores and their copyright notices under /usr/local.
unpack_cores() {
  local folder links deb
  folder=$(mktemp -d) || return
  # apt's own user may not write into the folder.
  (cd "$folder" && apt_get -o APT::Sandbox::User=root download "$@") || return
  for deb in "$folder"/*.deb; do
    dpkg-deb -x "$deb" "$folder/root" && dpkg-deb -f "$deb" Depends >>"$folder/depends" || return
  done
  mapfile -t links < <(tr , '\n' <"$folder/depends" |
    sed 's/[(|:].*//; s/ //g; /^$/d; /^retroarch$/d; /^libretro-/d' | sort -u)
  apt_get install -y --no-install-recommends "${links[@]}" &&
    "${as_root[@]}" install -d "$cores_dir" /usr/local/share/doc &&
    "${as_root[@]}" install -m 644 "$folder"/root/usr/lib/*/libretro/*.so "$cores_dir" &&
    "${as_root[@]}" cp -r "$folder"/root/usr/share/doc/libretro-* /usr/local/share/doc/ &&
    rm -rf "$folder"
}

# install_all PACKAGE...: fails when one of them cannot be had.
install_all() {
  local plain=() cores=() p
  for p in "$@"; do if is_core "$p"; then cores+=("$p"); else plain+=("$p"); fi; done
  [ ${#plain[@]} = 0 ] || apt_get install -y --no-install-recommends "${plain[@]}" || return
  [ ${#cores[@]} = 0 ] || unpack_cores "${cores[@]}"
}

{
  echo "Installing ${missing[*]} ${wanted[*]}"
  apt_get update || echo "packages.sh: going on with the lists of packages that are there"
  there=()
  for p in "${wanted[@]}"; do
    if known "$p"; then there+=("$p"); else echo "packages.sh: this release has no $p; going on without it"; fi
  done
  if ! install_all "${missing[@]}" "${there[@]}"; then
    if [ ${#missing[@]} -gt 0 ] && ! install_all "${missing[@]}"; then
      echo "packages.sh: could not install ${missing[*]}; apt-get says why above" >&2
      exit 1
    fi
    echo "packages.sh: going on without ${there[*]}"
  fi
} >&2
