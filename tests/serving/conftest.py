"""A real server on a free port, in a thread, for any backends; and what the tests of the page share."""

import contextlib

import pytest

from tests.serving.browser import chromium, site, visits
from tests.serving.fakes import Running
from upwell.serving.api import app


@pytest.fixture
def serve():
    """serve({"name": backend}, ...) -> a Running server; all are stopped after the test."""
    with contextlib.ExitStack() as stack:

        def start(backends, **options):
            running = Running(app(backends, **options))
            stack.callback(running.stop)
            return running

        yield start


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def running():
    """The server whose page the browser opens; other files have one of their own by that name."""
    with site() as running:
        yield running


@pytest.fixture
def visit(browser, running):
    with visits(browser, running) as visit:
        yield visit
