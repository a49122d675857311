#!/bin/sh
# What the image runs: a configuration file, a command of the registry with its options, or any program.
set -e

case "$1" in
'') set -- registry serve ;;
*.yml | *.yaml) set -- registry serve "$@" ;;
-*) set -- registry "$@" ;;
*)
    # `registry COMMAND`, for every command that the registry has; a program of the same name is called by its path.
    if registry help "$1" >/dev/null 2>&1; then
        set -- registry "$@"
    fi
    ;;
esac

exec "$@"
