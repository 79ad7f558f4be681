"""The families of transformers as tiny random models: one line of a table a family.

A family is a ``model_type`` of transformers and what its config says beside the sizes. Its heads
are those that transformers maps the type to. A family that the installed version doesn't have, or
a head that it lacks, is left out.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import tokenizers
import torch
from tokenizers import models, pre_tokenizers, processors
from transformers.models.auto import modeling_auto

from .tiny import hf

Head = Literal["causal", "seq2seq", "classification"]

CONTEXT = 160
"""How many tokens a model reads, where its family says nothing else."""

_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ke")
WORDS = [one + other for one in _SYLLABLES for other in _SYLLABLES]
TOKENIZER = "words"
"""The folder of a model's tokenizer, within that of the model."""

SPECIAL = ["<s>", "</s>", "<pad>", "<unk>"]
_VOCABULARY = len(SPECIAL) + len(WORDS)

_HEADS: Mapping[Head, Mapping[str, Any]] = {
    "causal": modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    "seq2seq": modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    "classification": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
}
LABELS = ("low", "mid", "high")

# Every size under every name that a config has for it; each config takes those that it knows.
_SIZES: Mapping[str, Any] = {
    "vocab_size": _VOCABULARY,
    **dict.fromkeys(("hidden_size", "d_model", "n_embd"), 64),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers"), 2),
    **dict.fromkeys(("num_encoder_layers",), 2),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "n_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_encoder_attention_heads", "num_decoder_attention_heads"), 4),
    "num_key_value_heads": 2,
    **dict.fromkeys(("head_dim", "d_kv", "kv_channels", "attention_head_size"), 16),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "d_ff", "d_inner"), 96),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "ffn_hidden_size"), 96),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("shared_intermediate_size", "expert_ffn_hidden_size"), 32),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    "moe_num_experts": 4,
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k"), 2),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "first_k_dense_replace"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 32),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), 16),
    **dict.fromkeys(("state_size", "mamba_d_state"), 16),
    "mamba_n_heads": 4,
    "mamba_d_head": 32,
    "embedding_size": 32,
    "type_vocab_size": 2,
    "tie_word_embeddings": False,  # tied random ones mostly say the last token again
    **dict.fromkeys(("sliding_window", "attention_chunk_size", "window_size"), 16),
    "attention_window": 16,
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx"), CONTEXT),
    **dict.fromkeys(("max_sequence_length", "max_seq_len"), CONTEXT),
    **dict.fromkeys(("bos_token_id", "cls_token_id"), 0),
    **dict.fromkeys(("eos_token_id", "sep_token_id"), 1),
    "pad_token_id": 2,
    **dict.fromkeys(("forced_bos_token_id", "forced_eos_token_id"), None),
}


