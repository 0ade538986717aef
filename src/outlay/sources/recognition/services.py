"""Services and providers whose charges are AI whatever else their rows say.

A name is evidence only when the whole service is AI: Amazon Bedrock is, Amazon EC2 is not. What a general
service rents for AI is found by its accelerator (:mod:`.instances`) or its token meter (:mod:`.tokens`).
Names are matched from their start, in lower case, as providers write them in FOCUS (``Amazon Bedrock``) and
in native bills (``AmazonBedrock``). A marketplace is no such service, yet two of its meters are evidence by
themselves: a pay-as-you-go dimension of a model on Azure (``paygo-inference-input-tokens``) and the unit that
Anthropic bills all Claude models in on the clouds' marketplaces (``claude-consumption-units``).

Sources: product codes of AWS bills (AmazonBedrock, AmazonBedrockFoundationModels, AmazonBedrockService,
AmazonBedrockAgentCore: Cloud Intelligence Dashboards #1474; ``(Amazon Bedrock Edition)``: marketplace product
names); Azure service names of finops-toolkit's ``Services.csv`` and of the Retail Prices API (``Foundry
Models``, ``Foundry Tools``); Google's billing catalogue (``Vertex AI``, ``Gemini API``, ``Cloud TPU``); FOCUS
ServiceCategory and ServiceSubcategory; Microsoft Learn, "Claude Consumption Units (CCU) billing in Microsoft
Foundry" and the meters of models deployed as a service; meters as users of Cost Management quote them in public
repositories.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from outlay.sources.recognition.sku import Sku

__all__ = ["CONSUMPTION_UNITS", "AiService", "ai_service", "service_workload"]

CONSUMPTION_UNITS = re.compile(r"\bclaude[ -]consumption[ -]units?\b", re.IGNORECASE)
"""A meter of Claude by Anthropic's own unit: so many cents of tokens of any model, so it tells no tokens."""
_MARKETPLACE_TOKENS = re.compile(r"(?:^| - )paygo-[\w-]*tokens?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AiService:
    """A service that is AI as a whole: its charges' category when nothing finer shows, and why it counts as AI."""

    category: str
    family: str
    reason: str


# (start of the folded ServiceName, family, category)
_SERVICES: tuple[tuple[str, str, str], ...] = (
    ("amazon bedrock", "bedrock", "ai_other"),
    ("amazonbedrock", "bedrock", "ai_other"),
    ("amazon sagemaker", "sagemaker", "ml_platform"),
    ("amazonsagemaker", "sagemaker", "ml_platform"),
    ("aws sagemaker", "sagemaker", "ml_platform"),
    ("azure openai", "azure-ai", "ai_other"),
    ("azure ai foundry", "azure-ai", "ai_other"),
    ("azure ai services", "azure-ai", "ai_other"),
    ("azure ai speech", "azure-ai", "ai_other"),
    ("cognitive services", "azure-ai", "ai_other"),
    ("foundry models", "azure-ai", "ai_other"),
    ("foundry tools", "azure-ai", "ai_other"),
    ("microsoft foundry", "azure-ai", "ai_other"),
    ("azure machine learning", "azure-ml", "ml_platform"),
    ("machine learning service", "azure-ml", "ml_platform"),
    ("vertex ai", "vertex", "ml_platform"),
    ("gemini api", "gemini", "ai_other"),
    ("generative language api", "gemini", "ai_other"),
    ("cloud tpu", "tpu", "gpu_compute"),
)

_PROVIDERS = (
    "openai", "anthropic", "mistral ai", "cohere", "groq", "together ai", "fireworks ai", "xai", "deepseek",
    "perplexity", "replicate", "hugging face", "openrouter", "stability ai", "ai21", "voyage ai", "elevenlabs",
)  # fmt: skip

_RESOURCES = (
    ("microsoft.cognitiveservices/", "azure-ai", "ai_other"),
    ("microsoft.machinelearningservices/", "azure-ml", "ml_platform"),
    ("azure machine learning", "azure-ml", "ml_platform"),
)

_WORKLOADS: dict[str, tuple[tuple[str, re.Pattern[str]], ...]] = {
    # usage types such as USE1-Train:ml.p4d.24xlarge, EU-Studio:JupyterLab-ml.t3.medium, or the words of a description
    "sagemaker": (
        ("training", re.compile(r"(?<![a-z])(?:spot|managed ?spot)?train(?:ing)?(?![a-z])")),
        (
            "inference",
            re.compile(r"(?<![a-z])(?:host(?:ing)?|asyncinf|serverlessinf|tsform|batch ?transform|endpoint|inference)"),
        ),
        (
            "data",
            re.compile(
                r"(?<![a-z])(?:notebk|notebook|r?studio|canvas|process(?:ing)?(?![a-z])"
                r"|data ?wrangler|feature ?store|label)"
            ),
        ),
    ),
    "vertex": (
        ("training", re.compile(r"\btraining\b|\btuning\b")),
        ("inference", re.compile(r"\bpredictions?\b")),
        ("data", re.compile(r"\bworkbench\b|\bnotebooks?\b|\bfeature ?store\b|\blabel")),
    ),
}
_MODEL_SERVICE = (
    (
        "training",
        re.compile(r"customization-training|rft-training|\btrng\b|\bft training\b|fine-?tun\w* training|\btraining\b"),
    ),
    (
        "inference",
        re.compile(
            r"\bimages?\b|created_image|search[ _-]units?|\brerank|\btranscri|\bspeech\b|\btts\b|\bembed"
            r"|\bcharacters?\b|\bpredictions?\b|\bpages?\b|claude[ -]consumption"
        ),
    ),
)
_MODEL_SERVICES = frozenset({"bedrock", "azure-ai", "gemini", "provider"})


def ai_service(sku: Sku) -> AiService | None:
    """The AI service that the row belongs to; None when its service is not AI as a whole."""
    named = _by_names(
        sku.ServiceProviderName or "",
        sku.ServiceName or "",
        sku.ServiceCategory or "",
        sku.ServiceSubcategory or "",
        sku.ResourceType or "",
    )
    return named or _by_meter(sku.SkuMeter or sku.SkuId or "")


def _by_meter(meter: str) -> AiService | None:
    if CONSUMPTION_UNITS.search(meter):
        return AiService("ai_other", "provider", f"meter {meter}")
    if _MARKETPLACE_TOKENS.search(meter):
        return AiService("ai_other", "azure-ai", f"meter {meter}")
    return None


@lru_cache(maxsize=4096)
def _by_names(*names: str) -> AiService | None:
    provider, service, category, subcategory, resource = (name.strip().casefold() for name in names)
    if service.endswith("(amazon bedrock edition)"):
        return AiService("ai_other", "bedrock", f"service {names[1]}")
    for start, family, kind in _SERVICES:
        if service.startswith(start):
            return AiService(kind, family, f"service {names[1]}")
    for start, family, kind in _RESOURCES:
        if resource.startswith(start):
            return AiService(kind, family, f"resource type {names[4]}")
    if any(provider == name or provider.startswith((f"{name} ", f"{name},")) for name in _PROVIDERS):
        return AiService("ai_other", "provider", f"provider {names[0]}")
    if category == "ai and machine learning":
        machine_learning = subcategory in ("machine learning", "ai platforms")
        return AiService("ml_platform" if machine_learning else "ai_other", "category", f"ServiceCategory {names[2]}")
    return None


def service_workload(service: AiService | None, *texts: str) -> str | None:
    """training, inference or data, if the first of ``texts`` that has a word for it says so; None otherwise.

    A notebook is counted as ``data``: people at work on data and code, not a job that trains and not one that
    serves.
    """
    if service is None:
        return None
    kinds = _MODEL_SERVICE if service.family in _MODEL_SERVICES else _WORKLOADS.get(service.family, ())
    for text in texts:
        folded = text.casefold()
        for kind, pattern in kinds:
            if pattern.search(folded):
                return kind
    return None
