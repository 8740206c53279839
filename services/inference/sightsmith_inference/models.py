"""Model versions that stand ready for Triton, and those that are to be made ready."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from sqlalchemy import ColumnElement, SQLColumnExpression, delete, exists, literal, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith_inference.processors import Processor as Processor
from sightsmith_inference.profiles import Profile, profile_of, profile_to_json
from sightsmith_inference.tables import DeletedModelRow, ModelRow, StagingRequestRow, TritonModelRow
from sightsmith_inference.tensors import DETECTOR_OUTPUTS, OutputTensor, vector_output


class Runtime(StrEnum):
    """What runs a model, and the format of the files that it reads."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    # ONNX Runtime too, with files of fewer bits.
    ONNX_INT8 = "onnx_int8"
    ONNX_FP16 = "onnx_fp16"


RECOMMENDED: Final = "recommended"
RuntimeWish = Runtime | Literal["recommended"]
"""A runtime, or whichever a model version recommends."""


def runtime_wish(text: str) -> RuntimeWish:
    """Reads a wish that was written down as text."""
    return RECOMMENDED if text == RECOMMENDED else Runtime(text)


class Task(StrEnum):
    """What a model does: one label an image, any number of labels an image, or labels with boxes."""

    CLASSIFICATION = "classification"
    MULTI_LABEL_CLASSIFICATION = "multi_label_classification"
    DETECTION = "detection"


@dataclass(frozen=True)
class ServableModel:
    """A model version in one format, staged for Triton.

    Attributes:
        triton_model: its name in Triton.
        model: the model version, `projects/{project}/models/{model}`.
        runtime: what runs it.
        labels: labels in the order of its scores.
        image_side: side in pixels of the square images that it takes.
        max_batch_size: how many images Triton takes in one request, at least 1.
        task: what it does.
        thresholds: per label, the least score at which it holds, 0 to 1; None if the most likely label is the answer.
        recommended_for: the processors for which the model version recommends this format.
        profile: what was measured of it in the inference server; None if nothing was.
    """

    triton_model: str
    model: str
    runtime: Runtime
    labels: tuple[str, ...]
    image_side: int
    max_batch_size: int
    task: Task = Task.CLASSIFICATION
    thresholds: tuple[float, ...] | None = None
    recommended_for: frozenset[Processor] = frozenset()
    profile: Profile | None = None

    @property
    def outputs(self) -> tuple[OutputTensor, ...]:
        """What comes out for each image."""
        return outputs_of(self.task, len(self.labels))


def outputs_of(task: Task, labels: int) -> tuple[OutputTensor, ...]:
    """What a model for a task gives for each image."""
    return DETECTOR_OUTPUTS if task is Task.DETECTION else vector_output(labels)


def suitable(
    staged: Mapping[Runtime, ServableModel], wish: RuntimeWish, processor: Processor
) -> Sequence[ServableModel]:
    """What may be put into service, the best first: none, one or, where a recommendation could fail, two."""
    if isinstance(wish, Runtime):
        return [staged[wish]] if wish in staged else []
    recommended = [servable for servable in staged.values() if processor in servable.recommended_for]
    full = [staged[Runtime.ONNX]] if Runtime.ONNX in staged else []
    return list(dict.fromkeys(recommended + full))


