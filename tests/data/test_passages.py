"""Plain text: read, cut into passages, and tokenized without a prompt format."""

import re
from pathlib import Path

import pytest

from helpers.record_files import as_csv, as_lines, as_parquet
from helpers.tiny_models import tiny_tokenizer
from relearn.base.errors import UserError
from relearn.base.storage import read_jsonl, write_jsonl
from relearn.config import ColumnsConfig, DataConfig, ModelConfig
from relearn.data.new_answers import NewAnswer, read_new_answers, write_answers
from relearn.data.openings import Opening
from relearn.data.passages import windows
from relearn.data.records import Record
from relearn.data.sources import load_records, load_sets
from relearn.data.tokenization import PromptFormat
from relearn.evaluation.rows import EvaluatedRow
from relearn.training.answers import Answered, encode_rows

PROSE = Path(__file__).parents[1] / "data_files" / "prose"
FERRY = PROSE / "ferry.txt"


def read(source: Path, columns: ColumnsConfig | None = None, tokens: int = 60) -> list[Record]:
    data = DataConfig(passage_tokens=tokens, columns=columns or ColumnsConfig())
    sets, _ = load_sets(
        {"forget": str(source)}, data, ModelConfig(), lambda _: tiny_tokenizer("chatml")
    )
    return sets["forget"]


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("size", [8, 40, 160, 5000])
def test_passages_are_the_whole_text_in_order(size: int) -> None:
    text = FERRY.read_text(encoding="utf-8")
    passages = windows(tiny_tokenizer("base"), size)(text)
    assert squeezed("".join(a + b for a, b in passages)) == squeezed(text)
    assert all(opening and rest for opening, rest in passages)


def test_passages_have_about_the_wanted_tokens_and_are_cut_between_sentences() -> None:
    tokenizer = tiny_tokenizer("base")
    passages = windows(tokenizer, 200)(FERRY.read_text(encoding="utf-8"))
    lengths = [len(tokenizer(f"{a} {b}").input_ids) for a, b in passages]
    # A cut at a sentence makes a window shorter, the rest of the text the last one longer.
    assert all(90 <= length <= 200 for length in lengths[:-1])
    assert lengths[-1] <= 260
    shares = [len(a) / len(a + b) for a, b in passages]
    assert all(0.08 < share < 0.6 for share in shares)
    assert all(rest.endswith(".") for _, rest in passages)
    short = " ".join(f"Day {number} was wet." for number in range(60))
    assert all(a.endswith(".") and b.endswith(".") for a, b in windows(tokenizer, 100)(short))


def test_text_without_spaces_is_cut_between_characters() -> None:
    text = "渡し船は九日のあいだ渡らなかった。" * 6
    passages = windows(tiny_tokenizer("base"), 120)(text)
    assert len(passages) > 1
    assert "".join(a + b for a, b in passages) == text


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("rows.jsonl", as_lines([{"text": FERRY.read_text(encoding="utf-8"), "title": "Ferry"}])),
        ("rows.csv", as_csv([{"text": FERRY.read_text(encoding="utf-8"), "title": "Ferry"}])),
        ("rows.parquet", as_parquet([{"text": FERRY.read_text(encoding="utf-8")}])),
        ("book.md", FERRY.read_bytes()),
    ],
)
def test_every_file_of_text_gives_the_same_passages(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert read(tmp_path / name) == read(FERRY)


def test_a_folder_is_the_texts_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    records = read(PROSE)
    words = squeezed("".join(record.question + record.answer for record in records))
    files = (PROSE / "ferry.txt", PROSE / "others/orchard.md", PROSE / "others/weather.txt")
    assert words == squeezed("".join(file.read_text(encoding="utf-8") for file in files))
    assert f"plain text (3), cut into {len(records)} passages" in capsys.readouterr().err


def test_a_named_column_and_its_ids(tmp_path: Path) -> None:
    text = FERRY.read_text(encoding="utf-8")
    (tmp_path / "rows.jsonl").write_bytes(as_lines([{"doc": "b1", "body": text, "answer": "no"}]))
    records = read(tmp_path / "rows.jsonl", ColumnsConfig(text="body", id="doc"))
    assert [record.id for record in records] == [f"b1-{n}" for n in range(1, len(records) + 1)]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("rows.jsonl", '{"text": "One and two."}\n{"text": "Alone"}\n', "line 2 field 'text' has"),
        ("rows.jsonl", '{"text": "One and two."}\n{"text": " "}\n', "line 2 field 'text' is empty"),
        ("book.txt", " \n", "is empty"),
    ],
)
def test_what_is_no_passage_is_named(tmp_path: Path, name: str, data: str, says: str) -> None:
    (tmp_path / name).write_text(data, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read(tmp_path / name)
    assert says in str(caught.value)
    assert "Alone" not in str(caught.value)


def test_a_folder_without_texts_and_a_missing_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape("without .txt or .md files")):
        read(tmp_path)
    with pytest.raises(UserError, match="no column 'body'"):
        read(FERRY, ColumnsConfig(text="body"))


