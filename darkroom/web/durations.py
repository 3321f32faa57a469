"""How long something takes or still takes, in words. Must not know: jobs, or where the figures come from."""

from math import ceil

from darkroom.web.words import Words

# Beyond so many, the next larger unit says enough.
MOST_SECONDS, MOST_MINUTES = 90, 90


def duration(seconds: float, words: Words) -> str:
    """ "12 s", "3 min", "2.5 h"."""
    if seconds < MOST_SECONDS:
        return words.say("duration.seconds", count=max(1, ceil(seconds)))
    if seconds < MOST_MINUTES * 60:
        return words.say("duration.minutes", count=round(seconds / 60))
    return words.say("duration.hours", count=f"{seconds / 3600:.1f}")


def pace(seconds: float, words: Words) -> str:
    """Of a step."""
    return words.say("duration.pace", seconds=f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}")


def still(seconds: float, words: Words, *, is_first: bool = False) -> str:
    """What is left. `is_first`: nothing of the kind was made on this machine."""
    if seconds < 1:
        left = words.say("watch.under_a_second")
    else:
        left = words.say("duration.left", time=duration(seconds, words))
    return f"{words.say('duration.first_time')} · {left}" if is_first else left
