"""Hubs: where the bytes of a file are, how many, and their checksum, as ModelScope or Hugging Face says it.

Asked through their own clients, and only when a person wants a file. Tokens come from the environment, go to that hub
alone, and are neither kept nor logged. Must not know: disks, or how bytes are fetched.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from darkroom.errors import DownloadFailed
from darkroom.weights import Hub, Source, WeightFile

HUB_TITLES: Mapping[Hub, str] = {"modelscope": "ModelScope", "huggingface": "Hugging Face"}
DEFAULT_ADDRESSES: Mapping[Hub, str] = {
    "modelscope": "https://www.modelscope.cn",
    "huggingface": "https://huggingface.co",
}
ADDRESS_VARIABLES: Mapping[Hub, str] = {"modelscope": "MODELSCOPE_ENDPOINT", "huggingface": "HF_ENDPOINT"}
TOKEN_VARIABLES: Mapping[Hub, str] = {"modelscope": "MODELSCOPE_API_TOKEN", "huggingface": "HF_TOKEN"}
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "DIFFSYNTH_SKIP_DOWNLOAD")
TRUE = ("1", "on", "true", "yes")
SHA1_LENGTH, SHA256_LENGTH = 40, 64
SECONDS_TO_ANSWER = 20.0


@dataclass(frozen=True, kw_only=True)
class Offer:
    """`headers` may hold a token. `blob` is git's name for a small file's content: SHA-1 over its length and bytes."""

    hub: Hub
    url: str
    headers: Mapping[str, str] = field(repr=False)
    size: int
    sha256: str | None
    blob: str | None
    link: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


class HubUnsteady(Exception):
    """The hub may answer better in a while. `reason` is DownloadFailed's; `wait` is what the hub asked for, seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        self.reason = reason
        self.wait = wait
        super().__init__(reason)


def token_of(hub: Hub) -> str | None:
    return os.environ.get(TOKEN_VARIABLES[hub], "").strip() or None


def address_of(hub: Hub) -> str:
    return (os.environ.get(ADDRESS_VARIABLES[hub], "").strip() or DEFAULT_ADDRESSES[hub]).rstrip("/")


def is_offline_wanted() -> bool:
    return any(os.environ.get(name, "").strip().lower() in TRUE for name in OFFLINE_VARIABLES)


def page_of(hub: Hub, source: Source) -> str:
    """Where a person reads about the repository, and agrees to its licence."""
    below = "/models" if hub == "modelscope" else ""
    return f"{address_of(hub)}{below}/{source.repository}"


def look(file: WeightFile, hub: Hub) -> Offer:
    """Ask the hub. Raises DownloadFailed, and HubUnsteady where asking again may help."""
    source = file.source(hub)
    name, title = file.place.name, HUB_TITLES[hub]
    if source is None:
        raise DownloadFailed("no_source", file=name, hub=title)
    if is_offline_wanted():
        raise DownloadFailed("offline_wanted", file=name, hub=title)
    wrong = _unusable_variable(hub)
    if wrong is not None:
        raise DownloadFailed("variable", file=name, hub=title, variable=wrong)
    return _on_modelscope(file, source) if hub == "modelscope" else _on_huggingface(file, source)


def _unusable_variable(hub: Hub) -> str | None:
    """One that the clients would end with a fault of their own over."""
    try:
        address = urlsplit(address_of(hub))
        # Asked for, a port is looked at.
        is_address = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        is_address = False
    if not is_address or not address_of(hub).isascii():
        return ADDRESS_VARIABLES[hub]
    token = token_of(hub) or ""
    # What a header can hold.
    return None if all("!" <= sign <= "~" for sign in token) else TOKEN_VARIABLES[hub]


