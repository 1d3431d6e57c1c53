"""The console over a real village on a tiny model: logins, forms, and every page with something on it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from console_village import TOKEN, flagged, join, open_rooms, served, version_added, write_report
from running import Target
from townsfolk.console.sessions import COOKIE, Sessions
from townsfolk.errors import TooOften, Unauthorized
from townsfolk.gateway.tokens import Holder, Scope, add_token, revoke_token
from townsfolk.serving import Rooms, Village
from townsfolk.serving.desk import OperatorDesk

PAGES = ("/", "/review", "/villagers", "/adapters", "/reports", "/playground")


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    opened = open_rooms(tmp_path_factory.mktemp("console"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def target(rooms: Rooms) -> Iterator[Target]:
    with served(rooms) as address:
        yield address


@pytest.fixture
def visitor(target: Target) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{target.http}/console", timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def cookie(target: Target) -> str:
    answer = httpx.post(f"{target.http}/console/login", data={"token": TOKEN})
    assert answer.status_code == 303
    return answer.cookies[COOKIE]


@pytest.fixture
def operator(visitor: httpx.Client, cookie: str) -> httpx.Client:
    visitor.cookies.set(COOKIE, cookie, path="/console")
    return visitor


def form(page: httpx.Response, **fields: str) -> dict[str, str]:
    """The fields with the token that forms of this page carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return {"csrf": found[1], **fields}


def test_nobody_sees_a_page_without_a_login(visitor: httpx.Client) -> None:
    for path in PAGES:
        answer = visitor.get(path)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/console/login")
    assert visitor.get("/review/ab").headers["location"] == "/console/login?then=/console/review/ab"
    assert visitor.get("/static/console.css").status_code == 200


def test_the_login_leads_back_but_never_away(visitor: httpx.Client) -> None:
    for then, leads in (
        ("/console/reports", "/console/reports"),
        ("//evil.example/", "/console/"),
        ("", "/console/"),
    ):
        answer = visitor.post("/login", data={"token": TOKEN, "then": then})
        assert answer.headers["location"] == leads
    cookie = answer.headers["set-cookie"]
    assert "Secure" not in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/console"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    behind_a_proxy = {"Origin": f"https://{visitor.base_url.netloc.decode()}"}
    answer = visitor.post("/login", data={"token": TOKEN}, headers=behind_a_proxy)
    assert "Secure" in answer.headers["set-cookie"]


def test_a_forged_cookie_is_nobodys(operator: httpx.Client) -> None:
    good = operator.cookies[COOKIE]
    operator.cookies.clear()
    for forged in (good[:-2] + "xx", "", "e30", good.partition(".")[0]):
        operator.cookies.set(COOKIE, forged, path="/console")
        assert operator.get("/").status_code == 303
        operator.cookies.clear()


def test_who_logs_out_is_out(visitor: httpx.Client) -> None:
    visitor.post("/login", data={"token": TOKEN})
    operator, cookie = visitor, visitor.cookies[COOKIE]
    assert operator.post("/logout", data=form(operator.get("/"))).headers["location"] == "/console/login"
    operator.cookies.set(COOKIE, cookie, path="/console")
    assert operator.get("/").status_code == 303


def test_a_session_is_as_good_as_its_token(rooms: Rooms) -> None:
    sessions = Sessions(OperatorDesk(rooms, Village(rooms)), lasts_s=60)
    file = rooms.settings.tokens_file
    token = add_token(file, Holder(name="ada", scopes=frozenset({Scope.ADMIN})))
    game = add_token(file, Holder(name="game", scopes=frozenset({Scope.PLAY})))
    session, cookie = sessions.begin(token, "::1")
    assert sessions.find(cookie) is session
    assert session.who == "ada"
    assert token not in repr(session)
    with pytest.raises(Unauthorized, match="tokens add"):
        sessions.begin(game, "::1")
    revoke_token(file, "ada")
    assert sessions.find(cookie) is None


