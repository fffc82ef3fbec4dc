"""Several daemons on one PostgreSQL, for tests: a server of our own, a TCP proxy that can be cut, nodes that share both."""
import contextlib
import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import psycopg
import requests

from conftest import SLUICE, Daemon, wait_for

BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Postgres:
    """A PostgreSQL of the test's own on a free port of the local host."""

    def __init__(self, folder):
        self.data = Path(folder) / "pg"
        self.port = free_port()
        self.url = f"postgresql://sluice@127.0.0.1:{self.port}/postgres"
        self.user = []
        os.chmod(folder, 0o711)
        self.data.mkdir(mode=0o700)
        if os.getuid() == 0:
            shutil.chown(self.data, "postgres")
            self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self._run("initdb", "-D", self.data, "-U", "sluice", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        self.start()

    def _run(self, program, *args):
        done = subprocess.run([*self.user, BIN / program, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, cwd="/", text=True, timeout=330)
        assert done.returncode == 0, done.stdout

    def start(self):
        options = (f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=100 "
                   "-c shared_buffers=64MB")
        # After an immediate stop the server syncs its whole folder first: minutes where others write to the same disk.
        self._run("pg_ctl", "-D", self.data, "-w", "-t", "300", "-l", self.data / "log", "-o", options, "start")

    def stop(self, mode="fast"):
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def connect(self, name="postgres"):
        return psycopg.connect(f"postgresql://sluice@127.0.0.1:{self.port}/{name}", autocommit=True)

    def database(self, name):
        """Makes a database; returns its URL."""
        with self.connect() as db:
            db.execute(f"create database {name}")
        return f"postgresql://sluice@127.0.0.1:{self.port}/{name}"


class Proxy:
    """Forwards TCP to a port of the local host until it is cut: `closed` ends and refuses connections, `silent` keeps them
    and lets nothing through any more, as a network does that lost its way."""

    def __init__(self, port):
        self.target, self.mode, self.pairs, self.lock = port, "open", [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.wake, self.wake_end = socket.socketpair()
        self.ending = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def url(self, url):
        return url.replace(f":{self.target}/", f":{self.port}/")

    def set(self, mode):
        with self.lock:
            self.mode = mode
        self.wake_end.send(b"x")

    def close(self):
        self.ending = True
        self.wake_end.send(b"x")
        self.thread.join(5)

    def _drop(self, pair):
        for end in pair:
            end.close()
        self.pairs.remove(pair)

    def _run(self):
        while not self.ending:
            with self.lock:
                mode = self.mode
            if mode == "closed":
                for pair in list(self.pairs):
                    self._drop(pair)
            ends = {} if mode == "silent" else {a: (b, pair) for pair in self.pairs for a, b in (pair, pair[::-1])}
            ready, _, _ = select.select([self.listener, self.wake, *ends], [], [], 1)
            for end in ready:
                if end is self.wake:
                    self.wake.recv(64)
                elif end is self.listener:
                    client = self.listener.accept()[0]
                    if mode == "closed":
                        client.close()
                        continue
                    with contextlib.suppress(OSError):
                        server = socket.create_connection(("127.0.0.1", self.target), 5)
                        for s in (client, server):
                            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        self.pairs.append((client, server))
                        continue
                    client.close()
                elif end in ends and ends[end][1] in self.pairs:
                    other, pair = ends[end]
                    try:
                        data = end.recv(1 << 16)
                        if data:
                            other.sendall(data)
                        else:
                            self._drop(pair)
                    except OSError:
                        self._drop(pair)
        for pair in list(self.pairs):
            self._drop(pair)
        self.listener.close()


class Node(Daemon):
    """`sluice serve` on a database that it shares with others; a home of its own."""

    def __init__(self, home, dags, url, args=(), env=None):
        super().__init__(home, dags, args, env)
        self.database_url = url
        self.home.mkdir(exist_ok=True)
        # The same password on every node, as an administrator would give it.
        (self.home / "admin.password").write_text("secret-of-the-test\n")

    def start(self, env=None, wait=True):
        with open(self.home / "daemon.log", "ab") as log:
            self.process = subprocess.Popen(
                [SLUICE, "serve", "--database-url", self.database_url, "--home", self.home, "--port", "0", "--dags", self.dags,
                 *self.args], stdout=log, stderr=log, env={**self.env, **(env or {})})
        if wait:
            self.wait_ready()
        return self

    def node(self):
        """What its health says of its role; {} while it does not answer."""
        with contextlib.suppress(requests.RequestException, ValueError):
            return requests.get(self.url + "/api/v2/monitor/health", timeout=2).json()["node"]
        return {}

    def is_owner(self):
        return self.node().get("role") == "owner"

    def is_standby(self):
        """It stands by, and sees the owner."""
        node = self.node()
        return node.get("role") == "standby" and node["owner"] is not None


@contextlib.contextmanager
def world():
    """A folder with a PostgreSQL in it, and a function that makes nodes on one database of it."""
    with tempfile.TemporaryDirectory(prefix="sluice-test-", ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        postgres = Postgres(folder)
        try:
            yield folder, postgres
        finally:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                postgres.stop("immediate")


def owner_among(nodes, seconds):
    """The node that owns the run state, once there is one."""
    def found():
        """one of the nodes owns the run state"""
        return next((node for node in nodes if node.is_owner()), None)
    return wait_for(found, seconds)
