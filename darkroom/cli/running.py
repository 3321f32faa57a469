"""The Darkroom that runs on this history, asked over HTTP as its own page asks it.

Must not know: what is said on the terminal, or how pictures are made.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx2

from darkroom.cli.darkroom import CLIENT, View
from darkroom.errors import CommandRefused, InvalidRequest, Problem
from darkroom.weights import Hub

SECONDS = 30.0
UNPROCESSABLE = 422


class Running:
    """Follows `Studio` and `Stock`."""

    def __init__(self, address: str) -> None:
        self._address = address
        # No proxy stands between two processes of one machine.
        self._client = httpx2.Client(
            base_url=address,
            timeout=SECONDS,
            trust_env=False,
            headers={"Darkroom-Client": CLIENT},
            params={"lang": "en"},
        )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def queue(self) -> View:
        view: View = self._ask("GET", "/api/jobs").json()["queue"]
        return view

    def resume_queue(self) -> None:
        self._ask("POST", "/api/v1/queue/resume")

    def order(self, values: Mapping[str, object]) -> tuple[int, ...]:
        return tuple(self._ask("POST", "/api/jobs", json=dict(values)).json()["jobs"])

    def reading(self, values: Mapping[str, object]) -> View:
        view: View = self._ask("POST", "/api/check", json=dict(values)).json()
        return view

    def job(self, job: int) -> View:
        view: View = self._ask("GET", f"/api/jobs/{job}").json()
        return view

    def stop(self, job: int) -> None:
        self._ask("POST", f"/api/jobs/{job}/stop")

    def picture(self, picture: int) -> bytes:
        return self._ask("GET", f"/api/v1/pictures/{picture}/file").content

    def place(self, picture: int) -> str:
        return f"{self._address}/api/v1/pictures/{picture}/file"

    def models(self, hub: Hub) -> View:
        view: View = self._ask("GET", "/api/models", params={"hub": hub}).json()
        return view

    def act(self, name: str, act: str, hub: Hub, home: str = "") -> None:
        self._ask("POST", f"/api/models/{name}/{act}", json={"hub": hub, "home": home})

    def needs(self, name: str) -> str:
        words: str = self._ask("GET", f"/api/models/{name}/needs").json()["words"]
        return words

    def _ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            answer = self._client.request(method, path, **options)
        except httpx2.HTTPError as error:
            raise CommandRefused("no_answer", f"The Darkroom at {self._address} does not answer.") from error
        if answer.is_success:
            return answer
        try:
            said = answer.json()
            code, words, problems = said["error"], said["words"], said.get("problems", [])
        except (ValueError, KeyError, TypeError) as error:
            sentence = f"The Darkroom at {self._address} answers with {answer.status_code}."
            raise CommandRefused("no_answer", sentence) from error
        if answer.status_code == UNPROCESSABLE and problems:
            raise InvalidRequest(
                *(Problem(field=each["field"], value=each["value"], allowed=each["allowed"]) for each in problems)
            )
        raise CommandRefused(code, words)
