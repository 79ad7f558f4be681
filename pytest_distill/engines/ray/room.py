"""Whether a cluster has room for all actors of a model, and for what Ray Data does beside them.

Ray waits for resources that will never be there, without a word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_distill._util.format import count_text, plain_text

READING = 1
"""CPUs that actors leave for Ray Data's own tasks."""
_PARTS = 10_000
"""Of a CPU or GPU, which is how exactly Ray counts them."""


@dataclass(frozen=True, slots=True)
class Node:
    """What one node has.

    Parameters
    ----------
    id, name : str
        As Ray calls it, and its address.
    cpus, gpus : float
        Its CPUs and GPUs, whoever uses them now.
    """

    id: str
    name: str
    cpus: float
    gpus: float

    @property
    def has(self) -> str:
        """What it has, in words."""
        return f"{self.name} has {_both(self.cpus, self.gpus)}"


def alive(nodes: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Return the nodes that are alive, of what ``ray.nodes()`` returns."""
    return [
        Node(
            str(node["NodeID"]),
            str(node["NodeManagerAddress"]),
            float(node["Resources"].get("CPU", 0)),
            float(node["Resources"].get("GPU", 0)),
        )
        for node in nodes
        if node["Alive"]
    ]


def fitting(nodes: Sequence[Node], cpus: float, gpus: float, reading: float = READING) -> float:
    """Return how many actors fit beside so many CPUs for reading, on whichever node that suits."""
    whole = [_on(node, cpus, gpus, 0) for node in nodes]
    beside = [
        sum([*whole[:place], _on(node, cpus, gpus, reading), *whole[place + 1 :]])
        for place, node in enumerate(nodes)
        if node.cpus >= reading
    ]
    return max(beside, default=0)


def _on(node: Node, cpus: float, gpus: float, reading: float) -> float:
    left = _parts(node.cpus) - _parts(reading), _parts(node.gpus)
    needed = _parts(cpus), _parts(gpus)
    return min(
        (has // need for has, need in zip(left, needed, strict=True) if need), default=math.inf
    )


def _parts(of: float) -> int:
    return round(of * _PARTS)


def lacking(
    nodes: Sequence[Node], actors: int, cpus: float, gpus: float, *, waited: bool
) -> str | None:
    """Return what there is, what is needed and what to do; None where there is room."""
    fit = fitting(nodes, cpus, gpus)
    if fit >= actors:
        return None
    of_each = _both(cpus, gpus)
    fits = f"{fit:.0f} would fit" if fit else "not even one fits"
    told = "; ".join(node.has for node in nodes[:5])
    more = f"; and {len(nodes) - 5} more nodes" if len(nodes) > 5 else ""
    wait = "" if waited else ", or let an autoscaler add nodes with wait: SECONDS"
    return (
        f"no room for {count_text(actors, 'actor')} of {of_each} each and one whole CPU for "
        f"reading: {fits} ({told}{more}); lower actors, num_cpus or num_gpus{wait}"
    )


def _both(cpus: float, gpus: float) -> str:
    """Return how many CPUs and GPUs, in words."""
    told = ((cpus, "CPU"), *([(gpus, "GPU")] if gpus else []))
    return " and ".join(f"{plain_text(n)} {unit}{'' if n == 1 else 's'}" for n, unit in told)
