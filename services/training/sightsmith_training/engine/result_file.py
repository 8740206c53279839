"""What came of a job of the engine, as a file of JSON Lines: the outcome itself, then a prediction a line.

However many images were judged, whoever reads it has in memory what is asked for.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, overload

from pydantic import Field, TypeAdapter

from sightsmith_training.engine.contract import Answers, TrainingResult
from sightsmith_training.engine.evaluation_result import ImagePrediction

Outcome = TrainingResult | Answers
_FILE = "result.jsonl"
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Annotated[Outcome, Field(discriminator="kind")])


def write_result(folder: Path, outcome: Outcome) -> Path:
    """Writes an outcome into a folder, which is made if need be; returns the file.

    Raises:
        OSError: if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _FILE
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(outcome.model_copy(update={"predictions": []}).model_dump_json() + "\n")
        file.writelines(prediction.model_dump_json() + "\n" for prediction in outcome.predictions)
    return path


def read_result(path: Path) -> Outcome:
    """Reads an outcome, of which the predictions stay in the file: it must be there for as long as they are wanted.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        outcome = _OUTCOME.validate_json(file.readline())
        return outcome.model_copy(update={"predictions": PredictionFile(path, file.tell())})


class PredictionFile(Sequence[ImagePrediction]):
    """The predictions of a file, each of which is read when it is asked for."""

    def __init__(self, path: Path, begin: int) -> None:
        """Looks where they are.

        Args:
            path: of the file.
            begin: position of the first of them.
        """
        self._path = path
        with path.open("rb") as file:
            file.seek(begin)
            self._begins = [begin]
            for line in file:
                self._begins.append(self._begins[-1] + len(line))

    def __len__(self) -> int:
        return len(self._begins) - 1

    @overload
    def __getitem__(self, place: int) -> ImagePrediction: ...
    @overload
    def __getitem__(self, place: slice) -> list[ImagePrediction]: ...
    def __getitem__(self, place: int | slice) -> ImagePrediction | list[ImagePrediction]:
        if isinstance(place, slice):
            return [self[one] for one in range(len(self))[place]]
        with self._path.open("rb") as file:
            file.seek(self._begins[range(len(self))[place]])
            return ImagePrediction.model_validate_json(file.readline())

    def __iter__(self) -> Iterator[ImagePrediction]:
        with self._path.open("rb") as file:
            file.seek(self._begins[0])
            for line in file:
                yield ImagePrediction.model_validate_json(line)
