"""Reading rows from every format; a bad row is told with its file and line, and the rest is read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import InputError
from inference.reading import BadRow, Row, list_files, read_rows

TEXTS = ['أعلنت الخارجيّة، أمس، "موقفها"', "خبر ثانٍ: ٤٢٪", "Третье 😀"]
Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def _bad(path: Path) -> list[tuple[str, str]]:
    return [
        (row.place.removeprefix(str(path.parent) + "/"), row.reason)
        for row in read_rows(path)
        if isinstance(row, BadRow)
    ]


def _good(path: Path) -> list[str]:
    return [row.text for row in read_rows(path) if isinstance(row, Row)]


def _store(path: Path, texts: list[str]) -> None:
    if path.suffix == ".txt":
        path.write_text("\n".join(texts), "utf-8")
    elif path.suffix.lower() == ".jsonl":
        path.write_text("".join(json.dumps({"text": t, "id": i}) + "\n" for i, t in enumerate(texts)), "utf-8")
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as handle:
            csv.writer(handle).writerows([("id", "text"), *enumerate(texts)])
    else:
        parquet.write_table(pa.table({"text": texts, "id": range(len(texts))}), path)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.parquet", "A.JSONL"])
def test_every_format_gives_the_same_texts_in_order(tmp_path: Path, name: str) -> None:
    _store(tmp_path / name, TEXTS)
    assert _good(tmp_path / name) == TEXTS


def test_other_fields_come_along_as_they_stand(write: Write) -> None:
    rows = list(read_rows(write("a.jsonl", '{"id": 7, "text": "خبر", "brief": {"diplomacy": "favor"}}\n')))
    assert rows == [Row("خبر", {"id": 7, "brief": {"diplomacy": "favor"}}, rows[0].place)]


@pytest.mark.parametrize(
    ("name", "place"), [("a.txt", "line 2"), ("a.jsonl", "line 2"), ("a.csv", "line 3"), ("a.parquet", "row 2")]
)
def test_every_row_knows_its_place(tmp_path: Path, name: str, place: str) -> None:
    _store(tmp_path / name, TEXTS)
    assert list(read_rows(tmp_path / name))[1].place == f"{tmp_path / name}, {place}"


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, name: str) -> None:
    _store(tmp_path / name, TEXTS)
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (tmp_path / name).read_bytes())
    assert _good(tmp_path / name) == TEXTS


def test_blank_lines_of_a_text_file_are_no_rows(write: Write) -> None:
    assert _good(write("a.txt", "أول\r\n\r\n \t\nثان")) == ["أول", "ثان"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "خبر"', "not valid JSON (Expecting ',' delimiter"),
        ("[" * 100_000, "not valid JSON"),
        ('["خبر"]', "a JSON object is wanted, not list"),
        ('{"txet": "خبر"}', "no field 'text'; did you mean 'txet'?"),
        ("{}", "no field 'text'"),
        ('{"text": 5}', "the field 'text' holds int, not text"),
        ('{"text": null}', "the field 'text' holds nothing (null), not text"),
    ],
)
def test_a_bad_json_line_is_told_with_its_number_and_the_next_one_is_read(write: Write, line: str, reason: str) -> None:
    path = write("a.jsonl", f'{{"text": "أول"}}\n{line}\n{{"text": "ثالث"}}\n')
    ((place, found),) = _bad(path)
    assert (place, found[: len(reason)]) == ("a.jsonl, line 2", reason)
    assert _good(path) == ["أول", "ثالث"]


@pytest.mark.parametrize(
    ("name", "content", "place", "reason"),
    [
        ("a.txt", "أول\n".encode() + b"ab\xff\n" + "ثالث".encode(), "a.txt, line 2", "not UTF-8 at byte 3 of the line"),
        ("a.txt", b"\xff\xfe\nab\n", "a.txt, line 1", "not UTF-8 at byte 1 of the line"),
        ("a.jsonl", b'{"text": "\xd8"}\n{"text": "ab"}\n', "a.jsonl, line 1", "not UTF-8 at byte 11 of the line"),
        ("a.csv", b'text\nab\n"\xd8\xd8"\ncd\n', "a.csv, line 3", "not UTF-8"),
    ],
)
def test_bytes_that_are_not_utf8_are_told_with_their_line(
    write: Write, name: str, content: bytes, place: str, reason: str
) -> None:
    path = write(name, content)
    assert _bad(path) == [(place, reason)]
    assert _good(path)


def test_a_csv_field_may_be_as_long_as_a_book(write: Write) -> None:
    text = "خبر طويل " * 50_000
    assert _good(write("a.csv", f'id,text\n1,"{text}"\n2,قصير\n')) == [text, "قصير"]


def test_a_quoted_csv_field_may_run_over_lines_and_later_places_still_hold(write: Write) -> None:
    path = write("a.csv", 'text,id\n"سطر\nثان",1\n\n"ثالث, له فاصلة",2\nرابع, بلا علامات,3\n')
    assert _good(path) == ["سطر\nثان", "ثالث, له فاصلة"]
    assert [row.place.rpartition(", ")[2] for row in read_rows(path)] == ["line 2", "line 5", "line 6"]


def test_a_csv_text_with_commas_that_nobody_quoted_is_told_rather_than_cut_short(write: Write) -> None:
    path = write("a.csv", "id,text\n1,قال, ثم سكت\n2,سليم\n")
    assert _bad(path) == [("a.csv, line 2", "3 values for 2 columns; put texts with commas in quotes")]
    assert _good(path) == ["سليم"]


def test_a_csv_row_that_ends_before_its_text_is_told(write: Write) -> None:
    assert _bad(write("a.csv", "id,text\n1\n"))[0][0] == "a.csv, line 2"


def test_a_csv_row_may_leave_out_trailing_fields_and_may_end_in_commas(write: Write) -> None:
    rows = list(read_rows(write("a.csv", "text,source\nأول\nثان,وكالة,,\n")))
    assert [(r.text, dict(r.fields)) for r in rows if isinstance(r, Row)] == [("أول", {}), ("ثان", {"source": "وكالة"})]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("id,txt\n1,خبر\n", "no column 'text' in the header; did you mean 'txt'?"),
        ("id,body\n1,خبر\n", "no column 'text' in the header; valid: body, id"),
        ("", "no column 'text' in the header; the first line is empty"),
        (
            "id;text\n1;خبر\n",
            "no column 'text' in the header; its columns stand between semicolons, which have to be commas",
        ),
        ("text,id,text\nأ,1,ب\n", "2 columns are called 'text'; rename one"),
    ],
)
def test_a_csv_that_names_no_text_column_or_two_is_told(write: Write, content: str, reason: str) -> None:
    path = write("a.csv", content)
    with pytest.raises(InputError) as caught:
        list(read_rows(path))
    assert str(caught.value) == f"{path}: {reason}"


def test_a_csv_quote_that_is_never_closed_is_told_with_the_lines_it_takes(write: Write) -> None:
    path = write("a.csv", 'id,text\n1,سليم\n2,"بلا نهاية\n3,خبر\n4,خبر\n')
    ((place, reason),) = _bad(path)
    assert (place, reason.partition("; ")[2]) == ("a.csv, line 3", "a quote that is not closed reaches to line 5")
    assert _good(path) == ["سليم"]


def test_a_csv_quote_inside_a_text_spoils_its_own_row_only(write: Write) -> None:
    path = write("a.csv", 'id,text\n1,"قال "نعم" ثم سكت"\n2,سليم\n')
    assert [place for place, _ in _bad(path)] == ["a.csv, line 2"]
    assert _good(path) == ["سليم"]


def test_spaces_around_the_names_of_csv_columns_do_not_count(write: Write) -> None:
    assert _good(write("a.csv", "id, text\n1,خبر\n")) == ["خبر"]


def test_a_parquet_without_a_text_column_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"Text": ["خبر"]}), path)
    with pytest.raises(InputError, match=r"a\.parquet: no column 'text'; did you mean 'Text'\?"):
        list(read_rows(path))


def test_a_parquet_row_without_text_is_told_with_its_number(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": ["أول", None, "ثالث"]}), tmp_path / "a.parquet")
    assert _bad(tmp_path / "a.parquet") == [("a.parquet, row 2", "the field 'text' holds nothing (null), not text")]
    assert _good(tmp_path / "a.parquet") == ["أول", "ثالث"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 no parquet PAR1", "نص".encode() * 99])
def test_a_file_that_is_no_parquet_is_named(write: Write, content: bytes) -> None:
    with pytest.raises(InputError, match=r"a\.parquet: not a readable Parquet file"):
        list(read_rows(write("a.parquet", content)))


def test_a_parquet_whose_strings_are_not_utf8_is_named(tmp_path: Path) -> None:
    raw = pa.array([b"ab", b"\xff\xfe"], pa.binary())
    column = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    parquet.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: broken after row 0"):
        list(read_rows(tmp_path / "a.parquet"))


@settings(max_examples=40)
@given(data=st.data(), compression=st.sampled_from(["none", "zstd"]))
def test_a_damaged_parquet_is_read_or_named_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, compression: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    parquet.write_table(pa.table({"text": [f"خبر رقم {i % 50}" for i in range(300)]}), path, compression=compression)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(4, len(content) - 9), min_size=1, max_size=8)):
        content[place] ^= 0xFF
    path.write_bytes(content)
    told = "damaged.parquet"
    try:
        list(read_rows(path))
    except InputError as error:
        told = str(error)
    assert "damaged.parquet" in told


def test_a_folder_is_read_in_order_of_name_subfolders_too(write: Write, tmp_path: Path) -> None:
    for name in ("c.txt", "a/z.txt", "b.jsonl", "a.csv", "a/notes.md"):
        write(name, {"jsonl": '{"text": "b.jsonl"}', "csv": "text\na.csv"}.get(name.rpartition(".")[2], name))
    assert _good(tmp_path) == ["a/z.txt", "a.csv", "b.jsonl", "c.txt"]


def test_a_hidden_file_is_no_part_of_a_folder(write: Write, tmp_path: Path) -> None:
    write("._news.csv", "\0\0")
    write("news.txt", "خبر")
    assert _good(tmp_path) == ["خبر"]


def test_a_file_of_a_folder_that_cannot_be_read_does_not_cost_the_others(write: Write, tmp_path: Path) -> None:
    write("a.csv", "id,body\n1,x\n")
    write("b.parquet", "no parquet")
    write("d.txt", "خبر")
    (tmp_path / "c.txt").symlink_to(tmp_path / "nowhere")
    assert _good(tmp_path) == ["خبر"]
    bad = {place.rpartition("/")[2]: reason for place, reason in _bad(tmp_path)}
    assert list(bad) == ["a.csv", "b.parquet", "c.txt"]
    assert bad["c.txt"] == "cannot be read (No such file or directory); the file is left out"


def test_a_file_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"خبر رقم {i}" for i in range(4000)]
    parquet.write_table(pa.table({"text": texts}), path, row_group_size=2000, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    middle = content.index("خبر رقم 3000".encode())
    content[middle - 2 : middle] = b"\xff\xff"
    path.write_bytes(content)
    assert _good(path)[:2000] == texts[:2000]
    ((place, reason),) = _bad(path)
    assert place == "a.parquet"
    assert reason.startswith("broken after row ")
    assert reason.endswith("the rest of the file is left out")


def test_a_folder_without_a_readable_file_is_told(write: Write, tmp_path: Path) -> None:
    write("notes.md", "")
    with pytest.raises(InputError, match=r"no \.txt, \.jsonl, \.csv, \.parquet file in this folder"):
        list_files(tmp_path)


def test_a_missing_file_is_answered_with_the_nearest_name(write: Write, tmp_path: Path) -> None:
    write("news.jsonl", "")
    with pytest.raises(InputError, match=r"new\.jsonl: no such file or folder; did you mean 'news\.jsonl'\?"):
        list_files(tmp_path / "new.jsonl")


def test_a_missing_file_with_no_near_name_does_not_list_the_whole_folder(write: Write, tmp_path: Path) -> None:
    for number in range(50):
        write(f"{number:030}.txt", "")
    with pytest.raises(InputError) as caught:
        list_files(tmp_path / "news.jsonl")
    assert str(caught.value) == f"{tmp_path / 'news.jsonl'}: no such file or folder"


@pytest.mark.parametrize("name", ["news.pdf", "news"])
def test_a_file_of_another_kind_is_refused_with_the_kinds_there_are(write: Write, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot read .*; use \.txt, \.jsonl, \.csv, \.parquet"):
        list(read_rows(write(name, "خبر")))


@settings(max_examples=60)
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".txt", ".jsonl", ".csv"]))
def test_whatever_the_bytes_reading_gives_rows_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes((b"text,id\n" if suffix == ".csv" else b"") + content)
    for row in read_rows(path):
        assert str(path) in row.place
        assert not isinstance(row, Row) or isinstance(row.text, str)
