"""An engine that draws without a model: the request decides the colours. For tests of the page."""

import io
import queue
import threading

from PIL import Image

from darkroom.jobs.messages import Command, Done, Entered, Event, Loading, Pause, Ready, Run, Step, Stop, Stopped


class DrawingEngine:
    """Answers each Run on a thread of its own. `pace` is the seconds a step takes."""

    def __init__(self, pace: float = 0.0) -> None:
        self._pace = pace
        self._events: queue.Queue[Event] = queue.Queue()
        self._stopped: set[int] = set()
        self._closing = threading.Event()
        self._events.put(Ready(device="drawing board", torch_version="none"))

    def send(self, command: Command) -> None:
        match command:
            case Run():
                self._stopped.discard(command.job)
                threading.Thread(target=self._draw, args=(command,), daemon=True).start()
            case Stop() | Pause():
                self._stopped.add(command.job)
            case _:
                pass

    def receive(self, timeout: float) -> Event | None:
        try:
            return self._events.get(timeout=timeout) if timeout else self._events.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        self._closing.set()

    def kill(self) -> None:
        self.close()

    def _draw(self, run: Run) -> None:
        request, job = run.request, run.job
        for quarter in range(5):
            self._events.put(Loading(job=job, part="transformer", fraction=quarter / 4))
            self._closing.wait(self._pace)
        self._events.put(Entered(job=job, stage="denoising"))
        picture = _gradient(request.seed, request.width, request.height)
        for number in range(1, request.steps + 1):
            self._closing.wait(self._pace)
            if job in self._stopped:
                self._events.put(Stopped(job=job))
                return
            self._events.put(Step(job=job, number=number, of=request.steps, preview_jpeg=_jpeg(picture, number)))
        self._events.put(Entered(job=job, stage="decoding"))
        facts: dict[str, str | int | float] = {"seconds": request.steps * self._pace, "device": "drawing board"}
        self._events.put(
            Done(job=job, width=request.width, height=request.height, pixels=picture.tobytes(), facts=facts)
        )


def _gradient(seed: int, width: int, height: int) -> Image.Image:
    """The seed's two colours, one at the top and one at the bottom."""
    top = (seed % 251, seed // 251 % 241, seed // 60_491 % 239)
    bottom = (top[1], 255 - top[0], top[2])
    down = Image.linear_gradient("L").resize((width, height))
    return Image.composite(Image.new("RGB", (width, height), bottom), Image.new("RGB", (width, height), top), down)


def _jpeg(picture: Image.Image, number: int) -> bytes:
    small = picture.resize((max(1, picture.width // 8), max(1, picture.height // 8)))
    buffer = io.BytesIO()
    small.point([min(255, value + 8 * (8 - min(number, 8))) for value in range(256)] * 3).save(buffer, "JPEG")
    return buffer.getvalue()