@dataclass(frozen=True)
class Family:
    """A row of the table.

    Parameters
    ----------
    type : str
        The ``model_type`` in its ``config.json``.
    sizes : mapping
        What its config says beside, or instead of, the common sizes; None under a size leaves that
        to the config.
    variant : str
        What sets it apart from the other rows of its type.
    heads : tuple of str
        Which heads are tried, where not all.
    wraps : str
        What the tokenizer puts around a text for the heads that read a whole text.
    context : int
        How many tokens it reads; the texts grow with it.
    stateful : bool
        Whether what it makes of a text depends on those before: then each plain pass has a model
        of its own.
    """

    type: str
    sizes: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""
    heads: tuple[Head, ...] = ("causal", "seq2seq", "classification")
    wraps: str = "<s> $A </s>"
    context: int = CONTEXT
    stateful: bool = False

    @property
    def name(self) -> str:
        """How the table calls it."""
        return f"{self.type}, {self.variant}" if self.variant else self.type

    def class_of(self, head: Head) -> Any | None:
        """Return the class of a head; None where the installed transformers has none."""
        if head not in self.heads:
            return None
        name = _HEADS[head].get(self.type)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about what older transformers import
            return getattr(hf, name, None) if isinstance(name, str) else None

    def config(self, head: Head) -> Any:
        """Return the config of a head."""
        made = getattr(self.class_of(head), "config_class", None) or hf.CONFIG_MAPPING[self.type]
        known = {*inspect.signature(made.__init__).parameters, *made.attribute_map}
        if dataclasses.is_dataclass(made):
            known |= {one.name for one in dataclasses.fields(made)}
        sizes = {name: value for name, value in _SIZES.items() if name in known}
        if made.is_encoder_decoder or head == "seq2seq":
            sizes["decoder_start_token_id"] = 0
        if head == "classification":
            sizes |= {"id2label": dict(enumerate(LABELS)), "num_labels": len(LABELS)}
            sizes["label2id"] = {label: number for number, label in enumerate(LABELS)}
        sizes |= self.sizes
        left = {name for name, value in self.sizes.items() if value is None and name in _SIZES}
        return made(**{name: value for name, value in sizes.items() if name not in left})

    def tokenizer(self, head: Head) -> Any:
        """Return a tokenizer of whole words; a causal model's adds nothing to a text."""
        numbers = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
        inner = tokenizers.Tokenizer(models.WordLevel(numbers, unk_token=SPECIAL[3]))
        inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        if head != "causal":
            pair = self.wraps + " " + self.wraps.replace("<s> ", "").replace("$A", "$B:1")
            inner.post_processor = processors.TemplateProcessing(
                single=self.wraps, pair=pair, special_tokens=[("<s>", 0), ("</s>", 1)]
            )
        roles = ("bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token")
        words = (*SPECIAL, *SPECIAL[:2])
        return hf.PreTrainedTokenizerFast(
            tokenizer_object=inner,
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
            padding_side="left" if self.wraps.endswith("<s>") else "right",
            **dict(zip(roles, words, strict=True)),
        )

    def save(self, head: Head, folder: Path) -> Path:
        """Write a random model, and its tokenizer into a folder in it; return the folder.

        Beside the config of some types the tokenizer would be read as that of their class.
        """
        torch.manual_seed(1)
        model = cast("Any", self.class_of(head))(self.config(head)).eval()
        _sharpen(model)
        model.save_pretrained(folder)
        self.tokenizer(head).save_pretrained(folder / TOKENIZER)
        return folder


def _sharpen(model: Any) -> None:
    """Draw weights so large that another mask, position or neighbour is no rounding error."""
    with torch.no_grad():
        for name, weights in model.named_parameters():
            last = name.rpartition(".")[2]
            if last.startswith(("A_log", "time_")):  # rates: a state must neither die nor grow
                continue
            if weights.dim() >= 2:
                scale = 0.7 if "embed" in name else 1.3 / math.sqrt(weights.shape[-1])
                weights.copy_(torch.randn(weights.shape) * scale)
            elif last == "bias":
                weights.copy_(torch.randn(weights.shape) * 0.1)


def _rope(**of: Any) -> dict[str, Any]:
    """Return sizes of a model whose rope changes beyond its 64th position."""
    factors = {"short_factor": [1.0] * 8, "long_factor": [4.0, 5, 6, 7, 8, 9, 10, 11]}
    longrope = {"rope_type": "longrope", "rope_theta": 10000.0, "factor": 2.5, **factors}
    longrope["original_max_position_embeddings"] = 64
    return {"rope_parameters": longrope, **of}


_MLA = {"head_dim": None, "num_key_value_heads": 4}
_BORDER = "longrope, border at 64"
_SLIDING = {"layer_types": ["sliding_attention", "full_attention"]}
_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
_INKLING = {
    "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 2,
    "swa_head_dim": 16,
    "sliding_window_size": 16,
    "rel_extent": 32,
    "unpadded_vocab_size": _VOCABULARY,
}
_FAR = "window beyond the texts"
_ENCODED: tuple[Head, ...] = ("seq2seq", "classification")
_CAUSAL: tuple[Head, ...] = ("causal",)

_TEXT = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "sliding_window": 16,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    **_SLIDING,
}