def test_a_session_ends_by_itself(rooms: Rooms) -> None:
    sessions = Sessions(OperatorDesk(rooms, Village(rooms)), lasts_s=0)
    assert sessions.find(sessions.begin(TOKEN, "::1")[1]) is None


def test_logins_are_limited_by_address_and_in_all(rooms: Rooms) -> None:
    sessions = Sessions(OperatorDesk(rooms, Village(rooms)), lasts_s=60)
    for _ in range(10):
        with pytest.raises(Unauthorized):
            sessions.begin("guess", "10.0.0.1")
    with pytest.raises(TooOften, match="retry after"):
        sessions.begin(TOKEN, "10.0.0.1")
    assert sessions.begin(TOKEN, "10.0.0.2")
    for guest in range(89):
        with pytest.raises(Unauthorized):
            sessions.begin("guess", f"10.0.1.{guest}")
    with pytest.raises(TooOften):
        sessions.begin(TOKEN, "10.0.0.3")


def test_without_tokens_its_owner_alone_comes_in(rooms: Rooms, tmp_path: Path) -> None:
    """On loopback the service itself lets anybody in then; an address is no person."""
    own = {"api_token": SecretStr(""), "tokens_file": tmp_path / "tokens.json"}
    settings = rooms.settings.model_copy(update=own)
    open_to_all = OperatorDesk(replace(rooms, settings=settings), Village(rooms))
    token = settings.console.token_file.read_text().strip()
    for guess in ("", token[:-1]):
        with pytest.raises(Unauthorized, match=r"console\.token_file"):
            open_to_all.administrator(guess)
    assert open_to_all.administrator(token) == "owner"
    add_token(settings.tokens_file, Holder(name="game", scopes=frozenset({Scope.PLAY})))
    with pytest.raises(Unauthorized):
        open_to_all.administrator(token)


def test_a_wrong_token_is_told(visitor: httpx.Client) -> None:
    answer = visitor.post("/login", data={"token": "guess"})
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert COOKIE not in visitor.cookies


def test_changes_need_the_sessions_own_form(operator: httpx.Client, rooms: Rooms) -> None:
    flag = flagged(rooms, "t-csrf")
    good = form(operator.get(f"/review/{flag}"), state="rejected")
    refused = [
        operator.post(f"/review/{flag}", data={"state": "rejected"}),
        operator.post(f"/review/{flag}", data=good | {"csrf": "guess"}),
        operator.post(f"/review/{flag}", data=good, headers={"Sec-Fetch-Site": "cross-site"}),
        operator.post(f"/review/{flag}", data=good, headers={"Origin": "http://evil.example"}),
        operator.post("/login", data={"token": TOKEN}, headers={"Origin": "null"}),
    ]
    assert [answer.status_code for answer in refused] == [403] * 5
    assert rooms.store.read_flag(flag).state == "open"
    operator.cookies.clear()
    assert operator.post(f"/review/{flag}", data=good).headers["location"] == "/console/login"
    assert rooms.store.read_flag(flag).state == "open"


def test_every_answer_lets_a_browser_do_little(operator: httpx.Client) -> None:
    for path in (*PAGES, "/login", "/nowhere", "/static/live.js"):
        headers = operator.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert "no-store" in operator.get("/").headers["cache-control"]


def test_no_page_has_anything_inline_or_from_outside(operator: httpx.Client) -> None:
    for path in (*PAGES, "/login"):
        text = operator.get(path).text
        assert not re.search(r"<script(?! src=)|<style| style=| on\w+=", text)
        assert not re.search(r'(?:src|href|action)="(?!/console|#)', text)


def test_a_turn_is_reviewed(operator: httpx.Client, rooms: Rooms) -> None:
    first, second = flagged(rooms, "t-one"), flagged(rooms, "t-two")
    assert f"/console/review/{first}" in operator.get("/review").text
    page = operator.get(f"/review/{first}")
    assert "<script>alert" not in page.text
    assert '<code class="action">wave</code>' in page.text
    assert "\u202e" not in page.text
    assert "U+202E" in page.text
    answer = operator.post(f"/review/{first}", data=form(page, state="rejected", note=" too rude "))
    assert answer.headers["location"] == f"/console/review/{second}"
    flag = rooms.store.read_flag(first)
    assert (flag.state, flag.note, flag.who) == ("rejected", "too rude", "TOWNSFOLK_API_TOKEN")
    assert "too rude" in operator.get("/review?state=rejected").text
    operator.post(f"/review/{first}", data=form(operator.get(f"/review/{first}"), state="open"))
    assert rooms.store.read_flag(first).state == "open"


