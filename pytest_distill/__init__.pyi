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
from pytest_distill.evals.goldset import GoldSet as GoldSet
from pytest_distill.evals.metrics import Answer as Answer
from pytest_distill.evals.metrics import MeanMetric as MeanMetric
from pytest_distill.evals.metrics import Metric as Metric
from pytest_distill.evals.requests import Prediction as Prediction
from pytest_distill.evals.tasks.classification import ClassificationRequest as ClassificationRequest
from pytest_distill.evals.tasks.generation import GenerationRequest as GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest as ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest as PerplexityRequest
from pytest_distill.evaluation.evaluation import Evaluation as Evaluation
from pytest_distill.plugin.assertions import GateComparison as GateComparison
from pytest_distill.plugin.assertions import assert_acceptance as assert_acceptance
from pytest_distill.plugin.assertions import assert_agreement as assert_agreement
from pytest_distill.plugin.assertions import assert_beats_sft as assert_beats_sft
from pytest_distill.plugin.assertions import assert_divergence as assert_divergence
from pytest_distill.plugin.assertions import assert_faster as assert_faster
from pytest_distill.plugin.assertions import assert_flips as assert_flips
from pytest_distill.plugin.assertions import assert_inherited_errors as assert_inherited_errors
from pytest_distill.plugin.assertions import assert_latency as assert_latency
from pytest_distill.plugin.assertions import assert_meets as assert_meets
from pytest_distill.plugin.assertions import assert_memory as assert_memory
from pytest_distill.plugin.assertions import assert_not_contaminated as assert_not_contaminated
from pytest_distill.plugin.assertions import assert_quality_retained as assert_quality_retained
from pytest_distill.plugin.assertions import assert_routable as assert_routable
from pytest_distill.plugin.assertions import assert_score as assert_score
from pytest_distill.plugin.assertions import assert_size as assert_size
from pytest_distill.plugin.assertions import assert_slices_retained as assert_slices_retained
from pytest_distill.plugin.assertions import assert_smaller as assert_smaller
from pytest_distill.plugin.assertions import assert_suite_retained as assert_suite_retained
from pytest_distill.plugin.assertions import assert_throughput as assert_throughput
from pytest_distill.plugin.assertions import recommend as recommend
from pytest_distill.plugin.fixtures import ModelHandle as ModelHandle

GATE_FUNCTIONS: frozenset[str]
