#!/bin/sh
# Builds Comet Court. Usage: build.sh [output.nes]
#
# Needs cc65, ca65 and ld65 of cc65 2.19. The same source gives the same bytes:
# nothing of the date, the path or the user enters the image.
set -eu

src=$(cd "$(dirname "$0")" && pwd)
out=${1:-$src/../comet-court.nes}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

objects=
cd "$src"
for file in *.c; do
    cc65 -t none -Oirs --static-locals -o "$tmp/$file.s" "$file"
    ca65 -t none -o "$tmp/$file.o" "$tmp/$file.s"
    objects="$objects $tmp/$file.o"
done
for file in *.s; do
    ca65 -t none -o "$tmp/$file.o" "$file"
    objects="$objects $tmp/$file.o"
done

# shellcheck disable=SC2086 # the list is split on purpose; mktemp gives no spaces
ld65 -C nes.cfg -o "$tmp/rom" $objects none.lib
mv "$tmp/rom" "$out"
