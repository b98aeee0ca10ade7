"""Makes a tiny Llama with random weights on this machine, without a download; it does not know who serves it.

The answers are nonsense, but the same nonsense every time: weights and tokenizer come from fixed inputs.
"""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from serving.errors import SettingsError

Dtype = Literal["float32", "bfloat16"]

MARKER = "tidegate-tiny.json"
_VERSION = 1
_SEED = 0
_VOCABULARY = 4096
_TRAINING_BYTES = 4_000_000
_SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_CHAT_TEMPLATE = """{% for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def make_tiny_model(path: Path, progress: Callable[[str], None], dtype: Dtype = "float32") -> None:
    """Write the model's folder at `path`; a folder that already holds it is left alone.

    float32 answers are alike on two engines at temperature 0; bfloat16 is half the size.
    Raises `SettingsError` if `path` holds anything else.
    """
    wanted = {"version": _VERSION, "seed": _SEED, "dtype": dtype}
    if is_tiny_model(path, dtype):
        progress(f"{path} already holds the tiny model")
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SettingsError("path", f"{path} is not empty and is not this tiny model ({dtype}); name another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process may make the same model at the same time: the folder appears whole, by one rename.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as scratch:
        folder = Path(scratch) / path.name
        _write_tokenizer(folder, progress)
        _write_weights(folder, dtype, progress)
        (folder / MARKER).write_text(json.dumps(wanted), encoding="utf-8")
        _publish(folder, path, dtype)
    progress(f"{path} holds the tiny model")


def is_tiny_model(path: Path, dtype: Dtype | None = None) -> bool:
    """Whether `path` holds a model made here (of this data type)."""
    try:
        found = json.loads((path / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return found.get("version") == _VERSION and dtype in (None, found.get("dtype"))


def _write_tokenizer(folder: Path, progress: Callable[[str], None]) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    progress(f"training a tokenizer of {_VOCABULARY} tokens")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_training_text(), trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=_SPECIAL_TOKENS[0], eos_token=_SPECIAL_TOKENS[2]
    )
    wrapped.chat_template = _CHAT_TEMPLATE
    wrapped.save_pretrained(folder)


def _training_text() -> list[str]:
    """English and code that every Python brings along, in a fixed order and amount."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    texts: list[str] = []
    left = _TRAINING_BYTES
    for file in [stdlib / "pydoc_data" / "topics.py", *sorted(stdlib.glob("*.py"))]:
        if left <= 0 or not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")[:left]
        left -= len(text)
        texts.append(text)
    return texts


def _write_weights(folder: Path, dtype: Dtype, progress: Callable[[str], None]) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    progress("drawing random weights")
    config: Any = LlamaConfig(
        vocab_size=_VOCABULARY,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(_SEED)
    LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)


def _publish(folder: Path, path: Path, dtype: Dtype) -> None:
    try:
        os.rename(folder, path)
    except OSError:
        if not is_tiny_model(path, dtype):
            raise
        shutil.rmtree(folder, ignore_errors=True)
