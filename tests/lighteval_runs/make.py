"""Write ``runs.zip``: what lighteval 0.13.0 wrote of three models without weights.

Run it with lighteval 0.13.0 and xxhash 3.5.0, which it needs and does not ask for: a later one
takes no text. The files lie in an archive since their names hold a ``|``, which not every file
system takes.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def rows() -> list[dict[str, Any]]:
    """Return the documents; the third stands there twice."""
    found = [
        {
            "question": f"What is {i} + {j}?",
            "options": [str(i + j), str(i + j + 1), "none"],
            "lang": "de" if i % 2 else "en",
        }
        for i in range(3)
        for j in range(2)
    ]
    return [*found, found[2]]


def run(folder: Path, name: str, tasks: str, every: int, system_prompt: str | None = None) -> None:
    """Let lighteval ask a model, which is wrong once in `every` answers."""
    from lighteval.logging.evaluation_tracker import EvaluationTracker
    from lighteval.models.dummy.dummy_model import DummyModel, DummyModelConfig
    from lighteval.models.model_output import ModelResponse
    from lighteval.pipeline import ParallelismManager, Pipeline, PipelineParameters
    from lighteval.tasks.registry import Registry
    from lighteval.tasks.requests import Doc

    class Scripted(DummyModel):  # type: ignore[misc]
        """A model that answers by a rule."""

        def greedy_until(self, docs: Sequence[Doc]) -> list[ModelResponse]:
            return [self._written(number, doc) for number, doc in enumerate(docs)]

        def _written(self, number: int, doc: Doc) -> ModelResponse:
            right = doc.get_golds()[0].strip()
            texts = [
                right if (number + sample) % every else f"<think>{right}?</think>no"
                for sample in range(doc.num_samples)
            ]
            return ModelResponse(
                input=doc.query,
                input_tokens=[1, 2, 3],
                text=texts,
                output_tokens=[[4] * len(text) for text in texts],
                truncated_tokens_count=5 if number == 1 else 0,
            )

        def loglikelihood(self, docs: Sequence[Doc]) -> list[ModelResponse]:
            return [self._likely(number, doc) for number, doc in enumerate(docs)]

        def _likely(self, number: int, doc: Doc) -> ModelResponse:
            best = 0 if number % every else 1
            return ModelResponse(
                input=doc.query,
                input_tokens=[1, 2, 3],
                logprobs=[-0.5 if n == best else -1.5 - n for n in range(len(doc.choices))],
                argmax_logits_eq_gold=[n == best for n in range(len(doc.choices))],
                output_tokens=[[5] for _ in doc.choices],
            )

    # Its own tasks are imported with all others, and some fetch files when they are.
    Registry._load_from_files = staticmethod(lambda *_: {})
    Registry._load_from_subdirs = staticmethod(lambda *_: {})
    pipeline = Pipeline(
        tasks=tasks,
        pipeline_parameters=PipelineParameters(
            launcher_type=ParallelismManager.NONE,
            custom_tasks_directory=str(HERE / "tasks.py"),
            bootstrap_iters=0,
        ),
        evaluation_tracker=EvaluationTracker(output_dir=str(folder)),
        model=Scripted(DummyModelConfig(model_name=name, system_prompt=system_prompt)),
    )
    pipeline.evaluate()
    pipeline.save_and_push_results()


def main() -> None:
    """Run the models and pack what lighteval wrote."""
    with tempfile.TemporaryDirectory() as temporary:
        data, out = Path(temporary, "data"), Path(temporary, "out")
        data.mkdir()
        (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
        os.environ |= {"LIGHTEVAL_RUNS_DATA": str(data), "HF_HOME": str(Path(temporary, "hub"))}
        os.environ["HF_HUB_OFFLINE"] = "1"
        run(out, "org/teacher", "sums|0,sampled|0,both|2,best|0", 5)
        run(out, "org/student", "sums|0,sampled|0", 3)
        run(out, "org/hinted", "sums|0", 4, "Be brief.")
        with zipfile.ZipFile(HERE / "runs.zip", "w", zipfile.ZIP_LZMA) as archive:
            for path in sorted([*out.rglob("*.json"), *out.rglob("*.parquet")]):
                content = path.read_bytes()
                if path.suffix == ".json":
                    content = content.replace(str(data).encode(), b"data")
                archive.writestr(str(path.relative_to(out)), content)


if __name__ == "__main__":
    main()
