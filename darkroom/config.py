"""Settings: every choice of whoever runs Darkroom, from config.yaml and DARKROOM_ variables.

An unknown key or a wrong value stops the start with one line. Must not know: what the settings are used for.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from darkroom.catalog import DEMO, MODELS, PRESET_NAMES
from darkroom.errors import InvalidConfig, Problem, shown
from darkroom.request import GenerationRequest, problems_of
from darkroom.setting_values import (
    Folder,
    Folders,
    Gigabytes,
    Hook,
    Host,
    HostNames,
    Link,
    Repository,
    Sha256,
    Switch,
    as_text,
    at_home,
    on_or_off,
    one_of,
    tile,
)
from darkroom.weights import Hub

VARIABLE_PREFIX = "DARKROOM_"
MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    """Where the page is served. `names` are host names it answers to, beside IP addresses and this machine's own."""

    host: Host = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 6006
    names: HostNames = ()


class FolderSettings(_Section):
    """Relative paths start at the folder of config.yaml."""

    models: Folder = Path("models")
    history: Folder = Path("history")
    cache: Folder = Path("cache")


def _is_model_name(name: str) -> str:
    if not MODEL_NAME.fullmatch(name) or name in (model.name for model in MODELS):
        raise ValueError("small letters, digits, dots and dashes, and no name of a model that Darkroom knows")
    return name


def _is_inside(file: Path) -> Path:
    if ".." in file.parts or file == Path():
        raise ValueError("a file below folders.models, or an absolute path")
    return at_home(file)


def _have_different_names(models: "tuple[OwnModel, ...]") -> "tuple[OwnModel, ...]":
    if len({model.name for model in models}) < len(models):
        raise ValueError("each name once")
    return models


class HubFile(_Section):
    """A file on a hub: the repository as owner/name, and the path in it."""

    repository: Repository
    path: Annotated[str, Field(min_length=1, max_length=300)]


class OwnModel(_Section):
    """A FLUX.1 that the catalogue does not know. What is not said is as of the model it is `like`."""

    name: Annotated[str, AfterValidator(_is_model_name)]
    file: Annotated[Path, AfterValidator(_is_inside)]
    like: Annotated[str, one_of(tuple(model.name for model in MODELS))] = "flux1-dev"
    title: Annotated[str, Field(max_length=80)] = ""
    licence: Annotated[str, Field(max_length=80)] = ""
    link: Link = ""
    modelscope: HubFile | None = None
    huggingface: HubFile | None = None
    sha256: Sha256 = ""


class ModelSettings(_Section):
    """Models beside the catalogue's, and where weights come from. `folders` are only read; `stores` are written to."""

    source: Hub = "modelscope"
    folders: Folders = ()
    stores: Folders = ()
    own: Annotated[tuple[OwnModel, ...], NoDecode, AfterValidator(_have_different_names)] = ()


class EngineSettings(_Section):
    """The process that holds the model."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    idle_minutes: Annotated[float, Field(ge=0, le=10_080)] = 10
    checkpoint_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5
    compile: Annotated[Literal["auto", "on", "off"], BeforeValidator(on_or_off)] = "auto"


class MemorySettings(_Section):
    """What the planner may use. A limit of 0 is whatever is free."""

    profile: Annotated[Literal["auto", "24", "16", "12", "8", "6", "4", "cpu"], BeforeValidator(as_text)] = "auto"
    vram_limit_gb: Gigabytes = 0
    ram_limit_gb: Gigabytes = 0
    vae_tile: Annotated[Literal["auto", "off"] | int, BeforeValidator(tile)] = "auto"


class AllocatorSettings(_Section):
    """How the engine asks for memory on the graphics card."""

    expandable_segments: Switch = True


class ConversionSettings(_Section):
    """Whether checkpoints wider than float8 are written anew as float8, once."""

    enabled: Switch = True


class OffloadSettings(_Section):
    """Whether what does not fit on the graphics card streams to it."""

    enabled: Switch = True


class WebhookSettings(_Section):
    """Which addresses are told what happens. Empty: none."""

    on_job_done: Hook = ""
    on_queue_empty: Hook = ""
    allow_private: Switch = False
    timeout_seconds: Annotated[float, Field(gt=0, le=300, allow_inf_nan=False)] = 10


class LoggingSettings(_Section):
    """What the terminal says."""

    level: Annotated[str, one_of(("debug", "info", "warning", "error"))] = "info"


_RANGES: Mapping[str, Any] = GenerationRequest.model_json_schema()["properties"]


class PresetSettings(_Section):
    """What one preset puts into the form, within what a request allows."""

    steps: Annotated[int, Field(ge=_RANGES["steps"]["minimum"], le=_RANGES["steps"]["maximum"])]
    guidance: Annotated[
        float, Field(ge=_RANGES["guidance"]["minimum"], le=_RANGES["guidance"]["maximum"], allow_inf_nan=False)
    ]
    step_cache: Annotated[
        float, Field(ge=_RANGES["step_cache"]["minimum"], le=_RANGES["step_cache"]["maximum"], allow_inf_nan=False)
    ]
    prompt_tokens: Annotated[
        int,
        Field(
            ge=_RANGES["prompt_tokens"]["minimum"],
            le=_RANGES["prompt_tokens"]["maximum"],
            multiple_of=_RANGES["prompt_tokens"]["multipleOf"],
        ),
    ]


def _catalog_presets() -> dict[str, dict[str, dict[str, int | float]]]:
    return {model.name: {each.name: each.values for each in model.presets} for model in MODELS}


def _default_presets() -> dict[str, dict[str, PresetSettings]]:
    """Of the model that ships. The others' figures stand in the catalogue alone."""
    return {
        DEMO.name: {
            name: PresetSettings.model_validate(values) for name, values in _catalog_presets()[DEMO.name].items()
        }
    }


