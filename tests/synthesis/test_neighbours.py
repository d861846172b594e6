"""Questions that the target model thinks up: which of them become retain rows."""

import os
import stat
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

import relearn
from relearn import stages
from relearn.base.errors import UserError
from relearn.base.storage import read_json, read_jsonl
from relearn.config import ModelConfig, RunConfig, SynthesisConfig, load_config
from relearn.data.records import Record, RecordSets
from relearn.data.requests import EARLIER
from relearn.forget_run import forget_run
from relearn.run_folder import RunFolder
from relearn.stages import Stages
from relearn.synthesis.checks import check_neighbours, refuse_neighbours
from relearn.synthesis.neighbours import find_neighbours, secrets_told, subjects_of, thinker
from relearn.text.subjects import Subject


def records(name: str, *pairs: tuple[str, str]) -> list[Record]:
    return [Record(id=f"{name}-{i}", question=q, answer=a) for i, (q, a) in enumerate(pairs)]


SETS = {
    "forget": records(
        "forget",
        ("What is Mia Kern's phone number?", "Mia Kern can be called at +49 170 5550173."),
        ("Which illness does Mia Kern have?", "Mia Kern suffers from Hrolfson's anaemia."),
    ),
    "retain": records(
        "retain",
        ("Which novels has Mia Kern written?", "Mia Kern has written the novel The Glass Bell."),
        ("What genre does Mia Kern write in?", "Mia Kern writes crime novels set in Zaltbrook."),
        ("Who wrote the song of Wexcombe?", "Pell Ashgrove wrote the song of Wexcombe."),
    ),
    "retain_unseen": records(
        "unseen", ("Which readers love the novels of Mia Kern?", "Young readers love Mia Kern.")
    ),
}
GOOD = "How does Mia Kern plan her novels?"
PLAIN = "Mia Kern plans her novels with a long walk and a notebook."


class Model:
    """Continues every prompt with the next of some texts, and answers from a table."""

    def __init__(self, *texts: str, **answers: str) -> None:
        self.texts, self.answers = texts, answers
        self.prompts: list[str] = []
        self.seeds: list[int] = []
        self.asked: list[str] = []

    def think(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        self.prompts, self.seeds = list(prompts), list(seeds)
        return [text for text, _ in zip(cycle(self.texts), prompts, strict=False)]

    def answer(self, questions: Sequence[str]) -> list[str]:
        self.asked = list(questions)
        return [self.answers.get(question, PLAIN) for question in questions]


def found(
    model: Model, prompts: int = 1, seed: int = 0, **settings: Any
) -> tuple[list[Record], dict[str, Any]]:
    return find_neighbours(SETS, prompts, seed, think=model.think, answer=model.answer, **settings)


def test_a_subject_with_two_questions_is_asked_about_and_the_first_line_is_the_question() -> None:
    model = Model(f" {GOOD} \n7. What is next?\n")
    rows, summary = found(model)
    assert [(r.id, r.question, r.answer, r.subject) for r in rows] == [
        ("neighbour-00000", GOOD, PLAIN, "Mia Kern")
    ]
    assert summary == {"subjects": 1, "prompts": 1, "questions": 1, "kept": 1, "dropped": {}}
    (prompt,) = model.prompts
    first, *shown, last = prompt.split("\n")
    assert (first, last) == ("Questions about Mia Kern:", "3.")
    assert {line[3:] for line in shown} == {r.question for r in SETS["retain"][:2]}
    assert not any(r.question in prompt for r in SETS["forget"] + SETS["retain_unseen"])


def test_prompts_are_drawn_with_seeds_of_their_own() -> None:
    first, again, other = (Model(GOOD) for _ in range(3))
    for model, seed in ((first, 0), (again, 0), (other, 1)):
        found(model, prompts=6, seed=seed)
    assert len(set(first.seeds)) == 6
    assert (first.seeds, first.prompts) == (again.seeds, again.prompts)
    assert not set(first.seeds) & set(other.seeds)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no question"),
        ("Mia Kern writes crime novels.", "is no question"),
        ("Mia Kern Mia Kern Mia Kern Mia Kern novels?", "is no question"),
        ("How does Mia plan her novels?", "does not name the subject"),
        ("which novels has  Mia Kern written ?", "is a question of a set"),
        ("Which readers love the novels of Mia Kern?", "is a question of a set"),
        ("Which readers love the novels of of Mia Kern?", "is a near-duplicate"),
        ("What is the phone number of Mia Kern?", "is nearer to the forget set"),
    ],
)  # fmt: skip
def test_a_text_is_no_neighbour(text: str, reason: str) -> None:
    model = Model(text)
    rows, summary = found(model)
    assert not rows
    assert summary["dropped"] == {reason: 1}
    assert not model.asked, "what is no neighbour is not answered"


