"""Language models behind one interface: endpoints with faults, limits, the journal."""

import logging
import sys
import threading
import time
import traceback
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers.endpoint import Endpoint
from relearn.base.errors import UserError
from relearn.config import LLMConfig
from relearn.llm import LLMS, Completion, Journal, Prompt, ask, estimate, make_llm
from relearn.llm.thinking import without_thinking

KEY = "sk-never-to-be-written-4711"
VLLM = find_spec("vllm") is not None


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def echo(messages: list[dict[str, str]], _: object) -> str:
    return f"about {messages[-1]['content']}"


def prompts(count: int) -> list[Prompt]:
    return [Prompt(f"question {i}", "be kind") for i in range(count)]


def test_answers_come_in_order_and_no_more_calls_at_a_time_than_allowed() -> None:
    with Endpoint(echo, delay=0.02) as endpoint:
        llm = make_llm("openai", LLMConfig(base_url=endpoint.base_url, concurrency=3))
        answers = ask(llm, prompts(20))
    assert [a.text for a in answers] == [f"about question {i}" for i in range(20)]
    assert llm.model == "served"
    assert endpoint.most_at_once == 3
    assert endpoint.requests[0]["messages"][0] == {"role": "system", "content": "be kind"}
    assert {h["authorization"] for h in endpoint.headers} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("at_once", [32, 8])
def test_so_many_calls_are_always_under_way(at_once: int) -> None:
    """The first 32 calls are answered once all of them have come, the first one after all others.

    So the calls go out side by side, and none waits for others to be answered;
    `benchmarks/endpoint.py` has the rate. Eight at a time never get there.
    """
    count, together, last = 96, threading.Barrier(32), threading.Event()

    def answer(messages: list[dict[str, str]], _: object) -> str:
        number = int(messages[-1]["content"].split()[-1])
        if number < 32:
            together.wait(20 if at_once == 32 else 0.5)
        if number == 0:
            assert last.wait(20)
        elif endpoint.answered.total() >= count - 2:
            last.set()
        return "so"

    with Endpoint(answer) as endpoint:
        config = LLMConfig(base_url=endpoint.base_url, model="m", concurrency=at_once, retries=0)
        answers = ask(make_llm("openai", config), prompts(count))
        assert endpoint.most_at_once == at_once
    assert any(answer.error for answer in answers) == (at_once < 32)


def test_a_third_of_the_calls_fail_in_every_way_and_all_are_answered(tmp_path: Path) -> None:
    config = {"model": "m", "concurrency": 16, "timeout": 0.5, "retries": 8}
    with Endpoint(echo, fault_rate=0.3, pause=1.0) as endpoint, Journal(tmp_path / "j") as journal:
        llm = make_llm("openai", LLMConfig(base_url=endpoint.base_url, **config))
        answers = ask(llm, prompts(120), journal)
        assert set(Endpoint.FAULTS) <= set(endpoint.faults)
        assert [a.text for a in answers] == [f"about question {i}" for i in range(120)]
        calls = len(endpoint.requests)
        again = ask(make_llm("openai", LLMConfig(base_url=endpoint.base_url, **config)),
                    prompts(120), journal)  # fmt: skip
    assert [a.text for a in again] == [a.text for a in answers]
    assert len(endpoint.requests) == calls


def test_failures_are_recorded_and_not_journaled(tmp_path: Path) -> None:
    with Endpoint(echo, fault_rate=1.0, pause=0.3) as endpoint, Journal(tmp_path / "j") as journal:
        config = LLMConfig(base_url=endpoint.base_url, model="m", retries=0, timeout=0.2)
        answers = ask(make_llm("openai", config), prompts(40), journal)
        reasons = {a.error for a in answers}
        assert reasons == {
            "HTTP 429", "HTTP 500", "time-out", "connection failed or cut", "unreadable response",
        }  # fmt: skip
        assert journal.lookup([p.key("m") for p in prompts(40)]) == {}


