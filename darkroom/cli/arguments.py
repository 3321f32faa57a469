"""What can be said behind `python app.py`. A command line that cannot be understood ends here, with exit code 2.

Must not know: how a command is carried out.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkroom.errors import shown
from darkroom.weights import HUBS

RESULTS = "Exit codes: 0 done, 1 failed or refused, 2 not a command or a value that is not allowed."


def read_arguments(words: Sequence[str], config: Path) -> argparse.Namespace:
    """`command` is None where the page is to be served. What was not said of a picture is None."""
    parser = argparse.ArgumentParser(
        description="Darkroom: a page that makes pictures with FLUX.1. Without a command, it is served.", epilog=RESULTS
    )
    parser.add_argument("--config", type=Path, default=config, help="settings file")
    parser.add_argument("--host", help="address to listen on, instead of the one in the settings")
    parser.add_argument("--port", type=_whole, help="port to listen on, instead of the one in the settings")
    # Also behind the command. Without a default of its own, it leaves what was said before.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, default=argparse.SUPPRESS, help="settings file")
    common.add_argument("--json", action="store_true", help="the result as JSON, for programs")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_generate(commands, common)
    _add_models(commands, common)
    return parser.parse_args(words)


def _add_generate(commands: Any, common: argparse.ArgumentParser) -> None:
    about = "make pictures; they are in the history too"
    generate = commands.add_parser("generate", parents=[common], help=about, description=about, epilog=RESULTS)
    add = generate.add_argument
    add("prompt", help="what is in the picture")
    add("--out", type=Path, help="where to write the PNG; of several pictures x-1.png, x-2.png ...")
    add("--model", help="a name that `models list` shows")
    add("--seed", type=_whole, help="the same seed makes the same picture; left out: a new one")
    add("--count", type=_whole, help="how many pictures; their seeds count up")
    add("--steps", type=_whole)
    add("--width", type=_whole, help="pixels")
    add("--height", type=_whole, help="pixels")
    add("--guidance", type=_number)
    add("--cfg-scale", type=_number, help="above 1 the negative prompt counts, at twice the time")
    add("--negative-prompt")
    add("--lora", type=_lora, action="append", dest="loras", metavar="NAME[:WEIGHT]", help="may be said several times")
    add("--resume", action="store_true", help="let the queue go on, if it is paused")


def _add_models(commands: Any, common: argparse.ArgumentParser) -> None:
    about = "the models: what is here, getting, checking and removing them"
    models = commands.add_parser("models", help=about, description=about, epilog=RESULTS)
    acts = models.add_subparsers(dest="act", metavar="ACT", required=True, title="acts")
    acts.add_parser("list", parents=[common], help="what is here and what could be; nobody is asked")
    get = acts.add_parser("get", parents=[common], help="fetch what is missing of one; goes on where it was cut off")
    check = acts.add_parser("check", parents=[common], help="read one, or all that are here, from end to end")
    remove = acts.add_parser("remove", parents=[common], help="remove one for good; what others share stays")
    for each in (get, remove):
        each.add_argument("name", metavar="NAME")
    check.add_argument("name", metavar="NAME", nargs="?")
    get.add_argument("--into", dest="home", default="", metavar="FOLDER", help="one of models.stores in the settings")
    get.add_argument("--from", choices=HUBS, dest="hub", help="the hub, instead of the one in the settings")
    remove.add_argument("--yes", action="store_true", help="without being asked")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number") from error


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number")
    return number


def _lora(text: str) -> dict[str, str | float]:
    name, colon, weight = text.rpartition(":")
    if not colon:
        return {"name": text, "weight": 1.0}
    try:
        return {"name": name, "weight": _number(weight)}
    except argparse.ArgumentTypeError as error:
        allowed = f"{shown(text)} is not a name, or name:weight, such as ink:0.7"
        raise argparse.ArgumentTypeError(allowed) from error
