"""For every test, plugins' included: idle OpenMP threads must not spin forever while processes share two cores."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "20000")
