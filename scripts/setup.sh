#!/bin/sh
# Picks a Python that is 3.11 or newer and lets scripts/setup.py make the environment in .venv with it.
set -eu
scripts=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)

# A Python that can make environments by itself is better than one that needs a Debian package for it.
for modules in 'sys, ensurepip, venv' 'sys'; do
    for python in python3 python3.13 python3.12 python3.11; do
        if "$python" -c "import $modules; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; then
            exec "$python" "$scripts/setup.py" "$@"
        fi
    done
done

if found=$(python3 --version 2>&1); then
    echo "forestall: python3 is $found, and no python3.11, 3.12 or 3.13 is there beside it." >&2
else
    echo "forestall: there is no python3 on this machine's PATH." >&2
fi
echo "Forestall needs Python 3.11 or newer. On Debian 12 or newer: apt-get install python3 python3-venv" >&2
exit 1
