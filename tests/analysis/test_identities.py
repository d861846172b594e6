"""What must hold of any model: sums of parts, ends of paths, patches of everything."""

import copy

import pytest
import torch
from torch import nn
from transformers import GraniteConfig, GraniteForCausalLM, LlamaConfig, LlamaForCausalLM

from helpers.families import FAMILIES, VOCABULARY, family, one_batch, some_probes
from relearn.analysis.components import Components, SubjectAttention
from relearn.analysis.frozen_norm import FrozenNorm
from relearn.analysis.layout import find_layout
from relearn.analysis.memory import LogitLens
from relearn.analysis.observe import observe
from relearn.analysis.tracing import (
    activation_patching,
    attribution_patching,
    edges,
    patched_log_probs,
    trace,
)
from relearn.base.errors import UserError
from relearn.models.hooks import hooks, on_output

every_family = pytest.mark.parametrize("name", FAMILIES)


def key_logits(model, batch):
    """Return the logits at the keys, from the model's own forward."""
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    return logits[batch.keys]


def watched(layout, observers, probes):
    observe(layout, probes, observers, rows=len(probes), pad_token_id=0, title=None)
    return one_batch(probes)


@every_family
def test_all_contributions_sum_to_the_logit(name):
    model = family(name)
    layout = find_layout(model)
    components = Components(layout)
    batch = watched(layout, [components], some_probes())
    parts = components.contributions(batch.key_tokens)
    kinds = {kind for kind, *_ in parts}
    assert kinds == {"embedding", "head", "mlp", "bias"}
    assert sum(kind == "head" for kind, *_ in parts) == 3 * 4
    logits = key_logits(model, batch)
    if cap := getattr(model.config, "final_logit_softcapping", None):
        logits = torch.atanh(logits / cap) * cap  # what was there before the cap
    own = logits.gather(1, batch.key_tokens[:, None])[:, 0] - logits.mean(-1)
    torch.testing.assert_close(sum(parts.values()), own, rtol=1e-4, atol=1e-4)


@every_family
def test_a_head_adds_what_is_gone_when_it_is_cut(name):
    """One head's contribution, against the stream with that head's write taken off by hand."""
    model = family(name)
    layout = find_layout(model)
    components = Components(layout)
    batch = watched(layout, [components], some_probes())
    parts = components.contributions(batch.key_tokens)
    branch = layout.attentions[-1]
    if branch.post_norm is not None:
        pytest.skip("what one head writes is not linear before a second norm")
    z = components._kept[f"{branch.name}.heads"].clone()
    kept = z.reshape(len(z), layout.heads, -1).clone()
    kept[:, 2] = 0
    change = branch.projection(z) - branch.projection(kept.flatten(1))
    norm = FrozenNorm.at(layout.final_norm, components._kept["stream"])
    logits = norm.apply(change) @ layout.head.weight.T
    own = logits.gather(1, batch.key_tokens[:, None])[:, 0] - logits.mean(-1)
    torch.testing.assert_close(parts["head", 2, 2], own, rtol=1e-4, atol=1e-5)


