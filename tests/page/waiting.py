"""Waiting for the page: Playwright's own `wait_for_function` evaluates text in it, which its policy forbids."""

import time

PATIENCE_S = 20


def until(page, expression):
    """Wait until an expression of JavaScript is true."""
    end = time.monotonic() + PATIENCE_S
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE_S} s: {expression}\n{page.locator('body').inner_text()[:1500]}")
        page.wait_for_timeout(25)