class Models:
    """Remembers which model versions are staged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def staged(self, model: str) -> Mapping[Runtime, ServableModel]:
        """What a model version offers; empty if it is not staged."""
        query = (
            select(TritonModelRow, ModelRow)
            .join(ModelRow, TritonModelRow.model == ModelRow.name)
            .where(ModelRow.name == model)
        )
        async with self._database.transaction() as session:
            rows = (await session.execute(query)).all()
        servables = [servable_of(triton_model, model_row) for triton_model, model_row in rows]
        return {servable.runtime: servable for servable in servables}

    async def is_ready(self, model: str) -> bool:
        """Whether a model version is staged, and was not deleted where it was trained."""
        async with self._database.transaction() as session:
            return bool(await session.scalar(select(stands_ready(literal(model)))))

    async def add_staged(self, servables: Mapping[Runtime, ServableModel]) -> None:
        """Records that a model version is staged in these formats; knowing it already changes nothing."""
        async with self._database.transaction() as session:
            for servable in servables.values():
                await session.execute(_insert_model(servable))
                await session.execute(_insert_triton_model(servable))

    async def change_thresholds(self, model: str, thresholds: Sequence[float] | None) -> None:
        """Lets other thresholds hold for a model version that is staged; one for each label."""
        values = None if thresholds is None else list(thresholds)
        async with self._database.transaction() as session:
            await session.execute(update(ModelRow).where(ModelRow.name == model).values(thresholds=values))

    async def add_profile(self, triton_model: str, profile: Profile) -> None:
        """Records what was measured of a model."""
        change = update(TritonModelRow).where(TritonModelRow.name == triton_model)
        async with self._database.transaction() as session:
            await session.execute(change.values(profile=profile_to_json(profile)))

    async def triton_models(self) -> frozenset[str]:
        """The names of everything that was ever staged. What else Triton holds is none of our business."""
        async with self._database.transaction() as session:
            return frozenset(await session.scalars(select(TritonModelRow.name)))

    async def next_to_stage(self, excluded: frozenset[str] = frozenset()) -> str | None:
        """The model version that has been waiting the longest to be staged, of those not excluded."""
        oldest = (
            select(StagingRequestRow.model)
            .where(StagingRequestRow.model.not_in(excluded))
            .order_by(StagingRequestRow.request_time)
            .limit(1)
        )
        async with self._database.transaction() as session:
            model: str | None = await session.scalar(oldest)
            return model

    async def finish_staging(self, model: str) -> None:
        """Takes a model version off the list of those to be staged."""
        async with self._database.transaction() as session:
            await session.execute(delete(StagingRequestRow).where(StagingRequestRow.model == model))


def stands_ready(model: SQLColumnExpression[str]) -> ColumnElement[bool]:
    """Whether the model version of a name is staged, and not one that is only to be forgotten."""
    # Whatever else of these tables the query has that this becomes a part of.
    is_staged = exists().where(ModelRow.name == model).correlate_except(ModelRow)
    is_deleted = exists().where(DeletedModelRow.model == model).correlate_except(DeletedModelRow)
    return is_staged & ~is_deleted


async def request_staging(session: AsyncSession, model: str) -> None:
    """Puts a model version on the list of those to be staged, once."""
    await session.execute(insert(StagingRequestRow).values(model=model).on_conflict_do_nothing())


def servable_of(triton_model: TritonModelRow, model: ModelRow) -> ServableModel:
    """The value that two joined rows stand for."""
    return ServableModel(
        triton_model=triton_model.name,
        model=model.name,
        runtime=Runtime(triton_model.runtime),
        labels=tuple(model.labels),
        image_side=model.image_side,
        max_batch_size=triton_model.max_batch_size,
        task=Task(model.task),
        thresholds=None if model.thresholds is None else tuple(model.thresholds),
        recommended_for=frozenset(map(Processor, triton_model.recommended_for)),
        profile=None if triton_model.profile is None else profile_of(triton_model.profile),
    )


def _insert_model(servable: ServableModel) -> Insert:
    return (
        insert(ModelRow)
        .values(
            name=servable.model,
            task=servable.task,
            labels=list(servable.labels),
            thresholds=None if servable.thresholds is None else list(servable.thresholds),
            image_side=servable.image_side,
        )
        .on_conflict_do_nothing()
    )


def _insert_triton_model(servable: ServableModel) -> Insert:
    return (
        insert(TritonModelRow)
        .values(
            name=servable.triton_model,
            model=servable.model,
            runtime=servable.runtime,
            max_batch_size=servable.max_batch_size,
            recommended_for=sorted(servable.recommended_for),
        )
        .on_conflict_do_nothing()
    )
