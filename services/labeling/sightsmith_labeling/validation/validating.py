"""The validation job: looks at datasets or manifests, changes nothing, and keeps what it found."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from sightsmith.database import Database
from sightsmith.names import UploadedFileName
from sightsmith.objects import Objects
from sightsmith.places import AllowedPlaces
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.imports.sources import download
from sightsmith_labeling.imports.uploaded_files import UploadedFiles
from sightsmith_labeling.jobs.job import JobName
from sightsmith_labeling.jobs.running import RunningJob
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_labeling.validation.dataset_validation import DatasetValidation
from sightsmith_labeling.validation.manifest_validation import ManifestValidation
from sightsmith_labeling.validation.quality_rules import QualityRules
from sightsmith_labeling.validation.report import Report
from sightsmith_labeling.validation.request import (
    VALIDATION_JOBS,
    ManifestSource,
    ValidationFile,
    ValidationRequest,
    validation_key,
)
from sightsmith_labeling.validation.rules import rules_of


class ValidationJobs:
    """The kind of job that validates. A job whose worker is lost begins anew: it has changed nothing."""

    name: ClassVar[str] = VALIDATION_JOBS

    def __init__(
        self,
        settings: LabelingSettings,
        database: Database,
        objects: Objects,
        files: UploadedFiles,
        places: AllowedPlaces,
    ) -> None:
        self._settings = settings
        self._database = database
        self._objects = objects
        self._files = files
        self._places = places

    async def run(self, job: RunningJob) -> Mapping[str, Any]:
        """Validates.

        Raises:
            NotFoundError: if an uploaded manifest is not there any more.
            FailedPreconditionError: with the reason IMPORT_FAILED, if a manifest cannot be read.
        """
        await job.forget_findings()
        report = Report(job)
        validation = await self._validation(job, ValidationRequest.model_validate(job.spec))
        result = await validation.run(job, report)
        await self._keep(job, result["summary"])
        return {**result, "is_trainable": report.is_trainable, "code_counts": report.code_counts()}

    async def _validation(self, job: RunningJob, request: ValidationRequest) -> DatasetValidation | ManifestValidation:
        rules = rules_of(request.rule_set, self._settings)
        if request.train is None:
            return DatasetValidation(
                self._database,
                rules,
                QualityRules.of(self._settings),
                self._settings.embedding_backbones[0],
                self._settings.object_store_url,
            )
        sources = {Split.TRAIN: request.train} | ({Split.TEST: request.test} if request.test else {})
        await job.advance("downloading", 0)
        paths = {split: await self._fetch(source, job.folder / split.value) for split, source in sources.items()}
        return ManifestValidation(rules, paths)

    async def _fetch(self, source: ManifestSource, path: Path) -> Path:
        if source.uploaded_file is not None:
            file = await self._files.get(UploadedFileName.parse(source.uploaded_file))
            await self._objects.get_file(file.key, path)
        else:
            place = self._places.check("validation_job.url", source.url or "")
            await asyncio.to_thread(download, place, path, self._settings.max_uploaded_file_bytes)
        return path

    async def _keep(self, job: RunningJob, summary: Mapping[str, Any]) -> None:
        """Stores the files that clients may download."""
        await job.advance("storing", 0)
        name = JobName.parse(job.name)
        data = json.dumps(summary, ensure_ascii=False, indent=2).encode(errors="replace")
        await self._objects.put(validation_key(name.project, name.job, ValidationFile.SUMMARY), data)
        for file in (ValidationFile.TRAINING_MANIFEST, ValidationFile.TESTING_MANIFEST):
            path = job.folder / file.value
            if await asyncio.to_thread(path.exists):
                await self._objects.put_file(validation_key(name.project, name.job, file), path)
