"""Result files where users want them, and reports that lack something."""

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import delete, update
from structlog.testing import capture_logs

from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.client import Client, SightsmithError
from sightsmith.database import Database
from sightsmith.names import ModelName
from sightsmith.objects import Objects
from sightsmith.settings import Settings
from sightsmith_training.engine.specification import SpecEntry, TrainingOptions
from sightsmith_training.jobs import TrainingJobs
from sightsmith_training.leases import LeaseLostError
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.tables import TrainingJobRow
from sightsmith_training.worker import Worker
from tests.integration.training.finished_training import Workshop
from tests.integration.training.judged_answers import boxes, one_label

NewProject = Callable[[], str]
MANIFEST_FILES = ("ManifestSummary", "TrainingManifestWithValidation", "TestingManifestWithValidation")


async def test_the_six_files_are_written_where_they_are_wanted(
    client: Client, workshop: Workshop, new_project: NewProject, store: Path, tmp_path: Path
) -> None:
    project, root = new_project(), tmp_path / "results"
    places = {"runs/monday": store / "outputs" / project / "runs/monday", f"{root.as_uri()}/a": root / "a"}
    for prefix, folder in places.items():
        published = await replace(workshop, output_roots=[root.as_uri()]).publish(project, boxes(3), prefix)
        model = client.model(str(published.name))
        assert not model.report_problems
        copied = [file for file in model.report_files if file.path != "report.html"]
        assert len(copied) == 6
        for file in copied:
            assert file.output_uri == (folder / file.path).as_uri()
            assert (folder / file.path).read_bytes() == (store / file.key).read_bytes()
        assert {path.name for path in folder.iterdir()} == {file.path for file in copied}
        assert model.report_files[-1].output_uri == ""
        client.models.delete(model.name)
        assert all((folder / file.path).exists() for file in copied)


async def test_a_place_that_cannot_be_written_to_costs_no_model(
    client: Client, workshop: Workshop, new_project: NewProject, store: Path
) -> None:
    project = new_project()
    (store / "outputs" / project).mkdir(parents=True)
    (store / "outputs" / project / "taken").touch()
    model = client.model(str((await workshop.publish(project, one_label(1), "taken/a")).name))
    assert [file.output_uri for file in model.report_files] == [""] * 7
    (problem,) = model.report_problems
    assert problem.startswith("not all result files could be written to taken/a: ")
    assert problem.endswith("; it is tried again")
    copy = client.models.copy(model.name, new_project())

    (store / "outputs" / project / "taken").unlink()
    await workshop.due_outputs().write()
    model = client.model(model.name)
    assert not model.report_problems
    assert len(list((store / "outputs" / project / "taken" / "a").iterdir())) == 6
    assert [bool(file.output_uri) for file in model.report_files] == [True] * 6 + [False]
    assert not any(file.output_uri for file in client.model(copy.name).report_files)


async def test_a_place_that_stays_out_of_reach_is_given_up(
    client: Client, workshop: Workshop, new_project: NewProject, store: Path
) -> None:
    project = new_project()
    taken = store / "outputs" / project / "taken"
    taken.parent.mkdir(parents=True)
    taken.touch()
    name = str((await workshop.publish(project, one_label(1), "taken/a")).name)
    await workshop.due_outputs(patience_seconds=0).write()
    (problem,) = client.model(name).report_problems
    assert problem.endswith("; given up")
    taken.unlink()
    await workshop.due_outputs().write()
    assert not taken.exists()


async def test_two_workers_may_write_at_the_same_time(
    client: Client, workshop: Workshop, new_project: NewProject, store: Path
) -> None:
    project = new_project()
    folder = store / "outputs" / project
    folder.mkdir(parents=True)
    (folder / "taken").touch()
    names = [str((await workshop.publish(project, one_label(1), f"taken/{part}")).name) for part in "ab"]
    (folder / "taken").unlink()
    await asyncio.gather(*(workshop.due_outputs().write() for _ in range(2)))
    for name in names:
        model = client.model(name)
        assert [bool(file.output_uri) for file in model.report_files] == [True] * 6 + [False]
        assert not model.report_problems


async def test_a_version_that_never_comes_to_be_leaves_no_files(
    database: Database, workshop: Workshop, new_project: NewProject, store: Path
) -> None:
    project = new_project()

    class TakenAway(Objects):
        """Lets somebody else have the job as soon as its report is stored."""

        async def put_file(self, key: str, path: Path) -> None:
            await super().put_file(key, path)
            if "/report-" in key:
                async with database.transaction() as session:
                    mine = update(TrainingJobRow).where(TrainingJobRow.project == project)
                    await session.execute(mine.values(lease_token=uuid.uuid4()))

    taken = replace(workshop, objects=TakenAway(workshop.objects._store))
    with pytest.raises(LeaseLostError):
        await taken.publish(project, one_label(1), "runs")
    await workshop.due_outputs().write()
    assert not (store / "outputs" / project).exists()
    async with database.transaction() as session:  # Nobody else is to wait for it.
        await session.execute(delete(TrainingJobRow).where(TrainingJobRow.project == project))


