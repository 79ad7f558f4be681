from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import pytest
import torch

from pytest_distill.engines.transformers.hub import in_cache

from ..hub_runs import NOWHERE, Ended, Suite
from ..hub_server import EXPIRED, Hub, folder_files, serving
from .test_engine_adapter import _save_lora
from .test_engine_gguf import write_gguf
from .tiny import hf, saved, spec_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of peft, when it saves the adapter

TOKEN, ANOTHER = "hf_of_somebody", "hf_of_another"
TEXTS = [{"id": f"e{i}", "text": f"one, two, {i}: the quick brown fox"} for i in range(4)]
JUNK = {
    "README.md": b"about it",
    "pytorch_model.bin": b"pickle",
    "tf_model.h5": b"keras",
    "flax_model.msgpack": b"flax",
    "model.fp16.safetensors": b"another variant",
    "trainer_state.json": b"{}",
    "onnx/model.onnx": b"onnx",
    "onnx/config.json": b"{}",
    "checkpoint-10/config.json": b"{}",
}
SHARD = "model-00002-of-00004.safetensors"


class Made(NamedTuple):
    """The folders of a few checkpoints."""

    whole: Path
    sharded: Path
    other: Path
    lora: Path
    packed: Path


@pytest.fixture(scope="module")
def made(causal_folder: Path, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the causal model whole and as GGUF, another one in shards, a third, and an adapter."""
    root = tmp_path_factory.mktemp("made")
    config = hf.AutoConfig.from_pretrained(causal_folder)
    for seed, name in ((21, "sharded"), (22, "other")):
        torch.manual_seed(seed)
        model = hf.LlamaForCausalLM(config)
        saved(model, tokenizer, root / name)
    (root / "sharded" / "model.safetensors").unlink()
    torch.manual_seed(21)
    hf.LlamaForCausalLM(config).save_pretrained(root / "sharded", max_shard_size="100KB")
    base = hf.LlamaForCausalLM.from_pretrained(causal_folder)
    _save_lora(base, root / "lora", target_modules=["q_proj"], task_type="CAUSAL_LM")
    config_file = root / "lora" / "adapter_config.json"
    trained_on = {"base_model_name_or_path": "org/elsewhere"}
    config_file.write_text(json.dumps(json.loads(config_file.read_text()) | trained_on))
    (root / "packed").mkdir()
    write_gguf(causal_folder, tokenizer, root / "packed")
    return Made(causal_folder, *(root / name for name in ("sharded", "other", "lora", "packed")))


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """Return a hub that runs as long as this module's tests."""
    with serving() as running:
        yield running


@pytest.fixture
def suite(hub: Hub, tmp_path: Path) -> Suite:
    """Return an empty suite with a gold set of texts, on a hub where nothing goes wrong."""
    hub.forget()
    return _suite(hub, tmp_path)


def _suite(hub: Hub, folder: Path) -> Suite:
    suite = Suite(folder, hub)
    suite.rows("gold.jsonl", TEXTS)
    return suite


def _ask(suite: Suite, **models: Any) -> None:
    """Let a suite ask each model for its perplexity."""
    roles = ["teacher", *["student"] * (len(models) - 1)]
    entries = {n: {"role": r, **m} for (n, m), r in zip(models.items(), roles, strict=True)}
    config = {
        "models": entries,
        "evals": {"read": {"task": "perplexity", "data": "gold.jsonl", "input": "text"}},
    }
    suite.write(config, **{name: f"assert_score(max=1e9, model='{name}')" for name in models})


class Run(NamedTuple):
    """A run of models of the hub beside the folders they were made of, and what it asked for."""

    suite: Suite
    ended: Ended
    commits: dict[str, str]
    asked: list[Any]
    downloaded: dict[str, set[str]]


@pytest.fixture(scope="module")
def ran(made: Made, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the first run, with an empty cache."""
    whole, sharded, other = map(folder_files, (made.whole, made.sharded, made.other))
    bare = {name: data for name, data in other.items() if not name.startswith("token")}
    words = {name: data for name, data in other.items() if name.startswith("token")}
    commits = {
        "whole": hub.commit("org/whole", whole | JUNK),
        "sharded": hub.commit("org/sharded", sharded),
        "lora": hub.commit("org/lora", folder_files(made.lora)),
        "packed": hub.commit("org/packed", folder_files(made.packed) | {"q8.gguf": b"GGUF"}),
        "bare": hub.commit("org/bare", bare, branch="dev", tag="v1"),
        "words": hub.commit("org/words", words | {"model.safetensors": b"not asked for"}),
        "moving": hub.commit("org/moving", other | {"added.txt": b"1"}),
    }
    hub.commit("org/bare", {"README.md": b"nothing yet"})
    hub.commit("org/unseen", other)
    hub.protect("org/sharded", TOKEN)
    # As soon as its weights are asked for, the branch is another model.
    hub.calls[f"{commits['moving']}/model.safetensors"] = lambda: hub.commit("org/moving", whole)
    suite = _suite(hub, tmp_path_factory.mktemp("hub"))
    _ask(
        suite,
        whole={"path": "org/whole"},
        sharded={"path": "org/sharded", "revision": commits["sharded"]},
        tuned={"path": "org/whole", "adapter": "org/lora"},
        packed={"path": "org/packed", "gguf_file": "model.gguf"},
        bare={"path": "org/bare", "revision": "v1", "tokenizer": "org/words"},
        moving={"path": "org/moving"},
        whole_here={"path": str(made.whole)},
        sharded_here={"path": str(made.sharded)},
        tuned_here={"path": str(made.whole), "adapter": str(made.lora)},
        packed_here={"path": str(made.packed), "gguf_file": "model.gguf"},
        other_here={"path": str(made.other)},
        unseen={"path": "org/unseen"},
    )
    ended = suite.run("-k", "not unseen", HF_TOKEN=TOKEN)
    repos = ("whole", "sharded", "lora", "packed", "bare", "words", "moving")
    downloaded = {repo: hub.downloaded(f"org/{repo}") for repo in repos}
    return Run(suite, ended, commits, list(hub.requests), downloaded)


def test_a_hub_model_is_the_checkpoint_in_the_folder(ran: Run) -> None:
    """Whole, in shards, with an adapter, as GGUF, with a tokenizer from elsewhere: same score."""
    assert ran.ended.errors == {}
    score = ran.ended.scores
    for name in ("whole", "sharded", "tuned", "packed"):
        assert score[name] == score[f"{name}_here"]
    assert score["bare"] == score["other_here"]
    assert len({score[name] for name in ("whole", "sharded", "tuned", "bare")}) == 4


def test_the_digest_covers_what_the_folder_holds(ran: Run) -> None:
    """A model has the same digest on the hub and in a folder: its predictions are the same ones."""
    digests = ran.ended.digests
    for name in ("whole", "sharded", "tuned"):
        assert digests[name] == digests[f"{name}_here"]
    assert {name: ran.ended.made[f"{name}_here"] for name in ("whole", "sharded")} == {
        "whole": 0,
        "sharded": 0,
    }


def test_only_what_is_loaded_is_downloaded(ran: Run, made: Made) -> None:
    """No pickles, no other formats, nothing of folders, no other GGUF file, no unused weights."""
    assert ran.downloaded["whole"] == set(folder_files(made.whole))
    assert ran.downloaded["sharded"] == set(folder_files(made.sharded))
    assert ran.downloaded["lora"] == {"adapter_config.json", "adapter_model.safetensors"}
    assert ran.downloaded["packed"] == {"model.gguf"}
    assert not [request for request in ran.asked if "elsewhere" in request.path]
    assert ran.downloaded["words"] == {"tokenizer.json", "tokenizer_config.json"}


def test_the_report_says_which_commits_ran(ran: Run) -> None:
    """A branch, a tag and a commit, and those of adapter and tokenizer, each with all digits."""
    notes, commits = ran.ended.notes, ran.commits
    assert notes["whole"] == f"whole: org/whole is commit {commits['whole']} (main)"
    assert notes["sharded"] == f"sharded: org/sharded is commit {commits['sharded']}"
    assert f"tuned: adapter org/lora is commit {commits['lora']} (main)" in notes["tuned"]
    assert f"bare: org/bare is commit {commits['bare']} (v1)" in notes["bare"]
    assert f"bare: tokenizer org/words is commit {commits['words']} (main)" in notes["bare"]
    assert notes["whole"] in ran.ended.text


def test_a_branch_that_moves_during_a_run_is_one_commit(ran: Run) -> None:
    """What a branch stands for is asked once: what was looked into is what is loaded."""
    assert ran.commits["moving"] in ran.ended.notes["moving"]
    assert ran.ended.scores["moving"] == ran.ended.scores["other_here"]
    told = [r for r in ran.asked if r.path == "/api/models/org/moving/revision/main"]
    assert len(told) == 1


def test_the_token_goes_to_the_hub_alone(ran: Run) -> None:
    """The host that large files lie on is never told it."""
    elsewhere = [request.token for request in ran.asked if request.path.startswith("CDN")]
    gated = [request.token for request in ran.asked if "org/sharded/resolve" in request.path]
    assert elsewhere
    assert set(elsewhere) == {None}
    assert set(gated) == {TOKEN}


UNSEEN = (
    "pytest_distill.ModelError: model 'unseen': path: 'org/unseen' is no folder here, and the hub "
    "doesn't give it: "
)


def test_a_warm_cache_needs_no_network(ran: Run) -> None:
    """HF_HUB_OFFLINE: nothing is asked, the answers are those of the store, and it is told."""
    again = ran.suite.run(HF_HUB_OFFLINE="1")
    assert ran.suite.hub.requests == []
    assert again.errors == {
        "unseen": [f"{UNSEEN}HF_HUB_OFFLINE is set: run once without it, to fill the cache"]
    }
    stable = ("whole", "sharded", "tuned", "packed", "bare")
    assert {name: again.made[name] for name in stable} == dict.fromkeys(stable, 0)
    assert again.notes["whole"] == (
        f"whole: org/whole is commit {ran.commits['whole']}, which main was when the hub was last "
        "asked; now HF_HUB_OFFLINE is set"
    )


@pytest.mark.parametrize("there", [False, True], ids=["nobody there", "down"])
def test_without_the_network(ran: Run, there: bool) -> None:
    """Without a cache one line; with one its commit counts, and the report says so."""
    hub = ran.suite.hub
    hub.forget()
    hub.fault("/", status=503)
    again = ran.suite.run("-k", "packed or unseen", HF_ENDPOINT=hub.url if there else NOWHERE)
    hub.forget()
    refused = f"{NOWHERE} cannot be reached ([Errno 111] Connection refused)"
    trouble = f"{hub.url} answers 503" if there else refused
    do = "try again later" if there else "look at the network, or try later"
    assert again.errors == {"unseen": [f"{UNSEEN}{trouble}: {do}"]}
    assert again.made["packed"] == 0
    assert again.notes["packed"] == (
        f"packed: org/packed is commit {ran.commits['packed']}, which main was when the hub was "
        f"last asked; now {trouble}"
    )


def test_a_pinned_commit_in_the_cache_is_not_asked_for(ran: Run) -> None:
    """All 40 digits of a commit that is there: the hub is left alone, also where it is there.

    Before huggingface_hub 2 the cache doesn't know which files there are, which is asked once.
    """
    again = ran.suite.run("-k", "test_sharded and not here", HF_TOKEN=TOKEN)
    assert again.made == {"sharded": 0}
    known = hasattr(huggingface_hub, "get_cached_repo_tree")
    assert len(ran.suite.hub.asked("org/")) == (0 if known else 1)


def test_a_branch_that_moved_is_evaluated_anew(ran: Run, made: Made) -> None:
    """Other bytes under the same name: the answers of the old ones are not taken for theirs."""
    hub = ran.suite.hub
    commit = hub.commit("org/whole", folder_files(made.other) | {"added.txt": b"2"})
    again = ran.suite.run("-k", "test_whole and not here")
    assert again.made == {"whole": len(TEXTS)}
    assert again.scores["whole"] == ran.ended.scores["other_here"]
    assert again.notes["whole"] == f"whole: org/whole is commit {commit} (main)"


REFUSED = {
    "gated": "it is gated: accept its terms at {url}/org/gated and set HF_TOKEN to your token",
    "private": "there is no such model, or it is private: correct the name, or set HF_TOKEN to a "
    "token that may read it",
    "absent": "there is no such model, or it is private: correct the name, or set HF_TOKEN to a "
    "token that may read it",
    "revision": "it has no revision 'v9': name a branch, a tag or all 40 digits of a commit",
    "short": "it has no revision 'abcdef1': name a branch, a tag or all 40 digits of a commit",
    "commit": f"it has no revision '{'0' * 40}': name a branch, a tag or all 40 digits of a commit",
    "down": "{url} answers 503: try again later",
    "broken": "{url} answers 500: try again later",
    "forbidden": "access is refused (403): set HF_TOKEN to a token that reads {url}/org/forbidden",
    "portal": "{url} does not answer as a hub: look at HF_ENDPOINT and the network",
    "slow": "{url} does not answer in time: try again, or look at the network",
}
LACKING = {
    "pickles": "path: org/pickles has only pickle weights (pytorch_model.bin), which can run code "
    "when they are loaded; nothing was downloaded: use a revision with safetensors, or convert "
    "them once where you trust them, and give the folder as 'path:'",
    "halved": f"path: org/halved has no weights that can be loaded: {SHARD} is not there",
    "gguf": "path: org/gguf has no config.json; for the GGUF file there, add 'gguf_file: q4.gguf'",
    "nogguf": "path: org/gguf: gguf_file: it has no q9.gguf (GGUF files there: q4.gguf, q8.gguf)",
    "adapter": "path: org/lora2 is an adapter: give its base model as 'path:', this as 'adapter:'",
    "noadapter": "adapter: org/plain is no adapter: it has no adapter_config.json",
    "mute": "no tokenizer in org/mute (no tokenizer.json, vocab.txt or the like): name another "
    "with 'tokenizer:'",
}


@pytest.fixture(scope="module")
def refused(made: Made, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the errors of models that the hub does not give, or that cannot be loaded from it."""
    hub.forget()
    plain, sharded = folder_files(made.whole), folder_files(made.sharded)
    small = {name: data for name, data in plain.items() if not name.endswith(".safetensors")}
    for repo in ("plain", "gated", "private", "down", "broken", "forbidden", "portal", "slow"):
        hub.commit(f"org/{repo}", plain)
    hub.protect("org/gated", TOKEN)
    hub.protect("org/private", TOKEN, gated=False)
    hub.commit("org/pickles", small | {"pytorch_model.bin": b"x", "model.onnx": b"y"})
    hub.commit("org/halved", {name: data for name, data in sharded.items() if name != SHARD})
    hub.commit("org/gguf", {"q4.gguf": b"GGUF", "q8.gguf": b"GGUF", "README.md": b"about it"})
    hub.commit("org/lora2", folder_files(made.lora))
    hub.commit("org/mute", {n: data for n, data in plain.items() if not n.startswith("token")})
    hub.fault("org/down", status=503)
    for repo, status in (("broken", 500), ("forbidden", 403), ("portal", 200)):
        hub.fault(f"org/{repo}", status=status)
    hub.fault("org/slow", stalls=True)
    suite = _suite(hub, tmp_path_factory.mktemp("refused"))
    names = ("gated", "private", "absent", "down", "broken", "slow", "pickles", "halved", "gguf")
    _ask(
        suite,
        plain={"path": "org/plain"},
        **{name: {"path": f"org/{name}"} for name in (*names, "mute", "forbidden", "portal")},
        revision={"path": "org/plain", "revision": "v9"},
        short={"path": "org/plain", "revision": "abcdef1"},
        commit={"path": "org/plain", "revision": "0" * 40},
        nogguf={"path": "org/gguf", "gguf_file": "q9.gguf"},
        adapter={"path": "org/lora2"},
        noadapter={"path": "org/plain", "adapter": "org/plain"},
        notokens={"path": "org/plain", "revision": "main", "tokenizer": "org/absent"},
    )
    errors = suite.run("-k", "not test_plain", HF_HUB_ETAG_TIMEOUT="2").errors
    of_pickles = hub.downloaded("org/pickles")
    assert "pytorch_model.bin" not in of_pickles
    assert hub.downloaded("org/halved") == set(sharded) - {
        name for name in sharded if name.endswith(".safetensors")
    }
    return {name: [line.replace(hub.url, "{url}") for line in e] for name, e in errors.items()}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_hub_refuses_is_one_line(refused: dict[str, list[str]], name: str) -> None:
    """It says which model, what is the matter and what to do."""
    repo = "plain" if name in ("revision", "short", "commit") else name
    assert refused[name] == [
        f"pytest_distill.ModelError: model '{name}': path: 'org/{repo}' is no folder here, and the "
        f"hub doesn't give it: {REFUSED[name]}"
    ]


@pytest.mark.parametrize("name", LACKING)
def test_what_cannot_be_loaded_is_one_line(refused: dict[str, list[str]], name: str) -> None:
    """It says what the repository holds instead; its large files stay where they are."""
    assert refused[name] == [f"pytest_distill.ModelError: model '{name}': {LACKING[name]}"]


def test_a_tokenizer_that_is_not_there_is_named(refused: dict[str, list[str]]) -> None:
    """The key in the message is that of the hub id."""
    (line,) = refused["notokens"]
    assert "model 'notokens': tokenizer: 'org/absent' is no folder here" in line


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (
            ANOTHER,
            "it is gated, and your account has no access to it: ask for it at {url}/org/closed",
        ),
        (EXPIRED, "access is refused (401): set HF_TOKEN to a token that reads {url}/org/closed"),
    ],
    ids=["another's", "expired"],
)
def test_a_token_without_access(suite: Suite, made: Made, token: str, told: str) -> None:
    """The error says what is the matter with the token, and where access is given."""
    suite.hub.commit("org/closed", folder_files(made.whole))
    suite.hub.protect("org/closed", TOKEN)
    _ask(suite, closed={"path": "org/closed"}, other={"path": "org/closed", "revision": "v1"})
    (line,) = suite.run("-k", "test_closed", HF_TOKEN=token).errors["closed"]
    assert line.endswith(f"the hub doesn't give it: {told.format(url=suite.hub.url)}")


