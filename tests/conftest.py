"""One thread a process: the models of the tests are tiny, and two workers share the cores.

setuptools comes first: where a library (one of the peers) imports Python's own distutils before it, torch's compiler
refuses to work in that process.
"""

import os

import setuptools  # noqa: F401

os.environ.setdefault("OMP_NUM_THREADS", "1")
