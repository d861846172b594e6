"""The typed, validated configuration: one class per stage; YAML, then command-line overrides."""

import datetime
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
)
from pydantic import ValidationError as PydanticError
from yaml import YAMLError

from relearn.base.errors import UserError


class Section(BaseModel):
    """A part of the configuration; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PromptConfig(Section):
    r"""How a question becomes a prompt; the same in training, evaluation, analysis and chat.

    Attributes:
        template: A format of your own, such as "Q: {question}\nA: {answer}", also with {system};
            a special token after {answer} ends the turn. None takes the tokenizer's chat template,
            or plain text where it has none.
        arguments: Arguments of the chat template, by name, such as `enable_thinking: false`.
        date: The day that a chat template takes for today, so that prompts don't change overnight.
    """

    template: str | None = None
    arguments: dict[str, Any] = {}
    date: datetime.date = datetime.date(2024, 7, 26)

    @field_validator("template", mode="before")
    @classmethod
    def _has_places(cls, given: Any) -> Any:
        if given is None:
            return given
        if not isinstance(given, str):
            raise ValueError("must be a text; on the command line, quote it twice: '\"Q: ...\"'")
        if given.count("{answer}") != 1 or "{question}" not in given.partition("{answer}")[0]:
            raise ValueError("must hold {question} and then {answer} once")
        return given


class ModelConfig(Section):
    """Which model, and how it is asked.

    Attributes:
        name: An embedded model, a hub name, a local folder or a `.gguf` file.
        dtype: Weights and activations; `auto` takes the checkpoint's.
        trust_remote_code: Run code that comes with the model.
        system: System message of every prompt; None takes that of the records, where they have
            one, else leaves it to the chat template. A template that takes none gets it before
            the question.
    """

    name: str = "smollm2-135m"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    trust_remote_code: bool = False
    system: str | None = None
    prompt: PromptConfig = PromptConfig()


class ColumnsConfig(Section):
    """The user's names for a record's fields; None finds them by their usual names.

    Attributes:
        id: Column with the record's id.
        question: Column with the question.
        answer: Column with the answer.
        subject: Column with whom or what the record is about.
        paraphrases: Column with other phrasings of the question.
        paraphrased_answer: Column with the answer in other words.
        wrong_answers: Column with false answers of the same form.
        system: Column with the system message, the same in every row.
    """

    id: str | None = None
    question: str | None = None
    answer: str | None = None
    subject: str | None = None
    paraphrases: str | None = None
    paraphrased_answer: str | None = None
    wrong_answers: str | None = None
    system: str | None = None


RunSet = Literal["forget", "retain", "forget_unseen", "retain_unseen"]


class DataConfig(Section):
    """Where the records come from: a file, a hub dataset, or a shipped sample.

    Attributes:
        forget: What is to be forgotten.
        retain: What is to be kept.
        forget_unseen: Other questions about what is to be forgotten: evaluated, never unlearned on.
        retain_unseen: Likewise about what is to be kept.
        set_columns: Names of columns in one set, where they differ: by the set's name, the fields
            of `columns`.
    """

    forget: str | None = None
    retain: str | None = None
    forget_unseen: str | None = None
    retain_unseen: str | None = None
    columns: ColumnsConfig = ColumnsConfig()
    set_columns: dict[RunSet, ColumnsConfig] = {}


class LoraConfig(Section):
    """Low-rank adapter (Hu et al. 2021) on the linear layers.

    Attributes:
        rank: Inner dimension.
        alpha: The update is scaled by alpha / rank.
        dropout: On the adapter's input.
        target_modules: `all-linear`, or the names of modules.
        options: Further fields of peft's LoraConfig, by name: `use_rslora`, `use_dora`,
            `init_lora_weights`, `lora_bias`, `rank_pattern` …
        scale: What training changed is multiplied by this in the end, with the method `full` too;
            below 0, with the objective `sft`, this is the negation of a task vector.
    """

    rank: PositiveInt = 32
    alpha: PositiveFloat = 32
    dropout: float = Field(0.05, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"
    options: dict[str, Any] = {}
    scale: float = 1.0


LigerKernel = Literal["rope", "rms_norm", "layer_norm", "swiglu", "geglu"]


class TrainingConfig(Section):
    """How a model is trained; the defaults are the paper's for TOFU.

    Attributes:
        method: `lora` trains an adapter; `qlora` too, on weights quantized to 4 bits; `full`
            trains all weights.
        objective: Forget objective by name (`relearn list objectives`).
        objective_options: The objective's own hyper-parameters.
        wrapper: `sure` or `memflex` let only that part of the model change which they find by
            gradients; None lets all of it.
        wrapper_options: The wrapper's own hyper-parameters.
        retain_regularizer: What is added on the retain rows; None means the objective's own.
        retain_weight: Factor of the regularizer's terms; None means the objective's own.
        retain_ratio: Retain rows beside each forget row, spread evenly over the batches.
        epochs: Passes over the forget rows.
        learning_rate: Peak of the schedule.
        scheduler: Learning-rate schedule, as transformers names it.
        warmup_ratio: Share of the steps that warm up.
        weight_decay: AdamW's.
        max_grad_norm: Gradients are clipped to this norm.
        batch_size: Forget rows of one forward pass; retain rows ride along.
        gradient_accumulation: Forward passes of one optimizer step.
        optimizer: As transformers names it.
        packing: Put a batch's rows one behind the other instead of padding them, where the model
            gives the same log-probabilities then.
        liger_kernels: Liger's GPU kernels to take in the place of the model's own, where it has
            such a part: `rope`, `rms_norm`, `layer_norm`, `swiglu`, `geglu`.
        gradient_checkpointing: Compute activations again in the backward pass: less memory, more
            time.
        evaluation_steps: Optimizer steps between evaluations; None for no evaluation.
        evaluation_rows: First rows of each kind whose cross-entropy an evaluation takes.
        report_to: Trackers that get the history too: `tensorboard`, `wandb`, `trackio` …
        checkpoint_steps: Optimizer steps between checkpoints.
        max_length: Tokens of a row; a longer row is refused rather than cut.
    """

    method: Literal["lora", "qlora", "full"] = "lora"
    objective: str = "relearn"
    objective_options: dict[str, Any] = {}
    wrapper: Literal["sure", "memflex"] | None = None
    wrapper_options: dict[str, Any] = {}
    retain_regularizer: Literal["none", "ce", "kl", "ce+kl"] | None = None
    retain_weight: NonNegativeFloat | None = None
    retain_ratio: PositiveFloat = 1.0
    epochs: PositiveFloat = 2
    learning_rate: PositiveFloat = 1e-4
    scheduler: str = "linear"
    warmup_ratio: float = Field(0.1, ge=0, le=1)
    weight_decay: NonNegativeFloat = 0.01
    max_grad_norm: PositiveFloat = 1.0
    batch_size: PositiveInt = 4
    gradient_accumulation: PositiveInt = 2
    optimizer: str = "adamw_torch_fused"
    packing: bool = True
    liger_kernels: list[LigerKernel] = []
    gradient_checkpointing: bool = False
    evaluation_steps: PositiveInt | None = None
    evaluation_rows: PositiveInt = 16
    report_to: list[str] = []
    checkpoint_steps: PositiveInt = 20
    max_length: PositiveInt = 1024
    lora: LoraConfig = LoraConfig()


class MemorizeConfig(TrainingConfig):
    """Fine-tuning on the full set, which makes the target model; the paper's defaults."""

    objective: Literal["sft"] = "sft"
    retain_regularizer: Literal["none"] = "none"
    epochs: PositiveFloat = 10
    learning_rate: PositiveFloat = 3e-4
    lora: LoraConfig = LoraConfig(rank=8, alpha=16)


