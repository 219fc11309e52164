"""Shared by every test: array shapes are checked at run time, and statistical tolerances come from one budget."""

import os

# One thread per process of the suite: on a busy machine torch's threads would wait for each other, spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings
from jaxtyping import install_import_hook

# Must run before the packages are imported: jaxtyping then checks each annotated shape and dtype by beartype.
install_import_hook(["gvatheory"], "beartype.beartype")

# One and the same examples on every run of `make test`; `make test-all` looks for new ones.
settings.register_profile("fixed", derandomize=True)
settings.register_profile("explore")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
