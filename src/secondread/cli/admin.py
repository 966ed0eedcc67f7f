"""Commands of who runs the service: accounts, tokens, tables, backup, retention, the audit trail, completion."""

from pathlib import Path
from typing import Any

import click

from secondread.cli.keeping import check
from secondread.cli.options import ask_password, counted, open_service, service_options, service_settings, who
from secondread.cli.tables import columns

_ROLES = click.Choice(["reader", "reviewer", "administrator"])


@click.group()
def user() -> None:
    """Accounts: who may use the service, and as what."""


@user.command("add")
@click.argument("name")
@click.option("--role", type=_ROLES, default="reader", show_default=True, help="What the account may do.")
@click.option("--subject", help="Sign in through OpenID Connect only, as this issuer and subject; asks no password.")
@service_options
def add_user(name: str, role: str, subject: str | None, **options: Any) -> None:
    """Make an account. The password is asked for, or read as one line of standard input."""
    password = None if subject else ask_password()
    with open_service(**options) as service:
        made = service.accounts.add(name, role=role, password=password, subject=subject, actor=who())
    click.echo(f"{made.name}: {made.role}")


@user.command("list")
@service_options
def list_users(**options: Any) -> None:
    """Show every account."""
    with open_service(**options) as service:
        rows = []
        for found in service.accounts.users():
            state = "disabled" if found.disabled_at else "enabled"
            seen = found.last_login_at.strftime("%Y-%m-%d %H:%M UTC") if found.last_login_at else "never"
            rows.append((found.name, found.role, state, f"last login {seen}"))
    columns(rows)


@user.command("disable")
@click.argument("name")
@service_options
def disable(name: str, **options: Any) -> None:
    """Let an account do nothing more; its sessions and tokens end at once."""
    with open_service(**options) as service:
        click.echo(f"{service.accounts.disable(name, actor=who()).name} is disabled")


@user.command("enable")
@click.argument("name")
@service_options
def enable(name: str, **options: Any) -> None:
    """Undo `disable`."""
    with open_service(**options) as service:
        click.echo(f"{service.accounts.enable(name, actor=who()).name} is enabled")


@user.command("password")
@click.argument("name")
@click.option("--end-tokens", is_flag=True, help="End its API tokens too; those of another's account always end.")
@service_options
def password_command(name: str, end_tokens: bool, **options: Any) -> None:
    """Set a new password, asked for or read as one line of standard input; sessions end.

    So do the API tokens of the account, unless it is that of who is at this terminal.
    """
    password = ask_password("New password")
    with open_service(**options) as service:
        found = service.accounts.set_password(name, password, end_tokens=end_tokens, actor=who())
        click.echo(f"{found.name} has a new password")


@user.command("sessions")
@click.argument("name")
@click.option("--end", is_flag=True, help="End them all.")
@service_options
def sessions_command(name: str, end: bool, **options: Any) -> None:
    """Show where an account is logged in; with --end, log it out everywhere."""
    with open_service(**options) as service:
        if end:
            click.echo(f"{service.accounts.end_sessions(name, actor=who()).name} is logged out everywhere")
            return
        rows = []
        for found in service.sessions.find(name, actor=who()):
            since, used = (f"{at:%Y-%m-%d %H:%M UTC}" for at in (found.created_at, found.seen_at))
            where = (found.browser or "another program", found.address or "no address")
            rows.append((found.id, *where, f"since {since}", f"last used {used}"))
    columns(rows)


@user.command("role")
@click.argument("name")
@click.argument("role", type=_ROLES)
@service_options
def role_command(name: str, role: str, **options: Any) -> None:
    """Give an account another role; its sessions end."""
    with open_service(**options) as service:
        found = service.accounts.set_role(name, role, actor=who())
    click.echo(f"{found.name}: {found.role}")


@click.group()
def token() -> None:
    """API tokens of accounts."""