def test_a_call_waits_as_long_as_the_endpoint_asks() -> None:
    class Limited(Endpoint):
        FAULTS = ("429",)

    with Limited(echo) as endpoint:
        endpoint.fault_rate = 1.0
        llm = make_llm("openai", LLMConfig(base_url=endpoint.base_url, model="m", retries=3))
        start = time.monotonic()
        (answer,) = ask(llm, prompts(1))
        assert answer == Completion(error="HTTP 429", attempts=4)
        assert 0.15 <= time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("limit", "answered", "reason"),
    [
        ({"max_tokens": 1000}, 3, "the limit of 1000 tokens is reached"),
        ({"max_cost": 0.001, "output_price": 3.0}, 1, "the cost limit of 0.001 is reached"),
        ({"max_seconds": 0.35}, 2, "the time limit of 0.35 s is reached"),
    ],
)
def test_limits_hold(limit: dict[str, float], answered: int, reason: str) -> None:
    with Endpoint(echo, delay=0.1) as endpoint:
        fixed = {"base_url": endpoint.base_url, "model": "m", "concurrency": 1}
        llm = make_llm("openai", LLMConfig.model_validate({**fixed, **limit}))
        answers = ask(llm, [Prompt(f"q{i}", max_tokens=300) for i in range(60)])
    assert {a.error for a in answers} == {"", reason}
    assert sum(not a.error for a in answers) >= answered
    assert len(endpoint.requests) == sum(not a.error for a in answers)


class FakeVllm:
    """vLLM's offline engine as far as it is used: answers every prompt with one token."""

    SamplingParams = staticmethod(SimpleNamespace)

    class LLM:
        def __init__(self, **_: object) -> None:
            self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=2048))

        def generate(self, prompts: list[object], *_: object, **__: object) -> list[object]:
            time.sleep(0.2)
            return [SimpleNamespace(outputs=[SimpleNamespace(text="a", token_ids=[7])])] * len(
                prompts
            )


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"max_tokens": 500}, "the limit of 500 tokens is reached"),
        ({"max_cost": 0.0005, "input_price": 1, "output_price": 1}, "cost limit of 0.0005"),
        ({"max_seconds": 0.3}, "the time limit of 0.3 s is reached"),
    ],
)
def test_limits_hold_for_local_models(
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    limit: dict[str, float],
    reason: str,
) -> None:
    monkeypatch.setattr("relearn.llm.vllm.need", lambda *_: None)
    monkeypatch.setitem(sys.modules, "vllm", FakeVllm)
    fixed = {"model": str(tiny_model), "batch_size": 4}
    # Generated to its end, an answer of 1500 tokens takes some seconds.
    most = 1500 if "max_seconds" in limit else 20
    llm = make_llm(backend, LLMConfig.model_validate({**fixed, **limit}))
    answers = ask(llm, [Prompt(f"question {i}", max_tokens=most) for i in range(40)])
    refused = [a for a in answers if reason in a.error]
    assert 0 < len(refused) < 40 + (most > 20)
    assert {a.error for a in answers if a not in refused} <= {"", "empty response"}
    assert refused == answers[-len(refused) :]
    if most == 20:
        used = sum(a.prompt_tokens + a.completion_tokens for a in answers)
        # Nothing more would have fit: the limit is not used up by what is only set aside.
        assert 500 - 80 < used <= 500
    else:
        assert all(a.completion_tokens < most for a in answers)