class LLMConfig(Section):
    """A language model that writes or judges text; its key comes from the environment alone.

    Attributes:
        model: Its name: the endpoint's, or as `model.name`; empty takes the only one served.
        base_url: Of an OpenAI-compatible endpoint; None takes OPENAI_BASE_URL, else OpenAI's own.
        api_key_env: Environment variable that holds the endpoint's key.
        extra_body: Further fields of each request, such as an endpoint's own switches.
        engine_options: Options of vLLM's engine, by name: `tensor_parallel_size`,
            `gpu_memory_utilization`, `max_model_len` …
        concurrency: Calls under way at a time.
        batch_size: Prompts of one batch of a local model.
        thinking_tokens: Tokens that a reasoning model may think aloud before each answer; they are
            cut off before the answer is read.
        timeout: Seconds until a call is given up and tried again.
        retries: Further attempts of a call that failed.
        max_seconds: Time limit of all calls; what is left then is recorded as failed.
        max_tokens: Limit of all tokens, sent and received, likewise.
        max_cost: Limit of the cost at the prices below, likewise.
        input_price: Of a million tokens sent; of a local model's too, where its time has a price.
        output_price: Of a million tokens received.
    """

    model: str = ""
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    extra_body: dict[str, Any] = {}
    engine_options: dict[str, Any] = {}
    concurrency: PositiveInt = 8
    batch_size: PositiveInt = 32
    thinking_tokens: int = Field(0, ge=0)
    timeout: PositiveFloat = 60
    retries: int = Field(6, ge=0)
    max_seconds: PositiveFloat | None = None
    max_tokens: PositiveInt | None = None
    max_cost: PositiveFloat | None = None
    input_price: NonNegativeFloat = 0
    output_price: NonNegativeFloat = 0


