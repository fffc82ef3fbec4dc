"""`--web-dir FOLDER`: the dashboard from a folder, for who works on it."""
import subprocess

import requests

from conftest import SLUICE


def test_the_dashboard_comes_from_the_folder_and_a_change_shows_at_once(home, daemons):
    web = home / "web"
    (web / "static").mkdir(parents=True)
    (web / "index.html").write_text("<!doctype html><p>mine")
    (web / "static" / "app.js").write_text("first")
    daemon = daemons(args=["--web-dir", str(web)]).start()
    assert requests.get(daemon.url + "/dags/x", timeout=10).text == "<!doctype html><p>mine"
    reply = requests.get(daemon.url + "/static/app.js", timeout=10)
    assert reply.text == "first"
    assert reply.headers["Cache-Control"] == "no-cache", "a browser must not keep what is being worked on"
    (web / "static" / "app.js").write_text("second")
    assert requests.get(daemon.url + "/static/app.js", timeout=10).text == "second"


def test_nothing_outside_the_folder_is_served(home, daemons):
    web = home / "web"
    (web / "static" / "inner").mkdir(parents=True)
    (web / "index.html").write_text("mine")
    daemon = daemons(args=["--web-dir", str(web)]).start()
    for name in ("..%2f..%2fadmin.password", "%2e%2e/admin.password", "inner", "missing.js"):
        assert requests.get(f"{daemon.url}/static/{name}", timeout=10).status_code == 404, name


def test_a_folder_without_a_dashboard_is_refused_at_the_start(home):
    for folder in (home / "absent", home):
        done = subprocess.run([SLUICE, "standalone", "--home", str(home / "h"), "--port", "0", "--web-dir", str(folder)],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert f"{folder} has no index.html" in done.stderr and "npm run build" in done.stderr
