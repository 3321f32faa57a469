"""Steps 1 and 2 of a picture: the form's values become requests, and the requests become jobs that cannot be lost.

One path for the page and for programs. Must not know: how the values arrive, or who waits for the pictures.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.errors import InvalidRequest, Problem
from darkroom.jobs.queue import Job, JobQueue
from darkroom.jobs.supervisor import Supervisor
from darkroom.prompts.batch import expand
from darkroom.request import GenerationRequest
from darkroom.web.form import COUNT, of_the_form, request_of, starting_values
from darkroom.web.models import Models


def requests_of(values: Mapping[str, object], models: Models) -> tuple[GenerationRequest, ...]:
    """What a form asks for, the seeds chosen. Raises InvalidRequest naming every field that is wrong."""
    problems: list[Problem] = []
    rest = {name: value for name, value in values.items() if name != COUNT}
    try:
        request = request_of(rest, models)
    except InvalidRequest as error:
        problems += error.problems
        request = request_of(starting_values(models.first), models)
    try:
        requests = expand(request, values.get(COUNT, 1))
    except InvalidRequest as error:
        problems += (of_the_form(problem, values, models) for problem in error.problems)
    if problems:
        raise InvalidRequest(*problems)
    return requests


@dataclass(frozen=True)
class Counter:
    """Takes orders. Where an order says nothing, what its model begins with holds."""

    queue: JobQueue
    supervisor: Supervisor
    models: Models

    def take(self, values: Mapping[str, object]) -> tuple[Job, ...]:
        """Each picture is a job of its own; those of one order are a group. Raises InvalidRequest."""
        requests = requests_of(self._whole(values), self.models)
        if len(requests) == 1:
            jobs: tuple[Job, ...] = (self.queue.submit(requests[0]),)
        else:
            jobs = self.queue.submit_many(requests, group=secrets.token_hex(8))
        self.supervisor.wake()
        return jobs

    def problems(self, values: Mapping[str, object]) -> tuple[Problem, ...]:
        """Why this order would not be taken. Nothing is stored."""
        try:
            requests_of(self._whole(values), self.models)
        except InvalidRequest as error:
            return error.problems
        return ()

    def _whole(self, values: Mapping[str, object]) -> Mapping[str, object]:
        model = self.models.get(values.get("model")) or self.models.first
        return {**starting_values(model, self.models.presets[model.name]), **values}
