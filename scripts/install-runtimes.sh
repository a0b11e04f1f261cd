#!/usr/bin/env bash
# Installs the runtimes of `npm run test:everywhere`: all, or those named (node bun deno workerd chromium firefox webkit).
# Those on npm go into a folder of their own, $GPFQ_RUNTIMES or ~/.cache/gpfq/runtimes (about 700 MB): as dependencies of
# this package they would burden everybody. The browsers are Debian's (or Ubuntu's) packages. Done already is done fast.
set -euo pipefail

cache=${GPFQ_RUNTIMES:-$HOME/.cache/gpfq/runtimes}
wanted=("$@")
if [ ${#wanted[@]} -eq 0 ]; then wanted=(node bun deno workerd chromium firefox webkit); fi
platform=$(node -p '`${process.platform}-${process.arch}`')

npm_packages=()
apt_packages=()
for name in "${wanted[@]}"; do
  case $name in
    node) for major in 20 22 24; do npm_packages+=("node$major@npm:node-$platform@$major"); done ;;
    bun) npm_packages+=(bun@1.4.5) ;;
    deno) npm_packages+=(deno@2.9.6) ;;
    workerd) npm_packages+=(workerd@1.20261117.1) ;;
    chromium) apt_packages+=(chromium) ;;
    firefox) apt_packages+=(firefox-esr) ;;
    webkit) apt_packages+=(webkit2gtk-driver xvfb xauth) ;;
    *) echo "install-runtimes: expected node, bun, deno, workerd, chromium, firefox or webkit, got '$name'" >&2; exit 2 ;;
  esac
done

if [ ${#npm_packages[@]} -gt 0 ]; then
  mkdir -p "$cache"
  [ -f "$cache/package.json" ] || echo '{ "private": true }' >"$cache/package.json"
  npm install --prefix "$cache" --save-exact --no-audit --no-fund "${npm_packages[@]}"
fi

missing=()
for package in ${apt_packages[@]+"${apt_packages[@]}"}; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  root=()
  if [ "$(id -u)" -ne 0 ]; then root=(sudo); fi
  ${root[@]+"${root[@]}"} apt-get update -qq
  DEBIAN_FRONTEND=noninteractive ${root[@]+"${root[@]}"} apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