def test_the_key_is_in_no_error_log_or_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(Endpoint):
        FAULTS = ("500",)

    caplog.set_level(logging.DEBUG)
    with Refusing(echo, fault_rate=0.3) as endpoint, Journal(tmp_path / "j") as journal:
        ask(make_llm("openai", LLMConfig(base_url=endpoint.base_url)), prompts(5), journal)
        wrong = LLMConfig(base_url=endpoint.base_url.replace("/v1", ""), model="m")
        endpoint.answer = lambda *_: 1 / 0  # type: ignore[assignment,return-value]
        (broken,) = ask(make_llm("openai", wrong.model_copy(update={"retries": 0})), prompts(1))
        assert broken.error
    unreachable = LLMConfig(base_url="http://127.0.0.1:9/v1", model="m", retries=0)
    (answer,) = ask(make_llm("openai", unreachable), prompts(1))
    assert answer.error == "connection failed or cut"
    files = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert KEY not in caplog.text
    assert KEY.encode() not in files


@pytest.mark.parametrize("status", [400, 403, 413, 500])
def test_an_error_that_repeats_the_prompt_is_not_passed_on(
    status: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with Endpoint(echo) as endpoint:
        monkeypatch.setattr(
            endpoint._server.RequestHandlerClass, "respond",
            lambda self, body, fault: self.reply(status, {"error": {"message": str(body)}}),
        )  # fmt: skip
        llm = make_llm("openai", LLMConfig(base_url=endpoint.base_url, model="m", retries=0))
        try:
            (answer,) = ask(llm, [Prompt("PRIVATE")], title="asking")
            said = answer.error
        except UserError as error:
            said = str(error)
    assert f"HTTP {status}" in said
    assert "PRIVATE" not in said + "".join(capfd.readouterr())


def test_a_refused_key_ends_the_job_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(Endpoint):
        FAULTS = ("401",)

    with Refusing(echo, fault_rate=1.0) as endpoint:
        monkeypatch.setattr(
            endpoint._server.RequestHandlerClass, "respond",
            lambda self, body, fault: self.reply(
                401, {"error": {"message": f"wrong key {self.headers['Authorization']}"}}
            ),
        )  # fmt: skip
        config = LLMConfig(base_url=endpoint.base_url, model="m", concurrency=2)
        with pytest.raises(UserError, match="HTTP 401") as caught:
            ask(make_llm("openai", config), prompts(30))
    assert len(endpoint.requests) <= 4
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_private_data_follow_no_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    with Endpoint(echo) as other, Endpoint(echo) as endpoint:
        monkeypatch.setattr(
            endpoint._server.RequestHandlerClass, "respond",
            lambda self, body, fault: self.reply(
                307, {}, {"Location": f"{other.base_url}/chat/completions"}
            ),
        )  # fmt: skip
        with pytest.raises(UserError, match="HTTP 307"):
            ask(make_llm("openai", LLMConfig(base_url=endpoint.base_url, model="m")), prompts(1))
        assert other.requests == []


def test_no_key_and_no_endpoint_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        ask(make_llm("openai", LLMConfig(model="m")), prompts(1))


def test_model_version_and_parameters_are_part_of_the_key() -> None:
    first = Prompt("q", version="answer/1")
    others = [Prompt("q", version="answer/2"), Prompt("q", "s", version="answer/1"),
              Prompt("q", version="answer/1", temperature=0.5)]  # fmt: skip
    keys = {first.key("a"), first.key("b"), *(other.key("a") for other in others)}
    assert len(keys) == 5


def test_a_local_model_answers_in_batches_and_the_same_each_time(tiny_model: Path) -> None:
    llm = make_llm("transformers", LLMConfig(model=str(tiny_model), batch_size=4))
    wanted = [Prompt("hello " * (i + 1), max_tokens=8, temperature=0.8) for i in range(6)]
    wanted.append(Prompt("too long " * 3000))
    answers = ask(llm, wanted)
    assert "too many" in answers[-1].error
    assert all(answer.text or answer.error for answer in answers)
    assert [a.text for a in ask(llm, wanted)] == [a.text for a in answers]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("<think>\nIt looks fine.\n</think>\n\nno", "no"),
        ("Perhaps so.\n</think>\nNo.", "No."),
        ("<think>It goes on and on", ""),
        ("<thinking>Hm.</thinking>Yes.", "Yes."),
        ("[THINK]Hm.[/THINK]Yes.", "Yes."),
        ("<|begin_of_thought|>Hm.<|end_of_thought|>Yes.", "Yes."),
        ("\u25c1think\u25b7Hm.\u25c1/think\u25b7Yes.", "Yes."),
        ("<think>a <think>b</think> c</think>Yes. <think>Done?</think>", "Yes."),
        ("<|channel|>analysis<|message|>Hm.<|end|><|channel|>final<|message|>Yes.", "Yes."),
        ("I think, <b>yes</b>.", "I think, <b>yes</b>."),
    ],
)
def test_thinking_is_cut_off(text: str, spoken: str) -> None:
    assert without_thinking(text) == spoken
    with Endpoint(lambda *_: text) as endpoint:
        config = LLMConfig(base_url=endpoint.base_url, model="m", retries=0)
        (answer,) = ask(make_llm("openai", config), prompts(1))
    assert answer.text == spoken
    assert ("thinking_tokens" in answer.error) == (not spoken)


