"""The readers that come with Outlay, registered through the same hooks as anyone's."""

from __future__ import annotations

from collections.abc import Sequence

from outlay.hookspecs import hookimpl
from outlay.sources.bills.anthropic_costs import AnthropicCostsReader
from outlay.sources.bills.aws_cur2 import AwsCur2Reader
from outlay.sources.bills.aws_cur_legacy import AwsCurLegacyReader
from outlay.sources.bills.azure_cost import AzureCostReader
from outlay.sources.bills.focus import FocusReader
from outlay.sources.bills.gcp_billing import GcpBillingReader
from outlay.sources.bills.openai_costs import OpenAICostsReader
from outlay.sources.facts import FactReader
from outlay.sources.reader import Reader
from outlay.sources.records.alerts_csv import AlertsReader
from outlay.sources.records.aws_commitments import AwsCommitmentsReader
from outlay.sources.records.azure_reservations import AzureReservationsReader
from outlay.sources.records.focus_commitments import FocusCommitmentsReader
from outlay.sources.records.gcp_commitments import GcpCommitmentsReader
from outlay.sources.records.outcomes_csv import OutcomesReader
from outlay.sources.runs.acme_summary import AcmeSummaryReader
from outlay.sources.runs.kubernetes_jobs import KubernetesJobsReader
from outlay.sources.runs.mlflow_runs import MlflowReader
from outlay.sources.runs.openb_pods import OpenbPodsReader
from outlay.sources.runs.ray_jobs import RayJobsReader
from outlay.sources.runs.run_record import RunRecordReader
from outlay.sources.runs.sagemaker import SageMakerReader
from outlay.sources.runs.slurm import SlurmReader
from outlay.sources.runs.wandb_runs import WandbReader
from outlay.sources.telemetry.cloudwatch_agent import CloudWatchGpuReader
from outlay.sources.telemetry.dcgm import DcgmReader
from outlay.sources.telemetry.nvml import NvmlReader
from outlay.sources.telemetry.prometheus import PrometheusReader
from outlay.sources.usage.anthropic_usage import AnthropicUsageReader
from outlay.sources.usage.azure_openai_metrics import AzureOpenAIMetricsReader
from outlay.sources.usage.bedrock_log import BedrockLogReader
from outlay.sources.usage.gemini_usage import GeminiUsageReader
from outlay.sources.usage.langfuse_export import LangfuseReader
from outlay.sources.usage.litellm_spend import LiteLLMSpendReader
from outlay.sources.usage.llm_trace import LLMTraceReader
from outlay.sources.usage.openai_usage import OpenAIUsageReader
from outlay.sources.usage.otlp_json import OtlpJson

__all__ = ["outlay_fact_readers", "outlay_readers"]


@hookimpl
def outlay_readers() -> Sequence[Reader]:
    """FOCUS first: a file that carries FOCUS columns is read as FOCUS whoever wrote it."""
    return [
        FocusReader(),
        AwsCur2Reader(),
        AwsCurLegacyReader(),
        AzureCostReader(),
        GcpBillingReader(),
        OpenAICostsReader(),
        AnthropicCostsReader(),
    ]


@hookimpl
def outlay_fact_readers() -> Sequence[FactReader]:
    """By table: requests, GPU hours, runs, records. Each knows its own content; the order decides nothing."""
    return [
        OpenAIUsageReader(),
        AnthropicUsageReader(),
        BedrockLogReader(),
        LiteLLMSpendReader(),
        GeminiUsageReader(),
        LangfuseReader(),
        AzureOpenAIMetricsReader(),
        OtlpJson(),
        LLMTraceReader(),
        DcgmReader(),
        PrometheusReader(),
        CloudWatchGpuReader(),
        NvmlReader(),
        SlurmReader(),
        MlflowReader(),
        WandbReader(),
        SageMakerReader(),
        KubernetesJobsReader(),
        RayJobsReader(),
        RunRecordReader(),
        OpenbPodsReader(),
        AcmeSummaryReader(),
        FocusCommitmentsReader(),
        AwsCommitmentsReader(),
        AzureReservationsReader(),
        GcpCommitmentsReader(),
        OutcomesReader(),
        AlertsReader(),
    ]
