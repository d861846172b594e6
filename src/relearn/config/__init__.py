"""The typed, validated configuration: one class per stage, in one file each."""

from relearn.config.audit import AuditConfig, Budget
from relearn.config.benchmarks import Benchmark, benchmark_names, hub_names, load_benchmark
from relearn.config.data import EVALUATED_ONLY, RUN_SETS, ColumnsConfig, DataConfig, RunSet, SetName
from relearn.config.describe import describe_settings
from relearn.config.evaluation import EvaluationConfig
from relearn.config.file import dump_config, load_config
from relearn.config.keywords import config_from_keywords
from relearn.config.llm import LLMConfig
from relearn.config.model import ModelConfig, PromptConfig
from relearn.config.recipes import copy_recipe, recipe_summaries, recipes
from relearn.config.run import CONTROLS, NEVER_SAW, UNLEARNED, Control, ReportConfig, RunConfig
from relearn.config.section import Section
from relearn.config.synthesis import SynthesisConfig
from relearn.config.training import LigerKernel, LoraConfig, MemorizeConfig, TrainingConfig

__all__ = [
    "CONTROLS", "EVALUATED_ONLY", "NEVER_SAW", "RUN_SETS", "UNLEARNED",
    "AuditConfig", "Benchmark", "Budget", "ColumnsConfig", "Control",
    "DataConfig", "EvaluationConfig", "LLMConfig", "LigerKernel", "LoraConfig", "MemorizeConfig",
    "ModelConfig", "PromptConfig", "ReportConfig", "RunConfig", "RunSet", "Section",
    "SetName", "SynthesisConfig", "TrainingConfig", "benchmark_names",
    "config_from_keywords", "copy_recipe", "describe_settings", "dump_config", "hub_names",
    "load_benchmark", "load_config", "recipe_summaries", "recipes",
]  # fmt: skip
