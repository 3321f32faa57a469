"""The colours of the picture-book world, and what light and weather do to them.

Knows times, weathers and styles; must not know shapes or positions.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.demo_model.scenes import Colour, Scene

RGB = tuple[int, int, int]
Corners = tuple[RGB, RGB, RGB, RGB]  # top left, top right, bottom left, bottom right

PAPER: RGB = (249, 241, 224)
WARM: RGB = (255, 214, 118)
INK_NIGHT: RGB = (64, 80, 146)

COLOUR_RGB: dict[Colour, RGB] = {
    "red": (216, 46, 44),
    "orange": (246, 134, 28),
    "yellow": (252, 212, 58),
    "green": (66, 160, 70),
    "blue": (48, 108, 212),
    "purple": (132, 74, 184),
    "pink": (250, 142, 182),
    "white": (250, 246, 238),
}

SKY: dict[str, tuple[RGB, RGB, RGB, RGB]] = {  # from the top down to the horizon
    "morning": ((120, 190, 222), (176, 220, 226), (246, 232, 206), (255, 210, 178)),
    "day": ((64, 142, 218), (112, 182, 236), (176, 218, 242), (226, 242, 244)),
    "sunset": ((88, 70, 146), (194, 88, 138), (246, 136, 94), (255, 200, 112)),
    "night": ((14, 20, 58), (26, 38, 92), (46, 66, 128), (84, 106, 164)),
}
OVERCAST: dict[str, dict[str, tuple[RGB, float]]] = {  # the sky's weather colour and how much of it
    "cloudy": {
        "morning": ((204, 214, 214), 0.30),
        "day": ((168, 190, 210), 0.34),
        "sunset": ((186, 116, 128), 0.30),
        "night": ((40, 50, 84), 0.35),
    },
    "rain": {
        "morning": ((174, 186, 186), 0.62),
        "day": ((126, 150, 176), 0.66),
        "sunset": ((146, 96, 116), 0.56),
        "night": ((30, 38, 64), 0.60),
    },
    "snow": {
        "morning": ((230, 230, 224), 0.48),
        "day": ((188, 210, 228), 0.52),
        "sunset": ((214, 152, 162), 0.45),
        "night": ((58, 74, 122), 0.45),
    },
    "mist": {
        "morning": ((240, 234, 216), 0.60),
        "day": ((212, 226, 232), 0.62),
        "sunset": ((246, 186, 150), 0.52),
        "night": ((92, 108, 150), 0.50),
    },
}
SUN: dict[str, RGB] = {
    "morning": (255, 250, 224),
    "day": (255, 247, 204),
    "sunset": (255, 232, 156),
    "night": (255, 248, 222),
}
GROUND_LIGHT: dict[str, tuple[float, float, float]] = {
    "morning": (1.02, 0.99, 0.90),
    "day": (1.0, 1.0, 1.0),
    "sunset": (0.98, 0.76, 0.74),
    "night": (0.41, 0.47, 0.74),
}
SNOW_LIGHT: dict[str, tuple[float, float, float]] = {
    "morning": (1.0, 0.985, 0.965),
    "day": (0.97, 0.99, 1.0),
    "sunset": (1.0, 0.86, 0.90),
    "night": (0.54, 0.62, 0.84),
}
OBJECT_LIGHT: dict[str, tuple[float, float, float]] = {
    "morning": (1.0, 0.985, 0.95),
    "day": (1.0, 1.0, 1.0),
    "sunset": (1.0, 0.96, 0.935),
    "night": (0.92, 0.89, 0.98),
}
SHADE: dict[str, tuple[float, float, float]] = {  # what is left of a colour on the side away from the light
    "morning": (0.80, 0.74, 0.80),
    "day": (0.78, 0.72, 0.82),
    "sunset": (0.82, 0.70, 0.78),
    "night": (0.74, 0.66, 0.80),
}
WHITE_SHADE: dict[str, tuple[float, float, float]] = {  # neutral, so that white stays white
    "morning": (0.84, 0.83, 0.86),
    "day": (0.82, 0.84, 0.90),
    "sunset": (0.88, 0.81, 0.82),
    "night": (0.78, 0.80, 0.86),
}
SNOW: RGB = (246, 248, 252)


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """`a` with `share` of `b` in it."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def times(a: RGB, light: tuple[float, float, float], strength: float = 1.0) -> RGB:
    """`a` under a coloured light."""
    r, g, b = (min(255, max(0, round(v * f * strength))) for v, f in zip(a, light, strict=True))
    return (r, g, b)


