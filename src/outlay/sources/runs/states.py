"""How each system says that a run ended, and what Outlay calls it.

One table a system: its own words -> the outcomes of :data:`outlay.ledger.tables.runs.OUTCOMES_OF_RUNS`. Outcomes are
kept apart because they mean different money: in large-model clusters cancelled runs take more GPU time than failed
ones, and only a look at both shows it. A word that is not in the table is ``unknown``: never an error, never success.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "ACME",
    "KUBERNETES_JOB",
    "KUBERNETES_POD",
    "MLFLOW",
    "RAY",
    "RUN_RECORD",
    "SAGEMAKER",
    "SAGEMAKER_SECONDARY",
    "SLURM",
    "UNFINISHED",
    "WANDB",
    "States",
]

UNFINISHED = frozenset({"running", "pending"})
"""Outcomes of attempts that have not ended."""


@dataclass(frozen=True, slots=True)
class States:
    """A system's words for the state of a run, and the page or package that lists them."""

    system: str
    source: str
    words: Mapping[str, str]

    def outcome(self, word: str | None) -> str:
        """Our outcome for the system's ``word``, in any case; ``unknown`` for a word that it does not list."""
        return self.words.get((word or "").strip().casefold(), "unknown")


def _states(system: str, source: str, **outcomes: str) -> States:
    """``outcomes``: our outcome (``_`` for a blank) -> the system's words for it."""
    return States(
        system,
        source,
        {word.casefold(): key.replace("_", " ") for key, words in outcomes.items() for word in words.split()},
    )


SLURM = _states(
    "Slurm",
    "https://slurm.schedmd.com/job_state_codes.html",
    succeeded="COMPLETED CD",
    failed="FAILED F OUT_OF_MEMORY OOM",
    cancelled="CANCELLED CA REVOKED RV",
    timed_out="TIMEOUT TO DEADLINE DL",
    preempted="PREEMPTED PR",
    node_failure="NODE_FAIL NF BOOT_FAIL BF",
    # These hold their allocation, whatever they wait for.
    running="RUNNING R SUSPENDED S STOPPED ST COMPLETING CG CONFIGURING CF SIGNALING SI STAGE_OUT SO",
    pending="PENDING PD REQUEUE_HOLD RH REQUEUE_FED RF RESV_DEL_HOLD RD SPECIAL_EXIT SE",
    # The attempt ended and the job runs on (again, or in another size): why, it does not say.
    unknown="REQUEUED RQ RESIZING RS",
)

MLFLOW = _states(
    "MLflow",
    "https://mlflow.org/docs/latest/rest-api.html#runstatus",
    succeeded="FINISHED",
    failed="FAILED",
    cancelled="KILLED",
    running="RUNNING",
    pending="SCHEDULED",
)

WANDB = _states(
    "Weights & Biases",
    "https://docs.wandb.ai/models/runs/run-states",
    succeeded="finished",
    failed="failed",
    cancelled="killed stopped",
    preempted="preempted",
    running="running preempting",
    pending="pending",
    # Lost its heartbeat: the process, the machine or just the network died.
    unknown="crashed",
)

SAGEMAKER = _states(
    "Amazon SageMaker",
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html",
    succeeded="Completed",
    failed="Failed",
    cancelled="Stopped",
    running="InProgress Stopping Deleting",
)

SAGEMAKER_SECONDARY = _states(
    "Amazon SageMaker, secondary status",
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_SecondaryStatusTransition.html",
    succeeded="Completed",
    failed="Failed",
    cancelled="Stopped",
    # The second: no spot capacity, at first or again, within the time allowed.
    timed_out="MaxRuntimeExceeded MaxWaitTimeExceeded",
    preempted="Interrupted",
    running="Starting LaunchingMLInstances PreparingTrainingStack PreparingTraining Downloading "
    "DownloadingTrainingImage Training Uploading Stopping Restarting Updating",
    pending="Pending",
)

KUBERNETES_POD = _states(
    "Kubernetes, pod phase or reason",
    "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/",
    succeeded="Succeeded Completed",
    failed="Failed Error OOMKilled ContainerCannotRun StartError CrashLoopBackOff",
    timed_out="DeadlineExceeded",
    # Evicted: by the node under pressure, or through the eviction API. The rest: taken for more important pods,
    # by the autoscaler or a taint, or with a spot node that its cloud shut down.
    preempted="Preempted Preempting PreemptionByScheduler EvictionByEvictionAPI Evicted DeletionByTaintManager "
    "TerminationByKubelet Terminated Shutdown NodeShutdown Preemption",
    node_failure="NodeLost NodeAffinity UnexpectedAdmissionError DeletionByPodGC",
    running="Running",
    pending="Pending",
    unknown="Unknown",
)

KUBERNETES_JOB = _states(
    "Kubernetes, condition of a Job",
    "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/",
    succeeded="Complete SuccessCriteriaMet",
    failed="Failed FailureTarget BackoffLimitExceeded PodFailurePolicy FailedIndexes MaxFailedIndexesExceeded",
    timed_out="DeadlineExceeded",
    pending="Suspended",
)

RAY = _states(
    "Ray jobs",
    "https://docs.ray.io/en/latest/cluster/running-applications/job-submission/api.html",
    succeeded="SUCCEEDED",
    failed="FAILED",
    cancelled="STOPPED",
    running="RUNNING",
    pending="PENDING",
)

RUN_RECORD = _states(
    "Outlay run record",
    "docs/sources/run-record.md",
    succeeded="succeeded",
    failed="failed",
    cancelled="cancelled",
    preempted="preempted",
    running="running",
)

ACME = _states(
    "AcmeTrace summary",
    "https://github.com/InternLM/AcmeTrace",
    succeeded="complete",
    cancelled="cancel",
    # The authors count TIMEOUT and NODE_FAIL as failed.
    failed="fail",
)
