"""One thread a process: the models of the tests are tiny, and two workers share the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