_REFORMER: dict[str, Any] = {
    "attn_layers": ["local", "lsh"],
    "num_hidden_layers": None,
    "axial_pos_shape": [10, 16],
    "axial_pos_embds_dim": [24, 40],
    "local_attn_chunk_length": 8,
    "lsh_attn_chunk_length": 8,
    "num_buckets": 4,
    "hash_seed": 3,
    "feed_forward_size": 96,
}

FAMILIES: tuple[Family, ...] = (
    Family("afmoe", _SLIDING),
    Family("albert"),
    Family("apertus"),
    Family("apertus1p5_text"),
    Family("arcee"),
    Family("aria_text"),
    Family("axk1", _MLA),
    Family("axk2", {**_MLA, "index_n_heads": 32, "index_head_dim": 16, "index_topk": 24}),
    Family("bailing_hybrid", {**_MLA, "layer_types": ["linear_attention", "full_attention"]}),
    Family("bamba", {"attn_layer_indices": [1]}),
    Family("bart"),
    Family("beam"),
    Family("bert"),
    Family("bert", {"is_decoder": True}, "decoder", _CAUSAL),
    Family("bert-generation"),
    Family("bert-generation", {"is_decoder": True}, "decoder", _CAUSAL),
    Family("big_bird", {"attention_type": "original_full"}, "full attention"),
    Family("big_bird", {"block_size": 8, "num_random_blocks": 1}, "sparse attention"),
    Family("big_bird", {"is_decoder": True, "attention_type": "original_full"}, "decoder", _CAUSAL),
    Family("bigbird_pegasus", {"block_size": 8, "num_random_blocks": 1}),
    Family("biogpt"),
    Family("bitnet"),
    Family("blenderbot"),
    Family("blenderbot-small"),
    Family("bloom"),
    Family("camembert"),
    Family("camembert", {"is_decoder": True}, "decoder", _CAUSAL),
    Family("canine", {"type_vocab_size": 16}),
    Family("codegen", {"rotary_dim": 8}),
    Family("cohere"),
    Family("cohere2", _SLIDING),
    Family("cohere2_moe", _SLIDING),
    Family(
        "cohere_compass_text",
        {
            **_SLIDING,
            "rope_parameters": {
                kind: {"rope_type": "default", "rope_theta": 10000.0}
                for kind in ("full_attention", "sliding_attention")
            },
        },
    ),
    Family("convbert"),
    Family("cpmant", {"dim_head": 16, "dim_ff": 96, "prompt_length": 4, "prompt_types": 4}),
    Family("ctrl", {"dff": 96}),
    Family("cwm", _SLIDING),
    Family("data2vec-text"),
    Family("data2vec-text", {"is_decoder": True}, "decoder", _CAUSAL),
    Family(
        "dbrx",
        {
            "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
            "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2},
        },
    ),
    Family("deberta", {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
    Family("deberta-v2", {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
    Family("deepseek_v2", _MLA),
    Family("deepseek_v3", _MLA),
    Family("deepseek_v32", {**_MLA, "index_n_heads": 32, "index_head_dim": 16, "index_topk": 24}),
    Family("deepseek_v4"),
    Family("diffllama"),
    Family("distilbert", {"dim": 64, "hidden_dim": 96}),
    Family("doge"),
    Family(
        "dory",
        {
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
            "num_hidden_layers": 3,
            "n_input_layers": 1,
            "n_recurrent_layers": 1,
            "n_output_layers": 1,
        },
    ),
    Family("dots1"),
    Family("dots3_note_text", {**_MLA, "index_n_heads": 2, "index_head_dim": 16}),
    Family("electra"),
    Family("electra", {"is_decoder": True}, "decoder", _CAUSAL),
    Family("ernie"),
    Family("ernie", {"is_decoder": True}, "decoder", _CAUSAL),
    Family("ernie4_5"),
    Family("ernie4_5_moe"),
    Family("esm", {"position_embedding_type": "rotary", "token_dropout": False}),
    Family("esmc", {"num_key_value_heads": 4}),
    Family("eurobert"),
    Family("exaone"),
    Family("exaone4", _SLIDING),
    Family("exaone_moe", _SLIDING),
    Family("falcon"),
    Family("falcon", {"alibi": True}, "alibi"),
    Family("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}, "grouped heads"),
    Family("falcon_h1", {"mamba_d_ssm": 128}),
    Family("falcon_mamba"),
    Family("flaubert"),
    Family("flex_olmo"),
    Family("flint"),
    Family("fnet"),
    Family("fsmt", {"src_vocab_size": _VOCABULARY, "tgt_vocab_size": _VOCABULARY}),
    Family("funnel", {"block_sizes": [1, 1], "d_head": 16}),
    Family("gemma"),
    Family("gemma2", _SLIDING),
    Family("gemma2", {**_SLIDING, "sliding_window": 4096}, _FAR),
    Family(
        "gemma3",
        {
            "text_config": _TEXT,
            "vision_config": {
                "hidden_size": 16,
                "intermediate_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 28,
                "patch_size": 14,
            },
            "mm_tokens_per_image": 4,
            "image_token_id": 3,
            "boi_token_id": 3,
            "eoi_token_id": 3,
        },
    ),
    Family("gemma3_text", _SLIDING),
    Family("gemma3_text", {**_SLIDING, "sliding_window": 4096}, _FAR),
    Family(
        "gemma3n_text",
        {
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "num_hidden_layers": 4,
            "num_kv_shared_layers": 2,
            "vocab_size_per_layer_input": _VOCABULARY,
            "hidden_size_per_layer_input": 16,
            "laurel_rank": 8,
            "activation_sparsity_pattern": [0.0] * 4,
        },
    ),
    Family(
        "gemma4_text",
        {
            **_SLIDING,
            "vocab_size_per_layer_input": _VOCABULARY,
            "hidden_size_per_layer_input": 16,
            "moe_intermediate_size": None,
            "num_experts": None,
            "global_head_dim": 16,
        },
    ),
    Family("gemma4_unified_text", _SLIDING),
    Family("glm"),
    Family("glm4"),
    Family("glm4_moe"),
    Family("glm4_moe_lite", _MLA),
    Family("glm_moe_dsa", {**_MLA, "index_n_heads": 32, "index_head_dim": 16, "index_topk": 24}),
    Family("gpt2"),
    Family("gpt_bigcode"),
    Family("gpt_neo", {"attention_types": [[["global", "local"], 1]]}, "window of 16"),
    Family(
        "gpt_neo",
        {
            "attention_types": [[["global", "local"], 1]],
            "window_size": 256,
            "max_position_embeddings": 640,
        },
        "window of 256",
        context=640,
    ),
    Family("gpt_neox"),
    Family("gpt_neox_japanese"),
    Family("gpt_oss", _SLIDING),
    Family("gpt_oss", {**_SLIDING, "sliding_window": 4096}, _FAR),
    Family("gptj", {"rotary_dim": 8}),
    Family("granite"),
    Family("granite_swa"),
    Family("granitemoe"),
    Family("granitemoe_swa"),
    Family("granitemoehybrid", {"layer_types": ["mamba", "attention"]}),
    Family("granitemoeshared"),
    Family("gte"),
    Family("helium"),
    Family("hrm_text"),
    Family("hunyuan_v1_dense"),
    Family("hunyuan_v1_moe"),
    Family("hy_v3"),
    Family("hy_v4"),
    Family("hyperclovax"),
    Family("ibert"),
    Family("inkling2_text", _INKLING),
    Family(
        "inkling2_loop_text",
        {
            **_INKLING,
            "num_hidden_layers": 4,
            "loop_layer_index_start": 1,
            "loop_layer_index_end": 3,
            "loop_gate_rank": 8,
            "n_layers_per_attn_res_block": 1,
        },
    ),
    Family("inkling_text", _INKLING),
    Family("jais2"),
    Family("jamba", {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False}),
    Family("jetmoe"),
    Family("jina_embeddings_v3"),
    Family(
        "kimi_linear",
        {
            **_MLA,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_head_dim": 16,
            "linear_num_heads": 4,
        },
    ),
    Family("kolibri1"),
    Family("laguna"),
    Family("lara_mini"),
    Family("layoutlm"),
    Family("led"),
    Family("lfm2", {"layer_types": ["conv", "full_attention"]}),
    Family("lfm2_moe", {"layer_types": ["conv", "full_attention"]}),
    Family(
        "lfm3",
        {"layer_types": ["conv", "sliding_attention", "full_attention"], "num_hidden_layers": 3},
    ),
    Family("lilt", {"hidden_size": 48, "num_attention_heads": 2}),
    Family("llama"),
    Family("llama", _rope(), _BORDER),
    Family(
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}},
        "dynamic rope",
        stateful=True,
    ),
    Family(
        "llama",
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0}},
        "yarn",
    ),
    Family("llama4_text", {"layer_types": ["chunked_attention", "full_attention"]}),
    Family(
        "longcat_flash",
        {"num_key_value_heads": 4, "zero_expert_num": 2, "moe_topk": 2, "num_layers": 1},
    ),
    Family("longformer"),
    Family("longt5", {"local_radius": 7}, "local"),
    Family(
        "longt5",
        {"encoder_attention_type": "transient-global", "local_radius": 7, "global_block_size": 8},
        "transient-global",
    ),
    Family("luke", {"entity_vocab_size": 8, "entity_emb_size": 16}),
    Family("m2m_100"),
    Family("mamba"),
    Family("mamba2", {"num_heads": 8, "head_dim": 16, "n_groups": 2, "chunk_size": 16}),
    Family("marian"),
    Family("markuplm"),
    Family("mbart"),
    Family("megatron-bert"),
    Family("megatron-bert", {"is_decoder": True}, "decoder", _CAUSAL),
    Family("mellum"),
    Family("mimo_v2_flash"),
    Family("minicpm3", {**_MLA, "dim_model_base": 32}),
    Family("minimax", {"layer_types": ["linear_attention", "full_attention"], "block_size": 16}),
    Family("minimax_m2"),
    Family("minimax_m3_vl_text"),
    Family("ministral", _SLIDING),
    Family("ministral3"),
    Family("mistral", {}, "window of 16"),
    Family("mistral", {"sliding_window": 4096}, _FAR),
    Family("mistral4", _MLA),
    Family("mixtral", {"sliding_window": None}),
    Family("mixtral", {"sliding_window": 24}, "window of 24"),
    Family("mobilebert", {"intra_bottleneck_size": 32}),
    Family("modernbert", {"local_attention": 16}),
    Family("modernbert-decoder", {"local_attention": 16}),
    Family("moshi"),
    Family("mpnet"),
    Family("mpt"),
    Family("mpt", {"attn_config": {"alibi": False}}, "no positions"),
    Family("mra"),
    Family("mt5"),
    Family("mvp"),
    Family("nanochat"),
    Family("nemotron"),
    Family(
        "nemotron_h",
        {
            "layers_block_type": ["mamba", "attention", "mlp"],
            "num_hidden_layers": None,
            "mamba_num_heads": 8,
            "mamba_head_dim": 16,
            "n_groups": 2,
        },
    ),
    Family("nllb-moe"),
    Family("nomic_bert"),
    Family("nystromformer"),
    Family("olmo"),
    Family("olmo2"),
    Family("olmo3", _SLIDING),
    Family("olmo_hybrid", _LINEAR),
    Family("olmoe"),
    Family("openai-gpt"),
    Family("opt"),
    Family("pegasus"),
    Family("pegasus_x", {"block_size": 8, "num_global_tokens": 4}),
    Family(
        "perceiver",
        {
            "num_latents": 8,
            "d_latents": 64,
            "num_self_attends_per_block": 1,
            "num_self_attention_heads": 4,
            "num_cross_attention_heads": 4,
        },
    ),
    Family("persimmon"),
    Family("phi"),
    Family("phi3", {"sliding_window": None}),
    Family("phi3", _rope(sliding_window=None, original_max_position_embeddings=64), _BORDER),
    Family("phi3", {}, "window of 16"),
    Family("phimoe"),
    Family("plbart"),
    Family("prophetnet", {"num_encoder_layers": 2, "num_decoder_layers": 2}),
    Family("qwen2"),
    Family("qwen2", {"use_sliding_window": True, "max_window_layers": 1}, "window of 16"),
    Family("qwen2_moe"),
    Family("qwen3"),
    Family("qwen3_5_moe_text", _LINEAR),
    Family("qwen3_5_text", _LINEAR),
    Family("qwen3_moe"),
    Family("qwen3_next", _LINEAR),
    Family(
        "recurrent_gemma",
        {"num_hidden_layers": 3, "attention_window_size": 16, "num_key_value_heads": 1},
    ),
    Family(
        "reformer",
        {"is_decoder": True, **_REFORMER},
        heads=_CAUSAL,
    ),
    Family(
        "reformer",
        _REFORMER,
        "encoder",
        ("classification",),
    ),
    Family("rembert", {"input_embedding_size": 32, "output_embedding_size": 32}),
    Family(
        "rembert",
        {"input_embedding_size": 32, "output_embedding_size": 32, "is_decoder": True},
        "decoder",
        _CAUSAL,
    ),
    Family("roberta"),
    Family("roberta", {"is_decoder": True}, "decoder", _CAUSAL),
    Family("roberta-prelayernorm"),
    Family("roberta-prelayernorm", {"is_decoder": True}, "decoder", _CAUSAL),
    Family(
        "roc_bert",
        {
            "shape_vocab_size": 8,
            "pronunciation_vocab_size": 8,
            "pronunciation_embed_dim": 8,
            "shape_embed_dim": 8,
            "concat_input": False,
            "enable_pronunciation": False,
            "enable_shape": False,
        },
    ),
    Family("roformer"),
    Family("roformer", {"is_decoder": True}, "decoder", _CAUSAL),
    Family("rwkv"),
    Family("sarvam_mla", _MLA),
    Family("sarvam_moe"),
    Family("seed_oss"),
    Family("smollm3"),
    Family("solar_open"),
    Family("squeezebert", {"embedding_size": 64}),
    Family("stablelm"),
    Family("starcoder2", {"sliding_window": None}),
    Family("starcoder2", {}, "window of 16"),
    Family("switch_transformers", {"num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}),
    Family("t5"),
    Family("t5gemma", {"encoder": _TEXT, "decoder": _TEXT, "is_encoder_decoder": True}),
    Family("tapas"),
    Family("trocr"),
    Family("ultrabert"),
    Family("umt5"),
    Family("vaultgemma", _SLIDING),
    Family("whisper"),
    Family("xglm"),
    Family("xlm"),
    Family("xlm-roberta"),
    Family("xlm-roberta", {"is_decoder": True}, "decoder", _CAUSAL),
    Family("xlm-roberta-xl"),
    Family("xlm-roberta-xl", {"is_decoder": True}, "decoder", _CAUSAL),
    Family("xlnet", wraps="$A </s> <s>"),
    Family("xlstm", {"hidden_size": 128, "num_heads": 2}),
    Family("xmod", {"default_language": "en_XX"}),
    Family("yoso"),
    Family("youtu", _MLA),
    Family(
        "zamba",
        {
            "num_hidden_layers": 4,
            "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
            "use_mamba_kernels": False,
            "n_mamba_heads": 2,
        },
    ),
    Family(
        "zamba2",
        {
            "num_hidden_layers": 3,
            "layers_block_type": ["mamba", "hybrid", "mamba"],
            "use_mamba_kernels": False,
            "chunk_size": 16,
            "mamba_headdim": 16,
        },
    ),
    Family("zaya", {"num_experts_per_tok": 1, "router_hidden_size": 32}),
)


def heads(family: Family) -> list[Head]:
    """Return the heads of a family that the installed transformers has."""
    return [head for head in family.heads if family.class_of(head) is not None]
