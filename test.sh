#!/usr/bin/env bash
# Installs the programs that the tests need, as far as this machine allows, and runs all tests.
#
#   ./test.sh           everything
#   ./test.sh --quick   installs nothing and runs no conformance suite
#   ./test.sh --soak    500 crash cycles instead of a few
#
# As root on Debian it installs packages; where Go is (1.24 or newer) it builds crane, regctl, helm,
# registry:3 and versitygw, a store that speaks S3; with Python it puts oras into a virtual environment; with npm it
# installs what drives a browser.
# Whatever is missing is named at the end, together with the tests that were left out. It writes only
# below target/.
#
# WHARF_TEST_ENGINES=seaweedfs,garage also builds these stores, for 10 to 15 minutes each, and runs the tests of buckets and
# replicas on them.
#
# The OCI conformance suite runs when OCI_CONFORMANCE names its binary, and the classic one of
# version 1.1.1 when OCI_CONFORMANCE_CLASSIC does.
set -euo pipefail
cd "$(dirname "$0")"
root=$PWD
tools=$root/target/tools
export PATH="$tools/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
exec </dev/null

quick=no
for argument in "$@"; do
    case $argument in
    --quick) quick=yes ;;
    --soak) export WHARF_CRASH_CYCLES=${WHARF_CRASH_CYCLES:-500} ;;
    -h | --help)
        sed -n '2,18s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        echo "unknown argument \`$argument\`; --help lists them" >&2
        exit 2
        ;;
    esac
done

# shellcheck source=tests/engines.sh
. tests/engines.sh
engines=${WHARF_TEST_ENGINES:-}
engines=${engines//,/ }
for engine in $engines; do
    if [ -z "${engine_programs[$engine]:-}" ]; then
        echo "unknown engine \`$engine\` in WHARF_TEST_ENGINES; there are: ${!engine_programs[*]}" >&2
        exit 2
    fi
done

scratch=$(mktemp -d)
memory=
server=
cleanup() {
    # Only processes that this run started itself.
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    rm -rf "$scratch" ${memory:+"$memory"}
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

left_out=$scratch/left-out
: >"$left_out"
passed=0 failed=0 ignored=0

steps=$scratch/steps
say() { printf '\n== %s (at %d s)\n' "$*" $SECONDS | tee -a "$steps"; }
leave_out() { echo "left out: $*" | tee -a "$left_out"; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- programs that the tests need ----------------------------------------------------------------

# Runs a command quietly; shows the end of its output only when it fails.
quietly() {
    local said
    said=$(mktemp -p "$scratch")
    if ! "$@" >"$said" 2>&1; then
        tail -n 5 "$said" | sed 's/^/    /'
        return 1
    fi
}

# Programs, each with the packages that have it in one Debian release or another.
provided=(
    "dockerd docker.io"
    "docker docker.io docker-cli"
    "containerd containerd"
    "ctr containerd"
    "docker-registry docker-registry"
    "skopeo skopeo"
    "buildah buildah"
    "podman podman"
    "busybox busybox-static"
    "curl curl"
    "nginx nginx"
    "apache2 apache2"
    "haproxy haproxy"
    "caddy caddy"
    "openssl openssl"
    "setpriv util-linux"
    "docker-compose docker-compose"
    "htpasswd apache2-utils"
    "musl-gcc musl-tools"
    "python3-venv python3-venv"
    "chromium chromium"
    "node nodejs"
    "npm npm"
    "git git"
)

there() {
    case $1 in
    # Images from scratch have no libraries, so busybox must not need any.
    busybox) have busybox && ! ldd "$(command -v busybox)" >/dev/null 2>&1 ;;
    python3-venv) python3 -c 'import ensurepip, venv' >/dev/null 2>&1 ;;
    *) have "$1" ;;
    esac
}

# Package installation scripts may start services; this asks them not to, unless the machine has
# a policy of its own, and takes the request back afterwards.
install_packages() {
    local policy=/usr/sbin/policy-rc.d ours=no line program package
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        ours=yes
    fi
    quietly apt-get update || true
    for line in "$@"; do
        read -r program package <<<"$line"
        # One at a time: a package that this release does not have must not take the others with it.
        for package in $package; do
            if there "$program"; then break; fi
            DEBIAN_FRONTEND=noninteractive quietly apt-get install -y --no-install-recommends \
                -o DPkg::Lock::Timeout=300 "$package" || true
        done
    done
    if [ $ours = yes ]; then rm -f $policy; fi
}

