"""The page holds: focus, haste, wrong addresses, a server that is busy, without its store, or has another model."""

import socket
import sqlite3

from running_server import serving
from waiting import until

PATIENT = ("--deadline-ms", "20000", "--poll-s", "0.1")
FOCUS = """(() => {
    const held = document.activeElement;
    const place = held.closest('[data-id]')?.dataset.id ?? held.id;
    return [place, held.getAttribute('aria-label') ?? held.textContent.trim()];
})()"""


def shown(page):
    return page.locator(".row").evaluate_all("rows => rows.map(row => row.dataset.id)")


def test_the_focus_stays_in_a_list_that_changes(film_server, open_tab):
    tab = open_tab(film_server)
    page = tab.go("#/explore?user=31")
    before = shown(page)
    page.locator(".row .stars").nth(2).locator("button").nth(3).focus()
    page.keyboard.press("Enter")
    until(page, f"!document.querySelector('.ranked [data-id=\"{before[2]}\"]')")
    item, label = page.evaluate(FOCUS)
    assert (item, label) == (shown(page)[2], "4 of 5")  # on the item that is in its place now
    tab.quiet()
    page.locator("#diversity").focus()
    page.keyboard.press("End")
    until(page, "document.querySelector('.right h2').textContent.includes('diversity')")
    assert page.evaluate(FOCUS)[0] == "diversity"
    page.get_by_role("button", name="Someone new").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#titles")
    tab.quiet()
    assert page.evaluate(FOCUS)[1] == "Someone new"
    page.fill("#titles", "tide")
    page.wait_for_selector(".results .stars")
    tab.quiet()
    page.locator(".results .stars button").nth(4).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".history li")
    page.locator(".history button").focus()
    page.keyboard.press("Enter")
    until(page, "!document.querySelector('.history')")
    tab.quiet()
    assert page.evaluate("document.activeElement !== document.body")


def test_what_was_opened_stays_open(film_server, open_tab):
    tab = open_tab(film_server)
    page = tab.go("#/explore?user=5")
    row = page.locator(".row").first
    row.get_by_role("button", name="Why").click()
    row.locator(".parts").wait_for()
    item = shown(page)[0]
    page.fill("#where", "item_id != 320")
    until(page, "location.hash.includes('320')")
    tab.quiet()
    until(page, f"document.querySelector('.ranked [data-id=\"{item}\"] .parts')?.checkVisibility()")


def test_figures_that_are_renewed_leave_the_focus_alone(film_server, open_tab):
    page = open_tab(film_server).go("#/operations")
    page.locator(".scroll").first.focus()
    n = page.locator(".tile .value").first.inner_text()
    until(page, f"document.querySelector('.tile .value').textContent !== '{n}'")
    assert page.evaluate("document.activeElement.classList.contains('scroll')")


def test_the_second_click_of_a_double_one_rates_nothing(film_server, open_tab):
    tab = open_tab(film_server)
    page = tab.go("#/explore?user=33")
    n = film_server.client.get("/v1/users/33/history").json()["total"]
    page.locator(".row .stars").first.locator("button").nth(4).dblclick()
    page.wait_for_selector(".history .fresh")
    tab.quiet()
    page.wait_for_timeout(300)
    assert film_server.client.get("/v1/users/33/history").json()["total"] == n + 1


def test_a_late_answer_does_not_overwrite_a_newer_one(film_server, open_tab):
    tab = open_tab(film_server, expected=("ERR_",))
    page = tab.go("#/explore?user=5")
    held = []
    page.route(
        "**/v1/recommend",
        lambda route: held.append(route) if ">= 1990" in route.request.post_data else route.continue_(),
    )
    page.fill("#where", "year >= 1990")
    until(page, "document.body.classList.contains('waiting')")
    page.fill("#where", "year < 1990")
    years = "[...document.querySelectorAll('.row .sub')].map(one => parseInt(one.textContent))"
    until(page, f"{years}.length === 10 && {years}.every(year => year < 1990)")
    for route in held:
        route.continue_()
    page.wait_for_timeout(300)
    assert max(page.evaluate(years)) < 1990


WRONG = {
    "#/item/%E0%A4%A": "There is no such item",
    "#/explore?user=": "for user",
    "#/explore?user=5&k=-5": "320 items to 1, for user 5",
    "#/explore?user=5&where=year%20>%20)": "This cannot be answered",
    "#/explore?user=5&cap=nothing:3": "This cannot be answered",
    "#/compare?user=5&bversion=gone": "not kept",
    "#/nonsense": "for user",
}


def test_addresses_that_are_wrong(film_server, open_tab):
    tab = open_tab(film_server, expected=("400", "404"))
    for address, says in WRONG.items():
        page = tab.go(address, wait=False)
        page.get_by_text(says).first.wait_for(state="attached")
        until(page, "!document.querySelector('.loading')")
        if "cap" in address:
            until(page, "document.getElementById('caps-problem')?.textContent.includes('nothing')")
            page.get_by_role("link", name="Without the settings").click()
            until(page, "document.querySelectorAll('.row').length === 10")


