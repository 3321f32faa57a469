"""Chinese captions: short lists, phrases and sentences with the right measure words.

Knows scenes and words; must not choose which facts are told.
"""

from __future__ import annotations

import random

from tools.demo_model.scenes import Colour, Kind, Place, Scene, Size, Subject, Terrain, Time, Weather

NOUNS: dict[Kind, tuple[str, ...]] = {
    "house": ("房子", "房子", "房屋", "屋子"),
    "tree": ("树",),
    "cat": ("猫", "猫", "猫咪"),
    "rabbit": ("兔子", "兔子", "兔"),
    "bird": ("鸟", "鸟", "鸟儿"),
    "sailboat": ("帆船", "帆船", "船"),
    "balloon": ("热气球",),
    "lighthouse": ("灯塔",),
    "windmill": ("风车",),
    "car": ("汽车", "汽车", "车", "轿车"),
    "mushroom": ("蘑菇",),
    "flower": ("花", "花", "花朵"),
    "tent": ("帐篷",),
    "castle": ("城堡",),
    "kite": ("风筝",),
    "umbrella": ("雨伞", "雨伞", "伞"),
}
MEASURES: dict[Kind, tuple[str, ...]] = {
    "house": ("座", "栋"), "tree": ("棵",), "cat": ("只",), "rabbit": ("只",), "bird": ("只",),
    "sailboat": ("艘", "条"), "balloon": ("个", "只"), "lighthouse": ("座",), "windmill": ("座", "架"),
    "car": ("辆",), "mushroom": ("朵", "个"), "flower": ("朵",), "tent": ("顶", "个"), "castle": ("座",),
    "kite": ("只", "个"), "umbrella": ("把",),
}  # fmt: skip
VERBS: dict[Kind, tuple[str, ...]] = {
    "house": ("坐落在", "立在"), "tree": ("长在", "立在"), "cat": ("坐在", "蹲在"), "rabbit": ("坐在", "蹲在"),
    "bird": ("飞在",), "sailboat": ("停在", "漂在"), "balloon": ("飘在", "飞在"), "lighthouse": ("矗立在", "立在"),
    "windmill": ("立在", "转动在"), "car": ("停在",), "mushroom": ("长在",), "flower": ("开在", "长在"),
    "tent": ("搭在",), "castle": ("矗立在", "坐落在"), "kite": ("飘在", "飞在"), "umbrella": ("立在", "撑在"),
}  # fmt: skip
NUMBERS: dict[int, tuple[str, ...]] = {1: ("一",), 2: ("两", "两", "两", "2"), 3: ("三", "三", "三", "3")}
COLOURS: dict[Colour, tuple[str, ...]] = {
    "red": ("红色的", "红色", "红"),
    "orange": ("橙色的", "橘色的", "橙色", "橙"),
    "yellow": ("黄色的", "黄色", "黄"),
    "green": ("绿色的", "绿色", "绿"),
    "blue": ("蓝色的", "蓝色", "蓝"),
    "purple": ("紫色的", "紫色", "紫"),
    "pink": ("粉色的", "粉红色的", "粉色", "粉红"),
    "white": ("白色的", "白色", "白"),
}
SIZES: dict[Size, tuple[str, ...]] = {
    "small": ("小小的", "很小的", "小"),
    "medium": (),
    "large": ("巨大的", "很大的", "大大的", "大"),
}
PLACES: dict[Place, tuple[str, ...]] = {
    "left": ("左边", "左边", "左侧", "画面左边"),
    "centre": ("中间", "中间", "中央", "画面中间", "正中"),
    "right": ("右边", "右边", "右侧", "画面右边"),
}
TIMES: dict[Time, tuple[str, ...]] = {
    "morning": ("早晨", "清晨", "早上"),
    "day": ("白天", "白天", "日间", "中午"),
    "sunset": ("日落时分", "黄昏", "傍晚", "夕阳下", "日落"),
    "night": ("夜晚", "夜里", "晚上", "夜间"),
}
CLEAR_NIGHT = ("星空下", "月光下")
WEATHERS: dict[Weather, tuple[str, ...]] = {
    "clear": ("天气晴朗", "晴朗", "晴空"),
    "cloudy": ("多云", "阴天", "天上有很多云"),
    "rain": ("下着雨", "下雨", "雨中"),
    "snow": ("下着雪", "下雪", "雪中"),
    "mist": ("有雾", "雾中", "薄雾弥漫", "大雾"),
}
TERRAINS: dict[Terrain, tuple[str, ...]] = {
    "meadow": ("草地", "草原", "草地上", "山坡草地上"),
    "mountains": ("山里", "群山前", "大山前", "山间"),
    "sea": ("海边", "大海边", "海滩", "海滨"),
    "lake": ("湖边", "湖畔", "湖水边"),
    "desert": ("沙漠", "沙漠里", "沙漠中", "沙丘上"),
    "forest": ("森林里", "森林前", "树林里", "林间"),
}
PREFIXES = ("绘本插画，", "一幅画，", "一张照片，", "童话绘本风格，", "插画：", "图画书里的画：", "画着")
INK_PREFIXES = ("钢笔淡彩画，", "墨水画，", "钢笔画，", "墨线淡彩：")
GLUE = ("有", "在", "和", "还有", "，", "、", "。", "的")


