"""The whole conversion on one page: read, understand, plan, stream one layer, describe it; then publish."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from converters import absent
from converters.guest.facts import GuestFacts
from converters.image.config import (
    CONFIG_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE,
    describe,
    image_config,
    manifest,
    standard_labels,
)
from converters.image.layer import compress_layer
from converters.outputs.base import Descriptor, Output
from converters.plan import plan_image
from converters.reader.parent import Reader
from converters.request import Converted, Progress, Request

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
    inspection = reader.inspect()
    plan = plan_image(inspection.guest, request.machine, labels(request, inspection.guest))
    plan = replace(plan, notes=(*plan.notes, *absent.notes(request.disks, inspection.unread)))
    inspected = time.monotonic()
    layer = compress_layer(
        reader.tar(plan.directories),
        output,
        on_progress=lambda read, pushed: on_progress(Progress(read, pushed)),
    )
    summary = reader.summary
    config_blob = image_config(plan.run, [layer], architecture=plan.architecture or X86)
    config = describe(config_blob, CONFIG_MEDIA_TYPE)
    put_blob(output, config, config_blob)
    manifest_blob = manifest(config, [layer.descriptor])
    return Converted(
        target=request.target,
        manifest=manifest_blob,
        media_type=MANIFEST_MEDIA_TYPE,
        digest=describe(manifest_blob, MANIFEST_MEDIA_TYPE).digest,
        config=config,
        layers=(layer.descriptor,),
        diff_ids=(layer.diff_id,),
        inspection=inspection,
        plan=plan,
        removals=summary.removals,
        entries=summary.entries,
        read_bytes=layer.uncompressed_size,
        pushed_bytes=layer.descriptor.size,
        seconds=(("inspect", inspected - began), ("layer", time.monotonic() - inspected)),
    )


def publish(converted: Converted, output: Output) -> Descriptor:
    """Make the image visible under its digest and tags: the last step, and the only one others can see.

    Raises:
        OutputError: the output refuses the manifest, or does not answer.
    """
    return output.put_manifest(converted.manifest, converted.media_type, converted.target.tags)


def labels(request: Request, guest: GuestFacts) -> tuple[tuple[str, str], ...]:
    """The image's labels: the specification's own, then the request's."""
    standard = standard_labels(
        title=request.machine.name, description=f"{guest.release.name}, converted from a virtual machine"
    )
    return (*standard.items(), *request.labels)


def put_blob(output: Output, descriptor: Descriptor, content: bytes) -> None:
    """Upload a blob held in memory, unless the output has it."""
    if output.has_blob(descriptor.digest):
        return
    with output.upload() as upload:
        upload.write(content)
        upload.commit(descriptor.digest)
