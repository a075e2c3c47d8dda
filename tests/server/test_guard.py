"""Who may come in: names, pages of other sites, tokens; and headers that every answer has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from sterna.errors import SettingsError
from sterna.library import Library
from sterna.server import ServerSettings
from sterna.settings import load_settings
from tests.library.fake import ColourEncoder
from tests.server.conftest import colours
from tests.server.serving import Answer, Running, serving

TOKEN = "a-token-of-many-signs"
PAGE = "https://page.example"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("guarded")
    library = Library.open(folder / "library", model=ColourEncoder())
    library.index(colours(folder))
    options = {"token": TOKEN, "cors": (PAGE,), "allowed_hosts": ("photos.example",)}
    with serving(library, **options) as running:
        yield running


def ask(service: Running, path: str = "/api/status", *, method: str = "GET", **headers: str) -> Answer:
    return service.ask(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:80", "LOCALHOST:8265", "[::1]:8265", "127.8.8.8", "localhost."]
)
def test_this_machine_s_names_are_known(service: Running, host: str) -> None:
    assert ask(service, Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8265", "localhost.evil.example", "192.168.0.9", "", "127.0.0.1.evil.example", "[::2]",
     "localhost@evil.example", "a b", "0.0.0.0"],
)  # fmt: skip
def test_another_name_that_was_pointed_here_is_refused(service: Running, host: str) -> None:
    answer = ask(service, Host=host)
    assert (answer.status, answer.problem) == (421, "wrong-host")


def test_two_hosts_are_no_host(service: Running) -> None:
    answer = service.raw(
        b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )
    assert answer.split()[1] in {b"400", b"421"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/api/status", "/api/search", "/api/jobs", "/api/photos/1/thumbnail", "/metrics"]
)
def test_a_page_of_another_site_gets_nothing(service: Running, headers: dict[str, str], path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = ask(service, path, method=method, Host="localhost", **headers)
        assert (answer.status, answer.problem) == (403, "forbidden")
        assert "access-control-allow-origin" not in answer.headers


def test_its_own_pages_and_links_from_elsewhere_come_in(service: Running) -> None:
    assert (
        ask(service, Host="localhost:5", Origin="http://localhost:5", Sec_Fetch_Site="same-origin").status
        == 200
    )
    assert ask(service, Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate").status == 200
    assert ask(service, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200
    assert (
        ask(service, "/", method="POST", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 403
    )


@pytest.mark.parametrize(
    "bearing",
    [
        "",
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        "Bearer ",
        "Bearer \xe9",
        f"bearer{TOKEN}",
    ],
)
@pytest.mark.parametrize(
    "path",
    ["/api/status", "/api/photos", "/metrics", "/api/openapi.json", "/api/photos/1/original", "/nowhere"],
)
def test_nothing_is_told_without_the_token(guarded: Running, bearing: str, path: str) -> None:
    answer = ask(guarded, path, Authorization=bearing)
    assert (answer.status, answer.problem) == (401, "token-needed")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.body.decode()


def test_with_the_token_everything_is_answered(guarded: Running) -> None:
    assert ask(guarded, Authorization=f"Bearer {TOKEN}").status == 200
    assert ask(guarded, Authorization=f"bearer   {TOKEN} ").status == 200
    assert ask(guarded, Authorization=f"Bearer {TOKEN}", Host="photos.example").status == 200
    assert ask(guarded, "/healthz").json == {"status": "ok"}


def test_a_browser_that_showed_the_token_is_remembered(guarded: Running) -> None:
    entered = ask(guarded, f"/login?token={TOKEN}", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert (entered.status, entered.headers["location"]) == (303, "/")
    cookie, *attributes = entered.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(attributes)
    assert TOKEN not in cookie
    assert ask(guarded, Cookie=cookie).status == 200
    assert ask(guarded, Cookie=f"a=b; {cookie}").status == 200
    assert ask(guarded, Cookie=f'prefs={{{{"a": 1}}}}; flag; {cookie}').status == 200
    assert ask(guarded, Cookie=cookie[:-1]).status == 401
    assert ask(guarded, Cookie=cookie, Origin="https://evil.example").status == 403
    assert ask(guarded, Cookie=f"sterna_session={TOKEN}").status == 401
    for wrong in ("", "?token=", "?token=wrong", "?token=" + "x" * 5000):
        assert ask(guarded, f"/login{wrong}").status in {401, 422}


def test_a_browser_that_comes_by_tls_keeps_its_cookie_to_it(guarded: Running) -> None:
    login = f"/login?token={TOKEN}"
    assert "Secure" in ask(guarded, login, X_Forwarded_Proto="https").headers["set-cookie"].split("; ")
    for other in ({"X_Forwarded_Proto": "http"}, {}):
        assert "Secure" not in ask(guarded, login, **other).headers["set-cookie"].split("; ")


def test_a_page_that_was_allowed_may_ask_from_a_browser(guarded: Running) -> None:
    asked = ask(guarded, Authorization=f"Bearer {TOKEN}", Origin=PAGE, Sec_Fetch_Site="cross-site")
    assert (asked.status, asked.headers["access-control-allow-origin"]) == (200, PAGE)
    wanted = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
    preflight = ask(guarded, "/api/search", method="OPTIONS", Origin=PAGE, **wanted)
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "access-control-allow-credentials" not in preflight.headers
    assert ask(guarded, Origin=PAGE, Sec_Fetch_Site="cross-site").status == 401
    assert ask(guarded, Authorization=f"Bearer {TOKEN}", Origin=f"{PAGE}.evil.example").status == 403


def test_what_is_refused_can_be_read_by_a_page_that_was_allowed(guarded: Running) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for status, path, headers in (
        (200, "/api/status", bearer),
        (401, "/api/status", {}),
        (404, "/api/photos/999", bearer),
        (405, "/api/search", bearer),
        (421, "/api/status", {"Host": "evil.example"}),
        (413, "/api/status", {**bearer, "Content-Length": "9"}),
    ):
        answer = ask(guarded, path, Origin=PAGE, Sec_Fetch_Site="cross-site", **headers)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, PAGE)
        assert answer.headers["vary"] == "Origin"
        shown = set(answer.headers["access-control-expose-headers"].lower().split(", "))
        assert shown == {"x-request-id", "retry-after", "location", "etag", "accept-ranges", "content-range"}
        for origin in ("https://evil.example", "null"):
            other = ask(guarded, path, Origin=origin, **headers)
            assert "access-control-allow-origin" not in other.headers


def test_every_answer_forbids_what_pages_need_not(service: Running, ids: dict[str, int]) -> None:
    for path in ("/api/status", "/nowhere", f"/api/photos/{ids['red.png']}/original", "/healthz"):
        headers = service.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
    assert service.get("/api/status").headers["cache-control"] == "no-store"


def test_a_request_s_id_is_its_own_or_a_new_one(service: Running) -> None:
    assert service.get("/healthz", X_Request_ID="abc-1").headers["x-request-id"] == "abc-1"
    for odd in ("a b", "x" * 65, "\xe9"):
        given = service.get("/healthz", X_Request_ID=odd).headers["x-request-id"]
        assert len(given) == 16


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "0.0.0.0"}, "can be reached by others, so a token is needed"),
        ({"host": "photos.example"}, "a token is needed"),
        ({"token": SecretStr("a-secret-15-sig")}, "a token has 16 or more"),
        ({"token": SecretStr("a-secret" * 3 + "\n")}, "a token has 16 or more"),
        ({"cors": ("*",)}, "'\\*' is no origin"),
        ({"cors": ("https://a.example/",)}, "is no origin"),
        ({"port": 70000}, "port"),
        ({"hots": "x"}, "did you mean 'host'"),
    ],
)
def test_settings_that_are_not_safe_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        load_settings(ServerSettings, settings)
    assert "a-secret" not in str(refused.value)


def test_an_address_of_its_own_is_known_where_others_may_come(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    with serving(library, host="0.0.0.0", token=TOKEN) as service:
        assert ask(service, Host="192.168.0.9:8265", Authorization=f"Bearer {TOKEN}").status == 200
        assert ask(service, Host="evil.example", Authorization=f"Bearer {TOKEN}").status == 421