def test_an_interrupted_download_goes_on(suite: Suite, made: Made) -> None:
    """Killed, offline, cut off for good, cut off once: nothing half is loaded, the end is right."""
    hub, files = suite.hub, folder_files(made.sharded)
    hub.commit("org/cut", files)
    _ask(suite, cut={"path": "org/cut"}, here={"path": str(made.sharded)})
    shard = hub.of_the_store(files[SHARD])

    stalled = hub.fault(shard, after=2000, stalls=True, times=1)
    process = subprocess.Popen(
        suite.command("-k", "test_cut"),
        cwd=suite.folder,
        env=suite.surroundings(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert stalled.begun.wait(60)
    _until(lambda: len(list((suite.folder / "hf").rglob("snapshots/*/*.safetensors"))) == 3)
    process.kill()
    process.wait()

    partly = (
        "is no folder here, and the hub doesn't give it: its cache holds only a part of it, and"
    )
    (line,) = suite.run("-k", "test_cut", HF_HUB_OFFLINE="1").errors["cut"]
    assert line.endswith(f"{partly} HF_HUB_OFFLINE is set: run once without it, to fill the cache")

    hub.fault(shard, after=0)
    (line,) = suite.run("-k", "test_cut").errors["cut"]
    assert line.endswith("the connection was cut: run again; files that are complete are kept")

    hub.forget()
    hub.fault(shard, after=2000, times=1)
    ended = suite.run()
    assert ended.errors == {}
    assert ended.scores["cut"] == ended.scores["here"]
    assert {request.path for request in hub.asked("CDN")} == {shard}


def test_a_model_is_in_the_cache_when_its_weights_are(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a download is no model; exported predictions stand in for it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789" * 4
    repo = tmp_path / "models--org--name"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    snapshot = shutil.copytree(made.sharded, repo / "snapshots" / commit)
    (snapshot / "q4.gguf").write_bytes(b"GGUF")
    assert in_cache(spec_of("org/name"))
    assert in_cache(spec_of("org/name", revision=commit))
    assert in_cache(spec_of("org/name", gguf_file="q4.gguf"))
    assert not in_cache(spec_of("org/name", gguf_file="q8.gguf"))
    assert not in_cache(spec_of("org/name", revision="v1"))
    assert not in_cache(spec_of("org/other"))
    (snapshot / SHARD).unlink()
    assert not in_cache(spec_of("org/name"))


def _until(done: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
