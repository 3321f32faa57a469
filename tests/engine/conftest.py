"""What the engine process sets before torch is imported, for the tests that import it themselves."""

import os

from darkroom.engine.process import ENVIRONMENT

for name, value in ENVIRONMENT.items():
    os.environ.setdefault(name, value)