def test_a_server_that_is_busy(film_model, tmp_path, browser, open_tab):
    """The list stays, it is said why nothing changes, and the answer comes by itself."""
    with serving(film_model, tmp_path / "log", "--store", "none", "--at-once", "16", *PATIENT) as server:
        tab = open_tab(server, expected=("503",))
        page = tab.go("#/explore?user=5")
        before = shown(page)
        head = b"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        occupied = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(16)]
        for one in occupied:
            one.sendall(head + b"Content-Length: 99\r\n\r\n{")
        until_refused(server)
        page.fill("#where", "year >= 1990")
        page.get_by_text("The server is busy").wait_for()
        assert shown(page) == before
        for one in occupied:
            one.close()
        until(page, "!document.querySelector('.failed')")
        until(page, "[...document.querySelectorAll('.row .sub')].every(one => parseInt(one.textContent) >= 1990)")


def until_refused(server):
    for _ in range(200):
        if server.client.get("/v1/model").status_code == 503:
            return
    raise AssertionError("the server is not busy")


def test_a_store_that_cannot_be_written(film_model, tmp_path, browser, open_tab):
    """A rating is not lost: it is said that it was not stored, and trying again stores it once."""
    path = tmp_path / "events.db"
    with serving(film_model, tmp_path / "log", "--store", f"sqlite:///{path}", *PATIENT) as server:
        tab = open_tab(server, expected=("503",))
        page = tab.go("#/explore?user=5")
        n = server.client.get("/v1/users/5/history").json()["total"]
        lock = sqlite3.connect(path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        page.locator(".row .stars button").first.click()
        page.get_by_text("Events cannot be stored now").wait_for()
        assert page.locator(".row").count() == 10
        lock.execute("ROLLBACK")
        lock.close()
        page.get_by_role("button", name="Try again").click()
        page.wait_for_selector(".history .fresh")
        tab.quiet()
        assert server.client.get("/v1/users/5/history").json()["total"] == n + 1


def test_another_version_is_promoted_meanwhile(own_film_server, open_tab):
    explore, compare = open_tab(own_film_server), open_tab(own_film_server)
    page, other = explore.go("#/explore?user=5"), compare.go("#/compare?user=5&bdiversity=0.2")
    models = own_film_server.client.get("/v1/models").json()
    now, before = next(one for one in models["versions"] if one != models["serving"]), models["serving"]
    own_film_server.post(f"/v1/models/{now}/promote?force=true", None)
    page.fill("#where", "year >= 1980")
    page.get_by_text("Another version answers now").wait_for()
    until(page, f"document.getElementById('model').textContent.includes('{now[:8]}')")
    explore.quiet()
    wanted = own_film_server.recommend(user_id=5, where="year >= 1980")
    assert wanted["model_version"] == now
    assert shown(page) == [str(one["item_id"]) for one in wanted["items"]]
    other.fill("#awhere", "year >= 1980")  # list A goes on to be by the version that was chosen for it
    until(other, "location.hash.includes('1980')")
    compare.quiet()
    sides = other.locator("section.side h2").all_inner_texts()
    assert before[:8] in sides[0]
    assert now[:8] in sides[1]


def test_the_person_stays_from_view_to_view(film_server, open_tab):
    tab = open_tab(film_server)
    page = tab.go("#/explore?user=29")
    page.get_by_role("link", name="Compare").click()
    page.get_by_role("heading", name="Two lists for user 29").wait_for()
    tab.quiet()
    page.get_by_role("link", name="Explore").click()
    page.get_by_role("heading", name="for user 29").wait_for()
    tab.quiet()
    page.locator(".row a.title").first.click()
    page.get_by_text("for user 29").first.wait_for()
    page.go_back()
    page.get_by_role("heading", name="for user 29").wait_for()
    tab.quiet()
    page.get_by_role("button", name="Someone new").click()
    page.wait_for_selector("#titles")
    tab.quiet()
    page.get_by_role("button", name="A known user").click()
    page.get_by_role("heading", name="for user 29").wait_for()


def test_every_view_says_when_the_server_is_gone(film_model, tmp_path, browser, open_tab):
    with serving(film_model, tmp_path / "log", "--store", "none", *PATIENT) as server:
        tab = open_tab(server, expected=("ERR_", "Failed to load"))
        page = tab.go("#/explore?user=5")
        page.wait_for_timeout(200)
    for name in ("Compare", "Items", "Quality", "Operations"):
        page.get_by_role("link", name=name).click()
        page.get_by_text("The server does not answer").first.wait_for()
        page.get_by_role("button", name="Try again").first.wait_for()  # the view before may have been there a moment