def refusal(status: int, file: WeightFile, hub: Hub, wait: float | None = None) -> DownloadFailed | HubUnsteady:
    """What an answer that is not the file means."""
    source = file.source(hub)
    said = {"file": file.place.name, "hub": HUB_TITLES[hub], "link": page_of(hub, source) if source else ""}
    match status:
        case 401:
            # Hugging Face says so of gated repositories to those without a token.
            return DownloadFailed("gated" if source is not None and source.gated else "login", **said)
        case 403:
            return DownloadFailed("gated", **said)
        case 404 | 410:
            return DownloadFailed("not_there", **said)
        case 429:
            return HubUnsteady("busy", wait)
        case _ if status >= 500 or status == 408:
            return HubUnsteady("hub_fault", wait)
        case _:
            return DownloadFailed("hub_fault", **said)


def _on_modelscope(file: WeightFile, source: Source) -> Offer:
    from modelscope_hub import HubApi
    from modelscope_hub.config import HubConfig
    from modelscope_hub.errors import APIError, HubError, NetworkError, RequestTimeoutError

    token = token_of("modelscope")
    # An empty token: the one that a login may have left on this machine was not meant for Darkroom.
    api = HubApi(HubConfig(endpoint=address_of("modelscope"), token=token or ""))
    try:
        listing = api.list_repo_files(source.repository, "model")
    except (NetworkError, RequestTimeoutError) as error:
        raise HubUnsteady("offline") from error
    except APIError as error:
        raise refusal(error.status_code or 500, file, "modelscope", _number(error, "retry_after")) from error
    except (HubError, OSError, ValueError) as error:
        # An answer that is no listing: of a hotel's log-in page, say. The client's own errors are OSErrors.
        raise HubUnsteady("hub_fault") from error
    found = next((each for each in listing if each.path == source.path and not each.is_dir), None)
    if found is None or found.size < 0:
        raise refusal(404, file, "modelscope")
    headers = {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}
    return Offer(
        hub="modelscope",
        url=api.legacy.get_download_url(source.repository, "model", source.path),
        headers=headers,
        size=found.size,
        sha256=_digest(found.sha256, SHA256_LENGTH),
        blob=None,
        link=page_of("modelscope", source),
    )


def _on_huggingface(file: WeightFile, source: Source) -> Offer:
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    # Else it asks for a list by which it would name the program that runs it. Nothing but the file is asked for.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    token, address = token_of("huggingface"), address_of("huggingface")
    url = hf_hub_url(source.repository, source.path, endpoint=address)
    try:
        with _network_errors_of_huggingface():
            # False: the token of a login on this machine was not meant for Darkroom.
            found = get_hf_file_metadata(url, token=token or False, endpoint=address, timeout=SECONDS_TO_ANSWER)
    except GatedRepoError as error:
        raise refusal(403, file, "huggingface") from error
    except HfHubHTTPError as error:
        wait = _seconds(error.response.headers.get("retry-after"))
        raise refusal(error.response.status_code, file, "huggingface", wait) from error
    sha256, blob = _digest(found.etag, SHA256_LENGTH), _digest(found.etag, SHA1_LENGTH)
    if found.size is None or (found.commit_hash is None and sha256 is None and blob is None):
        # Somebody else answered: a hotel's log-in page, say.
        raise HubUnsteady("hub_fault")
    return Offer(
        hub="huggingface",
        url=url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        size=found.size,
        sha256=sha256,
        blob=blob,
        link=page_of("huggingface", source),
    )


@contextmanager
def _network_errors_of_huggingface() -> Iterator[None]:
    from huggingface_hub.errors import FileMetadataError, OfflineModeIsEnabled

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubUnsteady("offline") from error
    except httpx2.TransportError as error:
        raise HubUnsteady("offline") from error
    except FileMetadataError as error:
        raise HubUnsteady("hub_fault") from error


def _digest(text: str | None, length: int) -> str | None:
    text = (text or "").lower()
    return text if len(text) == length and all(sign in "0123456789abcdef" for sign in text) else None


def _number(error: object, name: str) -> float | None:
    value: Any = getattr(error, name, None)
    return float(value) if isinstance(value, int | float) else None


def _seconds(text: str | None) -> float | None:
    """Of a Retry-After header; a date there is passed over."""
    return float(text) if text is not None and text.strip().isdigit() else None