async def test_what_cannot_be_written_costs_no_model(
    client: Client, workshop: Workshop, new_project: NewProject, run: Callable[..., Result], tmp_path: Path
) -> None:
    answers = one_label(1)
    first, project = answers.images[0], new_project()

    class Forgetful(Workshop):
        """Leaves an image out of the specification by which the model was judged nevertheless."""

        async def _entries(self, images: list) -> list[SpecEntry]:
            return [entry for entry in await super()._entries(images) if entry.image != first.image]

    with capture_logs() as logs:
        name = (await Forgetful(**vars(workshop)).publish(project, answers)).name
    assert [(line["part"], line["exc_info"]) for line in logs] == [("evaluation files", True), ("the page", True)]
    model = client.model(str(name))
    kinds = [file.path.partition("-")[0] for file in model.report_files]
    assert kinds == list(MANIFEST_FILES)
    assert [problem.partition(" could not be written (")[0] for problem in model.report_problems] == [
        "evaluation files",
        "the page",
    ]
    result = run("models", "report", project, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "missing: the page" in result.stderr
    assert len(list((tmp_path / "report").iterdir())) == 3


@pytest.mark.parametrize("prefix", ["../bakery", "s3://other/results", "file:///etc"])
async def test_a_place_that_is_not_allowed_is_refused_at_once(
    client: Client, workshop: Workshop, new_project: NewProject, prefix: str
) -> None:
    name = (await workshop.publish(new_project(), one_label(1))).name
    with pytest.raises(SightsmithError) as raised:
        client.train(name.project, f"projects/{name.project}/snapshots/1", wishes=TrainingJob(output_prefix=prefix))
    assert [violation.field for violation in raised.value.violations] == ["training_job.output_prefix"]
    assert len(list(client.training_jobs(name.project))) == 1


async def test_a_training_that_fails_by_its_data_leaves_the_manifest_files(
    client: Client,
    database: Database,
    workshop: Workshop,
    server_settings: Settings,
    new_project: NewProject,
    run: Callable[..., Result],
    store: Path,
    tmp_path: Path,
) -> None:
    project = new_project()
    entries = await workshop._entries(one_label(1).images)
    snapshot = await workshop._snapshot(project, entries)
    wanted = TrainingOptions(task="detection", output_prefix="failed")
    job = await TrainingJobs(database).create(project, snapshot, 0, None, wanted)
    settings = TrainingSettings(**server_settings.model_dump(), work_dir=tmp_path / "work", spare_process=False)
    work = asyncio.create_task(Worker(settings, database).run())
    try:
        await asyncio.to_thread(lambda: list(client.watch(job.name)))
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    ended = client.training_job(job.name)
    assert ended.state == TrainingJob.STATE_FAILED
    assert not ended.report_problems
    expected = [f"{kind}-{project}-{job.id}.json" for kind in MANIFEST_FILES]
    assert [file.path for file in ended.report_files] == expected
    assert sorted(path.name for path in (store / "outputs" / project / "failed").iterdir()) == sorted(expected)

    result = run("models", "report", project, "--training", job.id, "-o", tmp_path / "report", "--json")
    assert result.exit_code == 0, result.output
    (summary,) = [json.loads(line) for line in (tmp_path / "report" / expected[0]).read_bytes().splitlines()]
    statistics = summary["statistics"]
    assert [error["code"] for error in statistics["training"]["errors"]] == ["ERROR_MANIFEST_TOO_FEW_USABLE_LABELS"]
    assert [statistics[split]["total_json_lines"] for split in ("training", "testing")] == [2, len(entries) - 2]
    # No number of a version was used up.
    assert (await workshop.publish(project, one_label(1))).name == ModelName(project, "v1")


async def test_a_training_without_a_report_says_so(
    workshop: Workshop, new_project: NewProject, run: Callable[..., Result], tmp_path: Path
) -> None:
    model = await workshop.publish(new_project(), one_label(1))
    job = model.training_job
    result = run("models", "report", job.project, "--training", job.training_job, "-o", tmp_path / "report")
    assert result.exit_code == 1
    assert "only a training that failed because of its data" in result.stderr
    assert not (tmp_path / "report").exists()
