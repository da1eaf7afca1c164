"""One module per resource; `ALL_ROUTES` has the operations of all of them."""

from shortlist.serving.resources import events, health, items, models, page, rank, recommend, rules, users
from shortlist.serving.routes import Route

ALL_ROUTES: tuple[Route, ...] = (
    *recommend.ROUTES,
    *rank.ROUTES,
    *items.ROUTES,
    *events.ROUTES,
    *users.ROUTES,
    *models.ROUTES,
    *rules.ROUTES,
    *health.ROUTES,
    *page.ROUTES,
)
