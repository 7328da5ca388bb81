"""A real server on a free port, in a thread, for any backends."""

import contextlib

import pytest

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
