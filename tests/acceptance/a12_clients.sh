# What containerd and podman pull from $R by its rules, each with a store of its own: clients without an account pull
# `public/**`, and bob pulls `team/**`.

podman() { command podman --events-backend file --cgroup-manager cgroupfs "$@"; }
podman_pull() { podman pull --tls-verify=false --signature-policy policy.json "$@"; }

containerd_pulls_by_rights() {
    fails 1 ctr images pull --plain-http "$R/team/app:1"
    grep -i 'unauthorized\|authorization failed\|denied' said
    fails 1 ctr images pull --plain-http --user bob:wrong "$R/team/app:1"
    [ -z "$(ctr content ls -q)" ]
    ctr images pull --plain-http --user bob:pw "$R/team/app:1"
    # Both images have the same layers, which containerd would not ask for again.
    ctr images rm --sync "$R/team/app:1"
    [ -z "$(ctr content ls -q)" ]
    ctr images pull --plain-http "$R/public/app:1"
    ctr images rm --sync "$R/public/app:1"
}

podman_pulls_by_rights() {
    podman_pull "$R/public/app:1"
    podman rmi "$R/public/app:1"
    fails 125 podman_pull "$R/team/app:1"
    grep -i 'unauthorized\|authentication required\|denied' said
    echo wrong | fails 125 podman login --tls-verify=false -u bob --password-stdin "$R"
    echo pw | podman login --tls-verify=false -u bob --password-stdin "$R" | grep 'Login Succeeded'
    podman_pull "$R/team/app:1"
    podman rmi "$R/team/app:1"
    podman_pull "$R/public/app:1"
    podman rmi "$R/public/app:1"
    podman logout "$R"
    fails 125 podman_pull "$R/team/app:1"
}

# After the server has stopped: which client pulled what, by which account.
pulls_are_on_record() {
    wharf activity --config config.yml --action pull --limit 0 --json >pulls
    for client in containerd/ containers/; do
        for pulled in bob:team/app anonymous:public/app; do
            jq -e -s --arg client "$client" --arg account "${pulled%%:*}" --arg repository "${pulled#*:}" \
                'any(.[]; (.actor.name // "anonymous") == $account and .target.repository == $repository and (.request.useragent | startswith($client)))' pulls
        done
    done
}
