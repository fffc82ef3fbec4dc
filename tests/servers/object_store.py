"""An object store for tests: MinIO by its script, a small client of our own that shares nothing with the program's, and a proxy that
fails requests."""
import collections
import contextlib
import datetime
import hashlib
import hmac
import http.client
import http.server
import subprocess
import tempfile
import threading
import urllib.parse
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import requests

HERE = Path(__file__).parent
KEY, SECRET, REGION = "sluice", "sluice-secret", "us-east-1"


@contextlib.contextmanager
def minio(**env):
    """A server; its address and its folder."""
    import os
    with tempfile.TemporaryDirectory(prefix="sluice-minio-", ignore_cleanup_errors=True) as folder:
        subprocess.run([HERE / "minio.sh", "start", folder], check=True, env={**os.environ, **env})
        try:
            yield (Path(folder) / "url").read_text().strip(), Path(folder)
        finally:
            subprocess.run([HERE / "minio.sh", "stop", folder], check=True)


class Bucket:
    """One bucket, made new."""

    def __init__(self, url, name, verify=True):
        self.url, self.name, self.verify = url, name, verify
        self.call("PUT")

    def call(self, method, key="", query=None, body=b"", status=(200, 204), **headers):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        host = self.url.split("//")[1]
        path = urllib.parse.quote(f"/{self.name}" + (f"/{key}" if key else ""))
        query = "&".join(sorted(f"{urllib.parse.quote(k, '')}={urllib.parse.quote(v, '')}" for k, v in (query or {}).items()))
        digest = hashlib.sha256(body).hexdigest()
        signed = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
        canonical = "\n".join([method, path, query, *(f"{k}:{v}" for k, v in signed.items()), "", ";".join(signed), digest])
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key_bytes = f"AWS4{SECRET}".encode()
        for part in (now[:8], REGION, "s3", "aws4_request"):
            key_bytes = hmac.new(key_bytes, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key_bytes, text.encode(), hashlib.sha256).hexdigest()
        proof = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={';'.join(signed)}, Signature={signature}"
        answer = requests.request(method, self.url + path + (f"?{query}" if query else ""), data=body, verify=self.verify, timeout=30,
                                  headers={**{k: v for k, v in signed.items() if k != "host"}, "Authorization": proof, **headers})
        assert answer.status_code in status, f"{method} {path}?{query}: {answer.status_code} {answer.text[:300]}"
        return answer

    def keys(self, prefix=""):
        found, token = [], None
        while True:
            query = {"list-type": "2", "prefix": prefix, **({"continuation-token": token} if token else {})}
            tree = ElementTree.fromstring(self.call("GET", query=query).content)
            space = tree.tag.split("}")[0] + "}"
            found += [item.find(f"{space}Key").text for item in tree.iter(f"{space}Contents")]
            token = tree.findtext(f"{space}NextContinuationToken")
            if not token:
                return found

    def get(self, key):
        return self.call("GET", key).content

    def put(self, key, body):
        self.call("PUT", key, body=body)

    def delete(self, key):
        self.call("DELETE", key)

    def head(self, key):
        return self.call("HEAD", key).headers

    def uploads(self, key):
        """Uploads of this object that were begun and not ended."""
        return self.call("GET", query={"uploads": "", "prefix": key}).text.count("<UploadId>")

    def mirror(self, prefix, folder):
        """All objects below `prefix` as files."""
        for key in self.keys(prefix):
            path = folder / key.removeprefix(prefix)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.get(key))

    def connection(self, prefix="lake", url=None, login=KEY, password=SECRET, **extra):
        """For SLUICE_CONN_..."""
        import json
        return json.dumps({"conn_type": "s3", "host": self.name, "schema": prefix, "login": login, "password": password,
                           "extra": {"endpoint_url": url or self.url, "region_name": REGION, **extra}})


class Faults(http.server.ThreadingHTTPServer):
    """A proxy in front of a store. Every request that it sees for the first time goes wrong, as `kind` says:
    refused (503, not carried out), unheard (the connection breaks before), unanswered (carried out, no reply), cut (half a reply)."""
    daemon_threads = True

    def __init__(self, url, kind):
        super().__init__(("127.0.0.1", 0), Handler)
        self.store, self.kind = url.split("//")[1], kind
        self.seen, self.lock = collections.Counter(), threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def first(self, what):
        with self.lock:
            self.seen[what] += 1
            return self.seen[what] == 1

    def handle_error(self, *_):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # An upload's id is another each time.
        what = (self.command, self.path.split("uploadId=")[0])
        kind = self.server.kind if self.server.first(what) else None
        if kind == "unheard":
            self.close_connection = True
            return
        if kind == "refused":
            self.reply(503, {"Retry-After": "0"}, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>")
            return
        store = http.client.HTTPConnection(self.server.store, timeout=30)
        store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "connection":
                store.putheader(name, value)
        store.endheaders(body)
        answer = store.getresponse()
        content = answer.read()
        if kind == "unanswered":
            self.close_connection = True
            return
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in ("connection", "transfer-encoding", "date", "server")}
        headers.setdefault("Content-Length", str(len(content)))
        self.reply(answer.status, headers, content, cut=kind == "cut")

    def reply(self, status, headers, content, cut=False):
        headers = {**headers, "Content-Length": headers.get("Content-Length", str(len(content)))}
        text = f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        data = text.encode() + (b"" if self.command == "HEAD" else content)
        self.wfile.write(data[:len(data) // 2] if cut else data)
        self.close_connection = self.close_connection or cut

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = any