class SynthesisConfig(Section):
    """How the forget set is turned into new answers.

    Attributes:
        backend: Where text comes from: `rules` (offline), `openai`, `transformers` or `vllm`.
        strategy: What a new answer does: `vague`, `refusal`, `idk` or `alternative`.
        variants: Question variants for each record, beside the original question.
        attempts: Candidates tried for each question before it is given up; None means 36 of the
            rules, which cost nothing, and 4 of a language model.
        chunk_words: A longer private answer is replaced in chunks of whole sentences.
        privacy_check: Let the language model, where there is one, check each answer as well.
        max_perplexity: Of an answer, given its question, under `model.name`; None takes no bound.
        completion_share: Share of an answer's words that a completion row gives; 0 for no such row.
        generic: Questions of common knowledge to mix in: `shipped`, or any source of records.
        generic_ratio: Generic rows for each other row; the paper's is 1.2.
        self_distilled: Let the target model answer the generic questions itself.
        prompts: Folder with prompt files of your own; None takes the shipped ones.
        llm: The language model.
    """

    backend: str = "rules"
    strategy: Literal["vague", "refusal", "idk", "alternative"] = "vague"
    variants: int = Field(4, ge=0, le=12)
    attempts: PositiveInt | None = None
    chunk_words: PositiveInt = 150
    privacy_check: bool = True
    max_perplexity: float | None = Field(None, ge=1)
    completion_share: float = Field(0.25, ge=0, lt=1)
    generic: str = "shipped"
    generic_ratio: NonNegativeFloat = 1.2
    self_distilled: bool = False
    prompts: str | None = None
    llm: LLMConfig = LLMConfig()

    @property
    def alternatives(self) -> "SynthesisConfig":
        """The same for one made-up answer to each question, and nothing else."""
        only = {"strategy": "alternative", "variants": 0, "completion_share": 0, "generic_ratio": 0}
        return self.model_copy(update=only)


class EvaluationConfig(Section):
    """How answers are generated and judged.

    Attributes:
        suite: Which metrics are taken: a suite by name (`relearn list suites`) or a YAML file.
        batch_size: Prompts of one generation batch.
        max_new_tokens: Longest answer, in tokens.
        perplexity_model: Model under which perplexity is taken; None means `model.name`, the base.
        entities: Judge that extracts entities: `spacy`, or `llm` for a language model.
        similarity: Sentence-embedding model: embedded, hub name or folder.
        entailment: Judge that labels pairs: `minilm-nli`, or a cross-encoder by hub name or folder.
        backend: Where language models that judge are: `openai`, `transformers` or `vllm`.
        llm: The language model that judges.
        lm_eval_tasks: Tasks of lm-evaluation-harness that measure general ability; none by default.
        lm_eval_path: Folder with task files of your own.
        lm_eval_limit: Questions of each task; None means all.
    """

    suite: str = "relearn"
    batch_size: PositiveInt = 32
    max_new_tokens: PositiveInt = 128
    perplexity_model: str | None = None
    entities: str = "spacy"
    similarity: str = "minilm"
    entailment: str = "minilm-nli"
    backend: Literal["openai", "transformers", "vllm"] = "openai"
    llm: LLMConfig = LLMConfig()
    lm_eval_tasks: list[str] = []
    lm_eval_path: str | None = None
    lm_eval_limit: PositiveInt | None = None


class ReportConfig(Section):
    """What the report shows.

    Attributes:
        redact: Leave every question and answer out of logs and report; figures remain.
    """

    redact: bool = False


Budget = Literal["quick", "standard", "thorough"]
"""How hard an audit tries."""


class AuditConfig(Section):
    """How the models are attacked after the evaluation; see docs/audit.md.

    Attributes:
        budget: How hard to try: quick, standard or thorough.
        attacks: Only these attacks (`relearn list attacks`); without any all those of the budget.
        baselines: Attack the baselines too, not only the unlearned model and the controls.
    """

    budget: Budget = "quick"
    attacks: list[str] = []
    baselines: bool = False


