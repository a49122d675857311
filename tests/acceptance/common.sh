# What the flows share.

server=

# Starts a server in the background, its words in server.log; sets `port`.
start() {
    # The words of an earlier server name its port.
    : >server.log
    "$@" >server.log 2>&1 &
    server=$!
    for _ in $(seq 600); do
        port=$(sed -n 's/.*listening on [a-z]*:\/\/[^ ]*:\([0-9][0-9]*\)$/\1/p' server.log | head -n 1)
        if [ -n "$port" ]; then return; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat server.log
    return 1
}

# Stops it; it has to end by itself, with status 0.
stop() {
    kill "$server"
    wait "$server"
    server=
}

trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; cat server.log; fi' EXIT

# fails STATUS COMMAND...: the command must end with that status; its words are in `said`.
fails() {
    wanted=$1
    shift
    status=0
    "$@" >said 2>&1 || status=$?
    cat said
    [ "$status" = "$wanted" ]
}
