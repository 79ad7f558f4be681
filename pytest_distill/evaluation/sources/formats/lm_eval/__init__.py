"""What lm-evaluation-harness writes with ``--log_samples --output_path``."""

from pytest_distill.evaluation.sources.formats.lm_eval.format import LmEvalSamples

__all__ = ["LmEvalSamples"]
