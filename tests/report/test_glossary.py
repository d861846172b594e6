import pytest

from relearn.base.visible import visible
from relearn.evaluation.metrics import METRICS
from relearn.report.glossary import duration, meaning, number, order, size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.8474, "0.847"), (1.0, "1.00"), (0.99996, "1.00"), (0.0, "0"), (14.47, "14.5"),
        (99.96, "100"), (2345.1, "2,345"), (1e6, "1,000,000"), (3.2e8, "3.20e+08"),
        (0.00012, "1.20e-04"), (-0.5, "-0.500"), (None, "-"), (float("nan"), "-"),
        (float("inf"), "-"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_durations_and_sizes_are_said_as_people_say_them():
    said = [duration(seconds) for seconds in (4.24, 59.97, 185, 7800)]
    assert said == ["4.2 s", "1 min 00 s", "3 min 05 s", "2 h 10 min"]
    assert [size(3 * 2**20), size(6 * 2**30)] == ["3 MiB", "6.00 GiB"]


def test_what_can_t_be_seen_is_named_and_what_scripts_need_stays():
    assert visible("a\x00b\u202ec\ud800") == "a⟨U+0000⟩b⟨U+202E⟩c⟨U+D800⟩"
    kept = "tab\tline\nمی‌خواهم 👩‍💻 naïve 漢字 𝒳"
    assert visible(kept) == kept


def test_figures_come_in_a_reader_s_order_and_unknown_ones_last():
    shown = [
        "forget/kfr", "forget/kfr_unmeasured", "forget/rougeL_recall", "forget/ls",
        "forget/perplexity", "forget/of_my_own", "retain/krr", "overall/model_utility",
        "overall/semeval", "overall/mia_loss_auc", "general/ability",
    ]  # fmt: skip
    assert sorted(reversed(shown), key=order) == shown


def test_what_a_figure_means_is_what_its_metric_says():
    assert meaning("rougeL_recall") is METRICS["rougeL_recall"]
    assert meaning("kfr_unmeasured").label == "Answers left out of KFR"
    assert meaning("ability").direction("general") == "higher"
    assert meaning("of_my_own").label == "of_my_own"
    assert meaning("of_my_own").direction("forget") is None
