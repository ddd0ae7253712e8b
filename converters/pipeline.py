"""The whole conversion on one page: read, understand, plan, stream one layer, describe it; then publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache

from converters import init
from converters.entrypoint import INIT, SERVICES, file_name
from converters.guest.facts import Inspection
from converters.image.additions import files_layer
from converters.image.config import (
    CONFIG_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE,
    RunConfig,
    describe,
    image_config,
    manifest,
)
from converters.image.layer import Layer, compress_layer
from converters.image.names import repository_names
from converters.init.specification import to_json
from converters.manifests.volumes import data_paths
from converters.outputs.base import Descriptor, Output
from converters.plan import ImagePlan
from converters.planfile.writing import plan_text
from converters.planning import understood
from converters.reader.parent import Reader
from converters.request import Converted, Progress, Proposal, Request, ServiceImage
from converters.running.merge import with_running

X86 = "amd64"
"""The architecture of a guest none of whose programs tells it: vSphere runs x86 machines."""


def convert(
    request: Request,
    reader: Reader,
    output: Output,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Converted:
    """Convert one guest and put the image's blobs into ``output``; nothing is published yet.

    The same disks give the same digests.

    Args:
        reader: of the request's disks, entered. Who enters it before the output is made ready wins the time
            that its process takes to start and to look at the disks.
        on_progress: called often, from this thread.

    Raises:
        ConvertError: there is no image, and the output shows none.
    """
    began = time.monotonic()
    inspection = _looked(request, reader)
    _, plan = understood(request, inspection)
    inspected = time.monotonic()
    kept = data_paths(plan)
    layer = compress_layer(
        reader.tar(plan.directories, kept, plan.held),
        output,
        on_progress=lambda read, pushed: on_progress(Progress(read, pushed)),
    )
    summary = reader.summary
    plan = replace(plan, data_bytes=tuple(zip(kept, summary.sizes, strict=False)))
    own = tuple(_own_layers(plan))
    pushed = layer.descriptor.size
    for added, blob in own:
        pushed += put_blob(output, added.descriptor, blob)
    on_progress(Progress(layer.uncompressed_size, pushed))
    layers = (layer, *(added for added, _ in own))
    config, image = _image(plan, plan.run, layers, output)
    services = [(service, _image(plan, service.run, layers, output)[1]) for service in plan.services]
    return Converted(
        target=request.target,
        manifest=image,
        media_type=MANIFEST_MEDIA_TYPE,
        digest=_digest(image),
        config=config,
        layers=tuple(one.descriptor for one in layers),
        diff_ids=tuple(one.diff_id for one in layers),
        inspection=inspection,
        plan=plan,
        secret_files=(*plan.secret_files, *reader.secrets),
        removals=summary.removals,
        entries=summary.entries,
        read_bytes=layer.uncompressed_size,
        pushed_bytes=pushed,
        seconds=(("inspect", inspected - began), ("layer", time.monotonic() - inspected)),
        services=tuple(
            ServiceImage(service.name, manifest, _digest(manifest)) for service, manifest in services
        )
        if len(plan.services) > 1 or not plan.service
        else (),
    )


def _looked(request: Request, reader: Reader) -> Inspection:
    """What the guest's disks tell, and what was seen of it while it ran, which counts more."""
    inspection = reader.inspect()
    if request.running is None:
        return inspection
    return replace(inspection, guest=with_running(inspection.guest, request.running))


def propose(request: Request, reader: Reader) -> Proposal:
    """Look at a guest and say what ``convert`` would make of it; nothing is converted.

    Raises ``ConvertError``.
    """
    inspection = _looked(request, reader)
    draft, plan = understood(request, inspection)
    text = plan_text(draft, plan, inspection.notes, request.machine.instance_uuid)
    return Proposal(inspection, plan, text)


def _own_layers(plan: ImagePlan) -> Iterator[tuple[Layer, bytes]]:
    """The init, and what it is told of services and jobs, with their bytes; nothing where there is none."""
    told = {
        f"{SERVICES}/{file_name(service.name)}": to_json(service.specification)
        for service in (*plan.services, *plan.members)
        if service.specification is not None
    }
    told.update({job.path: to_json(job.specification) for job in plan.jobs})
    if told:
        yield _init_layer(plan.architecture or X86)
        yield files_layer(told, 0o644)


@cache
def _init_layer(architecture: str) -> tuple[Layer, bytes]:
    """The same for every machine of a processor."""
    return files_layer({INIT: init.program(architecture)}, 0o755)


def _image(
    plan: ImagePlan, run: RunConfig, layers: Sequence[Layer], output: Output
) -> tuple[Descriptor, bytes]:
    """A configuration, which the output has now, and the manifest of an image with it."""
    blob = image_config(run, layers, architecture=plan.architecture or X86)
    config = describe(blob, CONFIG_MEDIA_TYPE)
    put_blob(output, config, blob)
    return config, manifest(config, [layer.descriptor for layer in layers])


def _digest(manifest: bytes) -> str:
    return describe(manifest, MANIFEST_MEDIA_TYPE).digest


def publish(converted: Converted, output: Output) -> Descriptor:
    """Make the images visible under their digests and tags: the last step, and the only one others can see.

    Those of single services come first, so that the machine's own shows that all are there. A service's tag
    is its name: ``nginx`` beside ``latest``, ``nginx-v2`` beside ``v2``.

    Raises:
        OutputError: the output refuses a manifest, or does not answer.
    """
    for service, name in zip(converted.services, _tags(converted.services), strict=True):
        tags = [name if tag == "latest" else f"{name}-{tag}" for tag in converted.target.tags]
        output.put_manifest(service.manifest, converted.media_type, tags)
    return output.put_manifest(converted.manifest, converted.media_type, converted.target.tags)


def _tags(services: Sequence[ServiceImage]) -> list[str]:
    """A tag for each service, no two the same."""
    names = repository_names([(service.name, service.name) for service in services])
    return [names[service.name] for service in services]


def put_blob(output: Output, descriptor: Descriptor, content: bytes) -> int:
    """Upload a blob held in memory, unless the output has it; gives the bytes that were sent."""
    if output.has_blob(descriptor.digest):
        return 0
    with output.upload() as upload:
        upload.write(content)
        upload.commit(descriptor.digest)
    return len(content)
