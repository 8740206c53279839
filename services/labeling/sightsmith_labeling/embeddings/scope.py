"""Which images a search is about."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.errors import NotFoundError
from sightsmith.names import DatasetName, ProjectName
from sightsmith_labeling.images import Image, to_image
from sightsmith_labeling.labels import label_names
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.tables import DatasetRow, ImageRow, ImageTallyRow, LabelTallyRow


@dataclass(frozen=True)
class Scope:
    """Images of one project.

    Attributes:
        datasets: names of the datasets, by their keys.
        labels: keys of labels that an image must carry, all of them.
        unlabelled_only: whether an image must carry no label.
    """

    project: ProjectName
    datasets: Mapping[int, DatasetName]
    labels: tuple[int, ...] = ()
    unlabelled_only: bool = False

    @property
    def condition(self) -> ColumnElement[bool]:
        """What a row of `images` must fulfil; its bytes are there too."""
        parts = [ImageRow.dataset.in_(self.datasets), ImageRow.state == "ready"]
        if self.labels:
            parts.append(ImageRow.labels.contains(list(self.labels)))
        if self.unlabelled_only:
            parts.append(~ImageRow.is_labelled)
        return and_(*parts)

    async def size(self, session: AsyncSession) -> int:
        """About how many images it has: never fewer than there are."""
        if self.labels:
            of_first = func.sum(LabelTallyRow.images)
            query = select(of_first).where(
                LabelTallyRow.dataset.in_(self.datasets), LabelTallyRow.label == self.labels[0]
            )
        else:
            left_out = ImageTallyRow.labelled if self.unlabelled_only else 0
            query = select(func.sum(ImageTallyRow.images - left_out)).where(ImageTallyRow.dataset.in_(self.datasets))
        return int(await session.scalar(query) or 0)

    async def images(self, session: AsyncSession, condition: ColumnElement[bool]) -> Sequence[tuple[int, Image]]:
        """Those of its images that fulfil a condition, each with its place in the order of arrival."""
        rows = (await session.scalars(select(ImageRow).where(self.condition, condition))).all()
        names = await label_names(session, self.project.project)
        return [(row.sequence, to_image(self.datasets[row.dataset], row, names)) for row in rows]


async def scope_of(
    session: AsyncSession,
    parent: ProjectName | DatasetName,
    labels: Collection[str] = (),
    *,
    unlabelled_only: bool = False,
) -> Scope | None:
    """The images of a project or of one of its datasets; None if it has no such label.

    Raises:
        NotFoundError: if the project or the dataset does not exist.
    """
    project = ProjectName(parent.project)
    found = select(DatasetRow.key, DatasetRow.id).where(DatasetRow.project == project.project)
    if isinstance(parent, DatasetName):
        found = found.where(DatasetRow.id == parent.dataset)
    rows = (await session.execute(found)).tuples().all()
    if not rows:
        await require_project(session, project)
        if isinstance(parent, DatasetName):
            raise NotFoundError(str(parent))
    datasets = {key: DatasetName(project.project, name) for key, name in rows}
    keys = {name: key for key, name in (await label_names(session, project.project)).items()} if labels else {}
    if not set(labels) <= keys.keys():
        return None
    return Scope(project, datasets, tuple(keys[label] for label in labels), unlabelled_only)
