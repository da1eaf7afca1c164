"""For all tests: no example of hypothesis is timed. A busy machine is no defect; speed is for benchmarks/ to check."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
