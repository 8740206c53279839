"""`sightsmith import`: a folder of labelled images into a project; `import_jobs.py` does the rest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1 import dataset_pb2
from sightsmith.api.labeling.v1.import_job_pb2 import ImportJob
from sightsmith.api.labeling.v1.labeling_service_pb2 import UploadImagesResponse
from sightsmith.cli.import_jobs import FORMAT_NAMES, format_of, import_by_job
from sightsmith.cli.output import JsonOption, Output
from sightsmith.client import Client, ImageToUpload
from sightsmith.client.labelled_folder import ImageFile, LabelledFile, LabelledFolder, read_image_folder
from sightsmith.client.packing import holds_annotations
from sightsmith.counting import counted
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName
from sightsmith.rpc.status import from_status

_SHOWN = 20
# A label with fewer can be imported but hardly learnt; training says what it needs at least.
_FEW_IMAGES = 5


@dataclass(frozen=True)
class Rejection:
    """A file that was not taken, and why."""

    file: str
    reason: str
    message: str


@dataclass
class ImportReport:
    """What became of a folder.

    Attributes:
        created: images that joined a dataset.
        unchanged: images that were there already with the same label.
        rejected: images that were refused.
        unlabelled: images that lie outside any label's folder; taken without a label.
        ignored: other files; not taken.
        labels: images of each label, now.
        warnings: what may surprise later.
    """

    created: int = 0
    unchanged: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    unlabelled: Sequence[str] = ()
    ignored: Sequence[str] = ()
    labels: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


def import_command(
    project: Annotated[str, typer.Argument(help="Id of the project; made if it is not there.")],
    source: Annotated[
        str,
        typer.Argument(
            help="FOLDER/<label>/*.jpg, FOLDER/{train,test}/<label>/*.jpg, FOLDER/*.jpg (no labels), an annotation "
            "file, a folder or archive of annotations and images, a URL that the server may read, or "
            "projects/ID/datasets/ID."
        ),
    ],
    format_name: Annotated[
        str | None, typer.Option("--format", help=f"One of {', '.join(FORMAT_NAMES)}; recognised if left out.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Id of the dataset; by default what the files say, else train.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the images that the annotations are about.", exists=True, file_okay=False),
    ] = None,
    image_prefix: Annotated[str | None, typer.Option(help="URL below which the server finds the images.")] = None,
    existing: Annotated[
        str, typer.Option(help="What is done with images that are there: merge, replace or keep.")
    ] = "merge",
    all_or_nothing: Annotated[bool, typer.Option("--all-or-nothing", help="Keep nothing if it fails.")] = False,
    max_rejected: Annotated[float | None, typer.Option(help="Share of bad lines, 0 to 1, that is accepted.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Import images and annotations.

    In a folder without annotation files, the names of folders are labels, and images in no folder have none.
    """
    output = Output(as_json)
    options = (format_name, dataset, images, image_prefix, max_rejected, all_or_nothing or None)
    with output.failing_clearly():
        is_folder = _is_folder_of_images(source)
    if not is_folder or any(option is not None for option in options) or existing != "merge":
        with output.failing_clearly(), Client.connect() as client:
            job = ImportJob(
                format=format_of(format_name or ("folders" if is_folder and images is None else None)),
                dataset=str(DatasetName(project, dataset)) if dataset else "",
                image_prefix=image_prefix or "",
                existing_images=_existing(existing),
                all_or_nothing=all_or_nothing,
                max_rejected_fraction=max_rejected,
            )
            import_by_job(client, project, source, images, job, output)
        return
    with output.failing_clearly():
        contents = read_image_folder(Path(source))
        with Client.connect() as client:
            report = import_folder(client, project, contents, output)
    output.result(report.fields(), *summary_of(report))
    if report.created + report.unchanged == 0:
        raise typer.Exit(1)


def _is_folder_of_images(source: str) -> bool:
    """Whether it is a folder on the user's disk without annotation files.

    Raises:
        FileNotFoundError: if it is a path that leads nowhere.
    """
    if "://" in source or source.startswith("projects/"):
        return False
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {source}")
    return path.is_dir() and not holds_annotations(path)