def _over_the_catalogs(presets: object) -> object:
    """What is not set keeps the catalogue's figure."""
    named = presets if isinstance(presets, Mapping) else {}
    return _merged({name: each for name, each in _catalog_presets().items() if name in (DEMO.name, *named)}, presets)


def _merged(below: object, above: object) -> object:
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    return {**below, **{key: _merged(below.get(key), value) for key, value in above.items()}}


Presets = Annotated[
    dict[
        Annotated[str, one_of(tuple(model.name for model in MODELS))],
        dict[Annotated[str, one_of(PRESET_NAMES)], PresetSettings],
    ],
    BeforeValidator(_over_the_catalogs),
]


class Settings(BaseSettings):
    """All settings. `database_url` empty means SQLite, in the history folder."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=VARIABLE_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    server: ServerSettings = ServerSettings()
    folders: FolderSettings = FolderSettings()
    models: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    conversion: ConversionSettings = ConversionSettings()
    memory: MemorySettings = MemorySettings()
    memory_management: AllocatorSettings = AllocatorSettings()
    offload: OffloadSettings = OffloadSettings()
    keep_in_vram: Switch = False
    presets: Presets = Field(default_factory=_default_presets)
    webhooks: WebhookSettings = WebhookSettings()
    logging: LoggingSettings = LoggingSettings()
    language: Literal["auto", "en", "zh"] = "auto"
    database_url: str = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def load_settings(path: Path, *, must_be_there: bool = False) -> Settings:
    """Read the file and the environment. Raises InvalidConfig."""
    _check_variables(os.environ)
    _check_file(path, must_be_there)

    class _SettingsOfFile(Settings):
        model_config = SettingsConfigDict(yaml_file=path, yaml_file_encoding="utf-8")

    try:
        settings = _SettingsOfFile()
    except ValidationError as error:
        raise InvalidConfig(*(_of_a_key(problem) for problem in problems_of(error))) from error
    base, relative = path.resolve().parent, settings.folders
    folders = FolderSettings(
        models=base / relative.models, history=base / relative.history, cache=base / relative.cache
    )
    more = {name: tuple(base / folder for folder in getattr(settings.models, name)) for name in ("folders", "stores")}
    return settings.model_copy(update={"folders": folders, "models": settings.models.model_copy(update=more)})


def _of_a_key(problem: Problem) -> Problem:
    """pydantic marks a problem with a key itself; to a person, the key is the field."""
    return replace(problem, field=problem.field.removesuffix(".[key]"), value=problem.value.strip() or "empty")


def defaults() -> dict[str, Any]:
    """Every key with its default, nested as in config.yaml."""
    return Settings.model_construct().model_dump(mode="json")


def variables() -> tuple[str, ...]:
    """The name of every variable that is read: DARKROOM_SERVER__PORT is `port` of `server`."""
    return tuple(VARIABLE_PREFIX + "__".join(keys).upper() for keys in _keys_of(defaults()))


def _keys_of(values: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from ((key, *rest) for rest in _keys_of(value))
        else:
            yield (key,)


def _check_variables(environment: Mapping[str, str]) -> None:
    """pydantic-settings passes over names it does not know; a typing error would go unnoticed."""
    known = variables()
    unknown = [name for name in environment if name.upper().startswith(VARIABLE_PREFIX) and name.upper() not in known]
    if unknown:
        # The value is not shown: it may be a secret under a misspelt name.
        raise InvalidConfig(*(Problem(field=shown(n), value="set", allowed=_nearest(n, known)) for n in unknown))


def _nearest(name: str, known: tuple[str, ...]) -> str:
    """The name that was probably meant, else all of them. The common prefix would make everything look alike."""
    ends = {variable.removeprefix(VARIABLE_PREFIX): variable for variable in known}
    close = difflib.get_close_matches(name.upper().removeprefix(VARIABLE_PREFIX), ends, n=1)
    return ", ".join([ends[end] for end in close] or known)


def _check_file(path: Path, must_be_there: bool) -> None:
    """pydantic-settings ends with a traceback where the file is not a mapping of names."""
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        if must_be_there:
            raise InvalidConfig(Problem(field="--config", value=str(path), allowed="a file that is there")) from error
        return
    except OSError as error:
        what = "a folder" if path.is_dir() else f"not readable ({error.strerror})"
        raise InvalidConfig(_of_the_file(path.name, what, "a file that can be read")) from error
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        # A sentence of the library's, which shows what is wrong.
        wrong = Problem(field=path.name, value=f"wrong{line}: {error.problem}", allowed="a YAML file")
        raise InvalidConfig(wrong) from error
    except RecursionError as error:
        raise InvalidConfig(_of_the_file(path.name, "nested too deep", "a YAML file")) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidConfig(_of_the_file(path.name, str(error), "a YAML file")) from error
    if content is not None and not (isinstance(content, dict) and all(isinstance(key, str) for key in content)):
        raise InvalidConfig(_of_the_file(path.name, content, "lines of the form `key: value`"))


def _of_the_file(name: str, value: object, allowed: str) -> Problem:
    return Problem(field=name, value=shown(value), allowed=allowed)
