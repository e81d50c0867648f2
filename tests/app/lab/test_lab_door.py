"""What is let into the lab: every path needs a key or a login, from this site alone, and no more than it takes."""

import datetime as dt
import json
import re

import pytest
from dash import html
from labs import lab_at
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from openbell.app.api.limiting import RateLimiter
from openbell.app.lab.create import create
from openbell.app.lab.door import HOURS, TRIES_PER_MINUTE, Door
from openbell.app.lab.mounting import Beside, LabServer
from openbell.app.lab.page import Page
from openbell.app.lab.who import who
from openbell.store.api_keys import ApiKeys
from openbell.store.database import Database
from openbell.store.logins import Logins

AT = dt.datetime(2025, 5, 22, 14, 35, tzinfo=dt.UTC)
MOST = 50_000
BROWSER = {"accept": "text/html,*/*"}


class Clock:
    def __init__(self):
        self.at = AT

    def now(self):
        return self.at

    def seconds(self):
        return self.at.timestamp()

    def go(self, seconds):
        self.at += dt.timedelta(seconds=seconds)


class Place:
    """A lab behind the door, and as many servers on its database as are asked for."""

    def __init__(self, path):
        self.clock, self.path = Clock(), path
        path.mkdir()
        self.keys = ApiKeys.open(f"sqlite:///{path}/predictions.db", seconds=self.clock.seconds)
        self.key, self.made = self.keys.create("ann's lab", ["lab"], at=AT)
        self.other, _ = self.keys.create("bot", ["predict", "read"], at=AT)
        self.admin, _ = self.keys.create("root", ["admin"], at=AT)
        self.database = Database.open(f"sqlite:///{path}/lab.db")

    def client(self):
        """A browser at another worker of the same service."""
        door = Door(
            self.keys, Logins(self.database), RateLimiter("memory://", seconds=self.clock.seconds), self.clock.now
        )
        page = Page("one", "One", 1, "About.", lambda lab, query: html.P(f"it is {who()}"))
        pages = create(lab_at(self.path), behind_door=True, pages=(page,))
        app = Beside(PlainTextResponse("api"), LabServer(pages, MOST, door))
        return TestClient(app, base_url="http://house", follow_redirects=False)

    def close(self):
        self.keys.close()
        self.database.close()


@pytest.fixture(scope="module")
def _place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("door") / "home")
    yield made
    made.close()


@pytest.fixture
def place(_place):
    _place.clock.go(120.0)  # what was tried before is forgotten
    return _place


@pytest.fixture
def client(place):
    return place.client()


def _paths(client):
    """Every path that the server knows, with something in place of its variables."""
    server = client.app.lab.pages.server
    for rule in server.url_map.iter_rules():
        yield re.sub(r"<string:\w+>", "dash", re.sub(r"<path:\w+>", "dcc/dash_core_components.js", rule.rule))


def login(client, key, **headers):
    return client.post("/lab/login", data={"key": key, "next": "/lab/one?x=1"}, headers=headers)


def test_every_path_of_the_lab_is_refused_without_a_key(client, place):
    """Found by asking the server for its paths, so that a new one is asked too."""
    paths = [*_paths(client), "/lab/assets/lab.css", "/lab/assets/first/theme.js", "/lab/one", "/lab/nowhere"]
    assert {"/lab/_dash-layout", "/lab/_dash-dependencies", "/lab/_dash-update-component"} <= set(paths)
    for path in paths:
        for method in ("GET", "POST", "PUT", "HEAD"):
            answer = client.request(method, path)
            assert answer.status_code == 401, (method, path)
            assert len(answer.content) < 200
        for key in (place.other, "ob_nonsense", place.key[:-1] + "A", ""):
            assert client.get(path, headers={"X-API-Key": key}).status_code in (401, 429), path
        place.clock.go(61.0)


def test_a_key_in_the_header_opens_every_path(client, place):
    for key in (place.key, place.admin):
        for path in ("/lab/", "/lab/_dash-layout", "/lab/_dash-dependencies", "/lab/assets/lab.css", "/lab/one"):
            assert client.get(path, headers={"X-API-Key": key}).status_code == 200, path


