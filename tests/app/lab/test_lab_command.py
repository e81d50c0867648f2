"""`openbell lab` and the lab on `openbell serve`: real processes, opened, asked and ended."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from openbell.app.cli.lab import _loopback, _names, _url
from openbell.core.errors import BadInput


@contextlib.contextmanager
def command(path, *words):
    """`openbell WORDS` on the home at `path`, and its first line."""
    run = [sys.executable, "-c", "from openbell.app.cli import main; main()", *words, "--home", str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def asked(url, **headers):
    """Status and text of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_the_lab_is_open_to_this_machine_until_ctrl_c(tmp_path):
    with command(tmp_path / "home", "lab", "--port", "0") as process:
        said = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+/lab/", said)
        assert url, said
        assert asked(url[0])[0] == 200
        status, page = asked(f"{url[0]}_dash-layout")
        assert (status, "Log out" in page) == (200, False)
        assert asked(url[0], Host="evil.example")[0] == 403
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert rest == "The lab is closed; jobs that run go on.\n"
        assert process.returncode == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com", "", "127.0.0.1.evil.com"])
def test_a_lab_without_keys_listens_on_this_machine_alone(host):
    with pytest.raises(BadInput, match="openbell serve --host"):
        _loopback(host)


@pytest.mark.parametrize(
    ("host", "address"), [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1"),
                          ("127.8.0.1", "127.8.0.1")]
)  # fmt: skip
def test_addresses_of_this_machine(host, address):
    assert _loopback(host) == address


def test_what_a_browser_may_call_it():
    assert _url("::1", 80) == "http://[::1]:80/lab/"
    assert _names("127.0.0.1", 8050) == ("127.0.0.1:8050", "localhost:8050", "[::1]:8050")


@pytest.mark.slow
def test_two_workers_share_one_login(tmp_path):
    """No worker keeps anything to itself: whichever is asked knows the login, and its end."""
    import http.cookiejar
    import json

    home = tmp_path / "home"
    with command(home, "keys", "create", "ann", "--scope", "lab", "--json") as made:
        key = json.loads(made.communicate(timeout=60)[0])["key"]
    with command(home, "serve", "--port", "0", "--workers", "2") as process:
        port = None
        for line in process.stdout:
            if '"listening"' in line:
                port = json.loads(line)["port"]
                break
        url = f"http://127.0.0.1:{port}/lab/"
        until = time.monotonic() + 60
        while time.monotonic() < until:  # it says where it listens before its workers do
            with contextlib.suppress(urllib.error.URLError):
                if asked(f"http://127.0.0.1:{port}/health")[0] == 200:
                    break
            time.sleep(0.2)
        assert asked(f"{url}_dash-layout")[0] == 401
        jar = http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        with opener.open(f"{url}login", data=f"key={key}".encode(), timeout=60) as answer:
            assert answer.status == 200
        cookie = "; ".join(f"{each.name}={each.value}" for each in jar)
        for _ in range(12):  # each over a connection of its own, so both workers are asked
            assert asked(f"{url}_dash-layout", Cookie=cookie)[0] == 200
        assert asked(f"http://127.0.0.1:{port}/health")[0] == 200
        with opener.open(f"{url}logout", data=b"", timeout=60) as answer:
            assert "Log in" in answer.read().decode()
        assert {asked(f"{url}_dash-layout", Cookie=cookie)[0] for _ in range(12)} == {401}
        process.send_signal(signal.SIGTERM)
        process.wait(60)