def write(scene: Scene, said: frozenset[str], rng: random.Random) -> str:
    """The chosen facts as a Chinese caption."""
    form = rng.choices((_list, _phrase, _sentence), weights=(25, 40, 35))[0]
    text = form(scene, said, rng)
    if "style" in said:
        text = rng.choice(INK_PREFIXES) + text
    elif rng.random() < 0.25:
        text = rng.choice(PREFIXES) + text
    return text + "。" if rng.random() < 0.4 else text


def _thing(i: int, subject: Subject, said: frozenset[str], rng: random.Random, *, number: bool = True) -> str:
    """ "两只小小的红色的猫" """
    text = ""
    if number or subject.count > 1:
        text += rng.choice(NUMBERS[subject.count]) + rng.choice(MEASURES[subject.kind])
    looks = []
    if f"size:{i}" in said:
        looks.append(rng.choice(SIZES[subject.size]))
    if f"colour:{i}" in said:
        looks.append(rng.choice(COLOURS[subject.colour]))
    noun = rng.choice(NOUNS[subject.kind])
    if looks and len(noun) > 2 and not looks[-1].endswith("的"):  # 橙色的热气球, not 橙热气球
        looks[-1] = looks[-1] + "的" if len(looks[-1]) > 1 else rng.choice(_long(i, subject, said))
    if len(looks) == 2 and rng.random() < 0.15 and looks[0].endswith("的"):
        looks.reverse()
        if not looks[0].endswith("的"):
            looks[0] = rng.choice([c for c in COLOURS[subject.colour] if c.endswith("的")])
    return text + "".join(looks) + noun


def _long(i: int, subject: Subject, said: frozenset[str]) -> list[str]:
    """The ways to say the last of its looks that end in 的."""
    options = COLOURS[subject.colour] if f"colour:{i}" in said else SIZES[subject.size]
    return [option for option in options if option.endswith("的")]


def _time(scene: Scene, rng: random.Random) -> str:
    if scene.time == "night" and scene.weather == "clear" and rng.random() < 0.3:
        return rng.choice(CLEAR_NIGHT)
    return rng.choice(TIMES[scene.time])


def _setting(scene: Scene, said: frozenset[str], rng: random.Random) -> list[str]:
    parts = []
    if "time" in said:
        parts.append(_time(scene, rng))
    if "weather" in said:
        parts.append(rng.choice(WEATHERS[scene.weather]))
    if "terrain" in said:
        parts.append(rng.choice(TERRAINS[scene.terrain]))
    return parts


def _list(scene: Scene, said: frozenset[str], rng: random.Random) -> str:
    """ "红色的猫在左边，夜晚，下雪" """
    things = []
    for i, subject in enumerate(scene.subjects):
        thing = _thing(i, subject, said, rng, number=rng.random() < 0.4)
        if f"place:{i}" in said:
            place = rng.choice(PLACES[subject.place])
            thing = rng.choice((f"{place}{thing}", f"{thing}在{place}", f"{place}的{thing}"))
        things.append(thing)
    setting = _setting(scene, said, rng)
    rng.shuffle(things)
    rng.shuffle(setting)
    return "，".join(setting + things if rng.random() < 0.4 else things + setting)


def _phrase(scene: Scene, said: frozenset[str], rng: random.Random) -> str:
    """ "夜晚的森林里，左边有一只红色的猫，右边有两朵花" """
    things = []
    for i, subject in enumerate(scene.subjects):
        thing = _thing(i, subject, said, rng)
        if f"place:{i}" in said:
            place = rng.choice(PLACES[subject.place])
            thing = rng.choice((f"{place}有{thing}", f"{place}有{thing}", f"{thing}在{place}"))
        things.append(thing)
    rng.shuffle(things)
    setting = "，".join(_setting(scene, said, rng))
    if not things:
        return setting
    body = "，".join(things)
    return f"{setting}，{body}" if setting else body


def _sentence(scene: Scene, said: frozenset[str], rng: random.Random) -> str:
    """ "清晨，一只红色的猫坐在左边，湖边下着雪" """
    clauses = []
    for i, subject in enumerate(scene.subjects):
        thing = _thing(i, subject, said, rng)
        if f"place:{i}" in said:
            place = rng.choice(PLACES[subject.place])
            clauses.append(thing + rng.choice(VERBS[subject.kind]) + place)
        else:
            clauses.append("有" + thing)
    rng.shuffle(clauses)
    setting = _setting(scene, said, rng)
    if rng.random() < 0.3:
        rng.shuffle(setting)
    if not clauses:
        return "，".join(setting)
    if len(clauses) > 1 and rng.random() < 0.3:
        last = clauses[-1].removeprefix("有")
        clauses[-1] = "还有" + last
    return "，".join(setting + clauses if rng.random() < 0.75 else clauses + setting)


def words() -> tuple[str, ...]:
    """Every word the captions put together."""
    found = {*GLUE, *CLEAR_NIGHT, *PREFIXES, *INK_PREFIXES}
    tables = (NOUNS, MEASURES, VERBS, NUMBERS, COLOURS, SIZES, PLACES, TIMES, WEATHERS, TERRAINS)
    for table in tables:
        for options in table.values():
            found |= set(options)
    return tuple(sorted(word.strip("，：") for word in found if word.strip("，：")))
