"""Every error Darkroom raises on purpose. A programming error is none of these and crashes with a traceback.

DarkroomError
├── InvalidRequest      a value in a form, an HTTP body or a dropped picture is not allowed
├── InvalidConfig       a key or value in config.yaml or a DARKROOM_ variable is not allowed
├── NotFound            a job, picture, model or style with that name does not exist
├── HistoryUnusable     the history cannot be read or written, is from a newer version, or is in use
├── StylesUnusable      the file of styles holds something that is not a style
├── ModelUnusable       weights are missing, damaged or of a kind this version cannot run
├── LoraUnusable        a LoRA is missing, damaged, for another model or of a kind this version cannot use
├── DoesNotFit          a picture needs more of the card's or the computer's memory than there is
└── EngineLost          the engine process ended, or stopped answering, while it was needed

Each has a `code` (the key of its words in `web/words/`) and `details` (the values those words name),
so that the page can say it in the reader's language; `str(error)` is the English sentence for logs and terminals.
Must not know: who shows the error, or how.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LONGEST_VALUE_SHOWN = 60


class DarkroomError(Exception):
    """Base of all errors a person may see."""

    code = "error"

    @property
    def details(self) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One value that is not allowed: the field's name, the value as given (shortened), and what is allowed."""

    field: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.field} is {self.value}; allowed: {self.allowed}"


class InvalidRequest(DarkroomError):
    """Raised before anything is stored or started."""

    code = "invalid_request"

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__(". ".join(str(problem) for problem in problems))


class InvalidConfig(DarkroomError):
    """Raised at start; names the key, the value and what is allowed."""

    code = "invalid_config"

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__(". ".join(str(problem) for problem in problems))


class NotFound(DarkroomError):
    """`kind` is "job", "picture", "model" or "style"."""

    code = "not_found"

    def __init__(self, kind: str, name: object) -> None:
        self.kind = kind
        self.name = shown(name)
        super().__init__(f"There is no {kind} {self.name}.")

    @property
    def details(self) -> Mapping[str, str]:
        return {"kind": self.kind, "name": self.name}


class HistoryUnusable(DarkroomError):
    """`reason` is one of `SENTENCES`; `where` is the folder or the address of the database."""

    code = "history_unusable"

    SENTENCES: Mapping[str, str] = {
        "newer": "a newer version of Darkroom has changed it. Use that version",
        "unreadable": "its database cannot be read",
        "not_writable": "this folder cannot be written to",
        "in_use": "another Darkroom is running on it",
    }

    def __init__(self, reason: str, where: str) -> None:
        self.reason = reason
        self.where = where
        super().__init__(f"The history at {where} cannot be used: {self.SENTENCES[reason]}.")

    @property
    def details(self) -> Mapping[str, str]:
        return {"reason": self.reason, "where": self.where}


class StylesUnusable(DarkroomError):
    """`file` is the file's name; `problem` says in English what is wrong and where."""

    code = "styles_unusable"

    def __init__(self, file: str, problem: str) -> None:
        self.file = file
        self.problem = problem
        super().__init__(f"The styles in {file} cannot be used: {problem}.")

    @property
    def details(self) -> Mapping[str, str]:
        return {"file": self.file, "problem": self.problem}


class ModelUnusable(DarkroomError):
    """`reason` is a word of ours ("missing", "damaged", "unknown"); `file` is what a person can look for."""

    code = "model_unusable"

    def __init__(self, reason: str, file: str) -> None:
        self.reason = reason
        self.file = file
        super().__init__(f"The model file {file} cannot be used: {reason}.")

    @property
    def details(self) -> Mapping[str, str]:
        return {"reason": self.reason, "file": self.file}


class LoraUnusable(DarkroomError):
    """`reason` is "missing", "damaged", "other_model" or "layout"; `file` is what a person can look for."""

    SENTENCES: Mapping[str, str] = {
        "lora_missing": "There is no LoRA {file} in the folder loras of this model, or of all models",
        "lora_damaged": "The LoRA {file} is damaged or not complete",
        "lora_other_model": "The LoRA {file} was made for another model",
        "lora_layout": "The LoRA {file} is of a kind that this version cannot use",
    }

    def __init__(self, reason: str, file: str) -> None:
        self.code = f"lora_{reason}"
        self.reason = reason
        self.file = file
        super().__init__(self.SENTENCES[self.code].format(file=file) + ".")

    @property
    def details(self) -> Mapping[str, str]:
        return {"file": self.file}


class DoesNotFit(DarkroomError):
    """`where` is "card" or "memory"; `largest` is a size of the same shape that does fit, where there is one.

    `gigabytes` is what it would take: a card of that size, or that much free memory.
    """

    SENTENCES: Mapping[str, str] = {
        "does_not_fit_card": (
            "{model} does not fit on this card at any size. It takes a card with {gigabytes} GB of free memory"
        ),
        "does_not_fit_card_size": (
            "{wanted} pixels do not fit on this card. {largest} would; "
            "{wanted} takes a card with {gigabytes} GB of free memory"
        ),
        "does_not_fit_memory": (
            "{model} does not fit into this computer's memory at any size. It takes {gigabytes} GB of free memory"
        ),
        "does_not_fit_memory_size": (
            "{wanted} pixels do not fit into this computer's memory. {largest} would; "
            "{wanted} takes {gigabytes} GB of free memory"
        ),
    }

    def __init__(
        self, where: str, *, model: str, wanted: tuple[int, int], largest: tuple[int, int] | None, gigabytes: int
    ) -> None:
        self.code = f"does_not_fit_{where}" + ("_size" if largest else "")
        self.where = where
        self.model = model
        self.wanted = wanted
        self.largest = largest
        self.gigabytes = gigabytes
        super().__init__(self.SENTENCES[self.code].format(**self.details) + ".")

    @property
    def details(self) -> Mapping[str, str]:
        largest = "{} × {}".format(*self.largest) if self.largest else ""
        wanted = "{} × {}".format(*self.wanted)
        return {"model": self.model, "wanted": wanted, "largest": largest, "gigabytes": str(self.gigabytes)}


class EngineLost(DarkroomError):
    """`cause` says how the process ended, as far as it is known: "signal 9", "exit code 1", "no answer"."""

    code = "engine_lost"

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(f"The engine process ended unexpectedly ({cause}).")

    @property
    def details(self) -> Mapping[str, str]:
        return {"cause": self.cause}


def shown(value: object) -> str:
    """The value as a person may be shown it: printable, on one line, shortened."""
    text = value if isinstance(value, str) else _represented(value)
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= LONGEST_VALUE_SHOWN else text[:LONGEST_VALUE_SHOWN] + "…"


def _represented(value: object) -> str:
    """What came from outside may be nested too deep, or be a number too long, to be written out."""
    try:
        return repr(value)
    except (RecursionError, ValueError):
        return type(value).__name__
