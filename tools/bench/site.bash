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

conmons_of() { pgrep -f -- "conmon .*--bundle $1/" || true; } # FOLDER

# Ends what runs in $work and removes what it left. Containers outlive their agent: a process group each, which knows its data
# directory, or a conmon with its child, a root file system and a control group whose name ends with the start's id.
end_site() {
  local host conmon ids id environ point
  for host in "${!agent[@]}"; do kill -CONT "${agent[$host]}"; kill -KILL "${agent[$host]}"; done
  wait
  agent=()
  ids=$(find "$work"/*/containers/*/run -mindepth 1 -maxdepth 1 -printf '%f\n')
  for conmon in $(conmons_of "$work"); do pkill -KILL -P "$conmon"; kill -KILL "$conmon"; done
  for environ in /proc/[0-9]*/environ; do
    if tr '\0' '\n' <"$environ" | grep -qF "$work/"; then kill -KILL "$(basename "$(dirname "$environ")")"; fi
  done
  awk -v folder="$work/" 'index($5, folder) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r point; do umount -l "$point"; done
  for id in $ids; do find /sys/fs/cgroup -maxdepth 3 -depth -type d -path "*prunella*$id" -exec rmdir {} +; done
  find "$work" -mindepth 1 -maxdepth 1 -exec rm -rf --one-file-system {} +
} 2>/dev/null
trap 'set +e; end_site; rm -rf --one-file-system "$work"' EXIT
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

# Why no container of an image can be run here; nothing if they can.
image_obstacle() {
  if [ "$(id -u)" -ne 0 ]; then echo "this is not root"
  elif ! command -v runc >/dev/null || ! command -v conmon >/dev/null; then echo "runc or conmon is not here"
  elif ! awk '$5 == "/" { found = 1 } END { exit !found }' /proc/self/mountinfo; then echo "runc cannot start in a chroot"
  fi
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
