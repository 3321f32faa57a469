"""ComfyUI's graph, when it is of the simple kind: one sampler, and the values it uses stand in the nodes beside it.

Nothing is computed and no node of other people's is understood. Must not know: files.
"""

from collections.abc import Mapping
from typing import Any

from darkroom.history.metadata.found import Findings, FoundParameters

Node = Mapping[str, Any]

SAMPLERS = {"KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"}
EMPTY_LATENTS = {"EmptyLatentImage", "EmptySD3LatentImage", "EmptyFlux2LatentImage"}
LORA_LOADERS = {"LoraLoader", "LoraLoaderModelOnly"}
MODEL_LOADERS = {"CheckpointLoaderSimple": "ckpt_name", "UNETLoader": "unet_name", "UnetLoaderGGUF": "unet_name"}

# What would change the picture and has no place in a request, by node: the inputs worth telling.
OTHERS: Mapping[str, tuple[str, ...]] = {
    "ControlNetLoader": ("control_net_name",),
    "VAELoader": ("vae_name",),
    "DualCLIPLoader": ("clip_name1", "clip_name2"),
    "ModelSamplingFlux": ("max_shift", "base_shift"),
    "KSamplerSelect": ("sampler_name",),
    "LatentUpscale": ("upscale_method", "width", "height"),
    "LoadImage": ("image",),
}

DEEPEST = 12
"""How many nodes a conditioning is followed through."""


def parse(graph: Mapping[str, Any]) -> FoundParameters | None:
    """None when it is no graph."""
    nodes = {name: node for name, node in graph.items() if _is_node(node)}
    if not nodes:
        return None
    findings = Findings("ComfyUI")
    samplers = [node for node in nodes.values() if node["class_type"] in SAMPLERS]
    if len(samplers) == 1:
        _Sampler(nodes, samplers[0], findings).read()
    else:
        findings.leave("samplers", len(samplers), "samplers" if samplers else "no_sampler")
    for node in nodes.values():
        kind, inputs = node["class_type"], node["inputs"]
        if kind in MODEL_LOADERS and MODEL_LOADERS[kind] in inputs:
            findings.use_model(inputs[MODEL_LOADERS[kind]], MODEL_LOADERS[kind])
        elif kind in LORA_LOADERS:
            findings.use_lora(inputs.get("lora_name"), inputs.get("strength_model"))
        elif kind in OTHERS:
            said = ", ".join(str(inputs[name]) for name in OTHERS[kind] if name in inputs)
            findings.leave(kind, said, "not_supported")
    return findings.done()


class _Sampler:
    """One sampler node and what its inputs lead to."""

    def __init__(self, nodes: Mapping[str, Node], sampler: Node, findings: Findings) -> None:
        self._nodes = nodes
        self._inputs: Node = sampler["inputs"]
        self._findings = findings
        self._distilled: Any = None

    def read(self) -> None:
        guider = self._linked("guider") or self._inputs
        noise = self._linked("noise") or self._inputs
        schedule = self._linked("sigmas") or self._inputs
        positive = guider.get("positive", guider.get("conditioning"))
        self._use_prompt("prompt", positive)
        if guider.get("negative") is not None:
            self._use_prompt("negative_prompt", guider["negative"])
        self._use_number("seed", noise, "seed" if "seed" in noise else "noise_seed")
        self._use_number("steps", schedule, "steps")
        self._use_size()
        self._findings.use_guidance(self._distilled, _literal(guider.get("cfg")), ("guidance", "cfg"))
        for name in ("sampler_name", "scheduler"):
            value = self._inputs.get(name, schedule.get(name))
            if isinstance(value, str):
                self._findings.leave(name, value, "not_supported")
        denoise = schedule.get("denoise", 1)
        if denoise != 1:
            self._findings.leave("denoise", denoise, "not_supported")

    def _use_prompt(self, field: str, link: Any) -> None:
        """Through the nodes that only pass a conditioning on, to the one that holds the text."""
        for _ in range(DEEPEST):
            node = self._node(link)
            if node is None:
                break
            inputs: Node = node["inputs"]
            if field == "prompt" and "guidance" in inputs:
                self._distilled = _literal(inputs["guidance"])
            match node["class_type"]:
                case "CLIPTextEncode" if isinstance(inputs.get("text"), str):
                    return self._findings.use(field, inputs["text"], field)
                case "CLIPTextEncodeFlux" if isinstance(inputs.get("t5xxl"), str):
                    return self._findings.use(field, inputs["t5xxl"], field)
                case "ConditioningZeroOut":
                    return self._findings.use(field, "", field)
                case "FluxGuidance":
                    link = inputs.get("conditioning")
                case _:
                    break
        self._findings.leave(field, "", "computed")
        return None

    def _use_number(self, field: str, inputs: Node, name: str) -> None:
        value = _literal(inputs.get(name))
        if value is None:
            self._findings.leave(field, "", "computed")
        else:
            self._findings.use_number(field, value, field)

    def _use_size(self) -> None:
        latent = self._node(self._inputs.get("latent_image"))
        sides = latent["inputs"] if latent is not None and latent["class_type"] in EMPTY_LATENTS else {}
        width, height = _literal(sides.get("width")), _literal(sides.get("height"))
        if width is None or height is None:
            self._findings.leave("size", "", "computed")
        else:
            self._findings.use_size(width, height, "width × height")

    def _linked(self, name: str) -> Node | None:
        node = self._node(self._inputs.get(name))
        return None if node is None else node["inputs"]

    def _node(self, link: Any) -> Node | None:
        """A link is a node's name and the number of its output."""
        if isinstance(link, list) and len(link) == 2 and isinstance(link[0], str):
            return self._nodes.get(link[0])
        return None


def _literal(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) else None


def _is_node(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("class_type"), str)
        and isinstance(value.get("inputs"), Mapping)
    )