def _existing(name: str) -> ImportJob.ExistingImages.ValueType:
    known = {"merge", "replace", "keep"}
    if name not in known:
        raise InvalidArgumentError.of_field("--existing", f"must be one of {', '.join(sorted(known))}, not {name}")
    return ImportJob.ExistingImages.Value(f"EXISTING_IMAGES_{name.upper()}")


def import_folder(client: Client, project: str, contents: LabelledFolder, output: Output) -> ImportReport:
    """Uploads what a folder holds, with a progress bar. Doing it again uploads nothing twice."""
    client.ensure_project(project)
    report = ImportReport(unlabelled=[file.source for file in contents.unlabelled], ignored=contents.ignored)

    def on_unreadable(image: ImageToUpload, error: OSError) -> None:
        report.rejected.append(Rejection(image.source, "FILE_UNREADABLE", f"cannot be opened: {error.strerror}"))

    to_learn_from = (*contents.train, *contents.unlabelled)
    parts = [(dataset_pb2.SPLIT_TRAIN, to_learn_from), (dataset_pb2.SPLIT_TEST, contents.test)]
    with output.progress() as progress:
        total = len(to_learn_from) + len(contents.test)
        task = progress.add_task("importing", total=total, note="")
        for split, files in parts:
            if not files:
                continue
            dataset = client.ensure_dataset(project, split)
            for answer in client.upload(DatasetName.parse(dataset.name), map(_to_upload, files), on_unreadable):
                _record(report, answer)
                progress.update(task, advance=1, note=f"{len(report.rejected)} rejected" if report.rejected else "")
    report.labels = _label_counts(client, project)
    report.warnings = [*_warnings(report), *_depth_warnings(contents)]
    return report


def summary_of(report: ImportReport) -> list[Table | str]:
    """What people would like to see of a report."""
    counts = f"[bold]{report.created}[/] imported, {report.unchanged} there already, {len(report.rejected)} rejected"
    lines: list[Table | str] = [f"{counts}; {counted(len(report.labels), 'label')}"]
    if report.rejected:
        table = Table(title="rejected", title_justify="left")
        for heading in ("file", "reason", "message"):
            table.add_column(heading, overflow="fold")
        for rejection in report.rejected[:_SHOWN]:
            table.add_row(escape(rejection.file), rejection.reason, escape(rejection.message))
        lines.append(table)
        if len(report.rejected) > _SHOWN:
            lines.append(f"… and {len(report.rejected) - _SHOWN} more; --json lists all")
    for name, files in (
        ("in no folder, so without a label", report.unlabelled),
        ("not taken, because it is no image or in a folder of neither split", report.ignored),
    ):
        if files:
            shown = ", ".join(map(escape, files[:3])) + (", …" if len(files) > 3 else "")
            lines.append(f"{name}: {len(files)} ({shown})")
    lines += [f"[yellow]warning:[/] {escape(warning)}" for warning in report.warnings]
    return lines


def _to_upload(file: ImageFile) -> ImageToUpload:
    return ImageToUpload(file.path, file.source, [file.label] if isinstance(file, LabelledFile) else [])


def _record(report: ImportReport, answer: UploadImagesResponse) -> None:
    if answer.outcome == UploadImagesResponse.OUTCOME_CREATED:
        report.created += 1
    elif answer.outcome == UploadImagesResponse.OUTCOME_UNCHANGED:
        report.unchanged += 1
    else:
        error = from_status(answer.error)
        report.rejected.append(Rejection(answer.source, error.reason, error.message))


def _label_counts(client: Client, project: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for dataset in client.datasets(project):
        counts.update({count.label: count.image_count for count in dataset.label_counts})
    return dict(sorted(counts.items()))


def _depth_warnings(contents: LabelledFolder) -> list[str]:
    """A folder that was chosen one level too high makes labels of what is above the labels."""
    splits = {"train", "test"}
    deep = sorted({file.label for file in contents.train if splits & set(PurePosixPath(file.source).parts[1:-1])})
    return [f"label '{label}' has folders named train or test inside: was one level too high given?" for label in deep]


def _warnings(report: ImportReport) -> list[str]:
    warnings = [
        f"label '{label}' has only {count} image{'s' * (count != 1)}: figures about it will be rough, and training "
        "refuses a label that is left with too few"
        for label, count in report.labels.items()
        if count < _FEW_IMAGES
    ]
    if len(report.labels) == 1:
        warnings.append("there is only one label: training needs two or more")
    return warnings
