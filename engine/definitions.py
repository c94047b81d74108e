"""Every figure of a run in words, with its denominator; docs/glossary.md repeats them."""

from __future__ import annotations

DEFINITIONS = {
    "block_efficiency": "Emitted tokens ÷ target passes, over the whole session; prefill is not a pass. "
    "Plain decoding is 1.",
    "tokens_per_second": "Emitted tokens ÷ time inside the steps; prefill and the reader's own time between steps "
    "are not counted.",
    "acceptance_rate": "Accepted draft tokens ÷ proposed draft tokens. Low by design for trees: compare at equal "
    "budget.",
    "mean_accepted_length": "Accepted draft tokens ÷ steps; the correction or bonus token is not counted.",
    "time_to_first_token_ms": "Prefill of target and drafter plus the first step.",
    "decode_ms": "Time inside the steps, whole session; prefill is not counted.",
    "draft_ms": "Time in the drafter's proposals, whole session.",
    "target_ms": "Time in target passes and in keeping their KV rows, whole session; prefill is not counted.",
    "host_ms": "Everything else while decoding: verification, text, events, the drafter's bookkeeping, the loop.",
    "wasted_drafts_per_token": "Proposed draft tokens that were not accepted ÷ emitted tokens.",
    "time_per_token_ms": "Time inside the steps ÷ emitted tokens, split into draft, target and host.",
    "acceptance_by_position": "Steps whose accepted length reached a depth ÷ steps whose draft reached it; the latter "
    "is n. Behind the end of a text nothing counts as drafted.",
    "mean_acceptance_length": "1 + accepted draft tokens ÷ steps that drafted: the next token is counted, as in vLLM. "
    "A step without a draft is left out; SGLang's spec_accept_length (tokens ÷ verify passes) counts it.",
    "draft_acceptance_rate": "acceptance_rate under vLLM's name; SGLang's is spec_accept_rate. Servers mostly draft "
    "chains; in a tree every node is a draft token.",
    "acceptance_histogram": "Steps that drafted, by accepted length: 0 first, up to the deepest draft. What stood "
    "behind the end of the text is not accepted; vLLM counts it.",
    "joint_acceptance_rates": "By position: steps whose accepted length reached it ÷ all steps that drafted, also "
    "those whose draft was shorter. vLLM's per-position acceptance rate.",
    "conditional_acceptance_rates": "By position: steps whose accepted length reached it ÷ those that reached the "
    "position before; the first one's is its joint rate. Empty where none reached the position before.",
    "per_step_accepted": "Accepted draft tokens of each step that drafted, in order.",
    "per_step_drafted": "Proposed draft tokens of each step that drafted, in order.",
    "step_time_ms": "p50, p90 and p99 of the time of a step, over all steps, interpolated between neighbours.",
    "token_time_ms": "p50, p90 and p99 over emitted tokens, each with an equal share of its step's time. Servers' "
    "inter-token latency is measured at the client, where a step's tokens may arrive at once.",
    "tokens_per_second_over_time": "For each 16 steps in turn, the last ones fewer: seconds inside the steps at their "
    "end, and their emitted tokens ÷ their time.",
    "memory_bytes": "Bytes of arrays and tensors at the end: the target's weights in every form that passes read, the "
    "drafter's weights, tables and caches, the target's KV cache with its spare room. What two share counts for the "
    "target; the library's and Python's own memory is not counted.",
    "speedup": "Plain decoding's time per emitted token ÷ this run's, both inside the steps; same target, prompt, "
    "settings, dtype and machine, measured after warm-up. Empty where no plain run was measured.",
}