def test_a_login_at_one_worker_holds_at_the_others_until_logout(place):
    first, second = place.client(), place.client()
    shown = first.get("/lab/one?x=1&y=%2F", headers=BROWSER)
    assert shown.status_code == 303
    assert shown.headers["location"] == "/lab/login?next=%2Flab%2Fone%3Fx%3D1%26y%3D%252F"
    form = first.get(shown.headers["location"])
    assert form.status_code == 200
    assert 'value="/lab/one?x=1&amp;y=%2F"' in form.text
    answer = login(first, place.key)
    assert (answer.status_code, answer.headers["location"]) == (303, "/lab/one?x=1")
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    assert "Path=/lab" in said
    assert place.key not in str(answer.headers)
    second.cookies = first.cookies
    assert second.get("/lab/_dash-layout").status_code == 200
    assert second.get("/lab/logout").status_code == 303  # a link elsewhere logs nobody out
    assert second.get("/lab/_dash-layout").status_code == 200
    assert second.post("/lab/logout").status_code == 303
    assert first.get("/lab/_dash-layout").status_code == 401


def test_a_login_expires(client, place):
    login(client, place.key)
    client.cookies.jar.clear_expired_cookies = lambda: None  # the browser's own clock stands still
    place.clock.go(HOURS * 3_600 - 1)
    assert client.get("/lab/_dash-layout").status_code == 200
    place.clock.go(1)
    assert client.get("/lab/_dash-layout").status_code == 401


def test_who_logged_in_with_a_key_that_is_revoked_is_out_within_seconds(client, place):
    key, made = place.keys.create("leaver", ["lab"], at=AT)
    login(client, key)
    assert client.get("/lab/_dash-layout").status_code == 200
    ApiKeys(place.keys.database).revoke(made.id, at=AT)  # by another process
    place.clock.go(place.keys.fresh_seconds)
    assert client.get("/lab/_dash-layout").status_code == 401


@pytest.mark.parametrize("wrong", ["", "x", "ob_" + "a" * 300, "ключ", "' OR 1=1 --"])
def test_a_wrong_key_logs_nobody_in(client, place, wrong):
    for key in (wrong, place.other):
        answer = login(client, key)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert "no key with the scope lab" in answer.text
        assert not key or f'value="{key}"' not in answer.text


def test_whoever_tries_many_keys_has_to_wait(client, place):
    for _ in range(TRIES_PER_MINUTE):
        assert login(client, "wrong").status_code == 401
    assert login(client, "wrong").status_code == 429
    assert client.get("/lab/one", headers={"X-API-Key": "wrong"}).status_code == 429
    assert login(client, place.key).status_code == 303  # who has a key comes in
    place.clock.go(61)
    assert login(client, "wrong").status_code == 401


@pytest.mark.parametrize(
    "way",
    ["https://evil.example", "//evil.example", "/lab/\\evil", "/other", "/lab/login", "javascript:x", "/lab/\r\nx"],
)
def test_a_login_leads_to_the_lab_alone(client, place, way):
    answer = client.post("/lab/login", data={"key": place.key, "next": way})
    assert answer.headers["location"] == "/lab/"
    assert 'name="next" value="/lab/"' in client.get("/lab/login", params={"next": way}).text


