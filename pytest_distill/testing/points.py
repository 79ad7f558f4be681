"""The points of the port's contract: what each is called, and what the port says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the contract.

    Parameters
    ----------
    name : str
        What it is called in reports.
    says : str
        What the port says.
    """

    name: str
    says: str


TASKS = Point(
    "tasks", "predict() answers a task, or raises ModelError where the engine cannot do it"
)
PREDICTIONS = Point(
    "predictions",
    "predict() yields a Prediction with what the task needs: finite numbers, as many as were asked",
)
ONCE = Point("once each", "predict() yields one prediction a request, under its own id, and ends")
READ = Point(
    "whole requests",
    "an answer is to all of a request: what an engine does not read it refuses by a ModelError",
)
ALIKE = Point("alike", "requests that ask the same under two ids are both answered, and the same")
NOTHING = Point("no requests", "predict() of no requests yields nothing")
AGAIN = Point("asked again", "the same requests get the same answers; so does the same seed")
SEEDS = Point("seeds", "the seed of a request says what sampling draws")
STOPS = Point("stop strings", "a generated text ends before the first stop string in it")
LIMIT = Point("max_new_tokens", "a generated text has at most so many tokens")
UNALTERED = Point("requests as they are", "predict() alters neither the requests nor their list")
MANY = Point("many", "predict() takes all requests of an eval at once, and yields one for each")
BATCHES = Point(
    "batches", "what a model makes of one example does not depend on what else is asked, or when"
)
CANCEL = Point(
    "cancel",
    "an iterator that is closed early leaves nothing running, and the engine can be used on",
)
IMPOSSIBLE = Point(
    "impossible requests", "a request that cannot be answered is a ModelError that names its id"
)
OPTIONS = Point(
    "options",
    "Options refuse what cannot be: a ConfigError with the key, before the engine is made",
)
MADE = Point("made", "an engine can be made as often as its entry is used, in one process")
IDENTITY = Point(
    "identity",
    "identity is a mapping of JSON-able values, the same whenever it is asked and in every object "
    "of the entry, whatever its name, its role and its worker",
)
BYTES = Point(
    "identity of bytes", "identity goes by the bytes that path leads to, never by the path"
)
UNLOADED = Point("identity unloaded", "identity is known without loading the model")
ELSEWHERE = Point("identity elsewhere", "identity is the same in another process")
OTHER = Point("identity of another", "what may change an answer changes identity")
OBJECTS = Point(
    "another object",
    "what identity and dated_prompts() say is all that an answer depends on: the store finds it by "
    "them",
)
DATED = Point(
    "dated prompts",
    "dated_prompts() maps ids that were asked to whole prompts, which depend on spec.began and not "
    "on the clock",
)
INFO = Point("info", "info is a ModelInfo, and says the same before and after the model was used")
NOTES = Point("notes", "notes, where an engine has them, are a list of sentences")
RESUME = Point(
    "resume",
    "after a run that broke off only what lacks is asked for; the result is that of a whole run",
)
REFERENCE = Point("reference", "log-likelihoods and probabilities are those of the reference")
CLOSE = Point(
    "close",
    "close() frees the model's memory and ends what the engine started; it may come twice, or "
    "before anything was asked",
)

ORDER = {p.name: n for n, p in enumerate(v for v in [*vars().values()] if isinstance(v, Point))}
"""Name of each point -> its place among them."""
