"""What a process of Darkroom says on the terminal. Must not know: who says it."""

import logging


def start_logging(process: str, level: str) -> None:
    """`level` holds for Darkroom's own words; libraries are heard from warnings on."""
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {process} %(levelname)s %(message)s")
    logging.getLogger("darkroom").setLevel(level.upper())
    if logging.getLevelNamesMapping()[level.upper()] > logging.WARNING:
        logging.getLogger().setLevel(level.upper())
