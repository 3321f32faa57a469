"""Every error Darkroom raises on purpose. A programming error is none of these and crashes with a traceback.

DarkroomError
├── InvalidRequest      a value in a form, an HTTP body or a dropped picture is not allowed
├── InvalidConfig       a key or value in config.yaml or a DARKROOM_ variable is not allowed
├── NotFound            a job, picture, model or style with that name does not exist
├── NotPossibleNow      a job's state does not allow what a person wants of it
├── OrderGone           an order is sent again, and all its pictures have been removed for good
├── HistoryUnusable     the history cannot be read or written, is from a newer version, or is in use
├── NotWritten          the history cannot take anything up just now: its disk is full, or may not be written
├── StylesUnusable      the file of styles holds something that is not a style
├── ModelUnusable       weights are missing, damaged or of a kind this version cannot run
├── DownloadFailed      a file could not be fetched from a hub, or kept
├── StillNeeded         a file that other models need is not removed without a person's consent
├── LoraUnusable        a LoRA is missing, damaged, for another model or of a kind this version cannot use
├── CommandRefused      a command of the terminal is not carried out, or the Darkroom that it asked says no
├── DoesNotFit          a picture needs more of the card's or the computer's memory than there is
└── EngineLost          the engine process ended, or stopped answering, while it was needed

Each has a `code` (the key of its words in `web/words/`) and `details` (the values those words name),
so that the page can say it in the reader's language; `str(error)` is the English sentence for logs and terminals.
Must not know: who shows the error, or how.
"""

from collections.abc import Mapping, Sequence
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


class NotPossibleNow(DarkroomError):
    """`state` is the job's, which is a word of ours."""

    code = "not_possible_now"

    def __init__(self, job: int, state: str) -> None:
        self.job = job
        self.state = state
        super().__init__(f"Job {job} is {state}, so this is not possible.")

    @property
    def details(self) -> Mapping[str, str]:
        return {"job": str(self.job), "state": self.state}


class OrderGone(DarkroomError):
    """`key` is the order's."""

    code = "order_gone"

    def __init__(self, key: str) -> None:
        self.key = shown(key)
        super().__init__(f"The order with the key {self.key} was taken before, and all its pictures have been removed.")


class HistoryUnusable(DarkroomError):
    """`reason` is one of `SENTENCES`; `where` is the folder or the address of the database."""

    code = "history_unusable"

    SENTENCES: Mapping[str, str] = {
        "newer": "a newer version of Darkroom has changed it. Use that version",
        "unreadable": "its database cannot be read",
        "not_writable": "this folder cannot be written to",
        "full": "its disk is full. Make room on it",
        "in_use": "another Darkroom is running on it",
    }

    def __init__(self, reason: str, where: str) -> None:
        self.reason = reason
        self.where = where
        super().__init__(f"The history at {where} cannot be used: {self.SENTENCES[reason]}.")

    @property
    def details(self) -> Mapping[str, str]:
        return {"reason": self.reason, "where": self.where}


class NotWritten(DarkroomError):
    """`reason` is one of `SENTENCES`. Nothing was changed; the same may be possible a moment later."""

    SENTENCES: Mapping[str, str] = {
        "full": "The disk is full, so this could not be kept. Make room on the disk of the history, then try again",
        "refused": (
            "The history cannot be written to, so this could not be kept. Check that its folder may be written, "
            "then try again"
        ),
    }

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.code = f"not_written_{reason}"
        super().__init__(self.SENTENCES[reason] + ".")


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
    """`reason` is one of those in SENTENCES, without "model_"; `file` is what a person can look for."""

    SENTENCES: Mapping[str, str] = {
        "model_missing": "The model file {file} is missing. Put it into the models folder, or download the model again",
        "model_damaged": "The model file {file} is damaged or not complete. Download it again",
        "model_unknown": "{file} holds no model that this version knows. Choose a FLUX.1 model in a .safetensors file",
        "model_family": "{file} is of the kind {found}, which this version cannot run. Choose a FLUX.1 model",
        "model_incomplete": "{file} holds {found}, but of another size than this version knows, or not all of it",
        "model_packed": (
            "{file} holds weights packed as {found}, which this version cannot read. "
            "Get the same model in bf16, fp16 or float8"
        ),
        "model_gguf": "{file} is a GGUF file, which this version cannot read. Get the same model as .safetensors",
        "model_pickled": (
            "{file} is a pickled file (.ckpt, .pt, .bin). Opening one can run any program, so it is never opened. "
            "Get the same model as .safetensors"
        ),
        "model_web_page": (
            "{file} is a text and not a model: a web page, perhaps, that asked to log in. Download the model again"
        ),
        "model_shard": "{file} is one of several files that belong together, and {found} is missing beside it",
        "model_part": "{file} does not hold what it is used for here: {found}",
        "model_converted": "{file} is what Darkroom made of a model for itself. Choose the model it was made of",
        "model_other_kind": (
            "{file} is of the kind {found}, and the settings say otherwise. Set its `like` to a model of that kind"
        ),
        "model_name": "{file} has a name that is not written in UTF-8. Rename the file, and the folders it lies in",
        "model_numbers": "{file} has values that are no numbers, in {found}. Download it again, or choose another",
    }

    def __init__(self, reason: str, file: str, *, found: str = "") -> None:
        self.code = f"model_{reason}"
        self.reason = reason
        self.file = file
        self.found = shown(found)
        super().__init__(self.SENTENCES[self.code].format(file=self.file, found=self.found) + ".")

    @property
    def details(self) -> Mapping[str, str]:
        return {"file": self.file, "found": self.found}


