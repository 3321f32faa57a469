"""`models list`, `get`, `check` and `remove`, told as the Models page tells them.

Must not know: hubs, or disks.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from darkroom.cli.darkroom import Stock, View
from darkroom.cli.terminal import Terminal
from darkroom.errors import CommandRefused, InvalidRequest, Problem, shown
from darkroom.weights import Hub

AT_WORK = ("coming", "waiting", "checking")
SECONDS_BETWEEN_LOOKS = 0.2


def list_models(stock: Stock, hub: Hub, terminal: Terminal) -> int:
    view = stock.models(hub)
    models = view["models"]
    widths = [max(len(each["name"]) for each in models), max(len(each["words"]["status"]) for each in models)]
    for each in models:
        words = each["words"]
        about = " · ".join(part for part in (each["title"], words["size"]) if part)
        terminal.line(f"{each['name']:<{widths[0]}}  {words['status']:<{widths[1]}}  {about}")
        indent = " " * (sum(widths) + 4)
        for part in (words["fit"], words["terms"], words["trouble"]):
            if part:
                terminal.line(f"{indent}{part}")
    terminal.line(f"{view['machine']} {view['disk']}")
    terminal.result({"models": [_told(each) for each in models], "machine": view["machine"], "disk": view["disk"]})
    return 0


def get_model(stock: Stock, name: str, hub: Hub, terminal: Terminal, home: str = "") -> int:
    """Fetch what is missing, and wait for it."""
    model = _model(stock, name, hub)
    if model["status"] == "here":
        return _ended(stock, [name], hub, terminal)
    acts = [each["act"] for each in model["acts"]]
    if model["status"] not in AT_WORK and not {"get", "mend", "resume"} & set(acts):
        raise CommandRefused("no_source", model["words"]["trouble"] or model["words"]["status"])
    try:
        return _carried_out(stock, "get", [name], hub, terminal, home)
    except InvalidRequest as error:
        # In the words of the command line.
        raise InvalidRequest(
            *(replace(each, field="--into") if each.field == "home" else each for each in error.problems)
        ) from error


def check_models(stock: Stock, name: str | None, hub: Hub, terminal: Terminal) -> int:
    """Without a name: all that are here."""
    if name is None:
        models = stock.models(hub)["models"]
        names = [each["name"] for each in models if "check" in [act["act"] for act in each["acts"]]]
        if not names:
            terminal.line("There is nothing to check.")
    else:
        model = _model(stock, name, hub)
        if model["status"] not in (*AT_WORK, "here", "damaged"):
            raise CommandRefused("not_here", f"{model['title']}: {model['words']['status']}.")
        names = [name]
    return _carried_out(stock, "check", names, hub, terminal)


def remove_model(stock: Stock, name: str, hub: Hub, terminal: Terminal, *, agreed: bool) -> int:
    model = _model(stock, name, hub)
    question = next((each["question"] for each in model["acts"] if each["act"] == "remove"), None)
    if question is not None and not agreed:
        answer = terminal.agrees(" ".join(part for part in (question, stock.needs(model["name"])) if part))
        if answer is None:
            raise InvalidRequest(Problem(field="--yes", value="missing", allowed="--yes, where nobody can be asked"))
        if not answer:
            raise CommandRefused("not_removed", "Nothing was removed.")
    if question is None and model["acts"]:
        raise CommandRefused("nothing_to_remove", f"{model['title']}: {model['words']['status']}.")
    # What ships with Darkroom is refused there.
    stock.act(name, "remove", hub)
    return _ended(stock, [name], hub, terminal, is_good=lambda status: status != "here")


def _carried_out(stock: Stock, act: str, names: Sequence[str], hub: Hub, terminal: Terminal, home: str = "") -> int:
    """All at once, so that a file that several share is seen to once; then until none is at work any more."""
    try:
        for name in names:
            stock.act(name, act, hub, home)
        for name in names:
            while _is_at_work(view := stock.models(hub), name):
                terminal.progress(_progress(_of(view, name)))
                time.sleep(SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        for name in names:
            stock.act(name, "pause", hub)
        raise
    return _ended(stock, names, hub, terminal)


def _is_at_work(view: View, name: str) -> bool:
    """Where one file has failed, the others still come."""
    model = _of(view, name)
    files = (*model["files"], *view["shared"]) if model["status"] == "failed" else ()
    return model["status"] in AT_WORK or any(file["status"] in AT_WORK for file in files)


def _progress(model: View) -> str:
    part = f"{model['progress'] * 100:.0f} %" if model["progress"] is not None else ""
    activity = model["words"]["activity"] or model["words"]["status"]
    return " · ".join(each for each in (model["title"], part, activity) if each)


def _ended(
    stock: Stock,
    names: Sequence[str],
    hub: Hub,
    terminal: Terminal,
    is_good: Callable[[str], bool] = lambda status: status == "here",
) -> int:
    view = stock.models(hub)
    models = [each for each in view["models"] if each["name"] in names]
    for each in models:
        status, trouble = each["words"]["status"], each["words"]["trouble"]
        if is_good(each["status"]):
            terminal.line(f"{each['title']}: {status}")
            continue
        damaged = [file["place"] for file in (*each["files"], *view["shared"]) if file["status"] == "damaged"]
        terminal.trouble(f"{each['title']}: {trouble or ', '.join([status, *damaged])}")
    terminal.result({"models": [_told(each) for each in models]})
    return 0 if all(is_good(each["status"]) for each in models) else 1


def _told(model: View) -> View:
    """For programs."""
    words = model["words"]
    return {
        **{name: model[name] for name in ("name", "title", "status", "fits", "link")},
        **{name: words[name] for name in ("size", "fit", "terms", "trouble")},
        "files": [{"place": each["place"], "status": each["status"]} for each in model["files"]],
    }


def _model(stock: Stock, name: str, hub: Hub) -> View:
    return _of(stock.models(hub), name)


def _of(view: View, name: str) -> View:
    models = view["models"]
    found: View | None = next((each for each in models if each["name"] == name), None)
    if found is None:
        names = ", ".join(each["name"] for each in models)
        raise CommandRefused("not_found", f"There is no model {shown(name)}. There are: {names}.")
    return found
