# Sourced by the benchmarks that measure real hosts: a site of `prunella host run` processes on loopback, each with a data
# directory of its own below $work, ended and removed when the script ends.

prunella=$PWD/build/prunella
work=$(mktemp -d "${TMPDIR:-/tmp}/prunella-bench.XXXXXX")
declare -A agent api # by host: pid, port
exec 9<> <(:) # never readable: to sleep on without a process

fail() { echo "bench: $*" >&2; tail -n 5 "$work"/*.log >&2 2>/dev/null; exit 1; }
figure() { printf '%s %s %s\n' "$1" "$2" "$3"; }
now_us() { echo "${EPOCHREALTIME/./}"; }
# Of numbers, one a line: percentile 50 | max.
median() { sort -n | awk '{ v[NR] = $1 } END { if (NR) printf "%g\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
maximum() { sort -n | tail -n 1; }

is_listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() { # sets $port
  local try
  for try in {1..100}; do
    port=$((20000 + RANDOM % 12000))
    is_listening $port || return 0
  done
  fail "found no free port in 100 tries"
}

clean_up() {
  local host environ
  for host in "${!agent[@]}"; do kill -CONT "${agent[$host]}"; kill -KILL "${agent[$host]}"; done
  # Containers are process groups of their own and outlive their agent; each knows its data directory.
  for environ in /proc/[0-9]*/environ; do
    if tr '\0' '\n' <"$environ" | grep -qF "$work/"; then kill -KILL "$(basename "$(dirname "$environ")")"; fi
  done
  wait
  rm -rf "$work"
} 2>/dev/null
trap 'set +e; clean_up' EXIT
trap 'exit 130' INT TERM

# make_site COUNT PROFILE: the document and the keys of hosts host-1 …; starts nothing.
make_site() {
  local i port
  { echo "kind: site"; echo "name: bench"; echo "liveness: $2"; echo "hosts:"
    for ((i = 1; i <= $1; ++i)); do
      free_port
      echo "  - id: host-$i"
      echo "    address: 127.0.0.1:$port"
      echo "    capacity: {cpu: 4, memory: 4Gi}"
    done; } >"$work/site.yaml"
  "$prunella" site init -f "$work/site.yaml" --dir "$work/keys" >/dev/null || fail "site init failed"
  for ((i = 1; i <= $1; ++i)); do
    mkdir -p "$work/host-$i"
    cp -r "$work/keys/hosts/host-$i" "$work/host-$i/tls"
  done
}

start_host() { # HOST
  local port
  free_port
  api[$1]=$port
  "$prunella" host run --site "$work/site.yaml" --host-id "$1" --data-dir "$work/$1" --api "127.0.0.1:$port" >>"$work/$1.log" 2>&1 &
  agent[$1]=$!
}

# Asks without a process of its own: true if GET /readyz on the API of HOST says 200.
is_ready() {
  local line=""
  { exec 4<>"/dev/tcp/127.0.0.1/${api[$1]}"; } 2>/dev/null || return 1
  printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&4
  read -r -t 1 line <&4
  exec 4<&-
  [[ $line == *" 200 "* ]]
}

wait_until() { # WHAT SECONDS COMMAND…
  local what=$1 deadline=$(($(now_us) + $2 * 1000000)); shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$(now_us)" -lt $deadline ] || fail "$what: not in time"
    read -r -t 0.002 -u 9 || true
  done
}

ask() { # HOST WORDS…
  local host=$1; shift
  "$prunella" --endpoint "http://127.0.0.1:${api[$host]}" "$@"
}
