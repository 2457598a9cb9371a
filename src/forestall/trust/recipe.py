"""Recipes on the wire, as an approval carries them: parsed once with every limit in the type, then `domain.recipe`."""

import posixpath
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

import msgspec

from forestall.domain import recipe
from forestall.domain.product import ANY, ProductName, is_update
from forestall.domain.recipe import (
    Check,
    Command,
    Content,
    Payload,
    PutFile,
    Question,
    Recipe,
    RunPayload,
    SetKernel,
    UpdateAgent,
    odd_program,
)
from forestall.domain.remediation import RemediationId, parts_of
from forestall.protocol import Instant, Sha256, Word, in_this_age

_MOST_BYTES = 16 * 2**30
_MODE = 0o755
"""Nothing is put that others may write, or that runs with its owner's rights."""
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_KEY = re.compile(r"[a-z0-9_]+(\.[a-zA-Z0-9_-]+)+")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")

Argument = Annotated[str, msgspec.Meta(min_length=1, max_length=1_024, pattern="^[^\\x00-\\x1f]*\\Z")]
Arguments = Annotated[tuple[Argument, ...], msgspec.Meta(min_length=1, max_length=64)]
Codes = Annotated[tuple[Annotated[int, msgspec.Meta(ge=0, le=255)], ...], msgspec.Meta(max_length=32)]
Place = Annotated[str, msgspec.Meta(min_length=2, max_length=512, pattern="^/[^\\x00-\\x1f]*\\Z")]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=int(recipe.LONGEST_STEP.total_seconds()))]
BriefSeconds = Annotated[int, msgspec.Meta(ge=1, le=int(recipe.LONGEST_LOOK.total_seconds()))]


class CommandMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`domain.recipe.Command`."""

    arguments: Arguments
    limit_seconds: Seconds
    done: Codes = (0,)


class QuestionMessage(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="question"
):
    """`domain.recipe.Question`."""

    arguments: Arguments
    limit_seconds: BriefSeconds
    fixed: Codes
    affected: Codes
    pending_restart: Codes = ()


class ContentMessage(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="content"
):
    """`domain.recipe.Content`."""

    path: Place
    sha256: Sha256


class PayloadMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`domain.recipe.Payload`."""

    sha256: Sha256
    length: Annotated[int, msgspec.Meta(ge=0, le=_MOST_BYTES)]


class RunPayloadMessage(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="run-payload"
):
    """`domain.recipe.RunPayload`."""

    payload: PayloadMessage
    install: CommandMessage
    detect: Annotated[tuple[QuestionMessage | ContentMessage, ...], msgspec.Meta(min_length=1, max_length=16)]
    undo: CommandMessage | None = None


class PutFileMessage(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="put-file"
):
    """`domain.recipe.PutFile`."""

    payload: PayloadMessage
    path: Place
    owner: str
    group: str
    mode: Annotated[int, msgspec.Meta(ge=0, le=0o7777)]
    check: CommandMessage | None = None
    reload: CommandMessage | None = None
    detect: QuestionMessage | None = None


class SetKernelMessage(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="set-kernel"
):
    """`domain.recipe.SetKernel`."""

    key: Annotated[str, msgspec.Meta(max_length=128)]
    value: Annotated[str, msgspec.Meta(max_length=256)]


class UpdateAgentMessage(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="update-agent"
):
    """`domain.recipe.UpdateAgent`."""

    payload: PayloadMessage
    platform: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}\\Z")]


RecipeMessage = RunPayloadMessage | PutFileMessage | SetKernelMessage | UpdateAgentMessage


class RecipeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people write: which update it is, what it is for, and the recipe."""

    update: RemediationId
    title: Word
    published_at: Instant
    recipe: RecipeMessage
    vulnerabilities: Annotated[tuple[Word, ...], msgspec.Meta(max_length=1_000)] = ()

    def __post_init__(self) -> None:
        in_this_age(self.published_at)


def read_recipe_file(content: bytes) -> RecipeFile | str:
    """Read a file that people wrote; of one that cannot be used, say why."""
    try:
        found = msgspec.json.decode(content, type=RecipeFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return str(error)
    if found.update.count("/") != 2 or not is_update(ProductName.RECIPE, *parts_of(found.update)):
        return f"“{found.update[:80]}” is no update by a recipe: call it {ANY}/NAME/VERSION"
    recipe = recipe_of(found.recipe)
    return recipe if isinstance(recipe, str) else found


def recipe_of(message: RecipeMessage) -> Recipe | str:
    """Read a recipe as a value; of one that cannot be carried out, say why."""
    made = _made(message)
    return next(_objections(made), "") or made


def _command(message: CommandMessage) -> Command:
    return Command(message.arguments, timedelta(seconds=message.limit_seconds), frozenset(message.done))


def _maybe(message: CommandMessage | None) -> Command | None:
    return None if message is None else _command(message)


def _question(message: QuestionMessage) -> Question:
    codes = (frozenset(each) for each in (message.fixed, message.affected, message.pending_restart))
    return Question(message.arguments, timedelta(seconds=message.limit_seconds), *codes)


def _check(message: QuestionMessage | ContentMessage) -> Check:
    if isinstance(message, ContentMessage):
        return Content(message.path, message.sha256)
    return _question(message)


def _payload(message: PayloadMessage) -> Payload:
    return Payload(message.sha256, message.length)


def _made(message: RecipeMessage) -> Recipe:
    match message:
        case RunPayloadMessage():
            checks = tuple(_check(each) for each in message.detect)
            return RunPayload(
                _payload(message.payload), _command(message.install), checks, _maybe(message.undo)
            )
        case PutFileMessage():
            return PutFile(
                payload=_payload(message.payload),
                path=message.path,
                owner=message.owner,
                group=message.group,
                mode=message.mode,
                check=_maybe(message.check),
                reload=_maybe(message.reload),
                detect=None if message.detect is None else _question(message.detect),
            )
        case SetKernelMessage():
            return SetKernel(message.key, message.value)
        case UpdateAgentMessage():
            return UpdateAgent(_payload(message.payload), message.platform)


def _objections(made: Recipe) -> Iterator[str]:
    """Find what the types cannot say."""
    for step in _steps(made):
        if odd_program(step.arguments):
            yield f"{step.arguments[0]} is no absolute path, or a shell"
        if isinstance(step, Question) and _overlap(step):
            yield f"{step.arguments[0]}: one exit code means two things"
    for path in _paths(made):
        if posixpath.normpath(path) != path or path.startswith("//"):
            yield f"{path} is no plain path"
    if isinstance(made, PutFile):
        if not _USER.fullmatch(made.owner) or not _USER.fullmatch(made.group):
            yield "its owner or group is no name"
        if made.mode & ~_MODE:
            yield f"mode {made.mode:04o} lets others write or runs as its owner"
    if isinstance(made, SetKernel) and not (_KEY.fullmatch(made.key) and _VALUE.fullmatch(made.value)):
        yield "no kernel parameter, or no value of one line"


def _steps(made: Recipe) -> list[Command | Question]:
    match made:
        case RunPayload():
            steps = (made.install, made.undo, *(each for each in made.detect if isinstance(each, Question)))
        case PutFile():
            steps = (made.check, made.reload, made.detect)
        case SetKernel() | UpdateAgent():
            steps = ()
    return [step for step in steps if step is not None]


def _paths(made: Recipe) -> list[str]:
    match made:
        case RunPayload():
            return [each.path for each in made.detect if isinstance(each, Content)]
        case PutFile():
            return [made.path]
        case SetKernel() | UpdateAgent():
            return []


def _overlap(question: Question) -> bool:
    every = (question.fixed, question.affected, question.pending_restart)
    return len(frozenset().union(*every)) != sum(len(codes) for codes in every)