def grey(a: RGB, share: float) -> RGB:
    """`a` with some of its saturation taken away."""
    level = round(0.3 * a[0] + 0.59 * a[1] + 0.11 * a[2])
    return mix(a, (level, level, level), share)


@dataclass(frozen=True, kw_only=True)
class Light:
    """The light of one picture: every colour on it goes through here. `side` is -1 for light from the left."""

    scene: Scene
    side: int

    @property
    def ink(self) -> bool:
        return self.scene.style == "ink"

    @property
    def line(self) -> RGB:
        """The pen's colour in an ink drawing."""
        cool = self.scene.time == "night" or self.scene.weather in ("snow", "rain")
        return (42, 50, 98) if cool else (88, 56, 42)

    @property
    def dusky(self) -> bool:
        return self.scene.time in ("night", "sunset")

    @property
    def sun(self) -> RGB:
        return SUN[self.scene.time]

    @property
    def sky(self) -> tuple[RGB, RGB, RGB, RGB]:
        stops = SKY[self.scene.time]
        if self.scene.weather != "clear":
            veil, share = OVERCAST[self.scene.weather][self.scene.time]
            stops = (
                mix(stops[0], veil, share),
                mix(stops[1], veil, share),
                mix(stops[2], veil, share),
                mix(stops[3], veil, share * 0.8),
            )
        if self.ink:
            keep = (0.86, 0.68, 0.44, 0.26) if self.scene.time == "night" else (0.62, 0.44, 0.28, 0.14)
            stops = (INK_NIGHT,) * 4 if self.scene.time == "night" else stops
            a, b, c, d = (mix(PAPER, grey(stop, 0.1), k) for stop, k in zip(stops, keep, strict=True))
            stops = (a, b, c, d)
        return stops

    @property
    def haze(self) -> RGB:
        """What far things fade into."""
        return mix(self.sky[3], self.sky[2], 0.45)

    def ground(self, colour: RGB, depth: float, *, snow: float = 0.84) -> RGB:
        """A colour of the land, `depth` 0 at our feet and 1 at the horizon; `snow` covers so much when it snows."""
        time, weather = self.scene.time, self.scene.weather
        tint = GROUND_LIGHT[time]
        if weather == "snow":
            colour = mix(colour, SNOW, snow)
            if snow > 0.4:
                tint = SNOW_LIGHT[time]
        colour = times(colour, tint, 0.9 if weather == "rain" else 1.0)
        if weather in ("rain", "mist") and time != "night":
            colour = grey(colour, 0.15)
        if time == "night":
            colour = mix(colour, (52, 70, 140), 0.13)
        if self.ink:
            colour = mix(PAPER, grey(colour, 0.1), 0.46 - 0.22 * depth)
        veil = 0.16 + 0.80 * depth if weather == "mist" else 0.72 * depth
        return mix(colour, self.haze, min(veil, 0.93))

    def flat(self, colour: RGB) -> RGB:
        """An object's own colour in this light."""
        if self.ink:
            return mix(PAPER, grey(colour, 0.05), 0.90)
        colour = times(colour, OBJECT_LIGHT[self.scene.time])
        return mix(colour, self.haze, 0.05 if self.scene.weather == "mist" else 0.0)

    def lit(self, colour: RGB, strength: float = 1.0) -> RGB:
        if self.ink:
            return mix(PAPER, grey(colour, 0.05), 0.90 - 0.30 * strength)
        return mix(self.flat(colour), self.sun, (0.14 if self.scene.time == "night" else 0.20) * strength)

    def shade(self, colour: RGB, strength: float = 1.0) -> RGB:
        if self.ink:
            return mix(PAPER, grey(colour, 0.05), 0.90 + 0.10 * strength)
        own = self.flat(colour)
        left = SHADE[self.scene.time] if min(colour) < 200 else WHITE_SHADE[self.scene.time]
        return mix(own, times(own, left), strength)

    def corners(self, colour: RGB, strength: float = 1.0) -> Corners:
        """Four corners of a shape: light falls from above, from the light's side."""
        lit, dark = self.lit(colour, strength), self.shade(colour, strength)
        middle = mix(lit, dark, 0.5)
        if self.side < 0:
            return (lit, mix(middle, dark, 0.35), mix(middle, lit, 0.4), dark)
        return (mix(middle, dark, 0.35), lit, dark, mix(middle, lit, 0.4))
