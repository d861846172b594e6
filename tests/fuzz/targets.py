"""Coverage-guided fuzzing (atheris) of what reads other people's bytes.

    make fuzz                       # every target for two minutes
    make fuzz SECONDS=600 TARGET=readers

Whatever the bytes are, a target ends with a result or with `UserError`, in one line; anything else
is a crash, whose input is written to `.fuzz/<target>/` and is tried first the next time.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

INSTRUMENTED = [
    "relearn.base", "relearn.config", "relearn.data", "relearn.llm.thinking",
    "relearn.synthesis.replies", "omegaconf", "yaml",
]  # fmt: skip
# Finds the texts that comparisons wait for. The hook for patterns lacks `match(text, position)`.
atheris.enabled_hooks.add("str")
with atheris.instrument_imports(include=INSTRUMENTED):
    from relearn.base.errors import UserError
    from relearn.config import ColumnsConfig, load_config
    from relearn.data.columns import records_from_rows
    from relearn.data.formats import SUFFIXES, read_rows
    from relearn.llm.thinking import without_thinking
    from relearn.synthesis.replies import plain_reply, speaks_of_itself

FOLDER = Path(".fuzz")


def readers(data: bytes) -> None:
    """Read a file of records of any suffix, and its rows as records."""
    suffix = SUFFIXES[data[0] % len(SUFFIXES)] if data else ""
    rows = read_rows(data[1:], f"rows{suffix}")
    found = records_from_rows(
        rows, ColumnsConfig(), "forget", "rows", split_turns=len(data) % 2 == 0
    )
    for record in found.records:
        assert record.question.strip()
        assert record.answer.strip()
        json.dumps(record.model_dump(mode="json"), ensure_ascii=False).encode()


def replies(data: bytes) -> None:
    """Cut a language model's reply down to the text that was asked for."""
    text = atheris.FuzzedDataProvider(data).ConsumeUnicodeNoSurrogates(4096)
    plain = plain_reply(text, text[:5])
    assert "\n" not in plain
    assert len(plain) <= 2 * len(text)
    speaks_of_itself(plain)
    spoken = without_thinking(text)
    assert len(spoken) <= len(text)
    # Words alone: a tag within may open a thought of its own.
    words = "".join(filter(str.isalnum, text))
    assert without_thinking(f"<think>{words}</think>so") == "so"


def configuration(data: bytes) -> None:
    """Load a configuration file, or an override."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        load_config(None, [provider.ConsumeUnicode(256)])
        return
    file = FOLDER / "config.yaml"
    file.write_bytes(provider.ConsumeBytes(4096))
    load_config(file)


TARGETS = {each.__name__: each for each in (readers, replies, configuration)}

SEEDS = {
    "readers": [
        b'\x01{"question": "Q", "answer": "A", "wrong_answers": ["P"]}\n',
        b"\x03question,answer\nQ,A\n",
        b'\x00{"data": [{"messages": [{"role": "user", "content": "Q"}, '
        b'{"role": "assistant", "content": "A"}]}]}',
    ],
    "replies": [
        b'\x01Sure! Here is a new answer: "She keeps that to herself."',
        b"\x01<think>Vague.</think> **Answer:** She ...", b"\x01<|channel|>final<|message|>So",
    ],
    "configuration": [
        b"training:\n  epochs: 3\n  lora: {rank: 4}\nbaselines:\n  npo: {objective: npo}\n\x00",
        b"training.epochs=3\x01", b"a: &a [1]\nb: *a\n\x00",
    ],
}  # fmt: skip


def checked(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Return the target without the one error that it may end with."""

    def run(data: bytes) -> None:
        try:
            target(data)
        except UserError as error:
            message = str(error)
            if not (message.isprintable() and error.hint and len(message) < 2500):
                raise AssertionError(f"no message for a person: {message!r}") from error

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=120)
    given = parser.parse_args()
    corpus = FOLDER / given.target
    corpus.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(SEEDS[given.target]):
        (corpus / f"seed-{i}").write_bytes(seed)
    options = [
        f"-max_total_time={given.seconds}", f"-artifact_prefix={corpus}/", "-timeout=20",
        "-rss_limit_mb=4096", "-max_len=4096", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], checked(TARGETS[given.target]))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
