"""Which model a row paid for, and who made it.

FOCUS' draft keys (ModelDeveloper, ModelFamily, ModelId, ModelVersion) decide where they stand. Otherwise the
name is cut out of the meter and kept as the bill writes it: ``NovaPro`` on an AWS usage type, ``gpt-4o-mini``
on an Azure meter. A billing name is not an API's model id, and nothing derives one from the other, so no such
step is tried here; a price table that needs the API's id maps it on its own evidence. A maker is named only
where the model's name is a brand of that maker.

Models that Azure sells through its Marketplace have meters of three parts, ``offer - plan - dimension``
(``Claude Sonnet 4.6 - msft-sonnet-4-6-flat-100 - paygo-inference-input-tokens``): the offer is the model. Newer
deployments of Claude have one dimension for all models, ``claude-consumption-units``: the maker is known, the model is
not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from outlay.sources.recognition.services import CONSUMPTION_UNITS
from outlay.sources.recognition.sku import Sku
from outlay.sources.recognition.tokens import words

__all__ = ["MODEL_KEYS", "Model", "model_of"]

MODEL_KEYS = ("modelid", "modelfamily", "modeldeveloper", "modelversion")
"""The draft keys, as :func:`outlay.sources.recognition.sku.price_details` writes them."""


@dataclass(frozen=True, slots=True)
class Model:
    """What the bill says about a model; None where it is silent."""

    developer: str | None = None
    family: str | None = None
    id: str | None = None
    version: str | None = None


# brand: (pattern, maker, family). The first that matches counts, so gpt-oss stands before gpt.
_BRANDS: tuple[tuple[str, str, str | None], ...] = (
    (r"claude", "Anthropic", "Claude"),
    (r"gpt-?oss", "OpenAI", "GPT-OSS"),
    (r"gpt", "OpenAI", "GPT"),
    (r"o[134](?![a-z0-9])", "OpenAI", "o-series"),
    (r"text-embedding-(?:3|ada)", "OpenAI", "Embeddings"),
    (r"gemini", "Google", "Gemini"),
    (r"gemma", "Google", "Gemma"),
    (r"nova(?:\d|-|pro|lite|micro|premier|canvas|reel|sonic|multi)", "Amazon", "Nova"),
    (r"titan", "Amazon", "Titan"),
    (r"llama", "Meta", "Llama"),
    (r"mi[sx]tral|ministral|magistral|codestral|pixtral|devstral", "Mistral AI", "Mistral"),
    (r"deepseek", "DeepSeek", "DeepSeek"),
    (r"qwen", "Alibaba Cloud", "Qwen"),
    (r"grok", "xAI", "Grok"),
    (r"phi-?\d", "Microsoft", "Phi"),
    (r"cohere", "Cohere", None),
    (r"jamba|jurassic", "AI21 Labs", "Jamba"),
    (r"kimi", "Moonshot AI", "Kimi"),
)
_BRAND = re.compile("(?<![a-z])(?:" + "|".join(f"(?P<b{n}>{brand[0]})" for n, brand in enumerate(_BRANDS)) + ")")

_EDITION = re.compile(r"\s*\(Amazon Bedrock Edition\)\s*$", re.IGNORECASE)
_AWS_REGION = r"(?:US[EW]\d|UG[EW]\d|EU[CNSW]?\d?|AP[ENS]\d|SAE\d|CA[NW]\d|AFS\d|ME[CS]\d|ILC\d|MXC\d)-"
_AWS_USAGE = re.compile(
    rf"^(?:{_AWS_REGION})?(?P<model>[A-Za-z][\w.:]*(?:-[\w.:]+)*?)(?:-mantle)?(?:-(?:text|image|audio|speech|video))?"
    r"-(?:(?:input|output|cache-read|cache-write)-(?:\w+-)*?tokens?\b"
    r"|ProvisionedThroughput|Customization|reserved-|RFT-)",
    re.IGNORECASE,
)
# AWS describes: $0.008 per 1K tokens for Claude2.0-input-tokens inUS East (N. Virginia)
_AWS_DESCRIPTION = re.compile(
    r"\btokens?\b[\w ]* for (?P<model>[A-Z][\w.: -]*?)(?:-(?:input|output|cache-read|cache-write)-[\w-]+)? ?in ?[A-Z]"
)
_OPENAI_LINE = re.compile(r"^\s*(?P<model>[\w.:/-]+),\s*(?:cached[ _])?(?:input|output)\b", re.IGNORECASE)
_GEMINI = re.compile(
    r"\bgemini[ -](?P<version>\d+(?:\.\d+)?)[ -](?P<size>pro|flash|ultra|nano)(?P<lite>[ -]lite)?\b", re.IGNORECASE
)
_DATE = re.compile(r"(?<!\d)(20\d\d-\d\d-\d\d)(?!\d)")
_STAMP = re.compile(r"(?P<name>[a-z]*)(?P<stamp>\d{4}|\d{8})")

# Words that end a model's name on a meter.
_ENDS = frozenset(
    re.findall(
        r"\S+",
        """
        input inputs inp inpt prompt output outputs outp outpt otpt opt out response completion completions in
        cache cached cach caching cchd ccchd chd cd uncached write wr read token tokens tkn tkns
        batch flex priority pp standard std provisioned ft dev trng training hstng
        gl glbl global dz dzn dzone datazone data rg regnl regional short long predictions thinking ga 1m 1k count
        paygo
        """,
    )
)
_MODALITIES = frozenset({"text", "txt", "image", "img", "audio", "aud", "video"})
_NOT_A_NAME = frozenset(
    {"generate", "content", "generatecontent", "azure", "openai", "foundry", "models", "model", "for", "of"}
)


def model_of(sku: Sku, details: dict[str, str], *, is_tokens: bool) -> Model:
    """The model of a row that is AI. Meter names are cut up only where ``is_tokens``: only they follow a pattern."""
    named = _named(sku, details, is_tokens=is_tokens)
    model_id = details.get("modelid") or details.get("modelname") or details.get("model") or named.id
    made = _brand(" ".join(filter(None, (model_id, details.get("modelfamily")))))
    return Model(
        developer=details.get("modeldeveloper") or (made[0] if made else named.developer),
        family=details.get("modelfamily") or (made[1] if made else named.family),
        id=model_id,
        version=details.get("modelversion") or (named.version if model_id == named.id else None),
    )


def _brand(name: str) -> tuple[str, str | None] | None:
    found = _BRAND.search(name.casefold())
    if not found or not found.lastgroup:
        return None
    _, maker, family = _BRANDS[int(found.lastgroup[1:])]
    return maker, family


def _named(sku: Sku, details: dict[str, str], *, is_tokens: bool) -> Model:
    if sku.ServiceName and _EDITION.search(sku.ServiceName):
        return Model(id=_EDITION.sub("", sku.ServiceName).strip())
    meters = [text for text in (sku.SkuMeter, details.get("usagetype"), sku.SkuId) if text]
    described = [sku.ChargeDescription] if sku.ChargeDescription else []
    for text in (*meters, *described):
        found = _from_pattern(text)
        if found:
            return found
    if is_tokens:
        parts = [part for text in described for part in text.split(" - ")]
        for text in (*meters, *(part for part in parts if part.casefold().endswith("tokens"))):
            found = _before_the_qualifiers(text)
            if found:
                return found
    return Model()


def _from_pattern(text: str) -> Model | None:
    if CONSUMPTION_UNITS.search(text):
        return Model(developer="Anthropic", family="Claude")
    offer, _, dimension = text.rpartition(" - ")
    if dimension.casefold().startswith("paygo-"):
        return Model(id=offer.split(" - ")[0].strip()) if offer else None
    gemini = _GEMINI.search(text)
    if gemini:
        name = f"gemini-{gemini['version']}-{gemini['size'].casefold()}{'-lite' if gemini['lite'] else ''}"
        return Model(id=name, version=gemini["version"])
    line = _OPENAI_LINE.match(text)
    if line:
        dated = _DATE.search(line["model"])
        return Model(id=line["model"], version=dated[1] if dated else None)
    described = _AWS_DESCRIPTION.search(text)
    if described:
        return Model(id=described["model"].strip())
    usage = _AWS_USAGE.match(text)
    if usage and not usage["model"].casefold().startswith("mp:"):
        return Model(id=usage["model"].removesuffix("-Text"))
    return None


def _before_the_qualifiers(text: str) -> Model | None:
    """``gpt-4o-mini-0718-Inp-glbl Tokens``: the words before the first that is about billing, a stamp apart.

    A date that a name ends with (``gpt-4o-2024-08-06 input``) is the version and stays part of the id, as in calls.
    """
    dated = _DATE.search(text)
    name: list[str] = []
    version = dated[1] if dated else None
    ended = False
    cut = words(_DATE.sub(" ", text))
    for word, after in pairwise((*cut, "")):
        if word in _ENDS or (word in _MODALITIES and after in _ENDS):  # "text input", but not "text-embedding-3"
            ended = True
            break
        stamped = _STAMP.fullmatch(word)
        if stamped:
            version = stamped["stamp"]
        plain = stamped["name"] if stamped else word
        if plain and plain not in _NOT_A_NAME:
            name.append(plain)
    if not ended or not name:
        return None
    found = "-".join(name)
    whole = f"{found}-{version}"
    return Model(id=whole if dated and whole in text.casefold() else found, version=version)
