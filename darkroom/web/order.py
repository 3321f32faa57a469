"""Steps 1 and 2 of a picture: the form's values become requests, and the requests become jobs that cannot be lost.

One path for the page and for programs. Must not know: how the values arrive, or who waits for the pictures.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.errors import InvalidRequest, Problem, shown
from darkroom.jobs.queue import Job, JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.prompts.batch import MOST_PICTURES, all_prompts, counted, expand, too_many, written_prompts
from darkroom.request import LONGEST_PROMPT, RANDOM_SEED, GenerationRequest
from darkroom.web.form import COUNT, of_the_form, request_of, starting_values
from darkroom.web.loras import LoraReader
from darkroom.web.models import Models

LINES, LAST_SEED = "lines", "last_seed"
OF_A_BATCH = (COUNT, LINES, LAST_SEED)
"""What an order says beside the values of one picture. `lines`: each line of the prompt is a prompt."""


def requests_of(values: Mapping[str, object], models: Models) -> tuple[GenerationRequest, ...]:
    """What a form asks for, the seeds chosen. Raises InvalidRequest naming every field that is wrong."""
    problems: list[Problem] = []
    prompts = _written(values, problems)
    first = {"prompt": prompts[0]} if prompts else {}
    rest = {name: value for name, value in values.items() if name not in OF_A_BATCH} | first
    count = 1
    try:
        count = counted(values.get(COUNT, 1), values.get("seed"), values.get(LAST_SEED))
    except InvalidRequest as error:
        problems += error.problems
    try:
        request = request_of(rest, models)
        if not problems:
            return expand(request, count, all_prompts(prompts, count), seeds_go_on=values.get("seed") == RANDOM_SEED)
    except InvalidRequest as error:
        problems = [*error.problems, *problems]
    raise InvalidRequest(*(of_the_form(problem, values, models) for problem in problems))


def _written(values: Mapping[str, object], problems: list[Problem]) -> tuple[str, ...]:
    """The prompts as written. None where it is no text, which is for the request to refuse."""
    lines, text = values.get(LINES, False), values.get("prompt")
    if not isinstance(lines, bool):
        problems.append(Problem(field=LINES, value=shown(lines), allowed="true or false"))
        return ()
    if not isinstance(text, str):
        return ()
    prompts = written_prompts(text, each_line=lines)
    if len(prompts) > MOST_PICTURES:
        problems.append(too_many(len(prompts)))
    # Said of the first that is too long, before anything is made of it.
    too_long = next((prompt for prompt in prompts if len(prompt) > LONGEST_PROMPT), None)
    return prompts if too_long is None else (too_long,)


def _longest_written(values: Mapping[str, object]) -> str:
    """Of an order that is refused: what there is to count, choices and all. Nothing where it is far too long."""
    text = values.get("prompt")
    written = written_prompts(text, each_line=values.get(LINES) is True) if isinstance(text, str) else ()
    longest = max(written, key=len, default="")
    return longest if len(longest) <= LONGEST_PROMPT else ""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What an order would become: why it would not be taken, or how many pictures, and the longest of their prompts.

    `first` is the first of them.
    """

    problems: tuple[Problem, ...]
    pictures: int
    prompt: str
    is_one_prompt: bool
    first: GenerationRequest | None = None


@dataclass(frozen=True)
class Counter:
    """Takes orders. Where an order says nothing, what its model begins with holds."""

    queue: JobQueue
    supervisor: Supervisor
    models: Models
    loras: LoraReader

    def take(self, values: Mapping[str, object], *, client: str = "", key: str | None = None) -> tuple[Job, ...]:
        """Each picture is a job of its own; those of one order are a group. Raises InvalidRequest.

        `client` is whose turn they take. An order sent again with the `key` it had is taken once.
        """
        requests = self._requests(values)
        group = secrets.token_hex(8) if len(requests) > 1 else None
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest() if key is not None else None
        jobs = self.queue.submit_many(requests, group, client=client, key=key, digest=digest)
        self.supervisor.wake()
        return jobs

    def outlook(self, values: Mapping[str, object]) -> Outlook:
        """Nothing is stored."""
        prompt = values.get("prompt")
        try:
            requests = self._requests(values)
        except InvalidRequest as error:
            written = _longest_written(values)
            return Outlook(problems=error.problems, pictures=0, prompt=written, is_one_prompt=written == prompt)
        prompts = {request.prompt for request in requests}
        longest = max(prompts, key=len)
        return Outlook(
            problems=(),
            pictures=len(requests),
            prompt=longest,
            is_one_prompt=prompts == {prompt},
            first=requests[0],
        )

    def _requests(self, values: Mapping[str, object]) -> tuple[GenerationRequest, ...]:
        whole = self._whole(values)
        try:
            requests = requests_of(whole, self.models)
        except InvalidRequest as error:
            raise InvalidRequest(*error.problems, *self.loras.problems(whole)) from error
        return self.loras.placed(requests)

    def _whole(self, values: Mapping[str, object]) -> Mapping[str, object]:
        model = self.models.get(values.get("model")) or self.models.first
        return {**starting_values(model, self.models.presets[model.name]), **values}