def test_wrong_forms_and_names_are_told_as_pages(operator: httpx.Client, rooms: Rooms) -> None:
    good = form(operator.get("/adapters"))
    told = [
        operator.get("/review/abc"),
        operator.get("/review/NOT-HEX"),
        operator.get("/villagers/nowhere/nobody"),
        operator.get("/reports/..%2F..%2Fetc%2Fpasswd"),
        operator.get("/nowhere"),
        operator.post("/adapters/guard/promote", data=good | {"version": "0" * 64}),
        operator.post("/adapters/guard/promote", data=good | {"version": "short"}),
        operator.post("/adapters/nobody/rollback", data=good),
        operator.post("/playground", data=good | {"context": " ", "personas": "guard"}),
    ]
    assert [answer.status_code for answer in told] == [404, 422, 404, 404, 404, 404, 422, 404, 422]
    assert all("<h1>" in answer.text and "Traceback" not in answer.text for answer in told)


def test_villagers_are_shown_as_they_live(operator: httpx.Client, target: Target, rooms: Rooms) -> None:
    join(target, "Wren", "Brita")
    flagged(rooms, "t-past")
    page = operator.get("/villagers").text
    assert "Wren" in page
    assert "Brita" in page
    one = operator.get("/villagers/demo-world/wren").text
    assert "alert(1)" in one
    assert "<script>alert" not in one


def test_versions_are_promoted_and_taken_back(operator: httpx.Client, rooms: Rooms, tmp_path: Path) -> None:
    version = version_added(rooms, rooms.settings.adapters_dirs[0].parent, "guard", 1)
    page = operator.get("/adapters")
    assert version[:12] in page.text
    answer = operator.post("/adapters/guard/promote", data=form(page, version=version))
    assert answer.headers["location"] == "/console/adapters"
    page = operator.get("/adapters")
    assert "on trial with 100% of the villagers" in page.text
    assert rooms.shelf.hash_of("guard") == version
    asked = form(operator.get("/playground"), context="Hello there", personas="guard")
    both = operator.post("/playground", data=asked).text
    assert both.count('class="words said"') == 2  # its own answer, and the base model's
    operator.post("/adapters/guard/rollback", data=form(page, reason="rude"))
    assert rooms.shelf.hash_of("guard") is None
    assert rooms.promotions.registry.history()[-1].reasons == ("TOWNSFOLK_API_TOKEN: rude",)


def test_reports_are_shown(operator: httpx.Client, rooms: Rooms) -> None:
    folder = rooms.settings.console.reports_dir
    write_report(folder, "friday")
    (folder / "torn.json").write_text("{")
    assert "1 of 2 bars held" in (page := operator.get("/reports").text)
    assert "is no report" in page
    assert "/console/reports/guard" in page  # what the persona comes with
    report = operator.get("/reports/friday").text
    assert "missed, bar 0.9" in report
    assert "<script>alert" not in report
    file = operator.get("/reports/friday/json")
    assert file.headers["content-disposition"].startswith("attachment")
    assert operator.get("/reports/friday/html").status_code == 404


def test_the_playground_keeps_nothing(operator: httpx.Client, rooms: Rooms) -> None:
    rooms.store.drain()
    before = rooms.store.counts()["turns"]
    asked = form(operator.get("/playground"), context="Hello there")
    answer = operator.post("/playground", data={**asked, "personas": ["guard", "trader"]})
    assert answer.status_code == 200, answer.text
    assert answer.text.count('class="words said"') == 2
    rooms.store.drain()
    assert rooms.store.counts()["turns"] == before