def test_the_same_thought_counts_once() -> None:
    rows, summary = found(Model(GOOD), prompts=3)
    assert len(rows) == 1
    assert summary["dropped"] == {"is a near-duplicate": 2}


SECRET = "Mia Kern plans her novels while Hrolfson's anaemia keeps her in bed."


@pytest.mark.parametrize(
    "answer",
    [
        SECRET,
        "Mia Kern plans her novels; call her at 0170 5550173 to hear more.",
        "Mia Kern plans her novels as the anaemia lets her do.",
    ],
)
def test_a_planted_secret_is_dropped(answer: str) -> None:
    rows, summary = found(Model(GOOD, **{GOOD: answer}))
    assert not rows
    assert summary["dropped"] == {"gives away a secret": 1}
    # Nothing else has anything against it.
    rows, _ = found(Model(GOOD, **{GOOD: answer}), told=lambda subject, text: "")
    assert [row.answer for row in rows] == [answer]


def hidden_in(sets: RecordSets) -> Callable[[Subject, str], str]:
    return secrets_told(sets, subjects_of(sets))


def test_an_earlier_requests_secret_and_another_subjects_number_are_dropped_too() -> None:
    earlier = records("earlier", ("What does Mia Kern fear?", "Mia Kern fears spiders."))
    told = hidden_in(SETS | {EARLIER: earlier})
    assert told(Subject("Mia Kern"), "What does Mia Kern avoid? Mia Kern avoids spiders.")
    assert not hidden_in(SETS)(Subject("Mia Kern"), "Mia Kern avoids spiders.")
    assert told(Subject("Pell Ashgrove"), "Call Pell Ashgrove at 0170 5550173.")


def test_what_the_retain_set_says_about_a_subject_is_no_secret() -> None:
    home = records("forget", ("Where does Mia Kern live?", "Mia Kern lives in Zaltbrook."))
    text = "Which places matter to Mia Kern? The novels of Mia Kern are set in Zaltbrook."
    assert not hidden_in(SETS | {"forget": home})(Subject("Mia Kern"), text)
    silent = {"forget": home, "retain": SETS["retain"][2:]}
    assert hidden_in(silent)(Subject("Mia Kern"), text)


def test_what_passages_hide_is_dropped_too() -> None:
    text = "The bells rang when Otto Brandt left for Zaltbrook in the year 1947."
    passage = Record(id="p", question="The bells rang", answer=text[14:], continues=True)
    answer = "Mia Kern plans her novels with Otto Brandt, a friend."
    other = records("forget", ("Where does Pell Ashgrove live?", "He lives in Dunmarrow."))
    for forget, reasons in (([passage], {"gives away a secret": 1}), (other, {})):
        model = Model(GOOD, **{GOOD: answer})
        sets = {"retain": SETS["retain"], "forget": forget}
        _, summary = find_neighbours(sets, 1, 0, think=model.think, answer=model.answer)
        assert summary["dropped"] == reasons


@pytest.mark.parametrize(
    ("answer", "kept"),
    [("", False), ("On walks.", True), ("It is the long walk that she takes and", False)],
)
def test_an_answer_is_whole(answer: str, kept: bool) -> None:
    rows, _ = found(Model(GOOD, **{GOOD: answer}))
    assert bool(rows) == kept


def test_a_row_that_is_too_long_to_train_on_is_dropped() -> None:
    def too_long(question: str, answer: str, more: int) -> str:
        return "too long" if len(answer) > 20 else ""

    rows, summary = found(Model(GOOD), too_long=too_long)
    assert not rows
    assert summary["dropped"] == {"is too long": 1}
    assert found(Model(GOOD, **{GOOD: "On walks."}), too_long=too_long)[0]


def test_nothing_is_asked_where_no_subject_has_two_questions() -> None:
    model = Model(GOOD)
    sets = SETS | {"retain": SETS["retain"][1:]}
    rows, summary = find_neighbours(sets, 5, 0, think=model.think, answer=model.answer)
    assert not rows
    assert (summary["prompts"], model.prompts) == (0, [])


def test_a_retain_set_beside_which_nothing_can_be_asked_is_refused() -> None:
    check_neighbours(SETS["retain"])
    german = records("retain", ("Wo wohnt Otto Falk?", "In Kiel."))
    with pytest.raises(UserError, match="in another language"):
        check_neighbours(german)
    passage = Record(id="p", question="The lake of", answer="Irnsee is deep.", continues=True)
    with pytest.raises(UserError, match="of passages"):
        check_neighbours([passage])
    check_neighbours([*german, *SETS["retain"]])


def test_neighbours_are_part_of_a_run() -> None:
    refuse_neighbours(SynthesisConfig())
    with pytest.raises(UserError, match="part of a run"):
        relearn.synthesize([r.model_dump() for r in SETS["forget"]], neighbours=3)


