"""The loss curve is the same on one process, on several, sharded or not, and on two hosts."""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.trainings import TINY_OPTIONS
from relearn.base.storage import read_json, read_jsonl
from relearn.objectives import OBJECTIVES

LAUNCHED = Path(__file__).with_name("launched.py")
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--mixed_precision", "no"]
LAUNCH_TWO = [
    *LAUNCH, "--multi_gpu", "--num_machines", "1", "--num_processes", "2", "--dynamo_backend", "no",
]  # fmt: skip
FSDP2 = """
distributed_type: FSDP
mixed_precision: "no"
num_machines: 1
num_processes: 2
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  fsdp_state_dict_type: SHARDED_STATE_DICT
"""
DEEPSPEED = """
distributed_type: DEEPSPEED
mixed_precision: "no"
num_machines: 1
num_processes: 2
deepspeed_config:
  zero_stage: STAGE
  zero3_save_16bit_model: true
  gradient_accumulation_steps: auto
"""


def start(command: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip


def finish(*processes: subprocess.Popen[str]) -> None:
    outputs = [process.communicate(timeout=500)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-3000:]


# What is trained, by name: each way of training, objective and wrapper.
WRAPPED = {
    "sure": {"wrapper": "sure", "wrapper_options": {"percentile": 60}},
    "memflex": {
        "wrapper": "memflex",
        "wrapper_options": {"min_gradient": 0.0, "max_similarity": 0.0},
    },
}
PLAIN = {"method": "full", "optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 0.0}
SHARDED: dict[str, dict[str, Any]] = {
    "lora": {"method": "lora"},
    "full": {"method": "full"},
    "scaled": {"lora": {"rank": 4, "dropout": 0, "scale": -0.5}},
    "scaled_full": {"method": "full", "lora": {"scale": 0.5}},
    "rmu": {"objective": "rmu", "objective_options": TINY_OPTIONS["rmu"]},
    **WRAPPED,
    # By plain gradients: Adam's steps are as large where a gradient is a rounding error, and weight
    # decay goes past the gradient.
    **{f"{name}_full": own | PLAIN for name, own in WRAPPED.items()},
}
TRAININGS = SHARDED | {
    name: {"objective": name, "objective_options": TINY_OPTIONS.get(name, {})}
    for name in OBJECTIVES
}


def script(
    model: Path, output: Path, accumulation: int, *more: str, only: Collection[str] = TRAININGS
) -> list[str]:
    settings = {name: TRAININGS[name] | {"gradient_accumulation": accumulation} for name in only}
    return [str(LAUNCHED), str(model), str(output), json.dumps(settings), *more]


def check_same(one: Path, other: Path) -> None:
    """Compare the loss curves and the trained weights."""
    expected, found = (read_jsonl(folder / "history.jsonl") for folder in (one, other))
    assert len(expected) == len(found) == 6
    for name in expected[0].keys() - {"epoch"}:  # half of an epoch or two thirds, of other batches
        # Where a gradient is all but zero, Adam makes a step of a rounding error.
        assert [row[name] for row in found] == pytest.approx(
            [row[name] for row in expected], rel=2e-3, abs=1e-4
        ), name
    first, second = (load_file(next(folder.glob("*.safetensors"))) for folder in (one, other))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert (second[name] - tensor).norm() <= 1e-2 * tensor.norm() + 1e-6, name


@pytest.fixture(scope="module")
def alone(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process trains."""
    output = tmp_path_factory.mktemp("alone")
    finish(start([sys.executable, *script(tiny_model, output, 2)]))
    return output


@pytest.fixture(scope="module")
def two_processes(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("two")
    finish(start([*LAUNCH_TWO, *script(tiny_model, output, 1)]))
    return output


def test_a_checkpoint_is_whole_when_every_process_has_written(
    tiny_model: Path, tmp_path: Path
) -> None:
    """The leader, done first, notes the files of both."""
    command = [*LAUNCH_TWO, *script(tiny_model, tmp_path, 1, only=["lora"])]
    process = start(command, DIES_AT="3")
    log = process.communicate(timeout=500)[0]
    noted = read_json(tmp_path / "lora.checkpoints" / "checkpoint-2" / "sizes.json")
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= noted.keys(), log[-3000:]


@pytest.mark.parametrize("training", TRAININGS)
def test_two_processes_train_as_one_does(alone: Path, two_processes: Path, training: str) -> None:
    """On five rows: in every second step one process has a row without labels and nothing else."""
    check_same(alone / training, two_processes / training)


@pytest.fixture(scope="module")
def fsdp2(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("fsdp2")
    (output / "fsdp.yaml").write_text(FSDP2)
    launch = [*LAUNCH, "--config_file", str(output / "fsdp.yaml")]
    command = [*launch, *script(tiny_model, output, 1, "fsdp", only=SHARDED)]
    finish(start(command, ACCELERATE_TORCH_DEVICE="cpu"))
    return output


@pytest.mark.parametrize("training", SHARDED)
def test_sharded_by_fsdp2(alone: Path, fsdp2: Path, training: str) -> None:
    """Every parameter is sharded over two processes, and what is saved is whole."""
    check_same(alone / training, fsdp2 / training)


@pytest.mark.parametrize("wrapped", ["sure_full", "memflex_full"])
def test_a_wrapper_keeps_the_rest_of_the_model(
    tiny_model: Path, fsdp2: Path, two_processes: Path, wrapped: str
) -> None:
    """Sharded or not: what is masked out stays to the bit, and not everything is."""
    before = load_file(next(tiny_model.glob("*.safetensors")))
    for folder in (fsdp2, two_processes):
        after = load_file(next((folder / wrapped).glob("*.safetensors")))
        same = torch.cat([(after[name] == tensor).flatten() for name, tensor in before.items()])
        share = read_json(folder / wrapped / "localization.json")["trained_share"]
        assert 0 < share < 0.99
        assert float((~same).float().mean()) <= share + 1e-6
        assert not same.all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "training", ["lora", "full", "scaled", "scaled_full", "sure_full", "memflex_full"]
)
@pytest.mark.parametrize("stage", [2, 3])
def test_sharded_by_deepspeed(
    tiny_model: Path, tmp_path: Path, alone: Path, stage: int, training: str
) -> None:
    pytest.importorskip("deepspeed")
    file = tmp_path / "deepspeed.yaml"
    file.write_text(DEEPSPEED.replace("STAGE", str(stage)))
    launch = [*LAUNCH, "--config_file", str(file)]
    command = [*launch, *script(tiny_model, tmp_path, 1, "deepspeed", only=[training])]
    finish(start(command))
    check_same(alone / training, tmp_path / training)


@pytest.mark.slow
@pytest.mark.parametrize(("by", "settings"), [("fsdp", FSDP2), ("deepspeed", DEEPSPEED)])
def test_sharded_training_that_is_killed_goes_on(
    tiny_model: Path, tmp_path: Path, by: str, settings: str
) -> None:
    """To the very weights of one that was not."""
    pytest.importorskip("deepspeed" if by == "deepspeed" else "torch")
    file = tmp_path / "accelerate.yaml"
    file.write_text(settings.replace("STAGE", "3"))
    weights = []
    for name, deaths in (("whole", ["0"]), ("killed", ["5", "0"])):
        output = tmp_path / name
        command = [*LAUNCH, "--config_file", str(file)]
        command += script(tiny_model, output, 1, by, only=["full"])
        for death in deaths:
            device = {"ACCELERATE_TORCH_DEVICE": "cpu"} if by == "fsdp" else {}
            process = start(command, DIES_AT=death, **device)
            log = process.communicate(timeout=500)[0]
            assert (output / "full").is_dir() == (death == "0"), log[-3000:]
        weights.append(load_file(next((output / "full").glob("*.safetensors"))))
    for name, tensor in weights[0].items():
        assert torch.equal(weights[1][name], tensor), name


@pytest.mark.slow
def test_zero_3_that_could_not_save_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    file = tmp_path / "deepspeed.yaml"
    file.write_text(DEEPSPEED.replace("STAGE", "3").replace("model: true", "model: false"))
    launch = [*LAUNCH, "--config_file", str(file)]
    command = [*launch, *script(tiny_model, tmp_path, 1, "deepspeed", only=["lora"])]
    process = start(command)
    assert "zero3_save_16bit_model" in process.communicate(timeout=500)[0]
    assert process.returncode != 0


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two network namespaces with a cable between them: 10.77.0.1 and 10.77.0.2 on `cable`."""
    names = [f"relearn-{os.getpid()}-{i}" for i in range(2)]
    setup = [
        *(f"netns add {name}" for name in names),
        f"-n {names[0]} link add cable type veth peer name cable netns {names[1]}",
        *(f"-n {name} addr add 10.77.0.{i}/24 dev cable" for i, name in enumerate(names, 1)),
        *(f"-n {name} link set {device} up" for name in names for device in ("lo", "cable")),
    ]
    try:
        for command in setup:
            try:
                subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True)
            except FileNotFoundError:
                pytest.skip("two hosts: the command `ip` is not there")
            except subprocess.CalledProcessError as error:
                pytest.skip(f"two hosts: ip {command}: {error.stderr.strip()}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_two_hosts(
    tiny_model: Path, tmp_path: Path, alone: Path, hosts: list[str], method: str
) -> None:
    """Each with an address of its own, and nothing but the cable between them."""
    processes = []
    for rank, host in enumerate(hosts):
        launch = [
            *LAUNCH, "--multi_gpu", "--dynamo_backend", "no", "--num_processes", "2",
            "--num_machines", "2", "--machine_rank", str(rank),
            "--main_process_ip", "10.77.0.1", "--main_process_port", "29500",
        ]  # fmt: skip
        command = [
            "ip",
            "netns",
            "exec",
            host,
            *launch,
            *script(tiny_model, tmp_path, 1, only=[method]),
        ]
        processes.append(start(command, GLOO_SOCKET_IFNAME="cable"))
    finish(*processes)
    check_same(alone / method, tmp_path / method)
