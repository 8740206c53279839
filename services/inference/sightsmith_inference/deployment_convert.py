"""Between deployments and the messages of the API."""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from sightsmith.api.inference.v1 import deployment_pb2
from sightsmith.database import utc_now
from sightsmith.errors import FieldViolation, InvalidArgumentError, SightsmithError
from sightsmith.names import ModelName, check_id
from sightsmith.rpc.status import to_status
from sightsmith_inference.deployment import Deployment, DeploymentError, Proposal
from sightsmith_inference.models import RECOMMENDED, Runtime, RuntimeWish
from sightsmith_inference.profiles import Profile, Trial
from sightsmith_inference.releases import Release, ShadowFigures, Target, violations_of
from sightsmith_inference.replicas import ReplicaRange, Scale
from sightsmith_inference.sampling_policy import OFF, SamplingPolicy

_RUNTIMES = {
    Runtime.ONNX: deployment_pb2.Deployment.RUNTIME_ONNX,
    Runtime.TORCHSCRIPT: deployment_pb2.Deployment.RUNTIME_TORCHSCRIPT,
    Runtime.ONNX_INT8: deployment_pb2.Deployment.RUNTIME_ONNX_INT8,
    Runtime.ONNX_FP16: deployment_pb2.Deployment.RUNTIME_ONNX_FP16,
}
_DAY_SECONDS = 86400
_LONGEST_STATEMENT = 1000
_MEASURED = deployment_pb2.Deployment.TUNING_MEASURED
_FROM_PROTO = {value: runtime for runtime, value in _RUNTIMES.items()}


def runtime_of(value: deployment_pb2.Deployment.Runtime.ValueType) -> RuntimeWish:
    """What is to run a model; what it recommends where nothing, or nothing known, is said."""
    return _FROM_PROTO.get(value, RECOMMENDED)


def _runtime_value(wish: RuntimeWish) -> deployment_pb2.Deployment.Runtime.ValueType:
    return _RUNTIMES[wish] if isinstance(wish, Runtime) else deployment_pb2.Deployment.RUNTIME_UNSPECIFIED


def deployment_to_proto(deployment: Deployment) -> deployment_pb2.Deployment:
    """A deployment as clients see it."""
    wanted, serving = deployment.wanted, deployment.serving
    servable = serving.live.servable if serving else None
    return deployment_pb2.Deployment(
        name=str(deployment.name),
        model=wanted.live.model,
        runtime=_runtime_value(wanted.live.runtime),
        aliases=map(_alias, wanted.others),
        state=deployment_pb2.Deployment.State.Value(f"STATE_{deployment.state}"),
        serving_model=servable.model if servable else "",
        triton_model=servable.triton_model if servable else "",
        serving_runtime=_runtime_value(servable.runtime if servable else RECOMMENDED),
        serving_aliases=map(_serving_alias, serving.targets if serving else ()),
        release=wanted.number,
        serving_release=serving.number if serving else 0,
        past_releases=map(_release, deployment.history),
        revision=deployment.revision,
        sampling=_sampling_to_proto(deployment.sampling) if deployment.sampling.is_on else None,
        replicas=deployment_pb2.Replicas(**vars(deployment.replicas)),
        scale=_scale(deployment.scale, is_answering=serving is not None),
        tuning=_MEASURED if deployment.is_tuned else deployment_pb2.Deployment.TUNING_UNSPECIFIED,
        profiles=_profiles(deployment) if deployment.is_tuned else (),
        error=_status_of(deployment.error) if deployment.error else None,
        create_time=_timestamp(deployment.create_time),
        update_time=_timestamp(deployment.update_time),
        proposal=_proposal_to_proto(deployment.proposal) if deployment.proposal else None,
    )


def aliases_of(deployment: deployment_pb2.Deployment, project: str) -> Sequence[Target]:
    """The model versions that are wanted beside a deployment's own.

    Raises:
        InvalidArgumentError: naming the fields that are wrong.
    """
    targets = [
        _target_of(alias, project, f"deployment.aliases[{index}]") for index, alias in enumerate(deployment.aliases)
    ]
    _raise_if(list(violations_of(targets)))
    return targets


def model_of(text: str, project: str, field: str) -> ModelName:
    """A model version of a deployment's own project.

    Raises:
        InvalidArgumentError: naming the field, if it is none.
    """
    model = ModelName.parse(text, field)
    if model.project != project:
        raise InvalidArgumentError.of_field(field, f"must be of the project projects/{project}, not {model}")
    return model


def sampling_of(deployment: deployment_pb2.Deployment) -> SamplingPolicy:
    """Which predictions are to be kept for review.

    Raises:
        InvalidArgumentError: naming the fields that are wrong.
    """
    wanted = deployment.sampling
    shares = {field.name: value for field, value in wanted.ListFields() if field.name != "keep_duration"}
    keep = wanted.keep_duration
    policy = SamplingPolicy(**shares, keep_days=(keep.seconds + keep.nanos / 1e9) / _DAY_SECONDS)
    _raise_if(policy.violations())
    return policy


