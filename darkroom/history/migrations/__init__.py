"""Brings a database's tables to this version's. One file per change in `versions/`, never edited once released.

Must not know: the models; a migration says what it does in its own words, so that it stays true when they change.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection


class TooNew(Exception):
    """The tables were made by a later version of Darkroom."""


def upgrade(connection: Connection) -> None:
    """Run what is missing, inside the connection's transaction. Raises TooNew."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    for revision in MigrationContext.configure(connection).get_current_heads():
        try:
            scripts.get_revision(revision)
        except CommandError as error:
            raise TooNew(revision) from error
    command.upgrade(config, "head")