def test_an_answer_that_is_only_thought_is_asked_for_again(tmp_path: Path) -> None:
    lengths = []

    def thinking(messages: list[dict[str, str]], body: dict[str, int]) -> str:
        lengths.append(body["max_tokens"])
        return "<think>Let me see </think>no"[: 4 * body["max_tokens"]]

    with Endpoint(thinking) as endpoint, Journal(tmp_path / "j") as journal:
        config = LLMConfig(base_url=endpoint.base_url, model="m", retries=0)
        asked = [Prompt("is it?", max_tokens=3)]
        (answer,) = ask(make_llm("openai", config), asked, journal)
        assert answer.text == ""
        longer = config.model_copy(update={"thinking_tokens": 20})
        (answer,) = ask(make_llm("openai", longer), asked, journal)
        assert answer.text == "no"
        assert estimate(asked, longer, "m").completion_tokens == 23
    assert lengths == [3, 23]


@pytest.mark.skipif(VLLM, reason="vLLM is installed")
def test_vllm_is_optional() -> None:
    with pytest.raises(UserError, match=r"relearn-llm\[vllm\]"):
        make_llm("vllm", LLMConfig(model="smollm2-135m"))


@pytest.mark.slow
@pytest.mark.skipif(not VLLM, reason="vLLM is not installed")
def test_vllm_answers_what_transformers_answers() -> None:
    # Enough for a CPU, where vLLM can't cut a seeded prompt into parts.
    engine = {"gpu_memory_utilization": 0.3, "max_model_len": 512, "dtype": "float32",
              "enable_chunked_prefill": False, "max_num_batched_tokens": 512}  # fmt: skip
    llm = make_llm("vllm", LLMConfig(model="smollm2-135m", engine_options=engine))
    wanted = [Prompt(f"What is {thing}?", max_tokens=8) for thing in ("Rome", "bread", "rain")]
    answers = ask(llm, [*wanted, Prompt("too long " * 3000)])
    assert "too many" in answers.pop().error
    expected = ask(make_llm("transformers", LLMConfig(model="smollm2-135m")), wanted)
    assert [a.text for a in answers] == [a.text for a in expected]
    assert [a.prompt_tokens for a in answers] == [a.prompt_tokens for a in expected]


def test_an_estimate_leaves_out_what_is_journaled(tmp_path: Path) -> None:
    config = LLMConfig(input_price=1.0, output_price=2.0)
    with Journal(tmp_path / "j") as journal:
        journal.record(prompts(1)[0].key("m"), Completion("known"))
        left = estimate(prompts(3), config, "m", journal)
    assert (left.calls, left.completion_tokens) == (2, 512)
    assert left.cost == pytest.approx((left.prompt_tokens + 2 * 512) / 1e6)


def test_unknown_backend() -> None:
    with pytest.raises(UserError, match="Known: openai, transformers, vllm"):
        make_llm("parrot", LLMConfig())
    assert all(LLMS.summaries().values())