@every_family
def test_the_lens_at_the_last_layer_is_the_output(name):
    model = family(name)
    layout = find_layout(model)
    lens = LogitLens(layout)
    batch = watched(layout, [lens], some_probes())
    rows = lens.tables()["lens"]
    last = rows[rows["layer"] == 3]
    log_probs = key_logits(model, batch).log_softmax(-1)
    own = log_probs.gather(1, batch.key_tokens[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(last["log_prob"].to_numpy()), own, rtol=0, atol=1e-5)
    assert (last["kl_to_output"] < 1e-6).all()
    assert (last["best"].to_numpy() == log_probs.argmax(-1).numpy()).all()


def other_insides(model):
    """Return the model with other weights in all its blocks and its embedding, one head."""
    other = copy.deepcopy(model)
    for name, parameter in other.named_parameters():
        if any(part.isdigit() for part in name.split(".")):
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return other


@every_family
def test_patching_everything_gives_the_other_model(name):
    model = family(name)
    other = other_insides(model)
    batch = one_batch(some_probes(), one_key=True)
    traced, before = trace(find_layout(model), batch), trace(find_layout(other), batch)
    everything = {k: v for k, v in traced.activations.items() if not k.endswith(".heads")}
    assert (traced.log_probs - before.log_probs).abs().max() > 0.1
    patched = patched_log_probs(find_layout(other), batch, everything)
    torch.testing.assert_close(patched, traced.log_probs, rtol=0, atol=1e-4)
    unchanged = patched_log_probs(find_layout(other), batch, {})
    torch.testing.assert_close(unchanged, before.log_probs, rtol=0, atol=1e-4)


@every_family
def test_edges_into_a_part_sum_to_what_it_reads(name):
    layout = find_layout(family(name))
    batch = one_batch(some_probes(), one_key=True)
    traced = trace(layout, batch)
    found = edges(layout, batch, traced).groupby(["sink", "id"])["effect"].sum()
    for sink, sums in traced.read_sums.items():
        for probe, expected in zip(batch.probes, sums, strict=True):
            assert found[sink, probe.id] == pytest.approx(expected.item(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "phi"])
def test_attribution_patching_is_the_first_order_of_patching(name):
    """For a small change of the weights the two agree; the MLPs' effects, part by part."""
    model = family(name)
    other = copy.deepcopy(model)
    torch.manual_seed(3)
    for parameter in other.parameters():
        parameter.add_(torch.randn_like(parameter) * 1e-4)
    batch = one_batch(some_probes(), one_key=True)
    target = trace(find_layout(model), batch).activations
    layout = find_layout(other)
    traced = trace(layout, batch)
    rows = attribution_patching(layout, batch, traced, target)
    for branch in layout.branches:
        if branch.kind != "mlp":
            continue
        done = patched_log_probs(layout, batch, {branch.name: target[branch.name]})
        expected = rows[(rows["kind"] == "mlp") & (rows["layer"] == branch.layer)]["effect"]
        torch.testing.assert_close(
            torch.tensor(expected.to_numpy()), done - traced.log_probs, rtol=0.1, atol=2e-5
        )


def test_activation_patching_covers_all_layers_and_kinds():
    model = family("llama")
    batch = one_batch(some_probes(), one_key=True)
    traced = trace(find_layout(model), batch)
    rows = activation_patching(
        find_layout(other_insides(model)), batch, traced.activations, traced.log_probs
    )
    assert len(rows) == 3 * 2 * 3
    assert set(rows["kind"]) == {"attention", "mlp"}


@every_family
def test_the_attention_to_the_subject_is_the_models_own(name):
    model = family(name)
    layout = find_layout(model)
    attention = SubjectAttention(layout)
    batch = watched(layout, [attention], some_probes())
    rows = attention.tables()["attention"]
    weights = model(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_attentions=True
    ).attentions
    at, places = batch.keys
    for layer, values in enumerate(weights):
        own = values[at, :, places][:, 1, 1:3].sum(-1)
        mine = rows[(rows["layer"] == layer) & (rows["head"] == 1)]["attention"].to_numpy()
        torch.testing.assert_close(torch.tensor(mine), own, rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", [nn.LayerNorm(33), nn.RMSNorm(33), nn.Identity()])
def test_a_frozen_norm_passes_what_the_norm_passes(norm):
    torch.manual_seed(0)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    hidden = torch.randn(7, 33) * 5 + 1
    with torch.no_grad():
        frozen = FrozenNorm.at(norm, hidden)
        torch.testing.assert_close(frozen.apply(hidden) + frozen.bias, norm(hidden))
    parts = torch.randn(7, 4, 33)
    torch.testing.assert_close(frozen.apply(parts).sum(1), frozen.apply(parts.sum(1)))
    direction = torch.randn(7, 33)
    torch.testing.assert_close(
        (frozen.apply(hidden) * direction).sum(-1), (hidden * frozen.pull_back(direction)).sum(-1)
    )


def test_hooks_are_gone_after_their_context():
    model = family("llama")
    layout = find_layout(model)
    with hooks(on_output(layout.blocks[0], lambda hidden: torch.zeros_like(hidden))):
        assert any(m._forward_hooks for m in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_model_of_another_layout_is_refused_in_plain_words():
    shape = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64,
             "num_hidden_layers": 2, "num_attention_heads": 4}  # fmt: skip
    scaled = GraniteForCausalLM(GraniteConfig(**shape, residual_multiplier=0.5)).eval()
    with pytest.raises(UserError, match="does more than add its two branches"):
        find_layout(scaled)
    headless = LlamaForCausalLM(LlamaConfig(**shape)).eval()
    headless.model.norm = nn.Identity()
    with pytest.raises(UserError, match="no norm stands before"):
        find_layout(headless)