def test_another_site_can_do_nothing(client, place):
    login(client, place.key)
    body = {"output": "x", "inputs": []}
    for headers in ({"origin": "http://evil"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
                    {"sec-fetch-site": "same-site"}):  # fmt: skip
        assert client.post("/lab/_dash-update-component", json=body, headers=headers).status_code == 403
        assert client.post("/lab/logout", headers=headers).status_code == 403
        assert login(client, place.key, **headers).status_code == 403
    assert client.get("/lab/_dash-layout").status_code == 200
    assert client.post("/lab/logout", headers={"origin": "http://house"}).status_code == 303


def test_a_link_on_another_site_is_followed_by_ourselves(client):
    """The browser keeps a strict cookie back where another site leads; the second request is our own."""
    answer = client.get("/lab/one?x=%22%3E%3Cscript%3E", headers=BROWSER | {"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert 'content="0; url=/lab/one?x=%22%3E%3Cscript%3E"' in answer.text


def test_the_browser_is_told_what_it_must_not_do(client, place):
    for path in ("/lab/login", "/lab/one"):
        answer = client.get(path, headers={"X-API-Key": place.key})
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_nothing_in_a_page_names_another_host(client, place):
    """No asset of somebody else's: the lab works without the internet."""
    page = client.get("/lab/", headers={"X-API-Key": place.key}).text
    assert re.findall(r'(?:src|href)="(?!/lab/)[^"]*"', page) == []


def test_too_much_is_refused_before_it_is_read(client, place):
    """Check: a 200 MB upload."""
    read = 0

    def endless():
        nonlocal read
        while read < 200_000_000:
            read += 65_536
            yield b"x" * 65_536

    for content, headers in ((b"x", {"content-length": "200000000"}), (endless(), {})):
        answer = client.post(
            "/lab/_dash-update-component", content=content, headers={"X-API-Key": place.key, **headers}
        )
        assert answer.status_code == 413
        assert "at most 50,000 bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"1", b'"x"', b"{}", b'{"output": 1}', b'{"output": "nothing.children"}',
        b'{"output": "lab-content.children", "inputs": 7}', b"\xff\xfe", b"[" * 20_000,
        json.dumps({"output": "..lab-content.children...lab-shown.data..", "inputs": []}).encode(),
    ],
)  # fmt: skip
def test_a_malformed_request_of_a_callback_is_refused_with_a_sentence(client, place, body):
    headers = {"X-API-Key": place.key, "content-type": "application/json"}
    answer = client.post("/lab/_dash-update-component", content=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["detail"].endswith(".")
    assert "Traceback" not in answer.text


def _asked(client, path="/lab/one", **headers):
    """What the page says, as a browser asks for it."""
    dependencies = client.get("/lab/_dash-dependencies", headers=headers).json()
    output = next(each["output"] for each in dependencies if "lab-content" in each["output"])
    told = {
        "output": output,
        "outputs": [{"id": part.rpartition(".")[0], "property": part.rpartition(".")[2]}
                    for part in output.strip(".").split("...")],
        "inputs": [{"id": "lab-url", "property": "pathname", "value": path},
                   {"id": "lab-url", "property": "search", "value": ""}],
        "changedPropIds": ["lab-url.pathname"],
    }  # fmt: skip
    return client.post("/lab/_dash-update-component", json=told, headers=headers)


def test_a_page_knows_who_is_there_and_nobody_can_be_another(client, place):
    for name in ("X-Openbell-Who", "x_openbell_who", "X_OPENBELL-WHO"):
        answer = _asked(client, **{"X-API-Key": place.key, name: "root"})
        assert answer.status_code == 200
        assert "it is ann's lab" in answer.text
        assert "root" not in answer.text


def test_the_api_stands_beside_the_lab(client):
    assert client.get("/health").text == "api"
    assert client.get("/labor").text == "api"
    assert client.get("/lab").status_code == 307
    assert client.get("/lab").headers["location"] == "/lab/"


def test_keys_that_cannot_be_looked_up_let_nobody_in(place, monkeypatch):
    from openbell.core.errors import StorageFailed

    client = place.client()
    login(client, place.key)

    def broken(*_, **__):
        raise StorageFailed("The database is away.")

    monkeypatch.setattr(Logins, "key_of", broken)
    answer = client.get("/lab/_dash-layout")
    assert answer.status_code == 503
    assert "nobody is let in" in answer.json()["detail"]


def test_a_lab_without_a_door_answers_to_its_own_names_alone(tmp_path):
    """DNS rebinding: a name of somebody else's that points here is refused."""
    (tmp_path / "home").mkdir()
    page = Page("one", "One", 1, "About.", lambda lab, query: html.P(f"it is {who()}"))
    app = LabServer(create(lab_at(tmp_path / "home"), pages=(page,)), MOST, None, ("127.0.0.1:8050", "localhost:8050"))
    client = TestClient(app, base_url="http://127.0.0.1:8050", follow_redirects=False)
    assert client.get("/lab/one").status_code == 200
    assert client.get("/").headers["location"] == "/lab/"
    assert "it is this machine" in _asked(client, **{"x-openbell-who": "root"}).text
    assert client.get("/other").status_code == 404
    for host in ("evil.example", "127.0.0.1", "127.0.0.1:80", "evil.example:8050", ""):
        answer = client.get("/lab/one", headers={"host": host})
        assert answer.status_code == 403, host
        assert client.get("/lab/_dash-layout", headers={"host": host}).status_code == 403
