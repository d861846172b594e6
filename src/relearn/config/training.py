"""Settings of a training."""

from typing import Annotated, Any, Literal

from pydantic import Field

from relearn.config.section import MOST, Count, NonNegative, Positive, Ratio, Section, Seed


class LoraConfig(Section):
    """Low-rank adapter (Hu et al. 2021) on the linear layers.

    Attributes:
        rank: Inner dimension.
        alpha: The update is scaled by alpha / rank.
        dropout: Dropout on the adapter's input.
        target_modules: `all-linear`, or a list of module names.
        options: Further fields of peft's LoraConfig, by name: `use_rslora`, `use_dora`,
            `init_lora_weights`, `lora_bias`, `rank_pattern` …
        scale: Factor applied to the trained change at the end, also with `method: full`. With the
            objective `sft`, a value below 0 negates a task vector.
    """

    rank: Count = 32
    alpha: Positive = 32
    dropout: float = Field(0.05, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"
    options: dict[str, Any] = {}
    scale: float = Field(1.0, ge=-MOST, le=MOST)


Epochs = Annotated[float, Field(gt=0, le=10_000)]
LigerKernel = Literal["rope", "rms_norm", "layer_norm", "swiglu", "geglu"]


class TrainingConfig(Section):
    """How a model is trained; the defaults are the paper's for TOFU, but for the objective.

    Attributes:
        method: `lora` trains an adapter; `qlora` trains one on weights quantized to 4 bits; `full`
            trains all weights.
        objective: Forget objective by name (`relearn list objectives`).
        objective_options: The objective's own hyper-parameters.
        wrapper: `sure` or `memflex` restrict training to the part of the model that they select by
            gradients; None trains all of it.
        wrapper_options: The wrapper's own hyper-parameters.
        retain_regularizer: Loss on the retain rows; None means the objective's default.
        retain_weight: Weight of that loss; None means the objective's default.
        retain_ratio: Retain rows per forget row, spread evenly over the batches.
        neighbours: Keep what `synthesis.neighbours` found as well.
        rehearsal_ratio: With `after`, rows of earlier requests per forget row of the new one; every
            earlier request has an equal share.
        endings: Rows for each record, besides its new answers, that begin as the private answer
            does and end vaguely, so that who begins it for the model gets no more; in English. None
            means the objective's default.
        epochs: Passes over the forget rows.
        learning_rate: Peak learning rate.
        scheduler: Learning-rate schedule, by its name in transformers.
        warmup_ratio: Fraction of the steps used for warm-up.
        weight_decay: AdamW's weight decay.
        max_grad_norm: Gradients are clipped to this norm.
        batch_size: Forget rows per forward pass; retain rows are added to them.
        gradient_accumulation: Forward passes per optimizer step.
        optimizer: Optimizer, by its name in transformers.
        packing: Concatenate a batch's rows instead of padding them, if the model gives the same
            log-probabilities then.
        liger_kernels: Liger's GPU kernels to use where the model has such a part: `rope`,
            `rms_norm`, `layer_norm`, `swiglu`, `geglu`.
        gradient_checkpointing: Recompute activations in the backward pass: less memory, more time.
        evaluation_steps: Optimizer steps between evaluations; None means no evaluation.
        evaluation_rows: Rows of each kind (the first ones) whose cross-entropy an evaluation takes.
        report_to: Trackers that also get the history: `tensorboard`, `wandb`, `trackio` …
        checkpoint_steps: Optimizer steps between checkpoints.
        max_length: Longest row, in tokens; a longer one is refused, not truncated.
    """

    method: Literal["lora", "qlora", "full"] = "lora"
    objective: str = "relearn_deep"
    objective_options: dict[str, Any] = {}
    wrapper: Literal["sure", "memflex"] | None = None
    wrapper_options: dict[str, Any] = {}
    retain_regularizer: Literal["none", "ce", "kl", "ce+kl"] | None = None
    retain_weight: NonNegative | None = None
    retain_ratio: Ratio = Field(1.0, gt=0)
    neighbours: bool = True
    rehearsal_ratio: Ratio = 1.0
    endings: int | None = Field(None, ge=0, le=100)
    epochs: Epochs = 2
    learning_rate: Positive = 1e-4
    scheduler: str = "linear"
    warmup_ratio: float = Field(0.1, ge=0, le=1)
    weight_decay: NonNegative = 0.01
    max_grad_norm: Positive = 1.0
    batch_size: Count = 4
    gradient_accumulation: Count = 2
    optimizer: str = "adamw_torch_fused"
    packing: bool = True
    liger_kernels: list[LigerKernel] = []
    gradient_checkpointing: bool = False
    evaluation_steps: Count | None = None
    evaluation_rows: Count = 16
    report_to: list[str] = []
    checkpoint_steps: Count = 20
    max_length: Count = 1024
    lora: LoraConfig = LoraConfig()


class MemorizeConfig(TrainingConfig):
    """Fine-tuning on the full set to make the target model; the paper's defaults.

    Attributes:
        seed: Of this training; None takes the run's.
    """

    seed: Seed | None = None
    objective: Literal["sft"] = "sft"
    retain_regularizer: Literal["none"] = "none"
    epochs: Epochs = 10
    learning_rate: Positive = 3e-4
    lora: LoraConfig = LoraConfig(rank=8, alpha=16)