def _sampling_to_proto(policy: SamplingPolicy) -> deployment_pb2.SamplingPolicy:
    """What differs from what holds anyway."""
    told = {name: value for name, value in vars(policy).items() if value != getattr(OFF, name)}
    keep_days = told.pop("keep_days", None)
    message = deployment_pb2.SamplingPolicy(**told)
    if keep_days is not None:
        message.keep_duration.FromMilliseconds(round(keep_days * _DAY_SECONDS * 1000))
    return message


def proposal_of(message: deployment_pb2.Proposal, project: str) -> tuple[Proposal, float]:
    """What is proposed, and the share of traffic that it gets at once.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    model = str(model_of(message.model, project, "proposal.model"))
    if len(message.statement) > _LONGEST_STATEMENT:
        raise InvalidArgumentError.of_field("proposal.statement", f"must have at most {_LONGEST_STATEMENT} characters")
    if not 0 <= message.canary_share <= 1:
        rule = f"must be from 0 to 1, not {message.canary_share}"
        raise InvalidArgumentError.of_field("proposal.canary_share", rule)
    return Proposal(model, message.statement, utc_now()), message.canary_share


def _proposal_to_proto(proposal: Proposal) -> deployment_pb2.Proposal:
    return deployment_pb2.Proposal(
        model=proposal.model, statement=proposal.statement, create_time=_timestamp(proposal.create_time)
    )


def replicas_of(deployment: deployment_pb2.Deployment, largest: int) -> ReplicaRange:
    """How many replicas are wanted, of at most `largest` that are allowed.

    Raises:
        InvalidArgumentError: naming the fields that are wrong.
    """
    given = deployment.replicas
    least = given.min or 1
    replicas = ReplicaRange(least, given.max or least, given.idle_seconds)
    _raise_if(replicas.violations(largest))
    return replicas


def is_tuned(deployment: deployment_pb2.Deployment) -> bool:
    """Whether models are to be set up as is measured to be fastest."""
    return deployment.tuning == _MEASURED


def _scale(scale: Scale, *, is_answering: bool) -> deployment_pb2.Scale:
    return deployment_pb2.Scale(
        desired=scale.desired,
        ready=scale.ready if is_answering else 0,
        reason=scale.reason,
        change_time=_timestamp(scale.change_time) if scale.change_time else None,
        last_use_time=_timestamp(scale.last_use_time) if scale.last_use_time else None,
    )


def _profiles(deployment: Deployment) -> Sequence[deployment_pb2.Profile]:
    servables = deployment.serving.servables if deployment.serving else ()
    measured = {servable.triton_model: servable.profile for servable in servables if servable.profile}
    return [_profile(name, profile) for name, profile in measured.items()]


def _profile(triton_model: str, profile: Profile) -> deployment_pb2.Profile:
    trials = [_trial(trial, chosen=trial is profile.best) for trial in profile.trials]
    return deployment_pb2.Profile(
        triton_model=triton_model, trials=trials, measure_time=_timestamp(profile.measure_time)
    )


def _trial(trial: Trial, *, chosen: bool) -> deployment_pb2.Profile.Trial:
    return deployment_pb2.Profile.Trial(
        **vars(trial.setup),
        images_per_second=trial.images_per_second,
        p95_milliseconds=1000 * trial.p95_seconds,
        chosen=chosen,
    )


def _status_of(error: DeploymentError) -> status_pb2.Status:
    known = SightsmithError(error.message, reason=error.reason)
    known.code = error.code
    return to_status(known)


def _target_of(alias: deployment_pb2.Alias, project: str, field: str) -> Target:
    return Target(
        alias=check_id(f"{field}.alias", alias.alias),
        model=str(model_of(alias.model, project, f"{field}.model")),
        runtime=runtime_of(alias.runtime),
        share=alias.share,
        is_shadow=alias.shadow,
    )


def _alias(target: Target) -> deployment_pb2.Alias:
    return deployment_pb2.Alias(
        alias=target.alias,
        model=target.model,
        runtime=_runtime_value(target.runtime),
        share=target.share,
        shadow=target.is_shadow,
    )


def _serving_alias(target: Target) -> deployment_pb2.ServingAlias:
    return deployment_pb2.ServingAlias(
        alias=target.alias,
        model=target.model,
        runtime=_runtime_value(target.servable.runtime if target.servable else RECOMMENDED),
        triton_model=target.servable.triton_model if target.servable else "",
        share=target.share,
        shadow=_shadow_figures(target.figures) if target.is_shadow else None,
    )


def _shadow_figures(figures: ShadowFigures) -> deployment_pb2.ShadowFigures:
    return deployment_pb2.ShadowFigures(
        compared_count=figures.compared,
        disagreement_count=figures.disagreed,
        dropped_count=figures.dropped,
        failed_count=figures.failed,
        mean_milliseconds=1000 * figures.seconds / max(figures.compared, 1),
    )


def _release(release: Release) -> deployment_pb2.Release:
    serve_time = _timestamp(release.serve_time) if release.serve_time else None
    return deployment_pb2.Release(
        release=release.number,
        aliases=map(_alias, release.targets),
        serve_time=serve_time,
        gone_models=dict.fromkeys(target.model for target in release.targets if not target.is_staged),
    )


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _raise_if(violations: Sequence[FieldViolation]) -> None:
    if violations:
        message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgumentError(message, violations=violations)
