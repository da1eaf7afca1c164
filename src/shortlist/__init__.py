"""Shortlist: a log of interactions becomes a two-stage recommender.

Retrieval makes a shortlist out of the whole catalogue, ranking puts it in order. The public names are loaded on first
use, so that importing the package costs next to nothing::

    import shortlist as sl

    dataset = sl.movielens("100k")
    model = sl.train(dataset)
    model.recommend(42, k=10)
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shortlist.cascade import Answer as Answer
    from shortlist.cascade import Cascade as Cascade
    from shortlist.config import Config as Config
    from shortlist.config import load_config as load_config
    from shortlist.data.dataset import Dataset as Dataset
    from shortlist.data.description.describe import describe as describe
    from shortlist.data.movielens import movielens as movielens
    from shortlist.data.split import Split as Split
    from shortlist.data.split import check_leakage as check_leakage
    from shortlist.data.split import split as split
    from shortlist.data.split import split_rolling as split_rolling
    from shortlist.data.validation.validate import Validation as Validation
    from shortlist.data.validation.validate import validate as validate
    from shortlist.errors import ArtifactError as ArtifactError
    from shortlist.errors import ConfigError as ConfigError
    from shortlist.errors import DataError as DataError
    from shortlist.errors import DownloadError as DownloadError
    from shortlist.errors import LeakageError as LeakageError
    from shortlist.errors import MissingExtraError as MissingExtraError
    from shortlist.errors import QueryError as QueryError
    from shortlist.errors import RulesError as RulesError
    from shortlist.errors import ShortlistError as ShortlistError
    from shortlist.evaluation.compare import compare as compare
    from shortlist.evaluation.compare import compare_models as compare_models
    from shortlist.evaluation.gate import gate as gate
    from shortlist.evaluation.protocol import evaluate as evaluate
    from shortlist.evaluation.report import Report as Report
    from shortlist.evaluation.rolling import evaluate_rolling as evaluate_rolling
    from shortlist.rules.parsing import Rules as Rules
    from shortlist.rules.parsing import read_rules as read_rules
    from shortlist.saving import load as load
    from shortlist.training.schedule import train as train

__version__ = version("shortlist")

_HOME = {
    "Answer": "cascade",
    "ArtifactError": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
    "DownloadError": "errors",
    "LeakageError": "errors",
    "MissingExtraError": "errors",
    "QueryError": "errors",
    "Rules": "rules.parsing",
    "RulesError": "errors",
    "ShortlistError": "errors",
    "Cascade": "cascade",
    "Config": "config",
    "Dataset": "data.dataset",
    "Split": "data.split",
    "Validation": "data.validation.validate",
    "Report": "evaluation.report",
    "check_leakage": "data.split",
    "compare": "evaluation.compare",
    "compare_models": "evaluation.compare",
    "describe": "data.description.describe",
    "evaluate": "evaluation.protocol",
    "evaluate_rolling": "evaluation.rolling",
    "gate": "evaluation.gate",
    "load": "saving",
    "load_config": "config",
    "movielens": "data.movielens",
    "read_rules": "rules.parsing",
    "split": "data.split",
    "split_rolling": "data.split",
    "train": "training.schedule",
    "validate": "data.validation.validate",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'shortlist' has no attribute {name!r}")
    return getattr(import_module(f"shortlist.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
