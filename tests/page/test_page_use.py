"""What somebody does with the page: rates, uses the keyboard, has no key, loses the server, looks from a phone."""

import re
import shutil

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from running_server import serving
from test_page_views import VIEWS, texts
from waiting import until

from shortlist.serving.keys import add_key

PATIENT = ("--deadline-ms", "20000")


def rows(page):
    return page.locator(".row").evaluate_all("rows => rows.map(row => Number(row.dataset.id))")


def test_rating_an_item_changes_the_list_and_is_stored(film_server, open_tab):
    page = open_tab(film_server).go("#/explore?user=17")
    before = rows(page)
    page.locator(".row").first.locator(".stars button").nth(4).click()
    until(page, f"document.querySelector('.row')?.dataset.id !== '{before[0]}'")
    page.wait_for_selector(".history .fresh")
    events = film_server.client.get("/v1/users/17/history").json()["events"]
    assert (events[-1]["item_id"], events[-1]["rating"], events[-1]["known_to_model"]) == (before[0], 5.0, False)
    after = rows(page)
    assert before[0] not in after
    assert after == [one["item_id"] for one in film_server.recommend(user_id=17, k=10)["items"]]
    assert "rated 5" in page.locator(".notes").inner_text()
    assert re.search(r"\d+ new", page.locator("#status").inner_text())


def test_somebody_new_is_made_up_by_rating(film_server, open_tab):
    page = open_tab(film_server).go("#/explore?new=")
    nobody = rows(page)
    assert nobody == [one["item_id"] for one in film_server.recommend(history=[], k=10)["items"]]
    page.fill("#titles", "harbour")
    until(page, "[...document.querySelectorAll('.results .title')].every(one => /harbour/i.test(one.textContent))")
    for _ in range(3):
        n = page.locator(".history li").count()
        page.locator(".results .stars").nth(n).locator("button").nth(4).click()
        until(page, f"document.querySelectorAll('.history li').length === {n + 1}")
    stored = page.evaluate("JSON.parse(sessionStorage.getItem('shortlist-built'))")
    wanted = [one["item_id"] for one in film_server.recommend(history=stored, k=10)["items"]]
    assert wanted != nobody
    shown = "[...document.querySelectorAll('.row')].map(row => Number(row.dataset.id)).join()"
    until(page, f"{shown} === '{','.join(map(str, wanted))}'")
    page.locator(".history button").first.click()
    until(page, "document.querySelectorAll('.history li').length === 2")


def test_nobody_by_that_id(film_server, open_tab):
    tab = open_tab(film_server)
    page = tab.go("#/explore?user=5")
    page.fill("#user", "123456")
    page.press("#user", "Enter")
    page.get_by_text("Nobody by this id is known").first.wait_for()
    until(page, "document.querySelectorAll('.row').length === 10")


def test_the_keyboard_alone_is_enough(film_server, open_tab):
    page = open_tab(film_server).go("#/explore?user=23")

    def focused():
        return page.evaluate(
            "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent.trim()"
        )

    page.keyboard.press("Tab")
    assert focused() == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "view"
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("Boolean(document.activeElement.closest('.row .stars'))"):
            break
    assert focused() == "1 of 5"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    before = rows(page)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert focused() == "4 of 5"
    page.keyboard.press("Tab")
    assert focused().startswith("Why")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    page.keyboard.press("Shift+Tab")
    assert focused() == "4 of 5"
    page.keyboard.press("Enter")
    page.wait_for_selector(".history .fresh")
    assert film_server.client.get("/v1/users/23/history").json()["events"][-1]["item_id"] == before[0]


@pytest.mark.parametrize("width", [320, 375, 768])
def test_nothing_sticks_out_of_a_narrow_screen(film_server, open_tab, width):
    tab = open_tab(film_server, width=width)
    for name, place in VIEWS.items():
        page = tab.go(place)
        wide, visible = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= visible, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_labels_and_contrast(film_server, open_tab, scheme):
    tab = open_tab(film_server, scheme=scheme, expected=("400", "404"))
    found = []
    states = {
        "nothing left": "#/explore?user=5&where=year%20>%203000",
        "not answered": "#/explore?user=5&where=year%20>",
        "two settings": "#/compare?user=5&bversion=gone",
    }
    for name, place in (VIEWS | states).items():
        page = tab.go(place)
        if name == "explore":
            page.locator(".row").first.get_by_role("button", name="Why").click()
            page.get_by_text("More settings").click()
        page.wait_for_timeout(250)
        result = Axe().run(
            page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
        )
        found += [
            (
                name,
                one["id"],
                [node["html"][:160] for node in one["nodes"][:3]],
                one["nodes"][0]["failureSummary"][:300],
            )
            for one in result.response["violations"]
        ]
    assert not found, found


