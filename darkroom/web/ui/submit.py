"""The one endpoint for `gradio_client`, "/submit": an order as by the API, with the same rules and errors.

It has no place on the page. Must not know: how a job runs.
"""

from typing import Any

import gradio as gr
from gradio.events import api

from darkroom.errors import InvalidRequest, NotWritten, Problem, shown
from darkroom.web.order import Counter
from darkroom.web.routes.asking import LONGEST_KEY, client_named
from darkroom.web.words.problems import ProblemWords

NAME = "submit"
MOST_AT_ONCE = 20


def _key_of(request: gr.Request) -> str | None:
    """By the rule of the API. Raises InvalidRequest."""
    key: str | None = request.headers.get("idempotency-key")
    if key is None or 1 <= len(key) <= LONGEST_KEY:
        return key
    allowed = f"at most {LONGEST_KEY} characters" if key else "at least 1 character"
    raise InvalidRequest(Problem(field="Idempotency-Key", value=shown(key), allowed=allowed))


def build_submit(counter: Counter, problems: ProblemWords) -> None:
    def submit(values: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        """Ask for pictures with the values of the form by name. Answers with the numbers of their jobs."""
        try:
            client = client_named(request.headers.get("darkroom-client", ""))
            # Whatever was sent arrives here.
            given: object = values
            asked = given if isinstance(given, dict) else {"values": given}
            jobs = counter.take(asked, client=client, key=_key_of(request))
        except InvalidRequest as error:
            raise gr.Error(" ".join(problems.sentences(error.problems)), print_exception=False) from error
        except NotWritten as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {"jobs": [job.id for job in jobs], "seed": jobs[0].request.seed, "group": jobs[0].group}

    api(submit, api_name=NAME, concurrency_limit=MOST_AT_ONCE)