@token.command("add")
@click.argument("user")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "write", "review", "admin"]),
    default=("read", "write"),
    show_default=True,
    help="What it may do; may be given several times.",
)
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="Until it expires.")
@service_options
def add_token(user: str, name: str, scopes: tuple[str, ...], days: int, **options: Any) -> None:
    """Make a token for USER and print it: it cannot be shown again."""
    with open_service(**options) as service:
        secret, made = service.tokens.add(user, name=name, scopes=scopes, days=days, actor=who())
    click.echo(
        f"token {made.id} of {made.user} ({', '.join(made.scopes)}), {days} days; it is shown only now:", err=True
    )
    click.echo(secret)


@token.command("list")
@click.argument("user", required=False)
@service_options
def list_tokens(user: str | None, **options: Any) -> None:
    """Show the tokens of USER, or all."""
    with open_service(**options) as service:
        rows = []
        for found in service.tokens.find(user, actor=who()):
            state = (
                "revoked" if found.revoked_at else f"until {found.expires_at:%Y-%m-%d}" if found.expires_at else "open"
            )
            used = f"{found.last_used_at:%Y-%m-%d %H:%M UTC}" if found.last_used_at else "never"
            scopes = ",".join(found.scopes)
            rows.append((found.id, found.user, found.name, f"{found.start}…", scopes, state, f"last used {used}"))
    columns(rows)


@token.command("revoke")
@click.argument("number", type=int)
@service_options
def revoke(number: int, **options: Any) -> None:
    """End token NUMBER for good."""
    with open_service(**options) as service:
        found = service.tokens.revoke(number, actor=who())
    click.echo(f"token {found.id} of {found.user} is revoked")


@click.group()
def db() -> None:
    """The database of the service."""


@db.command("upgrade")
@service_options
def upgrade(**options: Any) -> None:
    """Make the tables, or bring them to this version; safe while others do the same."""
    with open_service(upgrade=False, **options) as service:
        before, needed = service.database.versions() if service.folder.is_dir() else ("", "")
        service.upgrade()
        needed = service.database.versions()[1]
        name = service.database.name
    click.echo(f"{name}: version {needed}" + ("" if before == needed else f", was {before or 'empty'}"))


@db.command("status")
@service_options
def status(**options: Any) -> None:
    """Say which version the tables have; exit status 1 where they do not fit this version."""
    with open_service(upgrade=False, **options) as service:
        service.database.check()
        found = service.database.versions()[0]
        click.echo(f"{service.database.name}: version {found}, {counted(service.queue.waiting(), 'image')} waiting")


db.add_command(check)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@service_options
def backup(file: Path, **options: Any) -> None:
    """Write database and images into FILE (.tar.gz). The server may run meanwhile."""
    from secondread.service import back_up

    with open_service(upgrade=False, **options) as service:
        service.database.check()
        found = back_up(service.database, service.images, file, actor=who())
    click.echo(
        f"{found.path}: {counted(found.n_files, 'file')}, {found.n_bytes / 1e6:.1f} MB; audit trail up to {found.trail}"
    )


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--erasures",
    type=click.Path(dir_okay=False, path_type=Path),
    help="erasures.jsonl of the folder that was lost: who was erased since FILE was made is erased again.",
)
@service_options
def restore(file: Path, erasures: Path | None, **options: Any) -> None:
    """Check FILE, made by `secondread backup`, and put it into an empty data folder (and database, and storage)."""
    from secondread.service import data_folder_of, read_erasings, storage_of
    from secondread.service import restore as restore_backup

    settings = service_settings(**options)
    folder = data_folder_of(settings)
    erasings = read_erasings(erasures) if erasures else []
    storage = storage_of(folder, str(settings["IMAGES"]), endpoint=str(settings["S3_ENDPOINT"]))
    url = str(settings["DATABASE"])
    found = restore_backup(file, folder, url=url, storage=storage, erasings=erasings, actor=who())
    click.echo(f"{folder}: {counted(found.n_files, 'file')} of {found.created}; audit trail up to {found.trail}")
    if erasures:
        click.echo(f"erasures done again: {len(erasings)}; {counted(found.erased, 'image')} went")
    else:
        click.echo("people erased after that day are here again; restore with --erasures to keep them erased", err=True)


