"""Settings of a training."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from relearn.config.section import Section


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
