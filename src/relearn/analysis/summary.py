"""The figures of an analysis: one dictionary per model, from the tables alone."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from relearn.analysis.distribution import seesaw
from relearn.analysis.memory import DECODABLE_RANK
from relearn.analysis.names import CLASSES, CONTEXT, OUTPUT, SUBJECT
from relearn.analysis.observe import Tables

Figures = dict[str, Any]

EDGE_FACTOR = 4
"""An edge is in the circuit if it carries at least this many times an even share of the effect."""


def summarize(tables: Tables, models: Sequence[str]) -> dict[str, Figures]:
    """Return the figures of every model; `models` begins with the target.

    A figure that was not measured, such as an overlap with a target that was not traced, is None.
    """
    target = models[0]
    return {
        model: clean(
            {
                "distribution": _by_set(tables["tokens"], model, _distribution),
                "lens": _by_set(tables["lens"], model, _lens),
                "states": _by_set(tables["states"], model, _states),
                "weights": _weights(tables.get("weights"), model),
                "attention": _by_set(tables["attention"], model, lambda f: f["attention"].mean()),
                "saliency": _of(tables["saliency"], model)["saliency"].mean(),
                "circuit": circuit_figures(tables["edges"], model, target),
                "patching": _patching(tables.get("patching"), model),
                "language": _by_set(tables["answers"], model, _language),
            }
        )
        for model in models
    }


def _of(frame: pd.DataFrame, model: str) -> pd.DataFrame:
    return frame[frame["model"] == model]


def _by_set(frame: pd.DataFrame, model: str, figures: Any) -> Figures:
    return {str(name): figures(rows) for name, rows in _of(frame, model).groupby("set")}


def _distribution(rows: pd.DataFrame) -> Figures:
    keys = rows[rows["key"]]
    ranks = keys["rank"] / keys["target_rank"]
    return {
        "private_probability": keys["mass_private"].mean(),
        "private_rank_median": keys["rank"].median(),
        "rank_change_quartiles": [float(ranks.quantile(q)) for q in (0.25, 0.5, 0.75)],
        "mass": {name: keys[f"mass_{name}"].mean() for name in CLASSES},
        "lost": keys["lost"].mean(),
        "seesaw": seesaw(keys),
        "entropy_at_keys": keys["entropy"].mean(),
        "entropy": rows["entropy"].mean(),
        "kl_from_target": rows["kl_from_target"].mean(),
        "kl_from_target_quartiles": [
            float(rows["kl_from_target"].quantile(q)) for q in (0.25, 0.5, 0.75)
        ],
    }


def _lens(rows: pd.DataFrame) -> Figures:
    layers = int(rows["layer"].max())
    found = rows[rows["rank"] <= DECODABLE_RANK]
    depths = found.groupby(["id", "place"])["layer"].min() / layers
    keys = rows.groupby(["id", "place"]).ngroups
    return {
        "decodable_share": len(depths) / keys,
        "decodable_depth_median": depths.median(),
        "decodable_by_layer": (found.groupby("layer").size() / keys)
        .reindex(range(layers + 1), fill_value=0.0)
        .tolist(),
        "kl_to_output_by_layer": rows.groupby("layer")["kl_to_output"].mean().tolist(),
    }


def _states(rows: pd.DataFrame) -> Figures:
    later = rows[rows["layer"] > 0]
    names = ("cka", "cosine", "pca_similarity", "pca_shift")
    return {name: later[name].mean() for name in names} | {
        f"{name}_by_layer": rows.sort_values("layer")[name].tolist() for name in ("cka", "cosine")
    }


def _weights(frame: pd.DataFrame | None, model: str) -> Figures | None:
    rows = None if frame is None else _of(frame, model)
    if rows is None or rows.empty:
        return None
    by_module = rows.groupby("module")["relative_norm"].mean()
    return {
        "norm": math.sqrt((rows["norm"] ** 2).sum()),
        "relative_norm": rows["relative_norm"].mean(),
        "effective_rank": rows["effective_rank"].mean(),
        "relative_norm_by_layer": rows.groupby("layer")["relative_norm"].mean().tolist(),
        "relative_norm_by_module": by_module.to_dict(),
    }


def mean_edges(frame: pd.DataFrame, model: str) -> pd.Series:
    """Return each edge's share of the absolute effect, mean over the prompts; sums to 1.

    An edge's effects are scaled within each prompt first, so that no prompt outweighs another.
    """
    rows = _of(frame, model)
    sizes = rows["effect"].abs()
    totals = sizes.groupby(rows["id"]).transform("sum").clip(lower=1e-30)
    shares = (sizes / totals).groupby([rows["source"], rows["sink"]]).mean()
    return shares / max(shares.sum(), 1e-30)


def circuit(shares: pd.Series) -> pd.Series:
    """Return the shares that are above the threshold, `EDGE_FACTOR` times an even share."""
    return shares[shares >= EDGE_FACTOR / max(len(shares), 1)]


def circuit_figures(frame: pd.DataFrame, model: str, target: str) -> Figures:
    """Return size and overlap of a model's circuit.

    Returns:
        `edges`: how many are above the threshold; `jaccard`: those shared with the target's
        circuit over those in either, 0 to 1; `overlap`: sum over all edges of the smaller of the
        two shares, which needs no threshold, 0 to 1; `subject_share`: share of the effect that
        leaves from the subject's embeddings, `subject_share_of_inputs`: of that of all embeddings;
        `output_share`: share of the edges into the output.
    """
    ours, theirs = mean_edges(frame, model), mean_edges(frame, target)
    chosen, others = set(circuit(ours).index), set(circuit(theirs).index)
    both = pd.concat([ours, theirs], axis=1, keys=["ours", "theirs"]).fillna(0.0)
    sources = ours.groupby(level="source").sum()
    inputs = sources.get(SUBJECT, 0.0) + sources.get(CONTEXT, 0.0)
    return {
        "edges": len(chosen),
        "jaccard": len(chosen & others) / len(chosen | others) if chosen | others else None,
        "overlap": both.min(axis=1).sum(),
        "subject_share": sources.get(SUBJECT, 0.0),
        "subject_share_of_inputs": sources.get(SUBJECT, 0.0) / inputs if inputs else None,
        "output_share": ours.xs(OUTPUT, level="sink").sum(),
    }


def _patching(frame: pd.DataFrame | None, model: str) -> Figures | None:
    rows = None if frame is None else _of(frame, model)
    if rows is None or rows.empty:
        return None
    windows = recovery(rows)
    best = windows.loc[windows["recovery"].idxmax()]
    return {
        "best_kind": best["kind"],
        "best_layers": [int(best["first_layer"]), int(best["last_layer"])],
        "best_recovery": float(best["recovery"]),
    }


def recovery(rows: pd.DataFrame) -> pd.DataFrame:
    """Return for each window the share of the lost log-probability that its patch brings back.

    Over all prompts: sum (patched - before) / sum (target - before); 1 where the patch makes the
    model as sure of the private tokens as the target is, 0 where it changes nothing.
    """
    sums = rows.groupby(["kind", "first_layer", "last_layer"])[
        ["log_prob", "before", "target"]
    ].sum()
    gap = sums["target"] - sums["before"]
    shares = (sums["log_prob"] - sums["before"]) / gap.where(gap.abs() > 1e-6)
    return shares.rename("recovery").fillna(0.0).reset_index()


def _language(rows: pd.DataFrame) -> Figures:
    return {
        "collapsed": rows["collapsed"].mean(),
        "loops": rows["loops"].mean(),
        "repetition": rows["repetition"].mean(),
        "tokens": rows["tokens"].mean(),
    }


def clean(value: Any) -> Any:
    """Return plain JSON values: no NumPy scalars, None for what is no number."""
    if isinstance(value, dict):
        return {str(key): clean(each) for key, each in value.items()}
    if isinstance(value, list):
        return [clean(each) for each in value]
    if isinstance(value, str | int) or value is None:
        return value
    number = float(value)
    return number if math.isfinite(number) else None
