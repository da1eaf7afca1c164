"""Counters for Prometheus, in a registry of their own."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCIES_S = (0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """All names begin with ``shortlist_``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry, namespace="shortlist")
        gauge = partial(Gauge, registry=self.registry, namespace="shortlist")
        histogram = partial(Histogram, registry=self.registry, namespace="shortlist", buckets=LATENCIES_S)
        self.requests = counter("requests", "Requests by route and status", ["route", "status"])
        self.seconds = histogram("request_seconds", "From the first byte to the last", ["route"])
        self.stage_seconds = histogram("stage_seconds", "Of each stage that was run to its end", ["stage"])
        self.degraded = counter("degraded", "Answers without a stage, and why", ["stage", "cause"])
        self.rungs = counter("rungs", "Answers by what put them in order", ["rung"])
        self.short = counter("short_answers", "Answers with fewer than k items")
        self.events = counter("events", "Events by what became of them", ["status"])
        self.exposures_lost = counter("exposures_lost", "Exposures that could not be queued")
        self.swaps = counter("model_swaps", "Models that took over or were refused", ["outcome"])
        self.rules = counter("rules", "Files of rules that were followed or refused", ["outcome"])
        self.rules_left_out = gauge("rules_left_out", "Rules that the model cannot follow")
        self.refusals = counter("refusals", "Requests refused before they were answered", ["cause"])
        self.model_loaded_at = gauge("model_loaded_at_seconds", "Unix time at which the model took over")
        self.in_flight = gauge("requests_in_flight", "Requests being answered")
        self.waiting = gauge("queries_waiting", "Queries that wait for a worker or are with one")
        self.queued = gauge("store_queued", "Writes that wait for their commit")
        self.abandoned = gauge("workers_abandoned", "Worker threads that have not come back")

    def text(self) -> bytes:
        """The exposition format, version 0.0.4."""
        return generate_latest(self.registry)
