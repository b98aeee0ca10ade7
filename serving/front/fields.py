"""Which body fields each generation route takes, as data; it knows no values.

`PASS` goes to the engine, `IGNORED` is accepted and dropped (OpenAI knows it, an engine does not), `OWNED` is refused
because each of these opened a hole when a client could set it (../shared/facts: CVE-2025-46570, CVE-2026-105755/6,
PYSEC-2026-4349). What is in none of them is an unknown argument. Source: vLLM 0.32's request models.
"""

from __future__ import annotations

OWNED = frozenset(
    {
        "cache_salt",
        "chat_template",
        "chat_template_kwargs",
        "ec_transfer_params",
        "kv_transfer_params",
        "media_io_kwargs",
        "mm_payload",
        "mm_processor_kwargs",
        "previous_input_messages",
        "priority",
        "prompt_embeds",
        "request_id",
        "return_mm_kwargs",
        "routed_experts_prompt_start",
        "stream_interval",
        "vllm_xargs",
    }
)
CHAT_TEMPLATE = frozenset({"chat_template", "chat_template_kwargs"})

IGNORED = frozenset(
    {
        "metadata",
        "moderation",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "verbosity",
    }
)

_SAMPLING = frozenset(
    {
        "allowed_token_ids",
        "bad_words",
        "frequency_penalty",
        "ignore_eos",
        "include_stop_str_in_output",
        "length_penalty",
        "logit_bias",
        "logprobs",
        "logprob_token_ids",
        "max_tokens",
        "min_p",
        "min_tokens",
        "model",
        "n",
        "presence_penalty",
        "prompt_logprobs",
        "repetition_detection",
        "repetition_penalty",
        "response_format",
        "return_token_ids",
        "return_tokens_as_token_ids",
        "seed",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop",
        "stop_token_ids",
        "stream",
        "stream_options",
        "structured_outputs",
        "temperature",
        "thinking_token_budget",
        "top_k",
        "top_p",
        "truncate_prompt_tokens",
        "truncation_side",
        "use_beam_search",
        "user",
    }
)

CHAT = _SAMPLING | {
    "add_generation_prompt",
    "add_special_tokens",
    "continue_final_message",
    "documents",
    "echo",
    "include_reasoning",
    "max_completion_tokens",
    "messages",
    "parallel_tool_calls",
    "reasoning_effort",
    "tool_choice",
    "tools",
    "top_logprobs",
}

COMPLETIONS = _SAMPLING | {"add_special_tokens", "best_of", "echo", "prompt", "suffix"}

EMBEDDINGS = frozenset(
    {
        "add_special_tokens",
        "dimensions",
        "encoding_format",
        "input",
        "messages",
        "model",
        "truncate_prompt_tokens",
        "truncation_side",
        "user",
    }
)

RESPONSES = frozenset(
    {
        "frequency_penalty",
        "ignore_eos",
        "include",
        "include_reasoning",
        "include_stop_str_in_output",
        "input",
        "instructions",
        "logit_bias",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "min_p",
        "model",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt",
        "prompt_cache_key",
        "reasoning",
        "repetition_penalty",
        "seed",
        "service_tier",
        "skip_special_tokens",
        "stop",
        "stop_token_ids",
        "stream",
        "structured_outputs",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)

MESSAGES = frozenset(
    {
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "output_format",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