@pytest.fixture(scope="module")
def locked(film_model, tmp_path_factory, browser):
    folder = tmp_path_factory.mktemp("locked-films")
    keys = {scope: add_key(folder / "keys.json", scope, [scope]) for scope in ("read", "admin")}
    options = ("--keys", str(folder / "keys.json"), "--store", f"sqlite:///{folder / 'events.db'}")
    model = shutil.copytree(film_model, folder / "model")  # it will be promoted by
    with serving(model, folder / "log", *options, *PATIENT) as server:
        server.keys = keys
        yield server


def give(page, key):
    page.locator("dialog[open]").wait_for()
    page.fill("#key-value", key)
    page.get_by_role("button", name="Use this key").click()


def test_a_server_with_keys_asks_for_one(locked, open_tab):
    tab = open_tab(locked, expected=("401", "403"))
    page = tab.go(wait=False)
    page.locator("dialog[open]").wait_for()
    assert not Axe().run(page).response["violations"]
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("A key is needed").wait_for()
    page.get_by_role("button", name="Give a key").click()
    give(page, "sl_000000000000_" + "x" * 43)
    page.get_by_role("button", name="Give a key").click()
    give(page, locked.keys["read"])
    until(page, "document.querySelectorAll('.row').length === 10")
    tab.quiet()
    page.locator(".row .stars button").first.click()  # a key of the scope read may not store events
    page.get_by_text("This needs another key").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("This key may not do that").wait_for()
    page.reload()
    until(page, "document.querySelectorAll('.row').length === 10")  # kept in the tab
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_promoting_asks_for_an_admins_key(locked, open_tab):
    tab = open_tab(locked, expected=("401", "403", "422"))
    page = tab.go("#/operations", wait=False)
    give(page, locked.keys["read"])
    page.get_by_role("button", name="Roll back").click()
    give(page, locked.keys["admin"])
    page.wait_for_selector(".note.good, .note.warn")


def test_a_server_that_stops_and_comes_back(film_model, tmp_path, open_tab, browser):
    tab = None
    with serving(film_model, tmp_path / "log", "--store", "none", *PATIENT) as server:
        tab = open_tab(server, expected=("ERR_CONNECTION", "Failed to load"))
        page = tab.go("#/explore?user=5")
        port = server.port
    page.fill("#where", "year >= 1990")
    page.get_by_text("The server does not answer").wait_for()
    page.get_by_text("again by itself in").wait_for()
    with serving(film_model, tmp_path / "log2", "--store", "none", "--port", str(port), *PATIENT):
        until(page, "!document.querySelector('.failed')")  # by itself
        until(page, "document.querySelectorAll('.row').length === 10")


def test_too_many_requests(film_model, tmp_path, open_tab, browser):
    with serving(film_model, tmp_path / "log", "--store", "none", "--rate", "0.1", *PATIENT) as server:
        tab = open_tab(server, expected=("429",))
        page = tab.go("#/explore?user=5", wait=False)
        page.get_by_text("Too many requests").first.wait_for()
        page.get_by_text("again by itself in").first.wait_for()


def test_an_answer_without_ranking_says_so(film_model, tmp_path, open_tab, browser):
    with serving(film_model, tmp_path / "log", "--store", "none", "--deadline-ms", "1") as server:
        page = open_tab(server).go("#/explore?user=5")
        page.get_by_text("Not the full answer.").wait_for()
        assert page.locator(".row").count() == 10
        assert "not ranked" in page.locator(".row").first.inner_text()


def test_a_store_that_is_not_there(film_model, tmp_path, open_tab, browser):
    with serving(film_model, tmp_path / "log", "--store", "none", *PATIENT) as server:
        tab = open_tab(server, expected=("409",))
        page = tab.go("#/explore?user=5")
        page.locator(".row .stars button").first.click()
        page.get_by_text("This server has no store of events").wait_for()


def test_while_it_takes_long(film_server, open_tab):
    """Grey lines at once, a bar at the top after a quarter of a second, and the page stays usable."""
    tab = open_tab(film_server)
    held = []
    tab.page.route("**/v1/recommend", lambda route: held.append(route))
    page = tab.go("#/explore?user=5", wait=False)
    page.wait_for_selector(".flow .loading .skeleton")
    page.wait_for_selector("body.waiting")
    assert page.locator(".history li").count() == 12
    while held:
        held.pop().continue_()
    page.unroute("**/v1/recommend")
    until(page, "document.querySelectorAll('.row').length === 10")
    until(page, "!document.body.classList.contains('waiting')")


def test_the_page_works_by_the_files_alone_that_it_is_served(film_server, open_tab):
    """No request leaves the server, and none asks for a file that is not there."""
    tab = open_tab(film_server)
    asked, missing = [], []
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.page.on("response", lambda response: response.status >= 400 and missing.append(response.url))
    for place in VIEWS.values():
        tab.go(place)
    assert asked
    assert all(url.startswith(film_server.address) for url in asked)
    assert not missing
    assert httpx.get(film_server.address).status_code == 200
    assert texts(tab.page, "nav a[aria-current]") == ["Operations"]
