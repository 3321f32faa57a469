#!/bin/sh
# Gets what the browser tests drive, where it is missing: Chromium, and a library of Playwright's driver.
# Never fails: without them those tests say what to do.
# Usage: browser_setup.sh PYTHON

python="$1"
"$python" -m tools.chromium && exit 0

as_root="env DEBIAN_FRONTEND=noninteractive"
[ "$(id -u)" = 0 ] || as_root="sudo -n $as_root"
if grep -qs '^ID=debian' /etc/os-release && $as_root true 2>/dev/null; then
    echo "Installing Debian's Chromium for the browser tests"
    $as_root apt-get -qq update
    $as_root apt-get -qq install -y --no-install-recommends chromium fonts-noto-cjk libatomic1 >/dev/null && exit 0
fi

echo "Fetching Playwright's Chromium for the browser tests"
"$python" -m playwright install chromium || exit 0