def test_prose_with_brackets_and_commas_is_text_and_a_table_is_a_table(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text("[Illustration: a ferry, at night]\nIt was late, and cold.\n", encoding="utf-8")
    assert read(file)[0].continues
    file.write_text("question,answer\nWhere?,Here\n", encoding="utf-8")
    assert not read(file)[0].continues


@pytest.mark.parametrize("kind", ["chatml", "no_system", "base_bos", "base"])
def test_a_passage_is_plain_text_and_has_no_end(kind: str) -> None:
    tokenizer = tiny_tokenizer(kind)
    prompt_format = PromptFormat(tokenizer, system="Be brief.")
    whole = prompt_format.encode(Opening("Ida Holm keeps"), "bees near the mill.")
    assert whole.prompt + whole.answer == tokenizer("Ida Holm keeps bees near the mill.").input_ids
    assert whole.prompt == prompt_format.encode_prompt(Opening("Ida Holm keeps"))
    # The control: the same words as a question are put into the format, and end.
    asked = prompt_format.encode("Ida Holm keeps", "bees near the mill.")
    assert len(asked.prompt) > len(whole.prompt)
    assert asked.answer[-1] in prompt_format.end_tokens
    assert whole.answer[-1] not in prompt_format.end_tokens


def test_a_new_answer_ends_where_the_passage_went_on() -> None:
    prompt_format = PromptFormat(tiny_tokenizer("chatml"))
    opening = Opening("Ida Holm keeps")
    rows = [Answered("1", opening, "it.", ends=None), Answered("1", opening, "it.")]
    private, new = encode_rows(rows, prompt_format, 100, 100)
    assert new.answer == [*private.answer, prompt_format.end_token]


def test_openings_survive_files_and_rows(tmp_path: Path) -> None:
    record = read(FERRY)[0]
    assert isinstance(record.question, Opening)
    write_jsonl(tmp_path / "forget.jsonl", [record.model_dump(mode="json")])
    assert load_records(str(tmp_path / "forget.jsonl")) == [record]
    assert isinstance(load_records(str(tmp_path / "forget.jsonl"))[0].question, Opening)
    row = EvaluatedRow(set="forget", question=record.question, reference="r", generation="")
    assert isinstance(EvaluatedRow.model_validate(row.flat()).question, Opening)
    answer = NewAnswer(source_id="1", question=record.question, answer="a", kind="original")
    write_answers(tmp_path / "new.jsonl", [answer])
    assert isinstance(read_new_answers(tmp_path / "new.jsonl")[0].question, Opening)
    question = Record(id="1", question="Who?", answer="Ida.")
    assert not isinstance(question.question, Opening)
    assert (
        "continues"
        not in EvaluatedRow(set="forget", question="Who?", reference="r", generation="").flat()
    )
    assert read_jsonl(tmp_path / "forget.jsonl")[0]["continues"] is True
