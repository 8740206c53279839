"""The import job: from files, or from another dataset, into datasets."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError, UnavailableError
from sightsmith_labeling import changes
from sightsmith_labeling.formats.records import FormatError, ImportedImage, Place, Rejection
from sightsmith_labeling.images import Problem
from sightsmith_labeling.imports.ahead import ahead
from sightsmith_labeling.imports.counts import ImportCounts
from sightsmith_labeling.imports.incoming import Incoming, Size, size_note
from sightsmith_labeling.imports.receiving import Batch, Receiver
from sightsmith_labeling.imports.request import IMPORT_JOBS, ImportRequest
from sightsmith_labeling.imports.sources import ImportSource, ImportSources
from sightsmith_labeling.imports.targets import Targets
from sightsmith_labeling.imports.writing import BatchWriter, Outcome, Written
from sightsmith_labeling.intake import Intake
from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.jobs.running import RunningJob
from sightsmith_labeling.quotas import Quotas

_PHASE = "importing"
_DIGEST_BYTES = 16


class ImportJobs:
    """The kind of job that imports."""

    name: ClassVar[str] = IMPORT_JOBS

    def __init__(self, database: Database, sources: ImportSources, intake: Intake, quotas: Quotas) -> None:
        self._database = database
        self._sources = sources
        self._intake = intake
        self._quotas = quotas

    async def run(self, job: RunningJob) -> Mapping[str, Any]:
        """Imports, from the last batch on that was written.

        Raises:
            FailedPreconditionError: with the reason IMPORT_FAILED, if the files cannot be read as a whole, or if too
                many of their lines were refused.
        """
        request = ImportRequest.model_validate(job.spec)
        async with aclosing(await self._sources.open(job, request)) as source:
            targets = Targets(self._database, job.project, request.dataset)
            work = _Import(job, request, source, targets, self._intake, self._quotas)
            try:
                await (work.run_at_once() if request.all_or_nothing else work.run_in_batches())
            except IntegrityError as error:
                # Somebody else has just given the dataset the same image; the next try will see it.
                raise UnavailableError("the dataset is being changed; try again") from error
            except FormatError as error:
                await job.report([_terminal(error.code, error.message, error.place)])
                raise _failed(error.code, error.message, error.place) from error
            return work.result


class _Import:
    """One import at work."""

    def __init__(
        self,
        job: RunningJob,
        request: ImportRequest,
        source: ImportSource,
        targets: Targets,
        intake: Intake,
        quotas: Quotas,
    ) -> None:
        self._job = job
        self._request = request
        self._source = source
        self._targets = targets
        self._receiver = Receiver(request, source, targets, intake)
        self._writer = BatchWriter(job.project, job.name, request.existing_images, quotas)
        self._counts = ImportCounts.stored(job.checkpoint.get("counts", {}))

    @property
    def result(self) -> Mapping[str, Any]:
        """What became of everything so far."""
        return self._result_of(self._counts)

    def _result_of(self, counts: ImportCounts) -> Mapping[str, Any]:
        return {"format": self._source.format, **counts.fields()}

    async def run_in_batches(self) -> None:
        """Writes batch by batch; what is written stays whatever comes."""
        async with aclosing(ahead(self._receiver.batches())) as batches:
            async for batch in batches:
                # A step that fails must leave the counts as they are in the database.
                counts = replace(self._counts)
                checkpoint: dict[str, Any] = {"position": batch.position}
                async with self._job.step(checkpoint) as step:
                    for finding in await self._write(step.session, batch, counts):
                        step.find(finding)
                    checkpoint["counts"] = counts.fields()
                    step.result = self._result_of(counts)
                self._counts = counts
                await self._job.advance(_PHASE, counts.read, self._source.total)
        self._judge()
        async with self._job.step(self._job.checkpoint) as step:
            self._record(step.session)

    async def run_at_once(self) -> None:
        """Writes everything in one transaction, or nothing. What is found is on record at once in any case."""
        await self._job.forget_findings()
        async with self._job.step({}) as step:
            self._targets.join(step.session)
            async for batch in self._receiver.batches():
                if findings := await self._write(step.session, batch, self._counts):
                    await self._job.report(findings)
                await self._job.advance(_PHASE, self._counts.read, self._source.total)
            self._judge()
            self._record(step.session)

    def _judge(self) -> None:
        limit = self._request.max_rejected_fraction
        if self._counts.read == 0:
            raise _failed("ERROR_EMPTY_MANIFEST", "there is nothing to import in it", Place(""))
        if self._counts.rejected_fraction > limit:
            counts = f"{self._counts.rejected} of {self._counts.read} lines were rejected"
            message = f"{counts}, which is more than the share of {limit:g} that is accepted"
            raise _failed("ERROR_TOO_MANY_RECORDS_IN_ERROR", message, Place(""))

    def _record(self, session: AsyncSession) -> None:
        changes.record(session, self._job.project.project, self._job.name, "imports.end", **self.result)

    async def _write(self, session: AsyncSession, batch: Batch, counts: ImportCounts) -> list[Finding]:
        """Writes a batch and counts its lines, also those that were refused before."""
        findings = [_rejected(one) for one in batch.rejected]
        # Where the import has images of its own, one that is not among them is no other one of the same file name.
        outcomes = await self._writer.write(session, batch.images, by_file_name=not self._source.has_images)
        for image, written in zip(batch.images, outcomes, strict=True):
            counts.add(written.outcome)
            counts.problems += bool(written.problems)
            findings += _findings_of(image, written)
        counts.reject(len(batch.rejected))
        return findings


def _findings_of(image: Incoming, written: Written) -> list[Finding]:
    place = image.image.place
    if written.outcome is Outcome.NOT_FOUND:
        return [_rejected(Rejection(place, "ERROR_IMAGE_NOT_FOUND", written.message))]
    if written.outcome is Outcome.TOO_MANY:
        return [_rejected(Rejection(place, "ERROR_TOO_MANY_ANNOTATIONS", written.message))]
    findings = [_about(Severity.ERROR, place, problem) for problem in written.problems]
    findings += [_about(Severity.WARNING, place, note) for note in image.image.notes]
    if (note := _size_note(image.image, written.size)) is not None:
        findings.append(_about(Severity.WARNING, place, note))
    return findings


def _size_note(said: ImportedImage, known: Size) -> Problem | None:
    has_boxes = any(annotation.box is not None for annotation in said.annotations)
    return size_note((said.width, said.height), known) if has_boxes else None


def _rejected(rejection: Rejection) -> Finding:
    problem = Problem(rejection.code, rejection.message, rejection.path)
    return _about(Severity.ERROR, rejection.place, problem)


def _about(severity: Severity, place: Place, problem: Problem) -> Finding:
    return Finding(severity, problem.code, problem.message, place.file, place.line, path=problem.path)


def _terminal(code: str, message: str, place: Place) -> Finding:
    return Finding(Severity.TERMINAL, code, message, place.file, place.line)


def _failed(code: str, message: str, place: Place) -> FailedPreconditionError:
    metadata = {"code": code, "file": place.file, "line": str(place.line)}
    text = f"{place.file}: {message}" if place.file and not message.startswith(place.file) else message
    return FailedPreconditionError(text, reason="IMPORT_FAILED", metadata=metadata)