@click.group()
def trail() -> None:
    """The audit trail: every access to an image or reading, and every change."""


@trail.command("verify")
@click.option("--checkpoint", help="What `secondread trail checkpoint` printed earlier; it must still be in the trail.")
@service_options
def verify(checkpoint: str | None, **options: Any) -> None:
    """Go through every line, the triggers that protect them, and the checkpoints that were kept.

    Exit status 1 and the first wrong line where one was changed, removed or moved. What could not be known is said.
    """
    from secondread.service import Checkpoint

    known = Checkpoint.parse(checkpoint) if checkpoint else None
    with open_service(upgrade=False, **options) as service:
        found = service.trail.verify(known)
    click.echo(
        f"the audit trail is whole: {found.seq} lines, up to {found}; compared with {found.compared} checkpoints"
    )
    for gap in found.gaps:
        click.echo(f"not known: {gap}")


@trail.command("checkpoint")
@service_options
def checkpoint_command(**options: Any) -> None:
    """Print where the trail ends now. Kept elsewhere, this line shows if the trail is cut off or rewritten later."""
    with open_service(upgrade=False, **options) as service:
        click.echo(str(service.trail.checkpoint()))


@trail.command("export")
@click.option("--after", default=0, type=click.IntRange(0), help="Only lines after this number.")
@click.option("--actor", help="Only what this account did.")
@click.option("--subject", help="Only what concerns this, as reading:17 or user:anna.")
@service_options
def export(after: int, actor: str | None, subject: str | None, **options: Any) -> None:
    """Print lines as JSON, one a line, as they were hashed."""
    import json

    with open_service(upgrade=False, **options) as service:
        for line in service.trail.lines(after=after, actor=actor, subject=subject):
            click.echo(json.dumps(line, ensure_ascii=False))


@click.command()
@click.option("--days", type=click.IntRange(1), help="Keep this many days; default: the setting retention_days.")
@click.option("--dry-run", is_flag=True, help="Say how many images it would delete, and delete none.")
@click.option("--patient-lines", is_flag=True, help="Erase every patient line that was typed, and nothing else.")
@service_options
def retain(days: int | None, dry_run: bool, patient_lines: bool, **options: Any) -> None:
    """Delete images, names and notes older than so many days, and files that no row names; the trail proves it."""
    from secondread.errors import UsageError

    if patient_lines:
        if days or dry_run:
            raise UsageError("--patient-lines erases all of them and goes with no other option; leave the others out")
        with open_service(**options) as service:
            click.echo(f"erased the patient lines of {counted(service.patient_lines.erase_all(actor=who()), 'image')}")
        return
    days = days or int(service_settings(**options)["RETENTION_DAYS"])
    if not days:
        raise UsageError("nothing says how long images are kept; give --days or set retention_days")
    with open_service(**options) as service:
        if dry_run:
            click.echo(
                f"received more than {counted(days, 'day')} ago: {counted(service.retention.due(days), 'image')}"
            )
            click.echo(f"{service.retention.items_due(days)} names of files stand in uploads of that age")
            return
        found = service.retention.apply(days, actor=who())
        n_files = service.repair.tidy(actor=who())
    click.echo(f"deleted {counted(found.images, 'image')} received before {found.before:%Y-%m-%d %H:%M UTC}")
    click.echo(f"readings that stay without them: {found.readings}")
    click.echo(f"{found.items} names of files in uploads are gone, and what was typed with {found.batches} uploads")
    if n_files:
        click.echo(f"removed {counted(n_files, 'file')} that no row names")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(secondread completion bash)"."""
    from click.shell_completion import get_completion_class

    from secondread.cli.main import secondread

    found = get_completion_class(shell)
    assert found is not None, "click ships these three"
    click.echo(found(secondread, {}, "secondread", "_SECONDREAD_COMPLETE").source())