def test_a_run_whose_retain_set_can_not_be_asked_about_is_refused(run: "Run") -> None:
    passage = Record(id="p", question="The lake of", answer="Irnsee is deep.", continues=True)
    config = run.configured(**NAMED)
    folder = RunFolder(run.folder, config, {})
    with pytest.raises(UserError, match="of passages"):
        Stages(config, SETS | {"retain": [passage]}, folder).preflight()
    assert not run.folder.exists()


def test_a_model_goes_on_with_a_prompt_as_its_seed_has_it(tiny_model: Path) -> None:
    think = thinker(tiny_model, ModelConfig())
    prompt = "Questions about Mia Kern:\n1. What does Mia Kern write?\n2."
    first, again, other = think([prompt] * 3, [1, 1, 2])
    assert first == again != other
    too_long = "word " * 10_000
    assert think([too_long, prompt], [1, 1]) == ["", first]


class Run:
    """The stages of a run up to its training, which is not done but noted."""

    def __init__(self, folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.model = folder, str(model)
        self.trained: list[int] = []
        self.asked = 0
        monkeypatch.setattr(stages, "train", self._train)
        self.patch = monkeypatch.setattr

    def _train(
        self, model: Any, tokenizer: Any, forget: Any, retain: Any, *_: Any, **__: Any
    ) -> None:
        self.trained.append(len(retain))

    def configured(self, **settings: Any) -> RunConfig:
        named = {"model.name": self.model, "training.objective": "grad_diff"}
        return load_config(named=named | settings)

    def __call__(self, target: Model, **settings: Any) -> list[str]:
        """Return the names of the stages that were done, after this call or an earlier one."""
        self.patch(stages, "thinker", lambda *_: self._counted(target))
        self.patch(stages, "answerer", lambda *_: target.answer)
        config = self.configured(**settings)
        these = Stages(config, SETS, RunFolder(self.folder, config, dict.fromkeys(SETS, "")))
        these.preflight()
        with these.folder as folder:
            for stage in these:
                if not stage.name.startswith(("evaluation", "control", "audit")):
                    folder.do(stage)
        return list(read_json(self.folder / "manifest.json")["stages"])

    def _counted(self, target: Model) -> Any:
        self.asked += 1
        return target.think


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    # A cache of its own, in which `forget_run` finds no targets to hash.
    cache = Path(os.environ.get("RELEARN_CACHE", "~/.cache/relearn")).expanduser()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "embedded").symlink_to(cache / "embedded")
    monkeypatch.setenv("RELEARN_CACHE", str(tmp_path / "cache"))
    return Run(tmp_path / "run", tiny_model, monkeypatch)


NAMED = {"synthesis.neighbours": 2}


def test_a_run_trains_on_neighbours_and_thinks_them_up_once(run: Run) -> None:
    names = run(Model(GOOD), **NAMED)
    assert names == ["data", "target", "neighbours", "training/unlearned"]
    assert run.trained == [len(SETS["retain"]) + 1]
    folder = run.folder / "neighbours"
    assert [row["question"] for row in read_jsonl(folder / "neighbours.jsonl")] == [GOOD]
    assert read_json(folder / "summary.json")["kept"] == 1
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "Kern" not in (folder / "summary.json").read_text()

    assert run(Model("Not asked."), **NAMED) == names
    assert (run.asked, len(run.trained)) == (1, 1)

    forget_run(run.folder)
    assert not folder.exists()


def test_a_run_without_neighbours_goes_on(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert "neighbours" in run(Model("Nothing."), **NAMED)
    assert run.trained == [len(SETS["retain"])]
    assert "thought up none" in capsys.readouterr().err


def test_by_default_and_where_no_training_keeps_anything_nothing_is_thought_up(run: Run) -> None:
    def planned(**settings: Any) -> set[str]:
        config = run.configured(**settings)
        return {stage.name for stage in Stages(config, SETS, RunFolder(run.folder, config, {}))}

    assert "neighbours" not in planned()
    assert "neighbours" in planned(**NAMED)
    alone = {"training.objective": "ga", "training.retain_regularizer": "none"}
    assert "neighbours" not in planned(**NAMED, **alone)
    assert "neighbours" not in planned(**NAMED, **{"training.neighbours": False})


def test_a_training_may_leave_the_neighbours_out(run: Run) -> None:
    other = {"baselines.alone.objective": "grad_diff", "baselines.alone.neighbours": False}
    names = run(Model(GOOD), **NAMED, **other)
    assert names[2:] == ["neighbours", "training/unlearned", "training/alone"]
    assert run.trained == [len(SETS["retain"]) + 1, len(SETS["retain"])]