install_missing_packages() {
    local -a missing=()
    local line packages
    for line in "${provided[@]}"; do
        if ! there "${line%% *}"; then missing+=("$line"); fi
    done
    if [ ${#missing[@]} -eq 0 ]; then return; fi
    packages=$(printf '%s\n' "${missing[@]}" | cut -d ' ' -f 2 | sort -u | tr '\n' ' ')
    packages=${packages% }
    if [ "$(id -u)" -ne 0 ]; then
        leave_out "$packages (not root; as root: apt-get install $packages)"
    elif ! have apt-get; then
        leave_out "$packages (no apt-get here; install them by hand)"
    else
        say "installing $packages"
        install_packages "${missing[@]}"
        for line in "${missing[@]}"; do
            if ! there "${line%% *}"; then leave_out "${line%% *} (apt-get could not install it, see above)"; fi
        done
    fi
}

# The versions are pinned so that a new release of a client cannot change what a run means.
install_go_tools() {
    local -a wanted=(
        crane=github.com/google/go-containerregistry/cmd/crane@v0.22.1
        regctl=github.com/regclient/regclient/cmd/regctl@v0.11.7
        versitygw=github.com/versity/versitygw/cmd/versitygw@v1.8.0
        helm=helm.sh/helm/v3/cmd/helm@v3.22.0
        registry=github.com/distribution/distribution/v3/cmd/registry@v3.1.2
        # Newer versions cannot be installed by `go install`: their go.mod excludes versions of other modules.
        buildctl=github.com/moby/buildkit/cmd/buildctl@v0.18.2
        buildkitd=github.com/moby/buildkit/cmd/buildkitd@v0.18.2
    )
    local tool version missing=()
    for tool in "${wanted[@]}"; do
        if ! have "${tool%%=*}"; then missing+=("$tool"); fi
    done
    if [ ${#missing[@]} -eq 0 ]; then return; fi
    local names="${missing[*]%%=*}"
    if ! have go; then
        leave_out "$names (no Go here; they are built by Go 1.24 or newer)"
        return
    fi
    version=$(go env GOVERSION | sed 's/^go//')
    if [ "$(printf '%s\n' 1.24 "$version" | sort -V | head -n 1)" != 1.24 ]; then
        leave_out "$names (Go $version is older than 1.24)"
        return
    fi
    for tool in "${missing[@]}"; do
        say "building ${tool%%=*}"
        GOBIN=$tools/bin GOFLAGS=-mod=mod quietly go install "${tool#*=}" || leave_out "${tool%%=*} (go install failed, see above)"
    done
}

install_python_tools() {
    if have oras-python && oras-python -c 'import oras' 2>/dev/null; then return; fi
    say "installing oras for Python"
    if quietly python3 -m venv --clear "$tools/python" &&
        quietly "$tools/python/bin/pip" install --disable-pip-version-check oras==0.2.43; then
        printf '#!/bin/sh\nexec "%s" "$@"\n' "$tools/python/bin/python" >"$tools/bin/oras-python"
        chmod 755 "$tools/bin/oras-python"
    else
        leave_out "oras for Python (needs python3-venv and the package index)"
    fi
}

# What drives the browser, and looks for barriers in its pages. The browser itself is the package of the system.
install_browser_tools() {
    local browser=$tools/browser
    if [ -e "$browser/node_modules/axe-core/axe.min.js" ] && [ -e "$browser/node_modules/playwright-core/package.json" ]; then return; fi
    if ! have npm; then
        leave_out "Playwright and axe (no npm here)"
        return
    fi
    say "installing Playwright and axe"
    mkdir -p "$browser"
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 quietly npm install --prefix "$browser" --no-audit --no-fund --ignore-scripts \
        playwright-core@1.65.1 axe-core@4.14.1 || leave_out "Playwright and axe (npm install failed, see above)"
}

# The web interface of another project, which people have in front of registries: it must go on working.
install_joxit() {
    local joxit=$tools/joxit commit=82f6240dab8a5e40193ce62c23d4b67ba094f030
    if [ -e "$joxit/dist/index.html" ]; then return; fi
    if ! have git; then
        leave_out "Joxit's interface (no git here)"
        return
    fi
    say "fetching Joxit's interface"
    rm -rf "$joxit"
    if ! { quietly git init -q "$joxit" &&
        quietly git -C "$joxit" fetch -q --depth 1 https://github.com/Joxit/docker-registry-ui $commit &&
        quietly git -C "$joxit" checkout -q FETCH_HEAD; }; then
        rm -rf "$joxit"
        leave_out "Joxit's interface (its repository cannot be read, see above)"
    fi
}

# What the image tests put into containers: a static binary, and busybox. To optimise it takes longer than to compile it, and
# changes nothing that these tests look at.
lay_out_image() {
    say "laying out the container image"
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        quietly cargo xtask image --rootfs-only ||
        leave_out "the container image (it cannot be built, see above)"
}

mkdir -p "$tools/bin"
if have go; then PATH="$PATH:$(go env GOPATH)/bin"; fi
if [ $quick = no ]; then
    # Two runs at a time install one after the other.
    exec 9>"$tools/lock"
    flock 9
    install_missing_packages
    # These wait for the network, while the image keeps the processors busy.
    (
        install_go_tools
        install_python_tools
        install_browser_tools
        install_joxit
        for engine in $engines; do install_engine "$engine"; done
    ) &
    lay_out_image
    wait $! || leave_out "tools (their installation failed, see above)"
    exec 9>&-
fi

# --- the tests -----------------------------------------------------------------------------------

# Most of the time of a test is waiting for the disk: each acknowledged request is durable. What a power cut leaves is
# proven on the simulated disk, so the directories of tests lie in memory where there is room for them; those of the
# file system engine's own tests and of the crash tests stay on the disk.
use_memory() {
    local available
    available=$(df --output=avail --block-size=1M /dev/shm 2>/dev/null | tail -n 1)
    if [ -n "${TMPDIR:-}" ] || [ "${available:-0}" -lt 4096 ]; then return; fi
    memory=$(mktemp -d /dev/shm/wharf-tests-XXXXXX)
    chmod 1777 "$memory"
    # Tests run copies of the binary from their directories.
    cp "$(type -P true)" "$memory/true"
    if "$memory/true" 2>/dev/null; then export TMPDIR=$memory WHARF_TEST_DISK=/tmp; fi
}

say "cargo test"
use_memory
status=0
WHARF_LEFT_OUT=$left_out cargo test --workspace --no-fail-fast 2>&1 | tee "$scratch/cargo" || status=1

stop_server() {
    kill "$server"
    wait "$server" || true
    server=
}

# As members of the workspace, whose features are those that were compiled above: of one package, everything would be compiled again.
say "stories on a bucket, and clients against replicas"
if have versitygw; then
    on_a_bucket versitygw cargo test --workspace --test stories --no-fail-fast -- inmemory 2>&1 | tee -a "$scratch/cargo" || status=1
    CLIENTS_AGAINST=replicas WHARF_LEFT_OUT=$left_out cargo test --workspace --test clients --no-fail-fast 2>&1 |
        tee -a "$scratch/cargo" || status=1
else
    leave_out "stories on a bucket, and clients against replicas (\`versitygw\` is not installed)"
fi

buckets_and_replicas() {
    local result=0
    cargo test --workspace --test buckets --no-fail-fast || result=1
    cargo test --workspace --test replicas --no-fail-fast || result=1
    return $result
}

for engine in $engines; do
    say "buckets and replicas on $engine"
    if have "${engine_programs[$engine]}"; then
        on_a_bucket "$engine" buckets_and_replicas 2>&1 | tee -a "$scratch/cargo" || status=1
    else
        leave_out "buckets and replicas on $engine (\`${engine_programs[$engine]}\` is not installed)"
    fi
done
read -r passed failed ignored < <(
    awk '/^test result: / { for (i = 1; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1)
        if ($i ~ /^ignored/) s += $(i-1) } } END { print p + 0, f + 0, s + 0 }' "$scratch/cargo"
)
# A test binary that does not compile, or dies, prints no result.
if [ $status -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi

# --- the OCI conformance suites ------------------------------------------------------------------

# Starts wharf for a suite: everything on, data below the scratch directory. Sets `authority`.
start_server() {
    local name=$1
    mkdir -p "$scratch/$name"
    cat >"$scratch/$name/config.yml" <<-YAML
		version: 0.1
		storage: {filesystem: {rootdirectory: $scratch/$name/data}, delete: {enabled: true}}
		compat: {sparse_manifests: true, foreign_layers: true}
		http: {addr: "127.0.0.1:0"}
	YAML
    "$binary" serve "$scratch/$name/config.yml" >"$scratch/$name/log" 2>&1 &
    server=$!
    local tries
    for tries in $(seq 300); do
        authority=$(sed -n 's/.*listening on http:\/\/\([0-9.:]*\).*/\1/p' "$scratch/$name/log" | head -n 1)
        if [ -n "$authority" ]; then return; fi
        sleep 0.1
    done
    echo "wharf does not start:" >&2
    cat "$scratch/$name/log" >&2
    return 1
}

# Adds up a suite's JUnit report: its first element that counts carries the totals.
count_report() {
    local report=$1 totals tests failures errors skipped disabled
    if [ ! -s "$report" ]; then
        echo "the suite left no report"
        failed=$((failed + 1))
        return
    fi
    totals=$(grep -m 1 '<testsuite ' "$report")
    attribute() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$totals"; }
    tests=$(attribute tests) failures=$(attribute failures) errors=$(attribute errors)
    skipped=$(attribute skipped) disabled=$(attribute disabled)
    skipped=$((${skipped:-0} + ${disabled:-0})) failures=$((${failures:-0} + ${errors:-0}))
    echo "$((tests - failures - skipped)) passed; $failures failed; $skipped skipped"
    passed=$((passed + tests - failures - skipped))
    failed=$((failed + failures))
    ignored=$((ignored + skipped))
}

conformance() {
    say "OCI conformance ($OCI_CONFORMANCE)"
    start_server conformance || { failed=$((failed + 1)) && return; }
    (
        cd "$scratch/conformance"
        set -a
        # shellcheck source=tests/conformance.env
        . "$root/tests/conformance.env"
        export OCI_REGISTRY=$authority OCI_RESULTS_DIR=$scratch/conformance/results OCI_VERSION=${OCI_VERSION:-dev}
        "$OCI_CONFORMANCE"
    ) >"$scratch/conformance/output" 2>&1 || tail -n 60 "$scratch/conformance/output"
    stop_server
    count_report "$scratch/conformance/results/junit.xml"
}

conformance_classic() {
    say "OCI conformance, classic ($OCI_CONFORMANCE_CLASSIC)"
    start_server classic || { failed=$((failed + 1)) && return; }
    (
        cd "$scratch/classic"
        export OCI_ROOT_URL=http://$authority OCI_NAMESPACE=conformance/one OCI_CROSSMOUNT_NAMESPACE=conformance/two
        export OCI_TEST_PULL=1 OCI_TEST_PUSH=1 OCI_TEST_CONTENT_DISCOVERY=1 OCI_TEST_CONTENT_MANAGEMENT=1
        export OCI_AUTOMATIC_CROSSMOUNT=1 OCI_REPORT_DIR=$scratch/classic/results
        "$OCI_CONFORMANCE_CLASSIC"
    ) >"$scratch/classic/output" 2>&1 || tail -n 60 "$scratch/classic/output"
    stop_server
    count_report "$scratch/classic/results/junit.xml"
}

binary=${CARGO_TARGET_DIR:-$root/target}/debug/wharf
how="build directory \`conformance\` of github.com/opencontainers/distribution-spec with Go"
if [ $quick = yes ]; then
    leave_out "the OCI conformance suites (--quick)"
else
    if [ -n "${OCI_CONFORMANCE:-}" ]; then
        conformance
    else
        leave_out "the OCI conformance suite ($how, and name the binary in OCI_CONFORMANCE)"
    fi
    if [ -n "${OCI_CONFORMANCE_CLASSIC:-}" ]; then
        conformance_classic
    else
        leave_out "the classic OCI conformance suite (as above, at tag v1.1.1 with \`go test -c\`; OCI_CONFORMANCE_CLASSIC)"
    fi
fi

# --- totals --------------------------------------------------------------------------------------

# What failed, at the end once more: of thousands of lines, the last ones are read first. A test binary that died is named
# by the line of cargo; of what a failed test printed, the end is shown.
repeat_failures() {
    awk -v most=40 '
        function tell(    i) {
            if (name == "") return
            print "failed: " name
            for (i = (count > most ? count - most : 0); i < count; i++) print "    " said[i]
            name = ""
        }
        /^---- .* ----$/ { tell(); name = $2; count = 0; next }
        /^failures:$/ || /^test result: / { tell() }
        name != "" { said[count++] = $0 }
        /^error(\[[^]]*\])?: / { tell(); print }
        END { tell() }
    ' "$scratch/cargo"
}

# Where the time went: the steps, and the test binaries that ran longest.
repeat_times() {
    grep . "$steps"
    awk '
        /^ +(Running|Doc-tests) / { name = $NF; gsub(/^\(.*\/|-[0-9a-f]+\)$/, "", name) }
        / finished in / { split($0, said, " finished in "); printf "%8.1f s  %s\n", said[2], name }
    ' "$scratch/cargo" | sort -rn | head -n 12
}

say "totals"
repeat_times
if [ $status -ne 0 ]; then repeat_failures; fi
sort -u "$left_out"
echo "total: $passed passed, $failed failed, $ignored ignored or skipped"
[ "$failed" -eq 0 ]
