"""The datasets that an import writes to; those that are missing are made."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Transactions, Within
from sightsmith.errors import AlreadyExistsError
from sightsmith.names import DatasetName, ProjectName
from sightsmith_labeling.datasets import DatasetKey, Datasets, Split
from sightsmith_labeling.tables import DatasetRow


class Targets:
    """Finds the datasets of one import.

    Args:
        database: where they are.
        project: that the import belongs to.
        dataset: name of the dataset that everything goes to; None to go by what each image is for.
    """

    def __init__(self, database: Transactions, project: ProjectName, dataset: str | None) -> None:
        self._database = database
        self._datasets = Datasets(database)
        self._project = project
        self._dataset = dataset
        self._found: dict[Split | None, DatasetKey] = {}

    def join(self, session: AsyncSession) -> None:
        """Lets a dataset that is made from now on be part of a transaction: it stays only if everything else does.

        From then on `find` must not run beside other work of the same transaction.
        """
        self._database = Within(session)
        self._datasets = Datasets(self._database)

    async def find(self, split: Split | None) -> DatasetKey:
        """The dataset that an image goes to.

        Args:
            split: what the import says that the image is for; None if it does not say.

        Raises:
            NotFoundError: if there is no dataset of the name.
        """
        if split not in self._found:
            if self._dataset is not None:
                self._found[split] = await self._datasets.find(DatasetName.parse(self._dataset))
            else:
                self._found[split] = await self._of_split(split or Split.TRAIN)
        return self._found[split]

    async def _of_split(self, split: Split) -> DatasetKey:
        if (found := await self._find_split(split)) is not None:
            return found
        name = DatasetName(self._project.project, split.value)
        try:
            await self._datasets.create(name, split)
        except AlreadyExistsError:
            # Somebody else has just made one, or one of this name is for the other split.
            if (found := await self._find_split(split)) is None:
                raise
            return found
        return await self._datasets.find(name)

    async def _find_split(self, split: Split) -> DatasetKey | None:
        wanted = select(DatasetRow.id, DatasetRow.key).where(
            DatasetRow.project == self._project.project, DatasetRow.split == split.value
        )
        async with self._database.transaction() as session:
            found = (await session.execute(wanted)).one_or_none()
        return DatasetKey(DatasetName(self._project.project, found.id), found.key) if found is not None else None
