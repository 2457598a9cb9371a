#!/bin/sh
# Writes the lock files from pyproject.toml (needs uv). Versions stay as they are; --upgrade moves them all.
set -eu
cd -- "$(dirname -- "$0")/.."
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url "$@"
}
compile "$@" pyproject.toml --output-file requirements.lock
compile "$@" --group build --constraints requirements.lock --output-file requirements-build.lock
compile "$@" pyproject.toml --group dev --constraints requirements.lock --constraints requirements-build.lock \
    --output-file requirements-dev.lock
