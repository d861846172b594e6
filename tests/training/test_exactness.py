"""Each trick that makes training fast gives the values and gradients of the plain computation."""

import weakref
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import kl_div
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    Qwen3Config,
)

from relearn.config import LoraConfig, ModelConfig
from relearn.data.batching import TrainingRow, collate, pack
from relearn.data.tokenization import Example
from relearn.models import packed_attention, vocabulary
from relearn.models.adapters import add_adapter
from relearn.models.fused_lora import fused_lora
from relearn.models.fused_parts import fused_parts
from relearn.models.loading import load_model
from relearn.models.packed_attention import packing
from relearn.models.precision import native_precision
from relearn.models.recomputation import recomputation
from relearn.models.vocabulary import Head, Wanted, vocabulary_statistics
from relearn.objectives import OBJECTIVES
from relearn.training.statistics import ReferenceCache, token_statistics

CONFIG = ModelConfig(dtype="float32")


def entropy_from(log_probs: Tensor, targets: Tensor, reference: Tensor | None) -> Tensor:
    assert reference is not None
    return -(reference.exp() * log_probs).sum(-1) + log_probs[range(len(targets)), targets] ** 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 5), st.booleans())
def test_vocabulary_statistics_equal_autograd_on_all_logits(
    seed: int, tokens: int, chunk: int, bias: bool
) -> None:
    """Values, and gradients by hidden states, weight and bias; in chunks of any size."""
    generator = torch.Generator().manual_seed(seed)
    vocabulary_size, size = 11, 4

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    hidden, weight = random(tokens, size).requires_grad_(), random(vocabulary_size, size)
    weight.requires_grad_()
    offset = random(vocabulary_size).requires_grad_() if bias else None
    reference, reference_weight = random(tokens, size), random(vocabulary_size, size)
    targets = torch.randint(vocabulary_size, (tokens,), generator=generator)
    asked, retain = (torch.rand(tokens, generator=generator) < 0.5 for _ in range(2))
    wanted = Wanted(
        targets, reference, torch.arange(tokens), retain, {"f": entropy_from}, asked, True
    )
    factors = random(tokens, 3)

    def loss(log_prob: Tensor, kl: Tensor, function: Tensor) -> Tensor:
        return (
            (factors[:, 0] * log_prob).sum()
            + (factors[retain, 1] * kl).sum()
            + (factors[asked, 2] * function).sum()
        )

    leaves = [t for t in (hidden, weight, offset) if t is not None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vocabulary.CHUNK, "cpu", chunk * vocabulary_size)
        values = vocabulary_statistics(hidden, Head(weight, offset), Head(reference_weight), wanted)
        ours = torch.autograd.grad(
            loss(values[:, 0], values[retain, 2], values[asked, 3]), leaves, materialize_grads=True
        )

    logits = hidden @ weight.t() + (0 if offset is None else offset)
    policy = logits.log_softmax(-1)
    ref = (reference @ reference_weight.t()).log_softmax(-1)
    log_prob = policy[range(tokens), targets]
    kl = kl_div(policy[retain], ref[retain], reduction="none", log_target=True).sum(-1)
    function = entropy_from(policy[asked], targets[asked], ref[asked])
    torch.testing.assert_close(values[:, 0], log_prob)
    torch.testing.assert_close(values[:, 1], ref[range(tokens), targets])
    torch.testing.assert_close(values[retain, 2], kl, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(values[asked, 3], function)
    assert values[~retain, 2].isnan().all()
    assert values[~asked, 3].isnan().all()
    theirs = torch.autograd.grad(loss(log_prob, kl, function), leaves)
    for mine, plain in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-3, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 5), st.booleans(), st.booleans())