class DownloadFailed(DarkroomError):
    """`reason` is one of `SENTENCES`. `link` is where a licence is agreed to, `variable` one of the environment.

    None of it is a token.
    """

    SENTENCES: Mapping[str, str] = {
        "offline": "{hub} cannot be reached",
        "offline_wanted": "HF_HUB_OFFLINE or DIFFSYNTH_SKIP_DOWNLOAD says that no hub is to be asked",
        "login": "{hub} gives {file} only to those who are logged in",
        "gated": "{hub} gives {file} only to those who have agreed to its licence at {link}",
        "not_there": "{hub} does not have {file}",
        "no_source": "no place to get {file} from is known on {hub}",
        "busy": "{hub} has had too many requests for now",
        "hub_fault": "{hub} has a fault of its own",
        "cut": "the connection to {hub} broke again and again",
        "differs": "{file} on {hub} is another file than the one that is known",
        "damaged": "{file} arrived damaged, twice",
        "disk_full": "{file} takes {needed} on the disk, and {free} are free",
        "not_writable": "the folder of {file} cannot be written to",
        "not_readable": "{file} cannot be read",
        "in_use": "another Darkroom is fetching into the same folder",
        "variable": "{variable} is set to something that cannot be used, so {file} is not asked for",
        "ships": "{file} comes with Darkroom, and stays",
        "gone": "{file} comes with Darkroom, and is neither in the models folder nor beside the program",
        "outside": "{file} does not lie in the models folder, and nothing outside of it is changed",
    }

    def __init__(
        self,
        reason: str,
        *,
        file: str,
        hub: str = "",
        link: str = "",
        needed: str = "",
        free: str = "",
        variable: str = "",
    ) -> None:
        self.code = f"download_{reason}"
        self.reason = reason
        self._details = {"file": file, "hub": hub, "link": link, "needed": needed, "free": free, "variable": variable}
        super().__init__(self.SENTENCES[reason].format(**self._details) + ".")

    @property
    def details(self) -> Mapping[str, str]:
        return self._details


class StillNeeded(DarkroomError):
    """`models` are the titles of those that cannot be used without it."""

    code = "still_needed"

    def __init__(self, file: str, models: Sequence[str]) -> None:
        self.file = file
        self.models = tuple(models)
        super().__init__(f"{file} is needed by {', '.join(self.models)}.")

    @property
    def details(self) -> Mapping[str, str]:
        return {"file": self.file, "models": ", ".join(self.models)}


class LoraUnusable(DarkroomError):
    """`reason` ends one of the codes below; `file` is what a person can look for; `what`: more, where there is more."""

    SENTENCES: Mapping[str, str] = {
        "lora_missing": "There is no LoRA {file} in the folder loras of this model, or of all models",
        "lora_damaged": "The LoRA {file} is damaged or not complete",
        "lora_other_model": "The LoRA {file} was made for another model",
        "lora_other_family": "The LoRA {file} was made for {what}",
        "lora_layout": "The LoRA {file} is of a kind that this version cannot use",
        "lora_kind": "The LoRA {file} is a {what}, a kind that this version cannot use",
        "lora_none": "{file} is no LoRA",
        "lora_ending": "{file} is no .safetensors file. LoRAs of other formats can hold programs and are not read",
        "lora_too_large": "{file} is larger than a LoRA can be: at most {what}",
        "lora_no_room": "There is not enough room on the disk for {file}",
        "lora_not_kept": "{file} could not be written into the folder {what}",
        "lora_only_read": "{file} ships with Darkroom or lies in another program's folder, and stays there",
    }

    def __init__(self, reason: str, file: str, what: str = "") -> None:
        self.code = f"lora_{reason}"
        self.reason = reason
        self.file = file
        self.what = what
        super().__init__(self.SENTENCES[self.code].format(file=file, what=what) + ".")

    @property
    def details(self) -> Mapping[str, str]:
        return {"file": self.file, "what": self.what} if self.what else {"file": self.file}


class CommandRefused(DarkroomError):
    """Only terminals show it. `words` is the sentence, perhaps of the Darkroom that was asked."""

    def __init__(self, code: str, words: str) -> None:
        self.code = code
        super().__init__(words)


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
