"""The server's inside without HTTP, with stages that can be broken."""

import asyncio
import threading
import time
from dataclasses import replace

import httpx

from shortlist.serving.app import make_app
from shortlist.serving.keys import Keys
from shortlist.serving.live import Live
from shortlist.serving.metrics import Metrics
from shortlist.serving.rules_file import RulesFile
from shortlist.serving.service import Service
from shortlist.serving.workers import Workers
from shortlist.stages import Source

DEADLINE_S = 20.0
"""No stage that works or fails takes so long, however busy the machine is."""
HURRIED_S = 1.0
"""A deadline for stages that hang: the others have time enough to be done before it."""
HANG_S = 60
PAUSE_S = 600.0
"""Once a breaker is open it stays so for the rest of a test."""


class BrokenRanker:
    """Stands in for a model's ranker."""

    def __init__(self, ranker, act):
        self.feature_names = ranker.feature_names
        self._ranker, self._act = ranker, act

    def score(self, features):
        self._act()
        return self._ranker.score(features)


class BrokenSource(Source):
    name = "broken"

    def __init__(self, act):
        self._act = act

    def score_catalogue(self, queries):
        self._act()
        raise AssertionError("not reached")


class Harness:
    """The application in this process, with stages that can be broken."""

    def __init__(self, folder, deadline_s=DEADLINE_S, store=None):
        self.metrics = Metrics()
        live = Live(folder, store, self.metrics)
        rules = RulesFile(None, self.metrics)
        self.service = Service(live, store, Workers(64, self.metrics), self.metrics, rules, deadline_s)
        for breaker in (self.service.ladder.retrieval, self.service.ladder.ranking, self.service.ladder.explanation):
            breaker.pause_s = PAUSE_S
        self.app = make_app(self.service, Keys([]), local_only=False, most_at_once=256, on_startup=[])
        self.released = threading.Event()

    @property
    def model(self):
        return self.service.live.bundle.model

    def put(self, **parts):
        live = self.service.live
        live.bundle = replace(live.bundle, model=replace(live.bundle.model, **parts))

    def break_ranker(self, act):
        self.put(ranker=BrokenRanker(self.model.ranker, act))

    def break_retrieval(self, act, keep=()):
        first = self.model.first
        kept = [source for source in first.sources if source.name in keep]
        # Enough columns for the features' names, should they be asked for.
        self.put(first=replace(first, sources=(*kept, BrokenSource(act))))

    def hang(self):
        self.released.wait(HANG_S)

    def hurry(self):
        self.service.deadline_s = HURRIED_S

    def ask(self, *bodies, path="/v1/recommend"):
        """The answers, one after the other, and the seconds of each."""

        async def run():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                found = []
                for body in bodies:
                    begin = time.perf_counter()
                    response = await client.post(path, json=body)
                    assert response.status_code == 200, response.text
                    found.append((response.json(), time.perf_counter() - begin))
                return found

        return asyncio.run(run())

    def counted(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"shortlist_{name}_total", labels) or 0


def fail():
    raise FloatingPointError("a stage that fails")
