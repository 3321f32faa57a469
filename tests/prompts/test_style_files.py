"""Other tools' files of styles, as they are found in the wild."""

import json
from pathlib import Path

import pytest

from darkroom.errors import InvalidRequest
from darkroom.prompts.style_files import LARGEST_FILE, read_style_file
from darkroom.prompts.styles import ImportReport, Style, StyleBook, shipped_styles

A1111 = """name,prompt,negative_prompt
Portrait,"portrait of {prompt}, 85mm, ""soft"" light","ugly, blurry"
Two lines,"a house
by a lake",
水彩,"水彩画，{prompt}",照片
"""
EXPECTED = (
    Style(name="Portrait", prompt='portrait of {prompt}, 85mm, "soft" light', negative_prompt="ugly, blurry"),
    Style(name="Two lines", prompt="a house\nby a lake"),
    Style(name="水彩", prompt="水彩画，{prompt}", negative_prompt="照片"),
)


@pytest.fixture
def book(tmp_path: Path) -> StyleBook:
    return StyleBook(tmp_path / "styles.yaml")


def skipped(report: ImportReport) -> list[tuple[str, int, str]]:
    return [(each.name, each.line, each.reason) for each in report.skipped]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_a_csv_file_is_read_in_every_encoding_that_people_have(encoding: str, book: StyleBook) -> None:
    report = book.import_file(A1111.encode(encoding))
    assert report == ImportReport(added=tuple(style.name for style in EXPECTED), skipped=())
    assert book.styles() == (*shipped_styles(), *EXPECTED)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way(line_end: str, book: StyleBook) -> None:
    report = book.import_file(A1111.replace("\n", line_end).encode())
    assert report.added == tuple(style.name for style in EXPECTED)
    assert book.get("Two lines").prompt == f"a house{line_end}by a lake"


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheet_may_have_written_other_separators(delimiter: str) -> None:
    content = f"name{delimiter}prompt{delimiter}negative_prompt\na, b{delimiter}x, y{delimiter}z"
    assert [dict(entry.values) for entry in read_style_file(content.encode())] == [
        {"name": "a, b", "prompt": "x, y", "negative_prompt": "z"}
    ]


def test_columns_may_stand_in_any_order_with_others_between_and_with_their_old_name(book: StyleBook) -> None:
    report = book.import_file(b"\n Text , extra,NAME\nwords,5,Old\nshort\n,,\n")
    assert report.added == ("Old",)
    assert book.get("Old").prompt == "words"
    assert skipped(report) == [("", 4, "not_allowed")]


def test_what_is_not_added_is_told_with_its_line_and_reason(book: StyleBook) -> None:
    book.add(Style(name="Mine", prompt="mine"))
    content = 'name,prompt,negative_prompt\nMine,other,\n"Long","a\nb",\n--- group ---,,\nLong,again,\n,no name,\n'
    report = book.import_file((content + "Bad,a\x00b,\n" + f"Endless,{'x' * 20_000},\n").encode())
    assert report.added == ("Long",)
    assert skipped(report) == [
        ("Mine", 2, "exists"),
        ("--- group ---", 5, "empty"),
        ("Long", 6, "exists"),
        ("", 7, "not_allowed"),
        ("Bad", 8, "not_allowed"),
        ("Endless", 9, "not_allowed"),
    ]
    problems = [str(each.problem) for each in report.skipped if each.problem]
    assert problems[0] == "style.name is ; allowed: at least 1 character"
    assert problems[2].endswith("allowed: at most 10000 characters")
    assert book.get("Mine").prompt == "mine"


def test_a_file_without_news_writes_nothing(book: StyleBook, tmp_path: Path) -> None:
    assert book.import_file(b"name,prompt,negative_prompt\n").added == ()
    assert list(tmp_path.iterdir()) == []


def test_fooocus_styles_are_read(book: StyleBook) -> None:
    content = [
        {"name": "sai-anime", "prompt": "anime artwork {prompt} . vibrant", "negative_prompt": "photo"},
        {"name": "Fooocus Negative", "negative_prompt": "ugly"},
        {"name": "nothing"},
        {"name": 5, "prompt": "x"},
        {"prompt": "x"},
        {"name": "null", "prompt": None, "negative_prompt": "x", "more": []},
    ]
    report = book.import_file(json.dumps(content).encode("utf-8-sig"))
    assert report.added == ("sai-anime", "Fooocus Negative", "null")
    assert skipped(report) == [("nothing", 0, "empty"), ("5", 0, "not_allowed"), ("", 0, "not_allowed")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "file is empty"),
        (b" \n\r\n", "file is empty"),
        (b"\xef\xbb\xbf", "file is empty"),
        (b"\x89PNG\r\n\x1a\n\xff\xff\xff", "file is not text"),
        (b"\xff\xfe\x00", "file is not text"),
        (b"a house by a lake\nand more", "file is a house by a lake; allowed: styles.csv with the columns name"),
        (b"name,negative\nx,y", "file is name,negative; "),
        (b"prompt,negative_prompt\nx,y", "file is prompt,negative_prompt; "),
        (b'name,prompt\na,"b\nc,d\ne,f\n', "file is line 2: a quotation mark is opened and never closed"),
        (b"name,prompt\na," + b"x" * 200_000, "file is line 2: "),
        (b'{"name": "x"}', "a JSON list of styles"),
        (b"[1, 2]", "a JSON list of styles"),
        (b'[{"name": "x"', "a JSON list of styles"),
        (b"[" * 200_000, "a JSON list of styles"),
        (b"x" * (LARGEST_FILE + 1), "file is 8.0 MiB; allowed: at most 8 MiB"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_file_of_styles_is_refused_with_what_was_found(content: bytes, words: str, book: StyleBook) -> None:
    with pytest.raises(InvalidRequest) as refused:
        book.import_file(content)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_quotation_mark_inside_a_word_is_only_a_letter() -> None:
    entries = read_style_file(b'name,prompt\na,5" high\nb,"x" y\n')
    assert [entry.values["prompt"] for entry in entries] == ['5" high', "x y"]
