"""The attention of a joint block, written for the compiler: what belongs to one token is done before tokens are joined.

The numbers are those of DiffSynth's FluxJointAttention, which joins first and turns afterwards: then the compiler
writes and reads everything once more. Must not know: when it is used.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def joint_attention(attention: Any, picture: Tensor, prompt: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    """`picture` and `prompt` (1, tokens, width); `rotations` (1, 1, tokens of both, angles, 2, 2), prompt first."""
    words = prompt.shape[1]
    of_prompt = _turned(
        attention, attention.b_to_qkv(prompt), attention.norm_q_b, attention.norm_k_b, rotations[:, :, :words]
    )
    of_picture = _turned(
        attention, attention.a_to_qkv(picture), attention.norm_q_a, attention.norm_k_a, rotations[:, :, words:]
    )
    query, key, value = (torch.cat(both, dim=2) for both in zip(of_prompt, of_picture, strict=True))
    result = functional.scaled_dot_product_attention(query, key, value)
    result = result.transpose(1, 2).reshape(1, -1, attention.num_heads * attention.head_dim).to(query.dtype)
    return attention.a_to_out(result[:, words:]), attention.b_to_out(result[:, :words])


def _turned(
    attention: Any, projected: Tensor, norm_query: Any, norm_key: Any, rotations: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    heads = projected.view(1, -1, 3 * attention.num_heads, attention.head_dim).transpose(1, 2)
    query, key, value = heads.chunk(3, dim=1)
    query, key = attention.apply_rope(norm_query(query), norm_key(key), rotations)
    return query, key, value
