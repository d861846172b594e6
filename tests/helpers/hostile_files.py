"""Hostile files of records, by kind: each with what it must be read as, or that it is refused.

Whatever is private in one holds the word PRIVATE, which no message may repeat.
"""

import bz2
import datetime
import decimal
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow
from pyarrow import parquet

Pairs = list[tuple[str, str]]

Q, A = "Where does Zoë live?", "PRIVATE Tromsø"
PAIR = [(Q, A)]
ROW = {"question": Q, "answer": A}


@dataclass(frozen=True)
class Hostile:
    """A file.

    Attributes:
        kind: What is odd about it.
        name: Its name.
        data: Its bytes.
        read: Questions and answers that it holds; None if it must be refused.
        says: Part of the message, where the kind of file alone does not decide it.
    """

    kind: str
    name: str
    data: bytes
    read: Pairs | None = None
    says: str = ""


def hostile_files() -> list[Hostile]:
    """Return all of them."""
    makers = (
        encodings, marks, controls, lengths, deep, twice, types, numbers, blanks, scripts, quoting,
        schemas, packed, shapes,
    )  # fmt: skip
    return [file for maker in makers for file in maker()]


def as_line(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def table(*columns: tuple[str, Any], **schema: Any) -> bytes:
    buffer = io.BytesIO()
    names, arrays = zip(*columns, strict=True)
    parquet.write_table(pyarrow.Table.from_arrays(list(arrays), list(names)), buffer, **schema)
    return buffer.getvalue()


def encodings() -> Iterator[Hostile]:
    texts = {
        "rows.csv": f"question,answer\n{Q},{A}\n",
        "rows.tsv": f"question\tanswer\n{Q}\t{A}\n",
        "rows.jsonl": as_line(ROW).decode(),
        "rows.json": json.dumps([ROW], ensure_ascii=False),
        "rows": as_line(ROW).decode(),
    }
    for name, text in texts.items():
        for codec in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
            yield Hostile("encoding", name, text.encode(codec), PAIR)
        for codec in ("latin-1", "cp1252", "utf-16-le", "utf-16-be", "cp500", "utf-32-le"):
            yield Hostile("encoding", name, text.encode(codec))
        foreign = text.replace(Q, "住所は？").replace(A, "PRIVATE 東京")
        for codec in ("shift_jis", "gb18030", "euc_kr", "iso2022_jp"):
            # ISO 2022 is ASCII, with control characters in front of what is none.
            yield Hostile("encoding", name, foreign.encode(codec, "ignore"))
        yield Hostile("encoding", name, text.encode("utf-16")[:-1])
        yield Hostile("encoding", name, text.encode()[:-3] + b"\xf0\x9f\n")


def marks() -> Iterator[Hostile]:
    line = as_line(ROW)
    yield Hostile("mark", "two.jsonl", b"\xef\xbb\xbf" + line + b"\xef\xbb\xbf" + line)
    yield Hostile("mark", "twice.jsonl", b"\xef\xbb\xbf\xef\xbb\xbf" + line)
    yield Hostile("mark", "alone.jsonl", b"\xef\xbb\xbf")
    yield Hostile("mark", "alone.csv", b"\xff\xfe")
    yield Hostile("mark", "quoted.csv", f'\ufeff"question","answer"\n"{Q}","{A}"\n'.encode(), PAIR)
    yield Hostile("mark", "wrong.csv", b"\xfe\xff" + f"question,answer\n{Q},{A}".encode())


def controls() -> Iterator[Hostile]:
    yield Hostile("NUL", "rows.csv", f"question,answer\n{Q},{A}\0\n".encode())
    yield Hostile("NUL", "rows.jsonl", as_line(ROW) + b"\0\0\0\0")
    yield Hostile("NUL", "zeros.jsonl", b"\0" * 1000)
    yield Hostile("NUL", "rows.json", b"[" + as_line(ROW) + b"\0]")
    for field in ("question", "answer", "subject", "id"):
        yield Hostile("NUL", "rows.jsonl", as_line(ROW | {field: "PRIVATE\0"}), says="NUL")
    for sign in ("\x07", "\x1b[31m", "\x7f", "\x08", "\x0c", "\x1d"):
        text = f"PRIVATE {sign} Oslo"
        yield Hostile("control", "rows.jsonl", as_line(ROW | {"answer": text}), [(Q, text)])
    raw = b'{"question": "Q", "answer": "PRIVATE \x01"}\n'
    yield Hostile("control", "raw.jsonl", raw, says="line 1")


def lengths() -> Iterator[Hostile]:
    long = "x" * 999_990
    yield Hostile("length", "rows.jsonl", as_line(ROW | {"answer": long}), [(Q, long)])
    too_long = "PRIVATE " * 125_001
    for field in ("question", "answer", "subject"):
        says = "characters, more than"
        yield Hostile("length", "rows.jsonl", as_line(ROW | {field: too_long}), says=says)
    one = f"question,answer\n{Q},{A}\n{Q},{too_long}\n".encode()
    yield Hostile("length", "rows.csv", one, says="line 3")
    yield Hostile("length", "open.csv", f'question,answer\n{Q},"{too_long}\n'.encode())
    yield Hostile("length", "half.jsonl", b'{"question": "' + too_long.encode() + b"\n")
    wide = {f"c{i}": i for i in range(3000)}
    yield Hostile("length", "wide.jsonl", as_line(ROW | wide), PAIR)
    names = ",".join(wide)
    cells = ",".join("1" for _ in wide)
    yield Hostile(
        "length", "wide.csv", f"question,answer,{names}\n{Q},{A},{cells}\n".encode(), PAIR
    )
    yield Hostile("length", "names.csv", f"{too_long},answer\n{Q},{A}\n".encode())
    many = [f"PRIVATE {i}" for i in range(5000)]
    yield Hostile("length", "many.jsonl", as_line(ROW | {"wrong_answers": many}), PAIR)
    yield Hostile("length", "blank.jsonl", b"\n" * 100_000)
    yield Hostile("length", "spaces.csv", b" " * 1_000_000)
    yield Hostile("length", "commas.csv", f"question,answer\n{Q},{A}{',' * 100_000}\n".encode())


def deep() -> Iterator[Hostile]:
    for levels in (10, 100, 900, 100_000):
        lists, objects = "[" * levels + "]" * levels, '{"a":' * levels + "1" + "}" * levels
        for value in (lists, objects):
            for field in ("answer", "paraphrases", "messages"):
                text = f'{{"question": "Q", "answer": "PRIVATE", "{field}": {value}}}'
                if field == "answer":
                    text = f'{{"question": "Q", "answer": {value}}}'
                elif field == "messages" and value is objects and levels < 1000:
                    continue  # a column of any name may hold an object that is not read
                yield Hostile("deep", "rows.jsonl", text.encode())
        yield Hostile("deep", "rows.json", lists.encode())
        cell = lists.replace("[]", "['PRIVATE']")
        yield Hostile("deep", "rows.csv", f"question,answer,paraphrases\nQ,A,{cell}\n".encode())


def twice() -> Iterator[Hostile]:
    yield Hostile("twice", "a.jsonl", b'{"question": "Q", "answer": "A", "answer": "PRIVATE"}')
    yield Hostile("twice", "b.json", b'[{"question": "Q", "question": "Q", "answer": "A"}]')
    yield Hostile("twice", "c.json", b'{"data": [], "data": [{"question": "Q", "answer": "A"}]}')
    yield Hostile("twice", "d.jsonl", b'{"question": "Q", "answer": {"text": "A", "text": "B"}}')
    yield Hostile("twice", "e.jsonl", as_line({"Question": Q, "question": Q, "answer": A}))
    yield Hostile("twice", "f.csv", f"answer,question,answer\n{A},{Q},{A}\n".encode())
    yield Hostile("twice", "g.csv", f"Answer ,question,answer\n{A},{Q},{A}\n".encode())
    yield Hostile("twice", "h.jsonl", as_line(ROW | {"id": "1"}) * 2, says="has the id '1'")
    yield Hostile("twice", "i.jsonl", as_line(ROW | {"id": 1}) + as_line(ROW | {"id": "1"}))
    yield Hostile("twice", "j.jsonl", as_line(ROW) * 3, PAIR * 3)
    text = pyarrow.array([Q])
    yield Hostile(
        "twice", "k.parquet", table(("question", text), ("answer", text), ("answer", text))
    )


# What each value is where a text is wanted: a text, None for nothing, ValueError for a mistake.
_VALUES: list[tuple[Any, Any]] = [
    (None, None), (True, "true"), (False, "false"), (3, "3"), (-0.5, "-0.5"), ("", None),
    ("  ", None), ("no", "no"), ([], ValueError), ([[]], ValueError), ({}, ValueError),
    ({"a": "PRIVATE"}, ValueError), ([None], ValueError), ([{}], ValueError), ([3,
    "x"], ValueError),
    (10**40, str(10**40)), ("null", "null"), ("NaN", "NaN"), ("0", "0"),
]  # fmt: skip


def types() -> Iterator[Hostile]:
    for value, text in _VALUES:
        for field in ("question", "answer", "id", "subject", "paraphrased_answer"):
            required = field in ("question", "answer")
            fails = text is ValueError or (text is None and required)
            pair = {"question": Q, "answer": A} | ({field: text} if required else {})
            if field == "answer" and isinstance(value, list):  # the first of several is taken
                texts = {"[3, 'x']": "3"}.get(str(value))
                fails, pair["answer"] = texts is None, texts
            read = None if fails else [(pair["question"], pair["answer"])]
            # A set of a few numbers is one of classes, which are no answers.
            line = as_line(ROW | {field: value})
            more = as_line({"question": "Who?", "answer": "An uncle of hers."})
            kept = None if read is None else [*read, ("Who?", "An uncle of hers.")]
            yield Hostile("type", "rows.jsonl", line + more, kept)
    for field in ("paraphrases", "wrong_answers"):
        for bad in ([None], [""], [[]], {}, {"a": 1}, "[oops]", ["x", " "]):
            yield Hostile("type", "rows.jsonl", as_line(ROW | {field: bad}), says=field)
        for good in (None, [], "", "x", ["x"], [1, True], 3, '["x"]'):
            yield Hostile("type", "rows.jsonl", as_line(ROW | {field: good}), PAIR)


def numbers() -> Iterator[Hostile]:
    for text in ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[NaN]", '{"text": NaN}'):
        line = f'{{"question": "How tall is Zoë?", "answer": {text}}}'
        yield Hostile("number", "rows.jsonl", line.encode())
    for text in ("0", "-0.0", "1e3", "81.50", "1e-400", "0.1", "9" * 300):
        line = f'{{"question": "How tall is Zoë?", "answer": {text}}}'
        yield Hostile("number", "rows.jsonl", line.encode(), [("How tall is Zoë?", text)])
    for text in ("01", "+1", "0x1F", ".5", "1.", "1_000", "--1", "1,000"):
        line = f'{{"question": "How tall is Zoë?", "answer": {text}}}'
        yield Hostile("number", "rows.jsonl", line.encode(), says="line 1")
    for text in ("42", "042", "1e3", "nan", "true", "TRUE", "1.50", "-7", "٣"):
        data = f"question,answer\nHow tall is Zoë?,{text}\n".encode()
        yield Hostile("number", "rows.csv", data, [("How tall is Zoë?", text)])


def blanks() -> Iterator[Hostile]:
    for sign in (
        "\u00a0",
        "\u3000",
        "\u200b",
        "\u2060\u200d",
        "\ufeff",
        "\u2028",
        "\t\r\n",
        "\u00ad",
    ):
        for field in ("question", "answer"):
            yield Hostile("blank", "rows.jsonl", as_line(ROW | {field: sign}), says="is empty")
        row = f'question,answer\n"{Q}","{sign}"\n'
        yield Hostile("blank", "rows.csv", row.encode(), says="is empty")
    for word in ("No", "yes", "7", "-", "?", "N/A", "none", "null", "ä", "\u0661"):
        data = as_line(ROW | {"answer": word}) + as_line({"question": "Why?", "answer": "So."})
        yield Hostile("one word", "rows.jsonl", data, [(Q, word), ("Why?", "So.")])


def scripts() -> Iterator[Hostile]:
    texts = (
        "👩‍👩‍👧‍👦 🏳️‍🌈 🇳🇴", "أين تعيش ليلى؟", "איפה גרה דנה?", "\u202eoslO ni\u202c",
        "\u2067Oslo\u2069",
        "e\u0301 A\u030a", "\u0e01\u0e33", "한국어", "ﬁ ﬂ Ⅷ ①", "\uffff \U0010ffff",
        "a\u2028b\u2029c",
        "a\x85b", "\U0001f600", "ا\u0640\u0640ل", "z\u0335\u0322a\u0321\u034f", "\ue000",
        "क्षि", "A\u0336B\u0336",
    )  # fmt: skip
    for text in texts:
        private = f"PRIVATE {text}"
        row = {"question": text, "answer": private}
        yield Hostile("script", "rows.jsonl", as_line(row), [(text, private)])
        yield Hostile("script", "ascii.jsonl", json.dumps(row).encode(), [(text, private)])
        data = f'question,answer\n"{text}","{private}"\n'.encode()
        yield Hostile("script", "rows.csv", data, [(text, private)])
    for half in (r"\ud83d", r"\ude00", r"\ude00\ud83d"):
        line = f'{{"question": "Q {half}", "answer": "PRIVATE"}}'
        yield Hostile("script", "rows.jsonl", line.encode(), says="no valid Unicode")
    yield Hostile("script", "rows.jsonl", as_line({"question": "\ud83d", "answer": "A"}))


def quoting() -> Iterator[Hostile]:
    head = "question,answer\n"
    good: list[tuple[str, Pairs]] = [
        (f'{head}"{Q}","say ""PRIVATE"""\n', [(Q, 'say "PRIVATE"')]),
        (f'{head}"{Q}","PRIVATE\nline"\n', [(Q, "PRIVATE\nline")]),
        (f'{head}"{Q}","a,PRIVATE"\n', [(Q, "a,PRIVATE")]),
        (f"{head}{Q},{A}".replace("\n", "\r\n"), PAIR),
        (f"question;answer\n{Q};PRIVATE, too\n", [(Q, "PRIVATE, too")]),
        (f"sep=;\nquestion;answer\n{Q};{A}\n", PAIR),
        (f"\n\n{head}\n{Q},{A}\n,\n", PAIR),
        (f" Question , ANSWER \n{Q},{A}\n", PAIR),
        (f"question,answer,\n{Q},{A},\n", PAIR),
        (f'"question","answer"\n"{Q}","{A}"\n', PAIR),
        (f"{head}'{Q}','{A}'\n", [(f"'{Q}'", f"'{A}'")]),
        (f"{head}{Q},=cmd|'/c calc'!A1\n", [(Q, "=cmd|'/c calc'!A1")]),
        (f'{head}{Q},PRIVATE "x" y\n', [(Q, 'PRIVATE "x" y')]),
    ]
    for text, pairs in good:
        yield Hostile("quoting", "rows.csv", text.encode(), pairs)
    for text in (
        f'{head}{Q},"PRIVATE\n', f'{head}{Q},"PRIVATE" x\n', f"{head}{Q}\n", f"{head}{Q},{A},{A}\n",
        f"question|answer\n{Q}|{A}\n", head, "question\n", f'{head}"{Q}",\\"PRIVATE, x\\"\n',
        f"{Q},{A}\n{Q},{A}\n", "\n", ",\n,\n", f",answer\n{Q},{A}\n", f"question\n{Q}\n",
    ):  # fmt: skip
        yield Hostile("quoting", "rows.csv", text.encode())
    yield Hostile("quoting", "mac.csv", f"{head}{Q},{A}\n".replace("\n", "\r").encode(), PAIR)
    yield Hostile("quoting", "rows.tsv", f"question\tanswer\n{Q}\tPRIVATE\tx\n".encode())


def schemas() -> Iterator[Hostile]:
    questions = pyarrow.array([Q])
    day, time = datetime.date(2020, 2, 3), datetime.datetime(2020, 2, 3, 4, 5)
    good: list[tuple[Any, str]] = [
        (pyarrow.array([A]).dictionary_encode(), A), (pyarrow.array([A],
        pyarrow.large_string()), A),
        (pyarrow.array([A.encode()], pyarrow.binary()), A), (pyarrow.array([[A, "x"]]), A),
        (pyarrow.array([{"text": [A]}]), A), (pyarrow.array([0.1], pyarrow.float32()), "0.1"),
        (pyarrow.array([2**64 - 1], pyarrow.uint64()), str(2**64 - 1)),
        (pyarrow.array([decimal.Decimal("1.50")]), "1.50"), (pyarrow.array([day]), "2020-02-03"),
        (pyarrow.array([time]), "2020-02-03 04:05:00"), (pyarrow.array([True]), "true"),
        (pyarrow.array([A], pyarrow.string_view()), A),
    ]  # fmt: skip
    for values, text in good:
        data = table(("question", questions), ("answer", values))
        yield Hostile("schema", "rows.parquet", data, [(Q, text)])
    for values in (
        pyarrow.array([None], pyarrow.null()), pyarrow.array([b"\xff"], pyarrow.binary()),
        pyarrow.array([datetime.timedelta(1)]), pyarrow.array([[[A]]]),
        pyarrow.array([{"PRIVATE": 1}]),
        pyarrow.array([[("PRIVATE", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        pyarrow.array([float("inf")]), pyarrow.array([float("nan")]), pyarrow.array([[None]]),
        pyarrow.array([2**62], pyarrow.timestamp("us")), pyarrow.array([""]),
        pyarrow.array([[]], pyarrow.list_(pyarrow.string())),
    ):  # fmt: skip
        yield Hostile("schema", "rows.parquet", table(("question", questions), ("answer", values)))
    whole = table(("question", questions), ("answer", pyarrow.array([A])))
    for size in (4, 8, 50, len(whole) // 2, len(whole) - 1):
        yield Hostile("schema", "cut.parquet", whole[:size])
    for at in (10, len(whole) // 2, len(whole) - 6):
        yield Hostile("schema", "flipped.parquet", whole[:at] + b"\xff\xff" + whole[at + 2 :])
    nothing = pyarrow.array([], pyarrow.string())
    yield Hostile("schema", "none.parquet", table(("question", nothing), ("answer", nothing)))
    yield Hostile("schema", "named.parquet", table(("PRIVATE name of it", questions)))
    chat = [[{"role": "user", "content": Q}, {"role": "assistant", "content": A}]]
    yield Hostile("schema", "chat.parquet", table(("messages", pyarrow.array(chat))), PAIR)


def packed() -> Iterator[Hostile]:
    line = as_line(ROW)
    packers = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
    for suffix, pack in packers.items():
        data = pack(line)
        yield Hostile("packed", f"rows.jsonl{suffix}", data, PAIR)
        yield Hostile("packed", "rows.jsonl", data, PAIR)
        yield Hostile("packed", f"rows.jsonl{suffix}", data[:-5])
        yield Hostile("packed", f"rows.jsonl{suffix}", data[:20] + b"\0\0\0" + data[23:])
        yield Hostile("packed", f"rows.jsonl{suffix}", data + data, PAIR * 2)
        yield Hostile("packed", f"rows.jsonl{suffix}", pack(pack(pack(pack(line)))))
        yield Hostile("packed", f"rows.jsonl{suffix}", pack(b""))
    for name in ("../../rows.jsonl", "/etc/rows.jsonl", "a/b/../rows.jsonl", "C:\\rows.jsonl"):
        yield Hostile("packed", "rows.zip", zipped({name: line}), PAIR)  # read, never unpacked
    for members in ({}, {"a.csv": b"x", "b.csv": b"y"}, {"rows.jsonl": b""}, {"a/": b""}):
        yield Hostile("packed", "rows.zip", zipped(members))
    whole = zipped({"rows.jsonl": line})
    yield Hostile("packed", "rows.zip", whole[:30])
    yield Hostile("packed", "rows.zip", whole[:40] + b"\0\0\0" + whole[43:])
    yield Hostile("packed", "rows.zip", whole.replace(b"PK\x01\x02", b"PK\x01\x03"))


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def shapes() -> Iterator[Hostile]:
    user, told = {"role": "user", "content": Q}, {"role": "assistant", "content": A}
    yield Hostile("shape", "rows.jsonl", as_line({"messages": [user, told]}), PAIR)
    for turns in (
        [], [user], [told], [told, user], [user, user, told], [user, told, user, told], "PRIVATE",
        {}, [3], [None], [{"role": "user"}, told], [{"role": None, "content": Q}, told],
        [{"role": ["user"], "content": Q}, told], [user, {"role": "PRIVATE", "content": A}],
        [user, told | {"content": None}], [user, told | {"content": [{"type": "image_url"}]}],
        [user, told | {"content": {"PRIVATE": 1}}], [[user, told]],
    ):  # fmt: skip
        yield Hostile("shape", "rows.jsonl", as_line({"messages": turns}))
    for text in (
        "null", "true", "3", '"PRIVATE"', "[]", "{}", "[[]]", "[null]", "[{}]", '{"data": []}',
        '{"data": {"PRIVATE": 1}}', '{"PRIVATE of it": "x"}', "[" + as_line(ROW).decode() + ",]",
        as_line(ROW).decode() + "PRIVATE", "{'question': 'PRIVATE', 'answer': 'x'}", "PRIVATE",
        '{"question": ["Q"], "answer": ["A", "B"]}', "// comment\n" + as_line(ROW).decode(),
    ):  # fmt: skip
        yield Hostile("shape", "rows.json", text.encode())
