"""The public names, each written once: what editors and type checkers read, and `__init__.py`."""

from pytest_distill.comparison.comparison import Comparison as Comparison
from pytest_distill.engines import Engine as Engine
from pytest_distill.engines import ModelInfo as ModelInfo
from pytest_distill.engines import ModelSpec as ModelSpec
from pytest_distill.errors import ComparisonError as ComparisonError
from pytest_distill.errors import ConfigError as ConfigError
from pytest_distill.errors import DistillError as DistillError
from pytest_distill.errors import EvaluationError as EvaluationError
from pytest_distill.errors import GoldSetError as GoldSetError
from pytest_distill.errors import ModelError as ModelError
from pytest_distill.errors import ModelWarning as ModelWarning
from pytest_distill.errors import StoreWarning as StoreWarning
from pytest_distill.evals.goldset import GoldSet as GoldSet
from pytest_distill.evals.metrics import Answer as Answer
from pytest_distill.evals.metrics import MeanMetric as MeanMetric
from pytest_distill.evals.metrics import Metric as Metric
from pytest_distill.evals.requests import Prediction as Prediction
from pytest_distill.evals.tasks.classification import ClassificationRequest as ClassificationRequest
from pytest_distill.evals.tasks.decoding import GenerationRequest as GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest as ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest as PerplexityRequest
from pytest_distill.evaluation.evaluation import Evaluation as Evaluation
from pytest_distill.plugin.assertions import GateComparison as GateComparison
from pytest_distill.plugin.assertions import assert_meets as assert_meets
from pytest_distill.plugin.assertions import recommend as recommend
from pytest_distill.plugin.fixtures import ModelHandle as ModelHandle

assert_acceptance = GateComparison.assert_acceptance
assert_agreement = GateComparison.assert_agreement
assert_beats_sft = GateComparison.assert_beats_sft
assert_divergence = GateComparison.assert_divergence
assert_errors = GateComparison.assert_errors
assert_faster = GateComparison.assert_faster
assert_finished = GateComparison.assert_finished
assert_flips = GateComparison.assert_flips
assert_inherited_errors = GateComparison.assert_inherited_errors
assert_latency = GateComparison.assert_latency
assert_length = GateComparison.assert_length
assert_memory = GateComparison.assert_memory
assert_not_contaminated = GateComparison.assert_not_contaminated
assert_not_worse = GateComparison.assert_not_worse
assert_quality_retained = GateComparison.assert_quality_retained
assert_routable = GateComparison.assert_routable
assert_score = GateComparison.assert_score
assert_size = GateComparison.assert_size
assert_slices_retained = GateComparison.assert_slices_retained
assert_smaller = GateComparison.assert_smaller
assert_suite_retained = GateComparison.assert_suite_retained
assert_throughput = GateComparison.assert_throughput

GATE_FUNCTIONS: frozenset[str]
