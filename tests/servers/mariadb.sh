#!/usr/bin/env bash
# MariaDB 10.11 as the MySQL server of the tests: Debian's packages of the programs alone, so no system service comes with them.
#   mariadb.sh install
#   mariadb.sh start DIR        a server on a free port of 127.0.0.1 (DIR/port) and DIR/sock; user sluice / sluice-secret with all rights
#                               MARIADB_TLS=1: with a certificate for localhost, its authority in DIR/tls/ca.crt
#   mariadb.sh stop DIR
set -euo pipefail

install() {
  if command -v mariadbd >/dev/null && command -v mariadb >/dev/null; then return; fi
  local line="apt-get install -y --no-install-recommends mariadb-server-core mariadb-client-core"
  if [[ $(id -u) != 0 ]]; then echo "MariaDB is missing. As root: $line" >&2; exit 1; fi
  apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive $line -q -o DPkg::Lock::Timeout=300 >&2
}

sql() { mariadb --no-defaults -uroot --socket="$dir/sock" "$@"; }

certificate() {
  mkdir -p "$dir/tls"
  [[ -e $dir/tls/server.crt ]] && return
  cd "$dir/tls"
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=authority of the tests" -keyout ca.key -out ca.crt 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr 2>/dev/null
  openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out server.crt \
    -extfile <(echo "subjectAltName=DNS:localhost") 2>/dev/null
  cd - >/dev/null
}

start() {
  install
  mkdir -p "$dir"
  local args=(--no-defaults --user="$(id -un)" --datadir="$dir/data")
  if [[ ! -d $dir/data/mysql ]]; then
    mariadb-install-db "${args[@]}" --auth-root-authentication-method=normal --skip-test-db > "$dir/init.log" 2>&1
  fi
  [[ -e $dir/port ]] || python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' > "$dir/port"
  args+=(--port="$(cat "$dir/port")" --bind-address=127.0.0.1 --socket="$dir/sock" --pid-file="$dir/mariadbd.pid" --skip-name-resolve
    --innodb-buffer-pool-size=64M --innodb-log-file-size=16M --innodb-flush-log-at-trx-commit=0 --character-set-server=utf8mb4)
  if [[ -n ${MARIADB_TLS:-} ]]; then
    certificate
    args+=(--ssl-ca="$dir/tls/ca.crt" --ssl-cert="$dir/tls/server.crt" --ssl-key="$dir/tls/server.key")
  fi
  nohup mariadbd "${args[@]}" >> "$dir/server.log" 2>&1 < /dev/null &
  echo $! > "$dir/pid"
  for _ in $(seq 300); do
    if sql -e 'select 1' >/dev/null 2>&1; then
      sql -e "create user if not exists sluice@'127.0.0.1' identified by 'sluice-secret'; grant all on *.* to sluice@'127.0.0.1'"
      return
    fi
    [[ -e /proc/$(cat "$dir/pid")/exe ]] || break
    sleep 0.1
  done
  tail -20 "$dir/server.log" >&2
  exit 1
}

stop() {
  [[ -e $dir/pid ]] || return 0
  local pid; pid=$(cat "$dir/pid")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 100); do [[ -e /proc/$pid/exe ]] || break; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$dir/pid"
}

dir=${2:-}
case ${1:?install, start or stop} in
  install) install ;;
  start | stop) : "${dir:?the server\'s folder}"; "$1" ;;
  *) echo "mariadb.sh install | start DIR | stop DIR" >&2; exit 2 ;;
esac
