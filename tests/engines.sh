# Stores that speak S3: how each is installed, and how it is started on loopback. `test.sh` reads this file.
# shellcheck shell=bash disable=SC2154

# The bucket and the keys of the testkit's `BucketStore`.
s3_bucket=registry s3_key=a-key-for-tests s3_secret=a-secret-for-tests s3_region=us-east-1

# The program of each that only some runs ask for, and its version; a new one must not change what a run means.
declare -A engine_programs=([seaweedfs]=weed [garage]=garage)
seaweedfs=github.com/seaweedfs/seaweedfs@v0.0.0-20261109003541-7506e5f91cd6
garage=2.5.0

# Installs the engine of that name into $tools/bin, if it is not there.
install_engine() {
    if have "${engine_programs[$1]}"; then return; fi
    case $1 in
    seaweedfs)
        if ! have go; then
            leave_out "SeaweedFS (no Go here)"
            return
        fi
        say "building SeaweedFS (10 minutes)"
        quietly build_seaweedfs || leave_out "SeaweedFS (go build failed, see above)"
        ;;
    garage)
        say "building Garage (15 minutes)"
        # What it spends its time on is the disk, so it is hardly optimised.
        CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 quietly \
            cargo install garage --version $garage --locked --root "$tools" --no-default-features --features bundled-libs,lmdb ||
            leave_out "Garage (cargo install failed, see above)"
        ;;
    esac
}

# `go install` refuses the `replace` in its go.mod.
build_seaweedfs() {
    local source
    source=$(go mod download -json "$seaweedfs" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
    [ -n "$source" ] && cd "$source" && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -o "$tools/bin/weed" ./weed
}

# Each of these starts an engine that keeps its data below $data and speaks S3 at $port, and sets `server`.

start_versitygw() {
    mkdir "$data/$s3_bucket"
    versitygw --port "127.0.0.1:$port" --access $s3_key --secret $s3_secret --region $s3_region --keep-alive --quiet \
        posix "$data" >"$log" 2>&1 &
    server=$!
}

start_seaweedfs() {
    cat >"$data/s3.json" <<-JSON
		{"identities": [{"name": "tests", "credentials": [{"accessKey": "$s3_key", "secretKey": "$s3_secret"}],
		  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
	JSON
    # It takes each port and the one that is greater by 10000.
    weed server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir="$data" -master.telemetry=false -master.volumeSizeLimitMB=1024 \
        -master.port=$((port + 1)) -volume.port=$((port + 2)) -volume.max=100 -volume.preStopSeconds=0 \
        -filer -filer.port=$((port + 3)) -filer.localSocket="$data/filer.sock" \
        -s3 -s3.port="$port" -s3.localSocket="$data/s3.sock" -s3.config="$data/s3.json" -s3.port.iceberg=0 -s3.port.lance=0 \
        >"$log" 2>&1 &
    server=$!
}

start_garage() {
    cat >"$data/garage.toml" <<-TOML
		metadata_dir = "$data/meta"
		data_dir = "$data/data"
		db_engine = "lmdb"
		replication_factor = 1
		rpc_bind_addr = "127.0.0.1:$((port + 1))"
		rpc_public_addr = "127.0.0.1:$((port + 1))"
		rpc_secret = "$(printf '%064d' 1)"
		[s3_api]
		s3_region = "$s3_region"
		api_bind_addr = "127.0.0.1:$port"
	TOML
    GARAGE_DEFAULT_BUCKET=$s3_bucket GARAGE_DEFAULT_ACCESS_KEY=$s3_key GARAGE_DEFAULT_SECRET_KEY=$s3_secret \
        garage -c "$data/garage.toml" server --single-node --default-bucket >"$log" 2>&1 &
    server=$!
}

# Whether the engine at $port has its bucket. SeaweedFS is the one that must be told to make it.
has_bucket() {
    case $1 in
    seaweedfs)
        curl --silent --fail --output /dev/null --aws-sigv4 "aws:amz:$s3_region:s3" --user $s3_key:$s3_secret \
            --request PUT "http://127.0.0.1:$port/$s3_bucket"
        ;;
    *) (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ;;
    esac
}

# Runs a command while the engine of that name runs; tests find it in $WHARF_TEST_S3.
on_a_bucket() {
    local engine=$1 port data log=$scratch/$1.log result
    shift
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 9000))
        data=$(mktemp -d -p "${memory:-$scratch}")
        "start_$engine"
        for _ in $(seq 60); do
            sleep 1
            # Another program may have had the port.
            if ! kill -0 "$server" 2>/dev/null; then
                server=
                break
            fi
            if has_bucket "$engine"; then break 2; fi
        done
        if [ -n "$server" ]; then stop_server; fi
    done
    if [ -z "$server" ]; then
        tail -n 20 "$log"
        return 1
    fi
    WHARF_LEFT_OUT=$left_out WHARF_TEST_S3=http://127.0.0.1:$port "$@"
    result=$?
    stop_server
    rm -rf "$data"
    return $result
}