def test_a_gradient_made_ahead_is_the_one_made_afterwards(
    seed: int, tokens: int, chunk: int, right: bool, frozen: bool
) -> None:
    """Expected rightly, but for a factor, or wrongly, of a frozen head or a trained one."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    hidden, weight = random(tokens, 4).requires_grad_(), random(11, 4).requires_grad_(not frozen)
    targets = torch.randint(11, (tokens,), generator=generator)
    retain = torch.rand(tokens, generator=generator) < 0.5
    by_values = torch.stack([random(tokens), random(tokens).where(retain, 0)], 1)
    expected = by_values * random(tokens, 1) if right else random(tokens, 2)
    reference, reference_weight = random(tokens, 4), random(11, 4)
    gradients = []
    for ahead in (None, expected):
        wanted = Wanted(targets, reference, torch.arange(tokens), retain, expected=ahead)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(vocabulary.CHUNK, "cpu", chunk * 11)
            values = vocabulary_statistics(hidden, Head(weight), Head(reference_weight), wanted)
            loss = (values[:, 0] * by_values[:, 0]).sum()
            loss = loss + (values[retain, 2] * by_values[retain, 1]).sum()
            if ahead is not None and right and frozen:
                patch.delattr(vocabulary, "_Chunk")  # no logits are made again
            gradients.append(torch.autograd.grad(loss, hidden)[0])
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)


SMALL = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
ARCHITECTURES = {
    "llama": LlamaConfig(**SMALL),
    "qwen3": Qwen3Config(**SMALL),
    "mistral, window": MistralConfig(**SMALL, sliding_window=6),
    "gemma 2, caps": Gemma2Config(**SMALL, sliding_window=6, query_pre_attn_scalar=8),
    "cohere, scaled": CohereConfig(**SMALL, logit_scale=0.5),
    "granite, scaled": GraniteConfig(**SMALL, logits_scaling=3.0),
}


def random_rows(shared: int, count: int = 5) -> list[TrainingRow]:
    """Forget and retain rows of many lengths whose prompts begin with `shared` equal tokens."""
    generator = torch.Generator().manual_seed(shared)

    def tokens(n: int) -> list[int]:
        return torch.randint(3, 97, (n,), generator=generator).tolist()

    start = tokens(shared)
    return [
        TrainingRow(i, Example([*start, 10 + i, *tokens(i)], tokens(1 + 2 * i % 5)), i % 2 == 0)
        for i in range(count)
    ]


def randomize(model: torch.nn.Module) -> None:
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)


def gradients(model: torch.nn.Module, loss: Tensor) -> dict[str, Tensor]:
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    return {n: g for n, g in zip(trained, found, strict=True) if g is not None}


def loss_of(stats: object) -> Tensor:
    """Some loss that reads all statistics."""
    weights = torch.linspace(0.5, 1.5, len(stats.log_probs))
    return (
        -(weights * stats.log_probs).sum()
        + stats.kl[stats.retain_tokens].sum()
        + stats.vocabulary["undial"][stats.forget_tokens].square().sum()
    )


@pytest.mark.parametrize("shared", [0, 1, 9])
@pytest.mark.parametrize("block", [4, 128])
@pytest.mark.parametrize("architecture", ["llama", "qwen3", "mistral, window"])
def test_packed_rows_equal_padded_rows(
    monkeypatch: pytest.MonkeyPatch, architecture: str, block: int, shared: int
) -> None:
    """Loss and gradients, with a shared prefix or none, on a model that runs as it is."""
    monkeypatch.setattr(packed_attention, "BLOCK", block)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        ARCHITECTURES[architecture], attn_implementation="eager"
    )
    rows = random_rows(shared)
    policy = add_adapter(model, LoraConfig(rank=4, dropout=0))
    randomize(policy)
    cache = ReferenceCache(policy, policy.disable_adapter(), rows, lambda r: collate(r, 0))
    arguments = cache, OBJECTIVES["undial"]
    plain = token_statistics(policy, collate(rows, 0), *arguments)
    with packing(model), fused_lora(policy), fused_parts(model), recomputation():
        packed = token_statistics(policy, pack(rows), *arguments)
        again = ReferenceCache(policy, policy.disable_adapter(), rows, pack)
        assert packed.row.tolist() == plain.row.tolist()
        ours = gradients(policy, loss_of(packed))
    for row in rows:
        states = again._hidden[row.index], cache._hidden[row.index]
        torch.testing.assert_close(*states, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(packed.log_probs, plain.log_probs, rtol=1e-4, atol=1e-5)
    theirs = gradients(policy, loss_of(plain))
    assert len(theirs) == len(ours) >= 28
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() <= 1e-3 * gradient.norm(), name


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("scale", [1, 8])
def test_fused_lora_equals_peft(tiny_model: Path, dropout: float, scale: int) -> None:
    """Outputs, and gradients by input and adapter, with the same dropout."""
    policy = add_adapter(
        load_model(tiny_model, CONFIG), LoraConfig(rank=4, alpha=4 * scale, dropout=dropout)
    )
    randomize(policy)
    policy.train()
    layer = policy.base_model.model.model.layers[0].mlp.down_proj
    x = torch.randn(2, 5, 64, device=policy.device, requires_grad=True)
    results = []
    for fused in (False, True):
        torch.manual_seed(3)
        if fused:
            with fused_lora(policy):
                y = layer(x)
        else:
            y = layer(x)
        loss = (y * torch.linspace(-1, 1, y.numel(), device=y.device).view_as(y)).sum()
        results.append(
            [
                y,
                *torch.autograd.grad(
                    loss, [x, layer.lora_A.default.weight, layer.lora_B.default.weight]
                ),
            ]
        )
    for plain, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    assert "forward" not in vars(layer)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_statistics_are_those_of_the_models_own_logits(architecture: str) -> None:
    """Whatever the architecture does to its logits."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(ARCHITECTURES[architecture])
    rows = random_rows(3)
    policy = add_adapter(model, LoraConfig(rank=4, dropout=0))
    randomize(policy)
    cache = ReferenceCache(policy, policy.disable_adapter(), rows, lambda r: collate(r, 0))
    stats = token_statistics(policy, collate(rows, 0), cache, OBJECTIVES["undial"])
    for row in rows:
        ids = torch.tensor([row.example.prompt + row.example.answer])
        start = len(row.example.prompt) - 1
        at = stats.row == row.index
        with torch.no_grad():
            ours = policy(ids).logits[0, start:-1].log_softmax(-1)
            with policy.disable_adapter():
                theirs = policy(ids).logits[0, start:-1].log_softmax(-1)
        answer = torch.tensor(row.example.answer)[:, None]
        torch.testing.assert_close(
            stats.log_probs[at], ours.gather(1, answer)[:, 0], rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(
            stats.reference_log_probs[at], theirs.gather(1, answer)[:, 0], rtol=1e-4, atol=1e-4
        )
        if not row.is_forget:
            kl = kl_div(ours, theirs, log_target=True, reduction="none").sum(-1)
            torch.testing.assert_close(stats.kl[at], kl, rtol=1e-3, atol=1e-5)


def parts_of(model: torch.nn.Module) -> set[str]:
    """Return the names of the modules whose forward pass something stands in for."""
    return {name.rpartition(".")[2] for name, m in model.named_modules() if "forward" in vars(m)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ["llama", "qwen3", "mistral, window"])
def test_fused_parts_equal_the_models_own(architecture: str, dtype: torch.dtype) -> None:
    """Loss to the bit, and gradients of all weights."""
    torch.manual_seed(0)
    config = ARCHITECTURES[architecture]
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").to(dtype)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter)
    ids = torch.randint(3, 97, (2, 9))

    def loss_and_gradients() -> tuple[Tensor, dict[str, Tensor]]:
        loss = model(input_ids=ids, labels=ids).loss
        return loss, gradients(model, loss)

    plain, theirs = loss_and_gradients()
    with fused_parts(model), recomputation():
        norms = {"input_layernorm", "post_attention_layernorm", "norm"}
        assert parts_of(model) >= {"mlp", *norms}
        fused, ours = loss_and_gradients()
    assert not parts_of(model)
    assert torch.equal(plain, fused)
    for name, gradient in theirs.items():
        error = (ours[name] - gradient).float().norm()
        assert error <= (1e-5 if dtype == torch.float32 else 0.02) * gradient.float().norm(), name


def test_a_part_that_differs_is_left_to_the_model() -> None:
    """Gemma's norm adds one to its weights, its MLP has another function than silu."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(ARCHITECTURES["gemma 2, caps"])
    with fused_parts(model):
        assert not parts_of(model)


def test_activations_are_made_again_instead_of_kept() -> None:
    """What norms and MLPs hand on is not among the tensors that autograd keeps."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(ARCHITECTURES["llama"], attn_implementation="eager")
    layer = model.model.layers[0]
    readers = layer.self_attn.q_proj, layer.mlp.gate_proj, layer.mlp.down_proj

    def kept() -> list[bool]:
        """Tell which readers' inputs are still there when all that is left is the loss."""
        inputs: list[weakref.ref[Tensor]] = []
        hooks = [
            reader.register_forward_pre_hook(lambda _, given: inputs.append(weakref.ref(given[0])))
            for reader in readers
        ]
        loss = model(input_ids=torch.arange(3, 9)[None], labels=torch.arange(3, 9)[None]).loss
        for hook in hooks:
            hook.remove()
        assert loss.requires_grad
        return [found() is not None for found in inputs]

    assert kept() == [True, True, True]
    with fused_parts(model), recomputation():
        assert kept() == [False, False, False]


def test_emulated_types_are_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights come back as they were; an adapter that was added meanwhile is left alone."""
    monkeypatch.setattr("relearn.models.precision.is_native", lambda dtype, _: dtype.itemsize > 2)
    model = AutoModelForCausalLM.from_config(ARCHITECTURES["llama"]).to(torch.bfloat16)
    before = {name: p.clone() for name, p in model.named_parameters()}
    with native_precision(model):
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        policy = add_adapter(model, LoraConfig(rank=2))
    trained = {p.dtype for p in policy.parameters() if p.requires_grad}
    assert trained == {torch.float32}
    for name, parameter in policy.get_base_model().named_parameters():
        if "lora_" not in name:
            assert torch.equal(parameter, before[name.replace(".base_layer", "")])
