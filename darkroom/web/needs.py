"""What depends on a model or a LoRA: pictures that wait for it, and those that were made with it.

Must not know: files, or what is done with the answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

from darkroom.history.library import Library
from darkroom.jobs.queue import JobQueue
from darkroom.request import GenerationRequest
from darkroom.web.words import Words

MOST_JOBS, MOST_NAMED = 5000, 8


@dataclass(frozen=True)
class Needs:
    """Asked when a person is about to remove something."""

    queue: JobQueue
    library: Library

    def jobs_of_lora(self, name: str) -> str:
        return _named(self._jobs(lambda request: any(use.name == name for use in request.loras)))

    def of_model(self, name: str, words: Words) -> str:
        """In sentences; "" where nothing depends on it."""
        jobs = self._jobs(lambda request: request.model == name)
        return self._said(jobs, self.library.count_of_model(name), words)

    def of_lora(self, name: str, words: Words) -> str:
        jobs = self._jobs(lambda request: any(use.name == name for use in request.loras))
        return self._said(jobs, self.library.count_with_lora(name), words)

    def _jobs(self, is_one: Callable[[GenerationRequest], bool]) -> list[int]:
        return [job.id for job in self.queue.unfinished(MOST_JOBS) if is_one(job.request)]

    def _said(self, jobs: list[int], pictures: int, words: Words) -> str:
        said = []
        if jobs:
            said.append(words.say("models.needed_by_jobs", count=len(jobs), jobs=_named(jobs)))
        if pictures:
            said.append(words.say("models.needed_by_pictures", count=pictures))
        return joined(said, words)


def joined(sentences: list[str], words: Words) -> str:
    return ("" if words.language == "zh" else " ").join(each for each in sentences if each)


def _named(jobs: list[int]) -> str:
    return ", ".join(f"#{job}" for job in jobs[:MOST_NAMED]) + ("…" if len(jobs) > MOST_NAMED else "")