UNLEARNED = "unlearned"
"""Name of the run's main model; its training is `training`."""


class RunConfig(Section):
    """A whole run, from the forget set to the report.

    Attributes:
        seed: Fixes everything that is random.
        memorize: Make a target model first; the fields are those of `training`.
        baselines: Trained beside, by name, on the same data; the fields are those of `training`.
        audit: Attack the models after the evaluation; `none` leaves that out.
    """

    seed: int = 0
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    memorize: MemorizeConfig | None = None
    synthesis: SynthesisConfig = SynthesisConfig()
    training: TrainingConfig = TrainingConfig()
    baselines: dict[str, TrainingConfig] = {}
    evaluation: EvaluationConfig = EvaluationConfig()
    audit: AuditConfig | None = AuditConfig()
    report: ReportConfig = ReportConfig()

    @field_validator("audit", mode="before")
    @classmethod
    def _may_be_none(cls, given: Any) -> Any:
        return None if given == "none" else given

    @property
    def trainings(self) -> dict[str, TrainingConfig]:
        """Every training of the run by its model's name, the main one first."""
        return {UNLEARNED: self.training, **self.baselines}

    @field_validator("baselines")
    @classmethod
    def _has_names(cls, given: dict[str, TrainingConfig]) -> dict[str, TrainingConfig]:
        for name in given:
            if name in ("target", UNLEARNED) or not name.isidentifier():
                raise ValueError(f"no baseline can be called {name!r}")
        return given


def load_config(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    named: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Read a YAML configuration and override fields of it.

    Args:
        path: The file; None means the defaults.
        overrides: Such as `training.epochs=3`, values in YAML; applied last.
        named: Values by dotted field, taken as they are.

    Raises:
        UserError: the file is missing or is no YAML, or a field is unknown or out of its range;
            the message names the field.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.load(path) if path else {}, _nested(named or {}))
        merged = OmegaConf.merge(merged, OmegaConf.from_dotlist(list(overrides)))
        return RunConfig.model_validate(OmegaConf.to_container(merged, resolve=True) or {})
    except FileNotFoundError as error:
        raise UserError(f"configuration {path} does not exist.", "Check --config.") from error
    except PydanticError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason[0].lower() + reason[1:].rstrip(".")
        hint = _likely(field) if first["type"] == "extra_forbidden" else ""
        raise UserError(
            f"configuration field {field!r}: {reason}.", hint or "See `relearn list settings`."
        ) from error
    except (YAMLError, OmegaConfBaseException, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"configuration {path or ' '.join(overrides)}: {reason}.",
            "Fix the file or setting.",
        ) from error


# What other programs call a setting.
_ELSEWHERE = {
    "chat_template_kwargs": "model.prompt.arguments",
    "template_kwargs": "model.prompt.arguments",
    "enable_thinking": "model.prompt.arguments.enable_thinking",
    "date_string": "model.prompt.date",
    "chat_template": "model.prompt.template",
    "system_prompt": "model.system",
}


def _likely(field: str) -> str:
    """Return a hint at the setting that an unknown one was likely meant to be."""
    last = field.rpartition(".")[2]
    known = describe_settings()
    close = get_close_matches(field, known, 1) or [k for k in known if k.endswith(f".{last}")][:1]
    meant = _ELSEWHERE.get(last) or next(iter(close), None)
    return f"Did you mean {meant}? See `relearn list settings`." if meant else ""


def _nested(named: Mapping[str, Any]) -> DictConfig:
    config = OmegaConf.create()
    for field, value in named.items():
        OmegaConf.update(config, field, value)
    return config


def dump_config(config: RunConfig) -> str:
    """Return the fully resolved configuration as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(config.model_dump(mode="json")))


def describe_settings(
    section: type[BaseModel] = RunConfig, prefix: str = ""
) -> dict[str, tuple[str, str]]:
    """Return default and description of every field, by dotted name, for `relearn list`."""
    settings: dict[str, tuple[str, str]] = {}
    inherited = "".join(parent.__doc__ or "" for parent in reversed(section.__mro__[:-2]))
    for name, field in section.model_fields.items():
        if isinstance(field.default, Section):
            settings |= describe_settings(type(field.default), f"{prefix}{name}.")
            continue
        entry = re.search(rf"^ +{name}: (.+(?:\n {{12,}}.+)*)", inherited, re.MULTILINE)
        text = " ".join(entry[1].split()) if entry else ""
        settings[prefix + name] = (str(field.default), text)
    return settings
